"""Where a run happened: machine, Python, libraries, and the commit of a checkout."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import lmms

# Distributions whose version can change an answer, a score, or what a report shows.
_PACKAGES = (
    "accelerate",
    "httpx",
    "huggingface_hub",
    "hydra-core",
    "jinja2",
    "numpy",
    "omegaconf",
    "peft",
    "pyarrow",
    "pydantic",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
    "vllm",
)


def describe_environment(extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns what a reader needs to know about the machine and the software.

    torch is asked about GPUs only if the run has imported it: a report never loads it.

    Args:
        extra: Entries that the runner adds or knows better.
    """
    found: dict[str, Any] = {
        "lmms": lmms.__version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_count": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpu": _gpu_names(),
        "ffmpeg": _ffmpeg_version(),
        "packages": _package_versions(),
    }
    return found | dict(extra or {})


@cache
def git_commit() -> str | None:
    """Returns the commit of the checkout that lmms runs from, `+dirty` if files differ.

    None for an installed package, also if some other repository lies around its environment.
    """
    root = Path(lmms.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    if torch.cuda.is_available():
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ["Apple MPS"] if torch.backends.mps.is_available() else []


def _ffmpeg_version() -> str | None:
    try:
        media = importlib.import_module("lmms._media")
    except ImportError:
        # Text evaluation works without FFmpeg's libraries.
        return None
    return f"libavcodec {media.ffmpeg_version()}"


def _package_versions() -> dict[str, str]:
    # Loads the e-mail parser, which reading a run back has no use for.
    from importlib import metadata

    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
