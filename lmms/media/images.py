"""Still images: load, resize, encode."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from lmms.media.errors import native
from lmms.media.source import MediaInput, native_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ImageFormat = Literal["PNG", "JPEG", "WEBP"]

#: Where JPEG artefacts are no longer visible and files are still a tenth of PNG.
DEFAULT_JPEG_QUALITY = 90


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
        return _pixels(media.resize(picture, size))


def encode_image(
    image: NDArray[np.uint8] | str | os.PathLike[str],
    *,
    format: ImageFormat = "PNG",
    quality: int = DEFAULT_JPEG_QUALITY,
) -> bytes:
    """Encodes a picture.

    Args:
        image: uint8, shape (height, width, 3), RGB; or a path, which is loaded first.
        format: PNG and WEBP are lossless, JPEG is lossy with 4:2:0 chroma.
        quality: 1 to 100, only for JPEG.

    Returns:
        The bytes of a file.

    Raises:
        ValueError: A shape, format or quality that is not allowed.
        MediaError: As `load_image`, for a path.
    """
    with native() as media:
        encoded: bytes = media.encode_image(_as_picture(image), format, _checked(quality))
    return encoded


def image_data_url(
    image: NDArray[np.uint8] | str | os.PathLike[str],
    *,
    format: ImageFormat = "PNG",
    quality: int = DEFAULT_JPEG_QUALITY,
) -> str:
    """Encodes a picture as a `data:` URL with base64; arguments and errors as `encode_image`."""
    with native() as media:
        url: str = media.image_data_url(_as_picture(image), format, _checked(quality))
    return url


def _as_picture(image: NDArray[np.uint8] | str | os.PathLike[str]) -> NDArray[np.uint8]:
    return load_image(image) if isinstance(image, str | os.PathLike) else image


def _checked(quality: int) -> int:
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100, got {quality}")
    return quality


def _pixels(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array
