"""What a command may import; benches/test_startup.py measures the times that follow from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "pyarrow",
    "PIL",
    "pandas",
    "httpx",
    "huggingface_hub",
}
COMPILER = {"hydra", "omegaconf", "pydantic", "antlr4"}
TEXT = {"numpy", "jinja2", "rich", "asyncio"}

SCRIPT = """
import contextlib, io, json, sys
from lmms.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def _modules(repository, tmp_path, *words):
    environment = {**os.environ, "PYTHONPATH": str(repository), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, *words]
    for _ in range(2):  # the first run writes the task index
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    code, modules = json.loads(ended.stdout.splitlines()[-1])
    assert code == 0, ended.stderr
    return set(modules)


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        (["--help"], HEAVY | COMPILER | TEXT | {"yaml"}),
        (["version"], HEAVY | COMPILER | TEXT | {"yaml"}),
        (["ls", "tasks"], HEAVY | COMPILER | TEXT | {"yaml"}),
        (["ls", "models"], HEAVY | COMPILER | TEXT | {"yaml"}),
        (["completion", "--words", "--", "lmms task=m"], HEAVY | COMPILER | TEXT | {"yaml"}),
        # Nothing of Hydra, either, for plain words: lmms.config.quick.
        (
            ["plan", "+experiment=longvideo", "model=dummy"],
            HEAVY | (COMPILER - {"pydantic"}) | {"numpy", "jinja2", "rich"},
        ),
        (["plan", "task=gsm8k", "model=dummy", "model.kwargs={answer: B}"], HEAVY),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_imports(repository, tmp_path, words, forbidden):
    assert not _modules(repository, tmp_path, *words) & forbidden


def test_plan_of_the_main_job(repository, tmp_path):
    folder = repository / "lmms/_data/embedded/canary-qwen3vl"
    if not (folder / "lmms.json").exists():
        pytest.skip("the embedded model is not built in this checkout")
    modules = _modules(repository, tmp_path, "plan", "+experiment=longvideo", "model=qwen3_vl")
    assert not modules & HEAVY


def test_import_lmms(repository):
    script = "import sys, lmms; print(sorted(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    for name in HEAVY | COMPILER | TEXT | {"yaml"}:
        assert f"'{name}'" not in ended.stdout
