"""What distinguishes model families, as data: sizing rule, time stamps, batching.

A family is found by `model_type` of `config.json`. A model that is not in the table is run through
its own processor one request with media at a time, with frames at the source's size: slower, and
right for every model that follows the API of transformers.

Nothing here imports torch: sizes are needed while frames are decoded, before weights are loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lmms.errors import MediaError

_MAX_ASPECT_RATIO = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyTraits:
    """How one family wants its media."""

    sizing: Literal["patch_grid", "processor"] = "processor"
    """patch_grid: both sides are multiples of patch x merge within a pixel budget, and the frames
    are resized before the processor sees them; processor: the processor resizes."""
    video_budget: Literal["clip", "frame"] = "frame"
    """Whether the pixel budget of a video counts all of its frames together or each one."""
    video_clock: Literal["seconds", "frames"] = "frames"
    """seconds: the processor prints index / fps, so it is given true seconds at 1 frame per
    second; frames: it derives a frame rate, so it is given positions in the source."""
    concatenates: bool = False
    """Whether pixel tensors of several requests are joined along their first axis."""
    patch_size: int = 14
    image_pixels: tuple[int, int] = (56 * 56, 28 * 28 * 1280)
    """Class defaults (least, most) where the checkpoint's files are silent."""
    video_pixels: tuple[int, int] = (128 * 28 * 28, 28 * 28 * 768)
    max_video_tokens: int = 128_000
    image_text: str | None = None
    """What stands for an image in raw text; None: the processor's own placeholder."""
    video_text: str | None = None


_QWEN2 = FamilyTraits(
    sizing="patch_grid",
    concatenates=True,
    image_text="<|vision_start|><|image_pad|><|vision_end|>",
    video_text="<|vision_start|><|video_pad|><|vision_end|>",
)
_QWEN3 = FamilyTraits(
    sizing="patch_grid",
    video_budget="clip",
    video_clock="seconds",
    concatenates=True,
    patch_size=16,
    video_pixels=(128 * 32 * 32, 32 * 32 * 768),
    max_video_tokens=768,
    image_text="<|vision_start|><|image_pad|><|vision_end|>",
    video_text="<|vision_start|><|video_pad|><|vision_end|>",
)

FAMILIES: Mapping[str, FamilyTraits] = {
    "qwen2_vl": _QWEN2,
    "qwen2_5_vl": _QWEN2,
    "qwen3_vl": _QWEN3,
    "qwen3_vl_moe": _QWEN3,
    "qwen3_5": _QWEN3,
    "qwen3_5_moe": _QWEN3,
}
GENERIC = FamilyTraits()


