"""Bad clips in a run: each costs its own sample, is counted, and makes the exit status say so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CLIP = "clip02.mp4"
GOOD = 2


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, write_video_task: Any
) -> Path:
    """A task of two good clips and one of each bad kind."""
    folder = tmp_path_factory.mktemp("clips") / "clips"
    folder.mkdir()
    shipped = repository / "lmms/_data/embedded/longvideobench/videos" / CLIP
    shutil.copy(shipped, folder / "good.mp4")
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("This is not a video.\n" * 50)
    # The index of this clip stands at its end, so nothing of the rest can be read.
    whole = shipped.read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    names = ["good", "missing", "zero", "text", "cut", "folder", "good", "pipe"]
    write_video_task(folder, [*(f"{name}.mp4" for name in names), None])
    return folder


@pytest.fixture(scope="module")
def ran(folder: Path) -> tuple[subprocess.CompletedProcess[str], list[dict[str, object]]]:
    words = ["model=dummy", "task=clips", f"env.task_paths=[{folder.parent}]",
             f"env.data_roots=[{folder}]", "env.data=hub", "media.num_frames=2",
             f"output.dir={folder.parent / 'out'}"]  # fmt: skip
    process = subprocess.run(
        [sys.executable, "-m", "lmms", *words],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        cwd=folder.parent,
        text=True,
        capture_output=True,
        timeout=120,
    )
    (path,) = (folder.parent / "out" / "latest").glob("samples_*.jsonl")
    return process, [json.loads(line) for line in path.read_text().splitlines()]


def test_the_exit_status_and_the_count_say_it(ran, folder: Path) -> None:
    process, _ = ran
    assert process.returncode == 3, process.stderr
    assert "Traceback" not in process.stderr
    results = json.loads((folder.parent / "out" / "latest" / "results.json").read_text())
    (task,) = results["tasks"].values()
    assert task["status_counts"]["failed"] == 7
    assert task["failures"] == {"media": 7}
    assert task["metrics"][0]["n"] == GOOD
    reasons = {why["reason"]: why for why in task["failure_reasons"]}
    assert sum(why["count"] for why in reasons.values()) == 7
    text = reasons["not a readable video file: Invalid data found when processing input"]
    assert (text["kind"], text["count"], text["documents"]) == ("media", 1, ["3"])
    report = (folder.parent / "out" / "latest" / "report.md").read_text()
    assert "1 sample: the file is empty (0 bytes) (document 2)" in report


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "no such file"),
        ("zero", "empty"),
        ("text", "not a readable video file"),
        ("cut", "moov"),
        ("folder", "it is a folder"),
        ("pipe", "not a regular file"),
    ],
)
def test_each_bad_clip_is_named_with_its_reason(ran, name: str, says: str) -> None:
    import re

    sample = next(
        s for s in ran[1] if s.get("failure") and f"{name}.mp4" in s["failure"]["message"]
    )
    assert sample["status"] == "failed"
    assert re.search(says, sample["failure"]["message"])
    assert sample["target"] == "x"
    assert str(sample["input"]).startswith("<video>")


def test_a_row_without_a_clip_is_a_failed_sample(ran) -> None:
    (sample,) = [s for s in ran[1] if s["doc_id"] == 8]
    assert "names no video" in sample["failure"]["message"]


def test_good_clips_are_scored(ran) -> None:
    assert [s["doc_id"] for s in ran[1] if s["status"] != "failed"] == [0, 6]
