"""Forty questions over ten clips, 16 frames each, resized for Qwen3-VL: seconds spent on media.

LMMs-Eval's qwen3_vl decodes and resizes by `qwen_vl_utils.fetch_video` for every question, one
after another; it needs an environment of its own (see benches/test_first_answer.py):

    LMMS_BENCH_PEER=peer/bin/lmms-eval make bench-media

Its two readers, TorchCodec and decord, are both timed; the better one counts. Neither side runs a
model, so that nothing else competes for the cores.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benches.media import children, clips
from benches.media.table import Goal, Row, Table
from benches.media.timing import allowed

PER_CLIP, FRAMES, ROUNDS = 4, 16, 3
#: (height, width) that Qwen3-VL's rule gives 640 x 360 within LMMs-Eval's pixel bounds.
SIZE = (352, 640)
TASK = """
task: forty
version: "1"
modalities: [text, video]
dataset: {path: rows.jsonl, id_field: id}
prompt: {video: video, text: "What happens?"}
target: A
generation: {max_new_tokens: 1}
scorer: exact_match
metrics: [exact_match]
media: {num_frames: 16}
"""


def _questions() -> list[Path]:
    asked = [path for path in clips.question_clips() for _ in range(PER_CLIP)]
    random.Random(0).shuffle(asked)
    return asked


def _ours(asked: list[Path]) -> tuple[float, Any]:
    """The loader as the engine uses it: ahead on threads, with its cache; each answer is let go."""
    from lmms.media import MediaLoader
    from lmms.types import FramePolicy, MediaRef

    loader = MediaLoader(max_workers=len(os.sched_getaffinity(0)))
    policy = FramePolicy(num_frames=FRAMES)
    start = time.perf_counter()
    futures = [
        loader.submit(
            MediaRef(kind="video", path=str(path), policy=policy),
            lambda n, h, w: SIZE,
            size_key=SIZE,
        )
        for path in asked
    ]
    for number, future in enumerate(futures):
        assert future.result().frames.shape == (FRAMES, *SIZE, 3)
        futures[number] = None  # type: ignore[call-overload]
    seconds = time.perf_counter() - start
    found = loader.statistics
    loader.close()
    return seconds, found


def _theirs(asked: list[Path], folder: Path) -> dict[str, list[float]] | None:
    """Seconds of each round by reader, in a process of the peer's environment."""
    program = os.environ.get("LMMS_BENCH_PEER")
    if not program:
        return None
    python = Path(program).absolute().parent / "python"
    order = folder / "asked.json"
    order.write_text(json.dumps([str(path) for path in asked]))
    found = {}
    for reader, rounds in (("torchcodec", allowed(2)), ("decord", 1)):
        answer = children.answer(
            [
                python,
                Path(__file__).with_name("peer_questions.py"),
                order,
                str(FRAMES),
                str(rounds),
            ],
            environment={"FORCE_QWENVL_VIDEO_READER": reader, "HF_HUB_OFFLINE": "1"},
            importable=False,
        )
        assert tuple(answer["size"]) == SIZE, answer
        found[reader] = answer["seconds"]
    return found


def test_forty_questions(table: Table, tmp_path: Path) -> None:
    asked = _questions()
    rounds = [_ours(asked) for _ in range(allowed(ROUNDS) + 1)][1:]
    ours = statistics.median(seconds for seconds, _ in rounds)
    counts = rounds[-1][1]
    assert counts.misses == len(clips.question_clips())
    run = _whole_run(asked, tmp_path)
    assert run["media_loads"] == counts.misses, "a run decodes a clip more than once"
    theirs = _theirs(asked, tmp_path)
    medians = {name: statistics.median(values) for name, values in (theirs or {}).items()}
    ratio = min(medians.values()) / ours if medians else None
    note = (
        f"a whole run says: {run['decode_seconds']:.2f} s decoding summed over threads "
        f"(at 256 x 144), {run['media_wait_seconds']:.2f} s waited for"
    )
    shown = "; ".join(f"LMMs-Eval 0.7.3 ({n}) {v:.2f}" for n, v in medians.items())
    table.add(
        Row(
            f"40 questions over 10 clips, {FRAMES} frames, media seconds",
            f"{ours:.2f} ({counts.misses} decoded, {counts.hits} shared)",
            shown or "LMMs-Eval: set LMMS_BENCH_PEER",
            (Goal("LMMs-Eval", ratio, 4),),
            notes=note,
            record={"ours": [s for s, _ in rounds], "theirs": theirs, "whole_run": run},
        )
    )


def _whole_run(asked: list[Path], folder: Path) -> dict[str, Any]:
    """The same questions by the command, with a model that takes no time."""
    task = folder / "tasks" / "forty"
    task.mkdir(parents=True)
    (task / "forty.yaml").write_text(TASK)
    rows = [{"id": str(i), "video": str(path)} for i, path in enumerate(asked)]
    (task / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [
        sys.executable, "-m", "lmms", "model=dummy", "task=forty",
        f"env.task_paths={folder / 'tasks'}", "run.progress=none", "run.resume=never",
    ]  # fmt: skip
    children.run(words, environment={"XDG_CACHE_HOME": str(folder)}, folder=folder)
    (results,) = (folder / "outputs").rglob("results.json")
    efficiency: dict[str, Any] = json.loads(results.read_text())["efficiency"]["overall"]
    return efficiency
