"""Frames to the rows of patches that vision transformers of the Qwen-VL family take."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lmms.media.errors import native
from lmms.media.qwen_vl import video_frame_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_HALF: Final = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSettings:
    """What a processor's settings say about patches; `qwen2_vl()` and `qwen3_vl()` make them.

    The defaults are Qwen2-VL's.
    """

    patch_size: int = 14
    """Side of a patch in pixels."""
    temporal_patch_size: int = 2
    """Frames of one patch."""
    merge_size: int = 2
    """Side, in patches, of the square that the model merges into one token."""
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    """Subtracted from red, green and blue after scaling."""
    deviation: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    """What is left is divided by these."""
    scale: float = 1 / 255
    """Bytes are multiplied by this first."""

    @property
    def factor(self) -> int:
        """Both sides of a frame are multiples of this."""
        return self.patch_size * self.merge_size

    @classmethod
    def qwen2_vl(cls) -> PatchSettings:
        """Returns the settings of Qwen2-VL and Qwen2.5-VL: patches of 14, CLIP's colours."""
        return cls()

    @classmethod
    def qwen3_vl(cls) -> PatchSettings:
        """Returns the settings of Qwen3-VL: patches of 16, colours from -1 to 1."""
        return cls(patch_size=16, mean=_HALF, deviation=_HALF)

    def frame_size(self, num_frames: int, height: int, width: int) -> tuple[int, int]:
        """Returns the (height, width) of a clip's frames by `video_frame_size`, for these patches.

        It is a `size=` for `lmms.media.decode`; `patchify` takes frames of that size.

        Args:
            num_frames: Frames of the clip that are shown.
            height: Pixels of the source.
            width: Pixels of the source.

        Raises:
            MediaUnsupportedError: One side is more than 200 times the other.
        """
        return video_frame_size(num_frames, height, width, factor=self.factor)


def patchify(
    frames: NDArray[np.uint8], settings: PatchSettings
) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """Normalises frames and cuts them into patches, as the processors of transformers do.

    Equal to `pixel_values_videos` of `Qwen2VLVideoProcessor` and `Qwen3VLVideoProcessor`, and for
    one frame to `pixel_values` of `Qwen2VLImageProcessor`, bit for bit. Runs on the threads that
    decoding has, without the GIL. `torch.from_numpy` takes the result without a copy.

    Args:
        frames: uint8, shape (n, height, width, 3), RGB, already of the size that the model is to
            see. The last frame stands in for those that a last patch lacks.
        settings: The processor's.

    Returns:
        float32, shape (patches, 3 * temporal * patch * patch), patches in the order time, rows and
        columns of merged squares, rows and columns within one; and the grid (time, rows, columns)
        in patches.

    Raises:
        ValueError: `frames` has another shape.
        MediaUnsupportedError: No frames, or a side that is no multiple of patch times merge.
    """
    layout = (settings.patch_size, settings.temporal_patch_size, settings.merge_size)
    with native() as media:
        patches, grid = media.patchify(frames, layout, _levels(settings))
    return patches, grid


@functools.lru_cache(maxsize=16)
def _levels(settings: PatchSettings) -> NDArray[np.float32]:
    """What each byte becomes, (3, 256), by the processor's own steps in float32."""
    import numpy as np

    # The processor folds the scale into mean and deviation, which decides the last bit.
    fold = np.float32(1.0 / settings.scale)
    mean = np.array(settings.mean, np.float32)[:, None] * fold
    deviation = np.array(settings.deviation, np.float32)[:, None] * fold
    levels: NDArray[np.float32] = (np.arange(256, dtype=np.float32) - mean) / deviation
    return levels
