"""Types of the Rust extension; tests compare them with the built module."""

import os
from collections.abc import Sequence
from typing import Protocol, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AudioProbe",
    "DecodeError",
    "FrameSequence",
    "InternalError",
    "ItemPool",
    "NotFoundError",
    "OutOfRangeError",
    "Probe",
    "Source",
    "TooLargeError",
    "UnreadableError",
    "UnsupportedError",
    "__version__",
    "encode_images",
    "ffmpeg_version",
    "frame_times",
    "image_fingerprints",
    "image_size",
    "irt_estimate",
    "irt_trajectories",
    "key_frames",
    "load_image",
    "nearest_key_frames",
    "patchify",
    "plain_image_format",
    "probe",
    "probe_audio",
    "read_audio",
    "read_frames",
    "resize",
    "set_thread_budget",
    "thread_budget",
    "wrap_image",
]

__version__: str

class NotFoundError(FileNotFoundError):
    path: str

class UnreadableError(OSError):
    path: str

class DecodeError(ValueError):
    path: str

class TooLargeError(ValueError):
    path: str

class UnsupportedError(ValueError):
    path: str

class OutOfRangeError(IndexError):
    path: str

class InternalError(RuntimeError):
    path: str

class _RandomAccess(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    def read_at(self, offset: int, size: int, /) -> bytes: ...

_Medium: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | tuple[str | os.PathLike[str], int, int]
    | _RandomAccess
    | Source
)

@final
class Source:
    def __new__(cls, medium: _Medium, name: str | None, key: str | None) -> Source: ...
    @property
    def name(self) -> str: ...

#: Method, mean and SD of the prior, bounds, scale.
_Estimation: TypeAlias = tuple[str, float, float, float, float, float, int]

@final
class ItemPool:
    def __new__(cls, a: NDArray[np.float64], b: NDArray[np.float64], scale: float) -> ItemPool: ...
    def select(self, free: NDArray[np.bool_], ability: float) -> int | None: ...

@final
class FrameSequence:
    def __new__(
        cls, medium: _Medium, size: tuple[int, int] | None, rotate: bool, straight: bool
    ) -> FrameSequence: ...
    def read(
        self, indices: Sequence[int], out: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]: ...

@final
class AudioProbe:
    @property
    def codec(self) -> str: ...
    @property
    def container(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def duration(self) -> int | None: ...
    @property
    def time_base(self) -> tuple[int, int]: ...
    @property
    def start_seconds(self) -> float: ...

@final
class Probe:
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def stored_width(self) -> int: ...
    @property
    def stored_height(self) -> int: ...
    @property
    def num_frames(self) -> int: ...
    @property
    def declared_frames(self) -> int: ...
    @property
    def duration_seconds(self) -> float: ...
    @property
    def average_rate(self) -> tuple[int, int]: ...
    @property
    def codec(self) -> str: ...
    @property
    def container(self) -> str: ...
    @property
    def pixel_format(self) -> str: ...
    @property
    def rotation(self) -> int: ...
    @property
    def is_vfr(self) -> bool: ...
    @property
    def key_frames(self) -> int: ...
    @property
    def warnings(self) -> list[tuple[str, str]]: ...

def ffmpeg_version() -> str: ...
def thread_budget() -> int: ...
def set_thread_budget(threads: int) -> None: ...
def probe(medium: _Medium) -> Probe: ...
def frame_times(medium: _Medium) -> NDArray[np.float64]: ...
def key_frames(medium: _Medium) -> list[int]: ...
def nearest_key_frames(medium: _Medium, indices: Sequence[int]) -> list[int]: ...
def read_frames(
    medium: _Medium,
    indices: Sequence[int],
    size: tuple[int, int] | None,
    rotate: bool,
    max_bytes: int,
    out: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]: ...
def probe_audio(medium: _Medium) -> AudioProbe: ...
def read_audio(
    medium: _Medium,
    sample_rate: int | None,
    channels: int | None,
    start: float,
    end: float | None,
    max_bytes: int,
) -> tuple[NDArray[np.float32], int, int, int, list[tuple[str, str]]]: ...
def load_image(medium: _Medium, size: tuple[int, int] | None) -> NDArray[np.uint8]: ...
def image_size(medium: _Medium) -> tuple[int, int]: ...
def resize(picture: NDArray[np.uint8], size: tuple[int, int], filter: str) -> NDArray[np.uint8]: ...
def encode_images(
    pictures: Sequence[NDArray[np.uint8]],
    format: str,
    quality: int,
    form: str,
    threads: int | None,
) -> list[bytes | str]: ...
def wrap_image(file: bytes, format: str, form: str) -> bytes | str: ...
def plain_image_format(file: bytes) -> str | None: ...
def image_fingerprints(pictures: Sequence[NDArray[np.uint8]], seed: int) -> list[int]: ...
def patchify(
    frames: NDArray[np.uint8],
    layout: tuple[int, int, int],
    levels: NDArray[np.float32],
) -> tuple[NDArray[np.float32], tuple[int, int, int]]: ...
def irt_estimate(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    right: NDArray[np.bool_],
    start: float,
    options: _Estimation,
) -> tuple[float, float, float, bool]: ...
def irt_trajectories(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    responses: NDArray[np.int8],
    starts: NDArray[np.float64],
    length: int,
    options: _Estimation,
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]: ...
