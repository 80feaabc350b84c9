"""Our patches in place of the processor's: when, and with what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lmms.errors import ConfigError
from lmms.models.hf import patching
from lmms.models.hf.inputs import InputBuilder
from lmms.models.hf.patching import fast_processor, patch_settings


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes that went through our patches."""
    seen: list[tuple[int, ...]] = []
    real = patching.patchify

    def watched(frames: Any, settings: Any) -> Any:
        seen.append(frames.shape)
        return real(frames, settings)

    monkeypatch.setattr(patching, "patchify", watched)
    return seen


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
@pytest.mark.parametrize("frames", [4, 5])
def test_inputs_are_the_processors(
    family: str,
    frames: int,
    start: Any,
    make: Any,
    calls: list[tuple[int, ...]],
    request: pytest.FixtureRequest,
) -> None:
    model = start(request.getfixturevalue(family)).model
    clip = make.clip(frames, *model.media_size(60, 100, frames, "video"), step=1.25)
    other = make.clip(2, *model.media_size(90, 70, 2, "video"), seed=4)
    picture = make.picture(*model.media_size(120, 80, 1, "image"))
    prepared = make.ask(clip, "then", picture, "and", other, "?")
    slow = InputBuilder(model._loaded, {"patchify": "processor"}).encode(prepared)
    assert calls == []
    fast = InputBuilder(model._loaded, {}).encode(prepared)
    assert len(calls) == 3
    assert fast.ids == slow.ids
    assert fast.row_tensors == slow.row_tensors
    assert fast.media_tensors.keys() == slow.media_tensors.keys()
    for key, value in slow.media_tensors.items():
        assert torch.equal(fast.media_tensors[key], value), key
        assert fast.media_tensors[key].dtype == value.dtype


def test_frames_off_the_grid_go_to_the_processor(
    start: Any, qwen3_vl: Path, make: Any, calls: list[tuple[int, ...]]
) -> None:
    model = start(qwen3_vl).model
    prepared = make.ask(make.clip(4, 50, 70), "?")
    slow = InputBuilder(model._loaded, {"patchify": "processor"}).encode(prepared)
    fast = InputBuilder(model._loaded, {}).encode(prepared)
    assert calls == []
    assert torch.equal(
        fast.media_tensors["pixel_values_videos"], slow.media_tensors["pixel_values_videos"]
    )


def test_read_only_frames_are_not_copied(
    start: Any, qwen3_vl: Path, make: Any, calls: list[tuple[int, ...]]
) -> None:
    model = start(qwen3_vl).model
    clip = make.clip(4, *model.media_size(60, 100, 4, "video"))
    clip.frames.flags.writeable = False
    model._builder.encode(make.ask(clip, "?"))
    assert calls == [clip.frames.shape]


def test_only_known_classes_with_known_settings() -> None:
    from transformers import CLIPImageProcessor, Qwen2VLVideoProcessor

    settings = patch_settings(Qwen2VLVideoProcessor(image_mean=[0.1, 0.2, 0.3], patch_size=16))
    assert settings is not None
    assert (settings.patch_size, settings.mean) == (16, (0.1, 0.2, 0.3))
    assert patch_settings(Qwen2VLVideoProcessor(do_normalize=False)) is None
    assert patch_settings(CLIPImageProcessor()) is None

    class Changed(Qwen2VLVideoProcessor):  # type: ignore[misc]
        """Somebody's own, which may do anything."""

    assert patch_settings(Changed()) is None


def test_an_unknown_choice_is_named() -> None:
    with pytest.raises(ConfigError, match="patchify='rust' is not known"):
        fast_processor(None, {"patchify": "rust"})
