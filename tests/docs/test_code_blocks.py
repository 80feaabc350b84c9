"""Runs the `bash` and `python` blocks of README.md and docs/ in a scratch folder.

Blocks fenced as `text` or `yaml` are shown, not run; a block whose info string holds `no-run`
(the hub, a GPU, an installation) is not run either and must say so in the text before it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.M | re.S)


def _blocks() -> list[tuple[str, str, str]]:
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, match in enumerate(FENCE.finditer(page.read_text())):
            info = match["info"].split()
            if info and info[0] in ("bash", "python") and "no-run" not in info:
                found.append((f"{page.name}-{number}", info[0], match["body"]))
    return found


def test_there_are_blocks() -> None:
    assert len(_blocks()) >= 8


@pytest.mark.parametrize(("language", "body"), [pytest.param(k, b, id=i) for i, k, b in _blocks()])
def test_block(language: str, body: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    shell = ["bash", "-euo", "pipefail", "-c", body]
    words = shell if language == "bash" else [sys.executable, "-c", body]
    ran = subprocess.run(
        words, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=240
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
