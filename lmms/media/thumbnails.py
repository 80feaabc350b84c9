"""Small pictures of frames for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmms.media.encoding import image_data_url
from lmms.media.images import resize_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A thumbnail of 160 pixels at this quality takes 3 to 6 kB; thousands fit into one page.
_QUALITY = 70


def thumbnail_data_url(frame: NDArray[np.uint8], *, max_side: int = 160) -> str:
    """Returns a frame as a small JPEG `data:` URL.

    Args:
        frame: uint8, shape (height, width, 3), RGB.
        max_side: Longer side of the thumbnail in pixels; smaller frames are not enlarged.

    Raises:
        ValueError: The frame has another shape, or `max_side` is below 1.
    """
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"a frame has the shape (height, width, 3), got {frame.shape}")
    if max_side < 1:
        raise ValueError(f"max_side must be at least 1, got {max_side}")
    height, width = int(frame.shape[0]), int(frame.shape[1])
    scale = max_side / max(height, width)
    if scale < 1:
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        frame = resize_image(frame, size)
    return image_data_url(frame, format="JPEG", quality=_QUALITY)
