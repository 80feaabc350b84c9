"""What media can do wrong, and the door to the extension that does the work."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from lmms.errors import MediaError

_EXTENSION = "lmms._media"

#: Debian 12's packages with the shared libraries of FFmpeg 5.1.
_DEBIAN_PACKAGES = (
    "libavcodec59",
    "libavformat59",
    "libavutil57",
    "libswresample4",
    "libswscale6",
)


class MediaNotFoundError(MediaError, FileNotFoundError):
    """A file does not exist, or a reference leads to no file."""


class MediaUnreadableError(MediaError, OSError):
    """A path exists but cannot be opened: a folder, a pipe, missing permission."""


class MediaDecodeError(MediaError, ValueError):
    """The content is not what it should be: damaged, empty, no video stream, no image."""


class MediaTooLargeError(MediaError, ValueError):
    """More pixels, packets or bytes than this process is willing to hold."""


class MediaUnsupportedError(MediaError, ValueError):
    """A codec, pixel format or size that this build has no means for."""


class MediaRequestError(MediaUnsupportedError):
    """Words that do not fit: a list without such a column, ids twice, a target that is a file."""

    exit_code = 2


class MediaRangeError(MediaError, IndexError):
    """A frame index or a time that the video does not have."""


class MediaInternalError(MediaError, RuntimeError):
    """A defect of the media layer, contained so that it costs one sample."""


class MediaWorkerError(MediaError, RuntimeError):
    """A medium ended the process that decoded it (`media.isolation`)."""


class MediaTimeoutError(MediaError, TimeoutError):
    """Decoding a medium took longer than `media.timeout_seconds`."""


_CLASSES: dict[str, type[MediaError]] = {
    "NotFoundError": MediaNotFoundError,
    "UnreadableError": MediaUnreadableError,
    "DecodeError": MediaDecodeError,
    "TooLargeError": MediaTooLargeError,
    "UnsupportedError": MediaUnsupportedError,
    "OutOfRangeError": MediaRangeError,
    "InternalError": MediaInternalError,
}


@contextmanager
def native() -> Iterator[ModuleType]:
    """Gives the extension and turns its exceptions into `MediaError` classes.

    Raises:
        MediaError: The extension or FFmpeg's libraries are missing, or what its body raised.
    """
    media = _load()
    # The extension would import it for its first array, where Ctrl-C becomes a panic.
    importlib.import_module("numpy")
    try:
        yield media
    except (OSError, ValueError, IndexError, RuntimeError) as error:
        known = _CLASSES.get(type(error).__name__)
        if known is None or type(error) is not getattr(media, type(error).__name__, None):
            raise
        # What the caller's own object raised, if that is why; the native error says nothing more.
        raise known(str(error)) from error.__cause__


def _load() -> ModuleType:
    try:
        return importlib.import_module(_EXTENSION)
    except ModuleNotFoundError as error:
        if error.name != _EXTENSION:
            raise
        raise MediaError(
            "the media extension of lmms is not built, so nothing can be decoded",
            hint="build it from the checkout with: pip install -e .",
        ) from None
    except ImportError as error:
        raise MediaError(
            f"FFmpeg's shared libraries cannot be loaded, so nothing can be decoded: {error}",
            hint=f"on Debian: apt-get install {' '.join(_packages(str(error)))}",
        ) from None


def _packages(reason: str) -> list[str]:
    """Returns the Debian packages that provide what the dynamic linker missed."""
    # A Debian library package is named after the file's soname: libavcodec.so.59, libavcodec59.
    missing = [f"{name}{version}" for name, version in re.findall(r"(lib\w+)\.so\.(\d+)", reason)]
    return sorted({*_DEBIAN_PACKAGES, *missing})
