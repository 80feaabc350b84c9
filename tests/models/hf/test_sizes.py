"""Our sizing rule gives what the processors' own resizing gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.errors import MediaError
from lmms.models.hf.families import GENERIC, Sizes, traits_of

SIDES = st.integers(20, 2400)
FRAMES = st.integers(2, 300)


def _settings(processor: Any) -> dict[str, Any]:
    return dict(processor.to_dict())


def _video(kind: str, **options: Any) -> Any:
    from transformers import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

    cls = Qwen3VLVideoProcessor if kind == "qwen3_vl" else Qwen2VLVideoProcessor
    return cls(**options)


CASES = [
    ("qwen3_vl", {"cap_pixels_per_frame": False}),
    ("qwen3_vl", {"cap_pixels_per_frame": True}),
    (
        "qwen3_vl",
        {
            "cap_pixels_per_frame": False,
            "size": {"shortest_edge": 4096, "longest_edge": 25_165_824},
        },
    ),
    (
        "qwen3_vl",
        {"cap_pixels_per_frame": True, "size": {"shortest_edge": 4096, "longest_edge": 25_165_824}},
    ),
    ("qwen2_5_vl", {"cap_pixels_per_frame": False}),
    (
        "qwen2_5_vl",
        {"cap_pixels_per_frame": True, "size": {"shortest_edge": 3136, "longest_edge": 12_845_056}},
    ),
    ("qwen2_5_vl", {"cap_pixels_per_frame": False, "min_pixels": 3136, "max_pixels": 200_704}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
@given(height=SIDES, width=SIDES, frames=FRAMES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_video(kind: str, options: Any, height: int, width: int, frames: int) -> None:
    processor = _video(kind, **options)
    sizes = Sizes.from_files(traits_of(kind), {"video": _settings(processor)})
    rows, columns = sizes.fit(height, width, frames, "video")
    factor = processor.patch_size * processor.merge_size
    assert rows % factor == 0
    assert columns % factor == 0
    # The processor's resize, asked with a picture that holds no pixels worth the memory.
    assert (rows, columns) == _resized(processor, height, width, frames)


def _resized(processor: Any, height: int, width: int, frames: int) -> tuple[int, int]:
    import torch

    seen: list[tuple[int, int]] = []

    class Stop(Exception):
        pass

    def catch(self: Any, image: Any, size: Any, **_: Any) -> Any:
        seen.append((size.height, size.width))
        raise Stop

    parent = type(processor).__mro__[1]
    original = parent.resize
    parent.resize = catch
    try:
        processor.resize(
            torch.zeros(()).expand(1, frames, 3, height, width),
            size=processor.size,
            resample=None,
            factor=processor.patch_size * processor.merge_size,
            temporal_factor=processor.temporal_patch_size,
            cap_pixels_per_frame=processor.cap_pixels_per_frame,
        )
    except Stop:
        pass
    finally:
        parent.resize = original
    return seen[0]


@given(height=SIDES, width=SIDES)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_image(height: int, width: int) -> None:
    from transformers import Qwen2VLImageProcessor

    for options in (
        {},
        {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 2**24}},
    ):
        processor = Qwen2VLImageProcessor(**options)
        sizes = Sizes.from_files(traits_of("qwen3_vl"), {"image": _settings(processor)})
        rows, columns = sizes.fit(height, width, 1, "image")
        patches = processor.get_number_of_image_patches(height, width, {})
        assert (rows // processor.patch_size) * (columns // processor.patch_size) == patches


def test_one_frame_is_sized_as_a_pair() -> None:
    sizes = Sizes.from_files(traits_of("qwen3_vl"), {})
    assert sizes.fit(480, 640, 1, "video") == sizes.fit(480, 640, 2, "video")


def test_other_families_keep_the_source_size() -> None:
    sizes = Sizes.from_files(GENERIC, {"image": {"size": {"shortest_edge": 336}}})
    assert sizes.fit(481, 641, 1, "image") == (481, 641)


@pytest.mark.parametrize(("height", "width"), [(0, 10), (10, 3000), (4001, 20)])
def test_pictures_that_cannot_be_sized(height: int, width: int) -> None:
    sizes = Sizes.from_files(traits_of("qwen3_vl"), {})
    with pytest.raises(MediaError):
        sizes.fit(height, width, 4, "video")
