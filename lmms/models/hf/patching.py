"""Our patches in place of the processor's, where they are the same numbers sooner.

A processor of the Qwen-VL family gets stand-ins for its image and video processors. Everything
else stays the processor's own: placeholders, time stamps, token types.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from lmms.errors import ConfigError
from lmms.media.patches import PatchSettings, patchify

CHOICES = ("auto", "processor")

#: Classes of transformers whose pixels are those of `lmms.media.patchify`.
_KNOWN = frozenset(
    {
        "Qwen2VLImageProcessor",
        "Qwen2VLImageProcessorFast",
        "Qwen2VLVideoProcessor",
        "Qwen3VLVideoProcessor",
    }
)
_OWN_KEYS = frozenset(
    {"do_resize", "do_sample_frames", "return_metadata", "return_tensors", "video_metadata"}
)


def fast_processor(processor: Any, kwargs: Mapping[str, Any]) -> Any:
    """Returns a copy of a processor that makes its patches by `lmms.media.patchify`.

    Args:
        processor: A processor of transformers, or None.
        kwargs: `model.kwargs`; `patchify=processor` switches it off.

    Returns:
        The processor itself where it is of another family, has unusual settings or is to be used.

    Raises:
        ConfigError: `patchify` is neither "auto" nor "processor".
    """
    choice = kwargs.get("patchify", "auto")
    if choice not in CHOICES:
        raise ConfigError(
            f"model.kwargs.patchify={choice!r} is not known", allowed=", ".join(CHOICES)
        )
    if processor is None or choice == "processor":
        return processor
    parts = {
        name: _FastPart(part, settings)
        for name in ("image_processor", "video_processor")
        if (part := getattr(processor, name, None)) is not None
        and (settings := patch_settings(part)) is not None
    }
    if not parts:
        return processor
    fast = copy.copy(processor)
    for name, part in parts.items():
        setattr(fast, name, part)
    return fast


def patch_settings(part: Any) -> PatchSettings | None:
    """Returns the settings of an image or video processor; None where ours would differ."""
    kind = type(part)
    if kind.__name__ not in _KNOWN or not kind.__module__.startswith("transformers.models."):
        return None
    if not (part.do_rescale and part.do_normalize and part.do_convert_rgb):
        return None
    mean, deviation = part.image_mean, part.image_std
    if not _is_triple(mean) or not _is_triple(deviation):
        return None
    return PatchSettings(
        patch_size=int(part.patch_size),
        temporal_patch_size=int(part.temporal_patch_size),
        merge_size=int(part.merge_size),
        mean=(float(mean[0]), float(mean[1]), float(mean[2])),
        deviation=(float(deviation[0]), float(deviation[1]), float(deviation[2])),
        scale=float(part.rescale_factor),
    )


def _is_triple(values: Any) -> bool:
    return isinstance(values, Sequence) and len(values) == 3


class _FastPart:
    """Stands in for an image or video processor; what it cannot do, that one does.

    Args:
        part: The processor's own.
        settings: What it says about patches.
    """

    def __init__(self, part: Any, settings: PatchSettings) -> None:
        self._part = part
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_part", "_settings"):
            raise AttributeError(name)  # Copying asks before the attributes are there.
        return getattr(self._part, name)

    def __call__(self, media: Sequence[Any], **options: Any) -> Any:
        """Returns the features of images (height, width, 3) or clips (n, height, width, 3)."""
        dimensions = media[0].ndim
        if not all(self._takes(m, dimensions) for m in media) or not self._knows(options):
            return self._part([writable(m) for m in media], **options)
        import torch
        from transformers import BatchFeature

        cut = [patchify(m.reshape(-1, *m.shape[-3:]), self._settings) for m in media]
        pixels = [torch.from_numpy(patches) for patches, _ in cut]
        values = pixels[0] if len(pixels) == 1 else torch.cat(pixels)
        grids = torch.tensor([grid for _, grid in cut], dtype=torch.long)
        if dimensions == 3:
            return BatchFeature({"pixel_values": values, "image_grid_thw": grids})
        features = {"pixel_values_videos": values, "video_grid_thw": grids}
        if options.get("return_metadata"):
            from transformers.video_utils import make_batched_metadata

            features["video_metadata"] = make_batched_metadata(
                media, video_metadata=options.get("video_metadata")
            )
        return BatchFeature(features)

    def _takes(self, medium: Any, dimensions: int) -> bool:
        """Whether frames are on the grid, so that no processor would resize them."""
        if medium.dtype != "uint8" or medium.ndim != dimensions or medium.shape[-1] != 3:
            return False
        height, width = medium.shape[-3:-1]
        factor = self._settings.factor
        return bool(height % factor == 0 and width % factor == 0)

    def _knows(self, options: Mapping[str, Any]) -> bool:
        """Whether the call asks for nothing but what is done here."""
        return (
            options.get("do_resize") is False
            and not options.get("do_sample_frames")
            and options.get("return_tensors") in (None, "pt")
            and all(key in _OWN_KEYS or value is None for key, value in options.items())
        )


def writable(frames: Any) -> Any:
    """A writable copy: questions share decoded pixels read-only, and torch warns about those."""
    return frames if frames.flags.writeable else frames.copy()
