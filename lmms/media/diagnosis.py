"""What a medium is that could not be read as a video: looked at only after it failed."""

from __future__ import annotations

import os
from pathlib import Path

from lmms.errors import MediaError
from lmms.media.audio import AudioInfo, probe_audio
from lmms.media.errors import MediaDecodeError
from lmms.media.images import image_size
from lmms.media.source import MediaInput, native_source, source_name

#: What the decoder says of content that it cannot make anything of.
_VAGUE = ("not a readable video file", "no video stream", "not a readable audio file")
_VAGUE_SOUND = ("no audio stream",)
#: A file has few top-level boxes; a damaged one may look as if it had millions.
_MAX_BOXES = 4096
#: Boxes that an ISO file begins with (ISO/IEC 14496-12, 4.2, and QuickTime before it).
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def explained(error: MediaError, source: MediaInput) -> MediaError:
    """Returns an error that says what a medium is instead of a video, or the one given.

    Args:
        error: What reading it raised.
        source: The medium.
    """
    name = source_name(source)
    said = error.message.removeprefix(name)
    if not isinstance(error, MediaDecodeError) or not any(
        words in said for words in (*_VAGUE, *_VAGUE_SOUND)
    ):
        return error
    try:
        lacking = lacking_index(source)
        if lacking is not None:
            return MediaDecodeError(f"{name}: {lacking}", hint="copy or download it again")
        if any(words in said for words in _VAGUE_SOUND):
            return error
        found = still_or_sound(source)
    except (MediaError, OSError):
        return error
    if isinstance(found, AudioInfo):
        what = f"{found.codec}, {found.sample_rate} Hz"
        return MediaDecodeError(f"{name}: it has sound ({what}) but no video")
    if found is not None:
        return MediaDecodeError(f"{name}: a still image of {found[1]}x{found[0]}, and no video")
    return error


def still_or_sound(source: MediaInput) -> tuple[int, int] | AudioInfo | None:
    """Returns the (height, width) of a still image, what a sound file holds, or None.

    Raises:
        MediaError: The medium cannot be opened.
    """
    content = native_source(source)
    try:
        return image_size(content)
    except MediaDecodeError:
        pass
    try:
        return probe_audio(content)
    except MediaDecodeError:
        return None


def lacking_index(source: MediaInput) -> str | None:
    """Says that the index of an MP4 or QuickTime file is not there; None if it is, or elsewhere.

    Cameras and encoders write it last (`moov` behind `mdat`), so that a copy which was cut off
    lacks it, and with it everything that says where frames are.

    Raises:
        MediaError: The medium cannot be opened.
        OSError: It cannot be read.
    """
    content = native_source(source)
    length = _length(content)
    position = 0
    for _ in range(_MAX_BOXES):
        head = _read_at(content, position, 16)
        if len(head) < 8:
            break
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if position == 0 and kind not in _FIRST_BOXES:
            return None
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        elif size == 0:  # To the end, whatever that is.
            size = length - position
        if kind == b"moov":
            cut = position + size - length
            return f"its index (moov) is cut off: {cut} bytes are missing" if cut > 0 else None
        if size < 8:
            return None
        position += size
    if position == 0:
        return None
    if position > length:
        return f"its index (moov) is missing: the copy was cut off after {length} bytes"
    return "its index (moov) is missing: the copy was cut off, or its recording never ended"


def _length(content: object) -> int:
    if isinstance(content, str | os.PathLike):
        return Path(content).stat().st_size
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, tuple):
        return int(content[2])
    return int(getattr(content, "size", 0))


def _read_at(content: object, offset: int, size: int) -> bytes:
    """Returns up to `size` bytes from `offset` on."""
    if isinstance(content, bytes):
        return content[offset : offset + size]
    if isinstance(content, str | os.PathLike | tuple):
        path, start, most = content if isinstance(content, tuple) else (content, 0, None)
        with Path(path).open("rb") as file:
            file.seek(start + offset)
            return file.read(size if most is None else max(0, min(size, most - offset)))
    read_at = getattr(content, "read_at", None)
    return b"" if read_at is None else bytes(read_at(offset, size))