def traits_of(model_type: str) -> FamilyTraits:
    """Returns the traits of a `model_type`, the generic ones if it has no entry."""
    return FAMILIES.get(model_type, GENERIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGrid:
    """The pixel budget and grid of one medium of a patch-grid family."""

    factor: int
    """Both sides are multiples of this (patch x merge)."""
    least: int
    """Pixels below which frames are enlarged."""
    most: int
    """Pixels above which frames are shrunk."""
    temporal: int = 2
    """Frames per temporal patch."""
    capped: bool = False
    """Whether each frame is capped as well (`cap_pixels_per_frame`)."""
    max_video_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes that a checkpoint's processor gives to images and frames."""

    traits: FamilyTraits
    image: PixelGrid
    video: PixelGrid

    @classmethod
    def from_files(cls, traits: FamilyTraits, files: Mapping[str, Mapping[str, Any]]) -> Sizes:
        """Reads the sizing settings of a checkpoint.

        Args:
            traits: The family.
            files: "image" and "video" settings as the processor's JSON files hold them.
        """
        image, video = files.get("image", {}), files.get("video", {})
        return cls(
            traits=traits,
            image=_grid(image, traits, traits.image_pixels),
            video=_grid(video, traits, traits.video_pixels),
        )

    def fit(self, height: int, width: int, frames: int, kind: str) -> tuple[int, int]:
        """Returns (height, width) in pixels that the processor would resize to.

        Args:
            height: Source height in pixels.
            width: Source width in pixels.
            frames: Number of frames; 1 for an image.
            kind: "image" or "video".

        Raises:
            MediaError: The picture is empty or too elongated for the family.
        """
        if height < 1 or width < 1:
            raise MediaError(f"a picture of {height} x {width} pixels cannot be sized")
        if self.traits.sizing == "processor":
            return height, width
        if max(height, width) > _MAX_ASPECT_RATIO * min(height, width):
            raise MediaError(
                f"a picture of {height} x {width} pixels is too elongated",
                allowed=f"sides up to {_MAX_ASPECT_RATIO} : 1",
            )
        if kind != "video":
            return _fit_frame(height, width, self.image, self.image.most)
        if self.traits.video_budget == "clip":
            return _fit_clip(height, width, max(frames, self.video.temporal), self.video)
        return _fit_frame(height, width, self.video, _most_per_frame(self.video, frames))


def _grid(settings: Mapping[str, Any], traits: FamilyTraits, pixels: tuple[int, int]) -> PixelGrid:
    size = settings.get("size") or {}
    least = settings.get("min_pixels") or size.get("shortest_edge") or pixels[0]
    most = settings.get("max_pixels") or size.get("longest_edge") or pixels[1]
    patch = settings.get("patch_size") or traits.patch_size
    return PixelGrid(
        factor=int(patch) * int(settings.get("merge_size") or 2),
        least=int(least),
        most=int(most),
        temporal=int(settings.get("temporal_patch_size") or 2),
        capped=bool(settings.get("cap_pixels_per_frame")),
        max_video_tokens=int(settings.get("max_video_tokens") or traits.max_video_tokens),
    )


def _most_per_frame(grid: PixelGrid, frames: int) -> int:
    """Per-frame budget of Qwen2-VL and Qwen2.5-VL, with the optional cap of the whole clip."""
    if not grid.capped:
        return grid.most
    total = int(grid.max_video_tokens * grid.factor**2 * 0.9)
    share = total * grid.temporal // max(frames, 1)
    return max(min(grid.most, share), int(grid.least * 1.05))


def _fit_frame(height: int, width: int, grid: PixelGrid, most: int) -> tuple[int, int]:
    """Qwen2-VL's `smart_resize`: nearest multiples, then into the budget, aspect ratio kept."""
    factor = grid.factor
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > most:
        shrink = math.sqrt(height * width / most)
        return (
            max(factor, math.floor(height / shrink / factor) * factor),
            max(factor, math.floor(width / shrink / factor) * factor),
        )
    if rows * columns < grid.least:
        enlarge = math.sqrt(grid.least / (height * width))
        return (
            math.ceil(height * enlarge / factor) * factor,
            math.ceil(width * enlarge / factor) * factor,
        )
    return rows, columns


def _fit_clip(height: int, width: int, frames: int, grid: PixelGrid) -> tuple[int, int]:
    """Qwen3-VL's `smart_resize`: the budget counts the pixels of all frames together."""
    factor = grid.factor
    most = grid.most
    if grid.capped:
        cap = grid.max_video_tokens * factor**2
        most = max(min(cap, grid.most // frames), int(grid.least * 1.05)) * frames
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    counted = round(frames / grid.temporal) * grid.temporal
    if counted * rows * columns > most:
        shrink = math.sqrt(frames * height * width / most)
        return (
            max(factor, math.floor(height / shrink / factor) * factor),
            max(factor, math.floor(width / shrink / factor) * factor),
        )
    if counted * rows * columns < grid.least:
        enlarge = math.sqrt(grid.least / (frames * height * width))
        return (
            math.ceil(height * enlarge / factor) * factor,
            math.ceil(width * enlarge / factor) * factor,
        )
    return rows, columns
