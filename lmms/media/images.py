"""Still images: load and resize."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmms.media.errors import native
from lmms.media.source import MediaInput, native_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def load_image(
    source: MediaInput,
    *,
    size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Loads a JPEG, PNG, WebP, GIF, BMP or TIFF image.

    EXIF orientation is applied, transparency is blended over white, palettes, grey and 16-bit
    channels become 8-bit RGB; of an animation the first picture is taken.

    Args:
        source: A path, the bytes of a file, or anything else that `MediaInput` names.
        size: (height, width) to resize to, bicubic with antialiasing.

    Returns:
        uint8, shape (height, width, 3), RGB.

    Raises:
        MediaNotFoundError: The file does not exist.
        MediaUnreadableError: It cannot be opened, or reading it failed.
        MediaDecodeError: It is not an image in one of these formats, or damaged.
        MediaTooLargeError: It has more than 2**28 pixels.
    """
    with native() as media:
        return _pixels(media.load_image(native_source(source), size))


def image_size(
    source: MediaInput,
) -> tuple[int, int]:
    """Returns (height, width) of an image as `load_image` would give it, from its header alone.

    Raises:
        MediaError: As `load_image`.
    """
    with native() as media:
        height, width = media.image_size(native_source(source))
    return int(height), int(width)


def resize_image(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resizes (height, width, 3) uint8 to `size` = (height, width).

    Bicubic (a = -0.5) with antialiasing, along the rows first: equal to PyTorch's
    `interpolate(mode="bicubic", antialias=True)` of bytes, and within 2 of Pillow's `BICUBIC`
    (whose version 13 goes along the columns first where that shrinks, and then differs more).

    Raises:
        ValueError: `picture` has another shape.
        MediaUnsupportedError: A side of `size` is 0 or above 65536.
    """
    with native() as media:
        return _pixels(media.resize(picture, size, "bicubic"))


def _pixels(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array
