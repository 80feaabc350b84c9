"""Runs over clips: each decoded once, beside the model, shared by models, told in the results."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lmms
from lmms.errors import ConfigError
from lmms.media import prefetch
from lmms.models.base import PreparedRequest
from lmms.models.dummy import DummyModel
from lmms.types import Outcome, RunResult

CLIPS, QUESTIONS = 10, 40


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, write_video_task: Any
) -> Path:
    """A task of the shape of LongVideoBench: 40 questions over 10 clips."""
    folder = tmp_path_factory.mktemp("work") / "clips"
    folder.mkdir()
    shipped = sorted((repository / "lmms/_data/embedded/longvideobench/videos").iterdir())
    clips = [path for path in shipped if path.suffix in (".mp4", ".mkv", ".webm")]
    for number in range(CLIPS):
        source = clips[number % len(clips)]
        shutil.copy(source, folder / f"{number}{source.suffix}")
    names = sorted(path.name for path in folder.iterdir())
    write_video_task(folder, [names[i * CLIPS // QUESTIONS] for i in range(QUESTIONS)])
    return folder


def run(folder: Path, outputs: Path, *more: str) -> RunResult:
    words = ["model=dummy", "task=clips", f"env.task_paths=[{folder.parent}]",
             f"env.data_roots=[{folder}]", "env.data=hub", f"output.dir={outputs}",
             "run.resume=never", *more]  # fmt: skip
    return lmms.run(lmms.plan(words))


def media_of(result: RunResult) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(result.path) / "results.json").read_text())
    return content["media"]


def test_each_clip_is_decoded_once(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path)
    media = media_of(result)
    assert media["loaded"] == QUESTIONS
    assert media["decoded"] == CLIPS
    assert media["frames_decoded"] == 8 * CLIPS
    assert media["cache"] == {"hits": QUESTIONS - CLIPS, "hit_rate": 0.75}
    assert media["frame_store"] is None
    assert media["isolation"] == {"mode": "auto", "decoded_in_workers": 0, "workers_lost": 0}
    for name in ("report.md", "report.html"):
        text = (Path(result.path) / name).read_text()
        assert "40 media loaded: 10 decoded (80 frames" in text
        assert "30 from memory (75%)" in text
        assert "isolation auto: 0 in worker processes" in text


def test_a_second_model_finds_the_frames_on_disk(folder: Path, tmp_path: Path) -> None:
    words = (f"media.frame_store={tmp_path / 'store'}", "media.cache_bytes=0")
    first, second = (run(folder, tmp_path / name, *words) for name in ("a", "b"))
    assert media_of(first)["decoded"] == CLIPS
    # Questions that came while their clip was being decoded waited for that.
    shared = media_of(first)["frame_store"]["hits"] + media_of(first)["cache"]["hits"]
    assert shared == QUESTIONS - CLIPS
    again = media_of(second)
    assert (again["decoded"], again["frames_decoded"]) == (0, 0)
    assert again["frame_store"]["hits"] + again["cache"]["hits"] == QUESTIONS
    assert again["frame_store"]["hit_rate"] == 1.0
    assert again["frame_store"]["bytes_read"] > 0
    assert second.tasks.keys() == first.tasks.keys()
    assert "(100%" in (Path(second.path) / "report.md").read_text()


def test_a_frame_store_that_cannot_be_is_told_before_the_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(ConfigError, match="it is a file"):
        run(folder, tmp_path / "out", f"media.frame_store={tmp_path / 'store'}")
    assert not (tmp_path / "out").exists()


def test_isolation_changes_no_sample(folder: Path, tmp_path: Path) -> None:
    here = run(folder, tmp_path / "a", "limit=8", "media.isolation=none")
    apart = run(folder, tmp_path / "b", "limit=8", "media.isolation=process")
    samples = [
        next(Path(result.path).glob("samples_*.jsonl")).read_text().splitlines()
        for result in (here, apart)
    ]
    media = [[json.loads(line)["media"] for line in lines] for lines in samples]
    assert media[0] == media[1]
    assert here.raw["plan_fingerprint"] == apart.raw["plan_fingerprint"]
    assert media_of(apart)["isolation"]["decoded_in_workers"] == 2


def test_decoding_goes_on_while_the_model_computes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: dict[str, list[tuple[float, float]]] = {"media": [], "model": []}
    load, respond = prefetch.load, DummyModel.respond

    def slow(*arguments: Any) -> Any:
        started = time.perf_counter()
        time.sleep(0.05)
        decoded = load(*arguments)
        spans["media"].append((started, time.perf_counter()))
        return decoded

    async def busy(self: DummyModel, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        started = time.perf_counter()
        await asyncio.sleep(0.05)
        answers = await respond(self, batch)
        spans["model"].append((started, time.perf_counter()))
        return answers

    monkeypatch.setattr(prefetch, "load", slow)
    monkeypatch.setattr(DummyModel, "respond", busy)
    run(folder, tmp_path, "media.workers=1", "output.html=false")
    media, model = union(spans["media"]), union(spans["model"])
    beside = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in media for b in model)
    # The model waits for the first clip only; from then on the shorter of the two is hidden.
    first = spans["media"][0]
    shorter = min(
        sum(end - start for start, end in media) - (first[1] - first[0]),
        sum(end - start for start, end in model),
    )
    assert beside > 0.5 * shorter


INTERRUPTED = """
import asyncio, sys, time
from pathlib import Path
from lmms.cli.main import main
from lmms.media import prefetch
from lmms.models.dummy import DummyModel
load, respond = prefetch.load, DummyModel.respond

def slow(ref, size):
    if not ref.path.endswith("/0.mp4"):
        time.sleep(60)
    return load(ref, size)

async def busy(self, batch):
    Path("asked").touch()
    await asyncio.sleep(1)
    return await respond(self, batch)

prefetch.load, DummyModel.respond = slow, busy
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_waits_for_the_model_and_not_for_decoders(
    tmp_path: Path, repository: Path, write_video_task: Any
) -> None:
    folder = tmp_path / "tasks" / "clips"
    folder.mkdir(parents=True)
    source = repository / "lmms/_data/embedded/longvideobench/videos/clip02.mp4"
    for number in range(4):
        shutil.copy(source, folder / f"{number}.mp4")
    write_video_task(folder, [f"{number}.mp4" for number in range(4)])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, "model=dummy", "task=clips", "env.data=hub",
         f"env.task_paths=[{folder.parent}]", f"env.data_roots=[{folder}]", "media.workers=3"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 30
        while not (tmp_path / "asked").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "stopped after 1 of 4 documents" in said
    assert "Traceback" not in said


def union(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the times in which at least one of the spans lies."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
