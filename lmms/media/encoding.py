"""Pictures to JPEG, PNG and WebP files, base64 and data URLs, many at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from lmms.media.errors import native
from lmms.media.images import load_image
from lmms.media.source import open_source

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from lmms.media.encode_cache import EncodeCache

    Picture: TypeAlias = NDArray[np.uint8] | str | os.PathLike[str] | bytes

ImageFormat = Literal["PNG", "JPEG", "WEBP"]

#: Where JPEG artefacts are no longer visible and files are still a tenth of PNG.
DEFAULT_JPEG_QUALITY = 90


@overload
def encode_image(
    image: Picture,
    *,
    format: ImageFormat = ...,
    quality: int | None = ...,
    base64: Literal[False] = ...,
) -> bytes: ...
@overload
def encode_image(
    image: Picture,
    *,
    format: ImageFormat = ...,
    quality: int | None = ...,
    base64: Literal[True],
) -> str: ...
def encode_image(
    image: Picture,
    *,
    format: ImageFormat = "PNG",
    quality: int | None = None,
    base64: bool = False,
) -> bytes | str:
    """Encodes a picture.

    Args:
        image: uint8, shape (height, width, 3), RGB; or a path, a locator or a file's bytes. A file
            that has the wanted format already and shows the same to everyone (whole, upright,
            opaque, 8-bit grey or RGB, one picture) is passed on as it is.
        format: PNG and WEBP are lossless, JPEG is lossy with 4:2:0 chroma ("JPG" is taken too).
        quality: 1 to 100, only for JPEG; None means 90. With a quality, JPEG files are encoded
            again.
        base64: Whether to return base64 text instead of bytes.

    Returns:
        The bytes of a file, or their base64 text. JPEG files are the ones that Pillow writes.

    Raises:
        ValueError: A shape, format or quality that is not allowed.
        TypeError: An array of something else than uint8.
        MediaError: As `load_image`, for a path.
    """
    if base64:
        return encode_images([image], format=format, quality=quality, base64=True)[0]
    return encode_images([image], format=format, quality=quality)[0]


def image_data_url(
    image: Picture,
    *,
    format: ImageFormat = "PNG",
    quality: int | None = None,
) -> str:
    """Encodes a picture as a `data:` URL with base64; arguments and errors as `encode_image`."""
    return encode_images([image], format=format, quality=quality, data_url=True)[0]


@overload
def encode_images(
    images: Sequence[Picture] | NDArray[np.uint8],
    *,
    format: ImageFormat = ...,
    quality: int | None = ...,
    base64: Literal[False] = ...,
    data_url: Literal[False] = ...,
    max_workers: int | None = ...,
    cache: EncodeCache | None = ...,
) -> list[bytes]: ...
@overload
def encode_images(
    images: Sequence[Picture] | NDArray[np.uint8],
    *,
    format: ImageFormat = ...,
    quality: int | None = ...,
    base64: Literal[True],
    data_url: bool = ...,
    max_workers: int | None = ...,
    cache: EncodeCache | None = ...,
) -> list[str]: ...
@overload
def encode_images(
    images: Sequence[Picture] | NDArray[np.uint8],
    *,
    format: ImageFormat = ...,
    quality: int | None = ...,
    base64: bool = ...,
    data_url: Literal[True],
    max_workers: int | None = ...,
    cache: EncodeCache | None = ...,
) -> list[str]: ...
def encode_images(
    images: Sequence[Picture] | NDArray[np.uint8],
    *,
    format: ImageFormat = "PNG",
    quality: int | None = None,
    base64: bool = False,
    data_url: bool = False,
    max_workers: int | None = None,
    cache: EncodeCache | None = None,
) -> list[bytes] | list[str]:
    """Encodes many pictures at once, on the threads that decoding has (`media.threads`).

    Pixels are read where they lie, without the GIL; base64 is made on the same threads.

    Args:
        images: uint8, shape (n, height, width, 3); or a sequence of what `encode_image` takes.
        format: As `encode_image`.
        quality: As `encode_image`.
        base64: Whether to return base64 text instead of bytes.
        data_url: Whether to return `data:` URLs instead of bytes.
        max_workers: At most this many threads; None: as many as are free.
        cache: Where results are looked for and kept, by content and parameters.

    Returns:
        One file, text or URL per picture, in order.

    Raises:
        ValueError: A shape, format or quality that is not allowed.
        TypeError: An array of something else than uint8.
        MediaError: As `load_image`, for a path.
    """
    if max_workers is not None and max_workers < 1:
        raise ValueError(f"max_workers must be at least 1, got {max_workers}")
    job = EncodeJob(
        format=_checked_format(format),
        quality=_checked_quality(quality),
        form="url" if data_url else "base64" if base64 else "file",
        max_workers=max_workers,
    )
    if cache is not None:
        return cache.encode(list(images), job)
    return job.run(list(images))


class EncodeJob:
    """The parameters of one call; a picture's result depends on them and its content alone.

    Args:
        format: JPEG, PNG or WEBP.
        quality: 1 to 100, or None for the default.
        form: "file", "base64" or "url".
        max_workers: At most this many threads.
    """

    def __init__(
        self, *, format: str, quality: int | None, form: str, max_workers: int | None
    ) -> None:
        self.key = (format, quality if format == "JPEG" else None, form)
        self._format = format
        self._quality = quality
        self._form = form
        self._max_workers = max_workers

    def run(self, images: Sequence[Picture]) -> list[Any]:
        """Encodes pictures, in order.

        Raises:
            MediaError: As `load_image`, for a path.
        """
        with native() as media:
            results: list[Any] = [None] * len(images)
            pictures: dict[int, NDArray[np.uint8]] = {}
            for position, image in enumerate(images):
                if not isinstance(image, str | os.PathLike | bytes | bytearray | memoryview):
                    _check_pixels(image)
                    pictures[position] = image
                    continue
                results[position] = self._passed_on(media, image)
                if results[position] is None:
                    pictures[position] = load_image(image)
            encoded = media.encode_images(
                list(pictures.values()),
                self._format,
                DEFAULT_JPEG_QUALITY if self._quality is None else self._quality,
                self._form,
                self._max_workers,
            )
        for position, value in zip(pictures, encoded, strict=True):
            results[position] = value
        return results

    def _passed_on(self, media: ModuleType, image: str | os.PathLike[str] | bytes) -> Any:
        """Returns a file that is already what is wanted, in the wanted form; None otherwise."""
        if self.key[1] is not None:
            return None
        data = open_source(image).read()
        if media.plain_image_format(data) != self._format:
            return None
        return media.wrap_image(data, self._format, self._form)


def _check_pixels(image: object) -> None:
    kind = getattr(image, "dtype", None)
    if kind is None or str(kind) != "uint8":
        shape = getattr(image, "shape", None)
        got = type(image).__name__ if kind is None else f"an array of {kind}, shape {shape}"
        raise TypeError(
            f"a picture is a uint8 array of shape (height, width, 3), a path or bytes, not {got}"
        )


def _checked_format(format: str) -> str:
    name = format.upper()
    return "JPEG" if name == "JPG" else name


def _checked_quality(quality: int | None) -> int | None:
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100, got {quality}")
    return quality
