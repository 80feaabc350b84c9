"""The embedded model through the back end: answers from pixels, whatever the batch."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lmms
from lmms.config.schema import EnvConfig, ModelConfig
from lmms.models.hf import create
from lmms.models.hf.identity import model_card
from lmms.types import FramePolicy, LoadedMedia, MediaRef, Response

EMBEDDED = Path(lmms.__file__).parent / "_data" / "embedded"
CONFIG = ModelConfig(
    name="qwen3_vl", backend="hf", embedded="canary-qwen3vl", device="cpu", batch_size=8
)
ENV = EnvConfig()

pytestmark = pytest.mark.canary


@pytest.fixture(scope="module")
def canary() -> Any:
    model = create(CONFIG, env=ENV)
    asyncio.run(model.start())
    yield model
    asyncio.run(model.close())


@pytest.fixture(scope="module")
def asked(canary: Any, make: Any) -> list[Any]:
    """Eight questions about eight clips, frames and sizes as a run has them."""
    import pyarrow.parquet as parquet

    from lmms.media import decode

    rows = parquet.read_table(EMBEDDED / "longvideobench" / "validation.parquet").to_pylist()
    first = {row["video_path"]: row for row in reversed(rows)}
    policy = FramePolicy(**(model_card(CONFIG, ENV).get("media") or {"num_frames": 12}))
    requests = []
    for row in list(first.values())[:8]:
        path = EMBEDDED / "longvideobench" / "videos" / row["video_path"]
        batch = decode(str(path), policy, size=lambda h, w, n: canary.media_size(h, w, n, "video"))
        medium = LoadedMedia(
            ref=MediaRef(kind="video", path=str(path), policy=policy),
            digest=path.name,
            frames=batch.frames,
            indices=batch.indices,
            times=batch.times,
            source={
                "duration_seconds": batch.duration_seconds,
                "total_frames": batch.total_frames,
            },
        )
        options = [row[f"option{i}"] for i in range(5) if row[f"option{i}"] not in (None, "N/A")]
        lines = [f"{letter}. {o}" for letter, o in zip("ABCDE", options, strict=False)]
        text = "\n".join([row["question"], *lines])
        text += "\nAnswer with the option's letter from the given choices directly.\n"
        requests.append(make.ask(medium, text, max_new_tokens=16, reasoning_budget=240))
    return requests


def test_identity() -> None:
    identity = create(CONFIG, env=ENV).identity
    assert identity.name == "canary-qwen3vl"
    assert identity.reference == "embedded:canary-qwen3vl"


def test_batches_of_one_and_eight_answer_alike(canary: Any, asked: list[Any]) -> None:
    together = asyncio.run(canary.respond(asked))
    alone = [asyncio.run(canary.respond([r]))[0] for r in asked]
    assert all(isinstance(a, Response) for a in together)
    assert [a.text for a in together] == [a.text for a in alone]
    assert [a.tokens for a in together] == [a.tokens for a in alone]
    assert len({a.text for a in alone}) == len(alone)


def test_it_reasons_and_then_stops(canary: Any, asked: list[Any]) -> None:
    for answer in asyncio.run(canary.respond(asked)):
        assert answer.finish_reason == "stop"
        reasoning, _, letter = answer.text.partition("</think>")
        assert reasoning.startswith("<think>")
        assert letter.strip() in set("ABCDE")
        assert 0 < answer.tokens.reasoning < answer.tokens.output


def test_frames_pass_unresized_with_true_stamps(canary: Any, asked: list[Any]) -> None:
    for request in asked:
        medium = request.media[0]
        encoded = canary._builder.encode(request)
        frames, height, width = medium.frames.shape[:3]
        grid = [[(frames + 1) // 2, height // 16, width // 16]]
        assert encoded.media_tensors["video_grid_thw"].tolist() == grid
        text = canary._loaded.tokenizer.decode(encoded.ids)
        for first, second in zip(medium.times[::2], medium.times[1::2], strict=True):
            assert f"<{(first + second) / 2:.1f} seconds>" in text


def test_options_by_loglikelihood(canary: Any, asked: list[Any], make: Any) -> None:
    medium = asked[0].media[0]
    requests = [make.ask(medium, "Which?", continuation=text) for text in ("A", "blue circle")]
    joint = asyncio.run(canary.respond(requests))
    alone = [asyncio.run(canary.respond([r]))[0] for r in requests]
    assert [a.loglikelihood for a in joint] == pytest.approx(
        [a.loglikelihood for a in alone], abs=1e-3
    )
    assert all(a.loglikelihood < 0 for a in joint)
