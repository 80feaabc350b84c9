"""Programs of their own that a bench runs: their last line is their answer, as JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run(
    words: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    importable: bool = True,
) -> str:
    """Runs a program to its end and returns what it printed.

    Args:
        words: The command.
        environment: Set beside what this process has.
        folder: Where it runs.
        importable: Lets it import this checkout; off for another environment's Python.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    inherited |= {"PYTHONPATH": str(ROOT)} if importable else {}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=inherited | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stderr[-1500:]}")
    return done.stdout


def answer(words: Sequence[str | Path], **options: Any) -> Any:
    """Runs a program and reads the JSON of its last line."""
    return json.loads(run(words, **options).splitlines()[-1])
