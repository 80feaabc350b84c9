"""SIGKILL in an adaptive run, then the same command: the same course, to the byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lmms.report import comparable, load_run
from lmms.responses.reader import JournalReader
from tests.durability.bed import ENTRY, ROOT, finish

ITEMS = 24
_PATIENCE = 60.0


def start(folder: Path, *more: str) -> Any:
    """Starts the command in a process of its own; each batch takes a moment."""
    words = [
        "model=dummy",
        "model.kwargs.ability=0.4",
        "model.kwargs.delay_seconds=0.03",
        # Some requests fail once, so that batches do not end in the order of their documents.
        "model.kwargs.flaky_share=0.2",
        "model.batch_size=3",
        "task=irt_items",
        "selector=adaptive",
        f"selector.max_items={ITEMS}",
        f"output.dir={folder / 'outputs'}",
        "output.html=false",
        *more,
    ]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder.parent / "pycache"),
        "NO_COLOR": "1",
    }
    return subprocess.Popen(
        [sys.executable, str(ENTRY), *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_folder(folder: Path) -> Path | None:
    found = [p for p in (folder / "outputs").glob("*-dummy-*") if not p.is_symlink()]
    return found[0] if found else None


def steps(folder: Path) -> int:
    """How many steps are in the journal."""
    path = run_folder(folder)
    if path is None or not (path / "plan.json").exists():
        return 0
    with JournalReader(path) as journal:
        return len(journal.steps("irt_items"))


def kill_after(folder: Path, count: int, wait: float = 0.0) -> None:
    process = start(folder)
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and steps(folder) < count and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    assert finish(process).returncode == -signal.SIGKILL


def run_well(folder: Path) -> dict[str, Any]:
    done = finish(start(folder))
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    path = run_folder(folder)
    assert path is not None
    return json.loads((path / "results.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of a run that nothing happened to."""
    results = run_well(tmp_path_factory.mktemp("undisturbed"))
    assert len(results["tasks"]["irt_items"]["adaptive"]["trajectory"]) == ITEMS
    return results


def test_kill_again_and_again_and_the_course_is_the_same(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    chance = random.Random(7)
    course = undisturbed["tasks"]["irt_items"]["adaptive"]["trajectory"]
    for count in (1, 8, 15):
        kill_after(tmp_path, count, chance.uniform(0.0, 0.05))
        path = run_folder(tmp_path)
        assert path is not None
        broken = load_run(path)
        shown = broken["irt_items"].adaptive
        assert broken.status == "interrupted"
        assert shown is not None
        answered = shown["n_answered"]
        assert count <= answered < ITEMS
        assert shown["ability"] == course[answered - 1]["ability"]
    results = run_well(tmp_path)
    assert json.dumps(results["tasks"]) == json.dumps(undisturbed["tasks"])
    ours, theirs = comparable(results), comparable(undisturbed)
    assert ours["manifest"] == theirs["manifest"]
    assert results["execution"]["resumed"] == 3
    # What was answered before was not asked again.
    efficiency = results["efficiency"]["by_task"]["irt_items"]
    assert efficiency["requests"] == ITEMS
    assert efficiency["requests_asked"] <= ITEMS


def test_a_running_run_can_be_looked_at(tmp_path: Path) -> None:
    process = start(tmp_path)
    end = time.monotonic() + _PATIENCE
    while steps(tmp_path) < 8 and time.monotonic() < end:
        time.sleep(0.005)
    shown = subprocess.run(
        [sys.executable, str(ENTRY), "show", str(run_folder(tmp_path))],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ability" in shown.stdout
    assert "so far" in shown.stdout or "of 500 documents" in shown.stdout
    assert finish(process).returncode == 0
