"""Sound: what a file holds, and its samples at a model's rate.

Samples are those of `ffmpeg -i FILE -ac CHANNELS -ar RATE -f f32le`: decoded by FFmpeg, encoder
delay and padding dropped as the container marks them, mixed and resampled by libswresample with
its default settings. Time is counted from the first sample of the audio stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from lmms.media.errors import MediaRangeError, native
from lmms.media.source import MediaInput, native_source, source_name
from lmms.media.video import MediaWarning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What speech encoders take (Whisper and its kin).
DEFAULT_SAMPLE_RATE = 16_000

#: Bytes of samples that one call may return unless told otherwise: 4.6 hours of mono at 16 kHz.
DEFAULT_MAX_BYTES = 2**30

_RATES = (1_000, 768_000)
#: Codecs whose containers count samples exactly.
_EXACT = ("pcm_", "flac", "alac", "wavpack", "tta", "ape")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What the header of a file says about its best audio stream (FFmpeg's choice)."""

    path: str
    codec: str
    """FFmpeg's name, e.g. `aac`."""
    container: str
    """FFmpeg's name of the format, e.g. `mov,mp4,m4a,3gp,3g2,mj2`."""
    sample_rate: int
    """Samples per second and channel."""
    channels: int
    duration_seconds: float | None
    """By the container, which may count encoder delay; None if it does not say."""
    num_samples: int | None
    """Samples per channel; None where only decoding would tell."""
    start_seconds: float
    """When the stream begins after the beginning of the file, for lining it up with frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioClip:
    """Decoded sound."""

    samples: NDArray[np.float32]
    """Shape (n,) for one channel, else (channels, n); mostly within -1 and 1."""
    sample_rate: int
    """Samples per second."""
    start: float
    """Seconds from the first sample of the stream to the first one here."""
    warnings: tuple[MediaWarning, ...] = ()
    """What was wrong although something could be decoded."""

    @property
    def duration_seconds(self) -> float:
        """Length of these samples."""
        return float(self.samples.shape[-1]) / self.sample_rate

    def __repr__(self) -> str:
        return (
            f"AudioClip({tuple(self.samples.shape)} at {self.sample_rate} Hz, "
            f"start={self.start:g}, warnings={len(self.warnings)})"
        )


def probe_audio(source: MediaInput) -> AudioInfo:
    """Describes the sound of a file by its header, without decoding it.

    Raises:
        MediaNotFoundError: The file does not exist.
        MediaUnreadableError: It is a folder or cannot be opened, or reading it failed.
        MediaDecodeError: It is empty, no media file, or has no audio stream.
    """
    with native() as media:
        facts = media.probe_audio(native_source(source))
    seconds = None
    samples = None
    if facts.duration is not None:
        length = facts.duration * Fraction(*facts.time_base)
        seconds = float(length)
        counted = length * facts.sample_rate
        if facts.codec.startswith(_EXACT) and counted.denominator == 1:
            samples = int(counted)
    return AudioInfo(
        path=source_name(source),
        codec=facts.codec,
        container=facts.container,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        duration_seconds=seconds,
        num_samples=samples,
        start_seconds=facts.start_seconds,
    )


def read_audio(
    source: MediaInput,
    *,
    sample_rate: int | None = DEFAULT_SAMPLE_RATE,
    channels: int | None = 1,
    start: float | None = None,
    end: float | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> AudioClip:
    """Decodes sound from any container and codec that FFmpeg reads, videos included.

    A part by time is exactly that part of the whole, sample by sample. (`ffmpeg -ss` before the
    input may begin a packet off, and starts the resampler anew.) What comes before it is decoded
    and dropped, which takes two to eight seconds for each hour of sound.

    Of a damaged file what can be decoded is returned; `warnings` tells what was wrong.

    Args:
        source: A path, the bytes of a file, or anything else that `MediaInput` names.
        sample_rate: Samples per second, 1000 to 768000; None keeps the stream's.
        channels: 1 mixes down to mono, 2 to stereo; None keeps the stream's.
        start: Seconds from the first sample; None for the beginning.
        end: Seconds at which to end; None, or more than there is, for the end of the stream.
        max_bytes: Refuses to return more than this.

    Returns:
        float32 samples of shape (n,) for one channel, else (channels, n).

    Raises:
        ValueError: A rate, number of channels or time out of its range.
        MediaRangeError: The sound ends before `start`.
        MediaTooLargeError: More bytes than `max_bytes`.
        MediaUnsupportedError: A codec or layout that this FFmpeg has no means for.
        MediaError: As `probe_audio`.
    """
    _check(sample_rate, channels, start, end)
    with native() as media:
        samples, rate, first, reached, damage = media.read_audio(
            native_source(source), sample_rate, channels, start or 0.0, end, max_bytes
        )
    if start and first >= reached:
        raise MediaRangeError(
            f"{source_name(source)}: sound from {start:g} s on was asked for",
            allowed=f"the sound ends at {reached / rate:g} s",
        )
    return AudioClip(
        samples=samples[0] if samples.shape[0] == 1 else samples,
        sample_rate=rate,
        start=first / rate,
        warnings=tuple(MediaWarning(code, message) for code, message in damage),
    )


def _check(
    sample_rate: int | None, channels: int | None, start: float | None, end: float | None
) -> None:
    if sample_rate is not None and not _RATES[0] <= sample_rate <= _RATES[1]:
        raise ValueError(f"sample_rate is {_RATES[0]} to {_RATES[1]}, got {sample_rate}")
    if channels not in (None, 1, 2):
        raise ValueError(f"channels is 1, 2 or None, got {channels}")
    for name, seconds in (("start", start), ("end", end)):
        if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"{name} is a number of seconds from 0 on, got {seconds}")
    if end is not None and end <= (start or 0.0):
        raise ValueError(f"end={end} is not after start={start or 0.0}")
