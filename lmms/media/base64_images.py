"""LMMs-Eval's functions for pictures in base64, with its arguments and environment variables.

Results are kept in the process's encode cache, by content: arguments that steer LMMs-Eval's cache
of object identities are taken and change nothing.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, cast

from lmms.errors import ConfigError
from lmms.media.encode_cache import EncodeCache, shared_encode_cache
from lmms.media.encoding import ImageFormat, encode_images
from lmms.media.errors import native
from lmms.media.images import load_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_VARIABLE = "LMMS_IMAGE_ENCODE_FORMAT"
QUALITY_VARIABLE = "LMMS_IMAGE_JPEG_QUALITY"

#: Pillow's own where no quality is said, which is what LMMs-Eval's calls get.
_PILLOW_QUALITY = 75
_SHRINK = 0.75
_LEAST_SIDE = 100


def encode_image_to_base64(
    image: Any,
    image_format: str | None = None,
    convert_rgb: bool = False,
    quality: int | None = None,
    copy_if_pil: bool = False,
    cache: EncodeCache | None = None,
    use_path_cache: bool = True,
) -> str:
    """Returns a picture as base64 of an image file.

    Args:
        image: A path, a file's bytes, uint8 (height, width, 3), or a Pillow image.
        image_format: PNG, JPEG (JPG) or WEBP; None: `LMMS_IMAGE_ENCODE_FORMAT`, else PNG.
        convert_rgb: Whether a Pillow image of another mode becomes RGB. Without it Pillow encodes
            such an image itself, transparency included. Everything else is RGB anyway.
        quality: 1 to 100, only for JPEG; None: `LMMS_IMAGE_JPEG_QUALITY`, else 75.
        copy_if_pil: Without effect: a Pillow image is never changed.
        cache: Where results are kept; None: the process's cache.
        use_path_cache: False encodes a path again whatever is kept.

    Raises:
        ValueError: A format or quality that is not allowed.
        MediaError: As `load_image`, for a path.
    """
    format, quality = _format_of(image_format), _quality_of(quality)
    if _is_pillow(image):
        if image.mode != "RGB" and not convert_rgb:
            return _by_pillow(image, format, quality)
        image = _rgb_of(image)
    kept = shared_encode_cache() if cache is None else cache
    if isinstance(image, str | os.PathLike) and not use_path_cache:
        kept = EncodeCache(max_items=0)
    return encode_images([image], format=format, quality=quality, base64=True, cache=kept)[0]


def encode_image_to_data_url(
    image: Any,
    image_format: str | None = None,
    convert_rgb: bool = False,
    quality: int | None = None,
    **options: Any,
) -> str:
    """Returns a picture as a `data:` URL; arguments and errors as `encode_image_to_base64`."""
    format = _format_of(image_format)
    text = encode_image_to_base64(
        image, format, convert_rgb=convert_rgb, quality=quality, **options
    )
    return f"data:image/{format.lower()};base64,{text}"


def encode_image_to_base64_with_size_limit(
    image: Any,
    max_size_bytes: int,
    image_format: str | None = None,
    quality: int | None = None,
) -> str:
    """Returns a picture as base64 of a file of at most `max_size_bytes`, if that can be.

    While the file is larger and both sides are above 100 pixels, the picture is shrunk to 0.75 of
    its sides (Lanczos).

    Args:
        image: As `encode_image_to_base64`; other modes of Pillow become RGB.
        max_size_bytes: Greatest size of the file, before base64.
        image_format: As `encode_image_to_base64`.
        quality: As `encode_image_to_base64`.

    Raises:
        ValueError: A format or quality that is not allowed.
        MediaError: As `load_image`, for a path.
    """
    format, quality = _format_of(image_format), _quality_of(quality)
    picture = _rgb_of(image) if _is_pillow(image) else image
    if isinstance(picture, str | os.PathLike | bytes | bytearray | memoryview):
        picture = load_image(picture)
    while True:
        (text,) = encode_images([picture], format=format, quality=quality, base64=True)
        height, width = picture.shape[:2]
        size = len(text) // 4 * 3 - text[-2:].count("=")
        if size <= max_size_bytes or min(height, width) <= _LEAST_SIDE:
            return text
        with native() as media:
            smaller = (int(height * _SHRINK), int(width * _SHRINK))
            picture = media.resize(picture, smaller, "lanczos")


def _format_of(name: str | None) -> ImageFormat:
    wanted = (name or os.environ.get(FORMAT_VARIABLE) or "PNG").upper()
    wanted = "JPEG" if wanted == "JPG" else wanted
    if wanted not in ("PNG", "JPEG", "WEBP"):
        raise ValueError(f"unknown image format {wanted!r}; allowed: JPEG, PNG, WEBP")
    return cast(ImageFormat, wanted)


def _quality_of(quality: int | None) -> int:
    if quality is not None:
        return quality
    text = os.environ.get(QUALITY_VARIABLE, "").strip()
    if not text:
        return _PILLOW_QUALITY
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise ConfigError(f"{QUALITY_VARIABLE}={text!r} is no JPEG quality", allowed="1 to 100")
    return int(text)


def _is_pillow(image: Any) -> bool:
    return hasattr(image, "mode") and hasattr(image, "tobytes") and hasattr(image, "save")


def _rgb_of(image: Any) -> NDArray[np.uint8]:
    import numpy as np

    return np.asarray(image.convert("RGB"))


def _by_pillow(image: Any, format: str, quality: int) -> str:
    import base64

    buffer = io.BytesIO()
    image.save(buffer, format=format, **({} if format == "PNG" else {"quality": quality}))
    return base64.b64encode(buffer.getvalue()).decode("ascii")
