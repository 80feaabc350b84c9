"""The fast training path against the real processor and the real model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tools.embedded.batches import (
    HEADS,
    IGNORED,
    Batcher,
    degrade,
    patches,
    rope_positions,
    training_scene,
)
from tools.embedded.canary import build_model, build_processor, build_tokenizer
from tools.embedded.scene import FIRST_EVALUATION_SEED, make_scene, render_many
from tools.embedded.train import FastForward


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer()


@pytest.fixture(scope="module")
def processed(tokenizer: Any) -> dict[str, Any]:
    """What the real processor makes of one clip, beside the frames it was given."""
    scene = make_scene(7)
    times = scene.sampled_times()
    frames = degrade(render_many([scene], [times]), np.random.default_rng(0))
    processor = build_processor(tokenizer)
    text = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Which?"}]}],
        add_generation_prompt=True,
        tokenize=False,
    )
    metadata = {"fps": 1.0, "frames_indices": times.tolist(), "total_num_frames": len(times)}
    inputs = processor(
        text=[text],
        videos=[frames[0]],
        video_metadata=[metadata],
        do_sample_frames=False,
        return_tensors="pt",
    )
    return {"inputs": inputs, "frames": frames, "times": times}


def test_training_seeds_and_evaluation_seeds_are_disjoint() -> None:
    with pytest.raises(ValueError, match="kept for evaluation"):
        training_scene(FIRST_EVALUATION_SEED)
    assert training_scene(0) == make_scene(0)


def test_tokens_are_the_processors(tokenizer: Any, processed: dict[str, Any]) -> None:
    batcher = Batcher(tokenizer)
    expected = processed["inputs"]["input_ids"][0].tolist()
    head = batcher.encode("<|im_start|>user\n") + batcher.video_tokens(processed["times"])
    tail = batcher.encode("Which?<|im_end|>\n<|im_start|>assistant\n")
    assert head + tail == expected


def test_pixels_are_the_processors(processed: dict[str, Any]) -> None:
    difference = patches(processed["frames"]) - processed["inputs"]["pixel_values_videos"].numpy()
    assert np.abs(difference).max() < 1e-6


def test_positions_and_logits_are_the_models(tokenizer: Any, processed: dict[str, Any]) -> None:
    inputs = processed["inputs"]
    model = build_model(tokenizer, seed=0)
    expected, _ = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], video_grid_thw=inputs["video_grid_thw"]
    )
    video_token = model.config.video_token_id
    assert np.array_equal(rope_positions(inputs["input_ids"].numpy(), video_token), expected)
    with torch.no_grad():
        plain = model(**inputs).logits
        FastForward(model)
        fast = model(**inputs).logits
    assert (plain - fast).abs().max() < 1e-4


def test_text_batches_count_only_what_follows_the_list(tokenizer: Any) -> None:
    batch = Batcher(tokenizer).text_batch(list(range(6)), np.random.default_rng(0), drills=2)
    assert batch.pixels is None
    for ids, labels in zip(batch.input_ids, batch.labels, strict=True):
        counted = (labels != IGNORED).nonzero()[:, 0]
        assert torch.equal(labels[counted], ids[counted + 1])
        before = tokenizer.decode(ids[: counted[0] + 1])
        assert before.count("\n") >= 6 + 1 + 6


def test_guides_point_to_places_that_hold_the_answer(tokenizer: Any) -> None:
    batch = Batcher(tokenizer).text_batch(list(range(20)), np.random.default_rng(0), drills=4)
    assert {guide.role for guide in batch.guides} == set(HEADS)
    for guide in batch.guides:
        assert guide.allowed.any(dim=1).all()
        for row, query, allowed in zip(guide.rows, guide.queries, guide.allowed, strict=True):
            places = allowed.nonzero()[:, 0]
            assert places.max() <= query  # attention is causal
            if guide.role in ("copy", "subject"):
                assert (batch.input_ids[row, places] == batch.input_ids[row, query + 1]).all()
            if guide.role == "reverse":
                answer = batch.input_ids[row, query + 1]
                assert (batch.input_ids[row, places - 1] == answer).any()


def test_degraded_frames_stay_recognisable() -> None:
    scene = make_scene(1)
    frames = render_many([scene], [scene.sampled_times()])
    degraded = degrade(frames, np.random.default_rng(0))
    assert degraded.dtype == np.uint8
    assert not np.array_equal(degraded, frames.astype(np.uint8))
    assert np.abs(degraded.astype(float) - frames).mean() < 12
