"""What a command costs before it does anything: CPU seconds of a process of its own.

Claims: `lmms --help` and `lmms version` at most 0.15 s, `lmms ls tasks` at most 0.3 s, completion
at most 0.1 s, and planning the main job at most 1.5 times a bare `import hydra, pydantic`. The
processes run interleaved after one warm-up round, which also writes the byte code and the task
index; medians are compared.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = 7
OUT = Path(__file__).parent / "out"
ROOT = Path(__file__).resolve().parents[1]

BASE = "import hydra, pydantic"
COMMANDS = {
    "--help": (["--help"], 0.15),
    "version": (["version"], 0.15),
    "ls tasks": (["ls", "tasks"], 0.3),
    "completion": (["completion", "--words", "--", "lmms task=m"], 0.1),
    "plan": (["plan", "+experiment=longvideo", "model=qwen3_vl"], None),
    "plan, composed by Hydra": (["plan", "task=gsm8k", "model=dummy", "+model.kwargs={}"], None),
}
CLAIM_PLAN = 1.5


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of a process and nothing else."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime


@pytest.fixture(scope="module")
def medians(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Median CPU seconds per command, and of the bare imports."""
    folder = tmp_path_factory.mktemp("startup")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder)}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    commands = {
        name: [sys.executable, "-m", "lmms", *words] for name, (words, _) in COMMANDS.items()
    }
    commands[BASE] = [sys.executable, "-c", BASE]
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for round_number in range(ROUNDS + 1):
        for name, command in commands.items():
            seconds = cpu_seconds(command, environment)
            if round_number:
                spent[name].append(seconds)
    found = {name: statistics.median(times) for name, times in spent.items()}
    OUT.mkdir(exist_ok=True)
    (OUT / "startup.json").write_text(json.dumps(found, indent=2))
    for name, seconds in found.items():
        print(f"\n{name:26} {seconds:.3f} s", end="")
    return found


@pytest.mark.parametrize("name", [n for n, (_, limit) in COMMANDS.items() if limit])
def test_command(medians: dict[str, float], name: str) -> None:
    """The light commands."""
    limit = COMMANDS[name][1]
    assert limit is not None
    assert medians[name] <= limit


def test_plan_of_the_main_job(medians: dict[str, float]) -> None:
    """Planning, against the two libraries that composing and validating would import."""
    ratio = medians["plan"] / medians[BASE]
    print(f"\nplan / ({BASE}) = {ratio:.2f}")
    assert ratio <= CLAIM_PLAN
