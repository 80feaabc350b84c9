"""Other libraries behind the same door: PyAV, TorchCodec, decord, DALI.

For reproducing numbers that were made with one of them, and for comparing them. Which frames are
taken, and whether they are rotated, is decided here alike for all; what a library then returns for
a position is its own. Each is imported when it is used.

The `LMMS_VIDEO_*` variables are those of LMMs-Eval, with its defaults.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from lmms.errors import ConfigError, UnknownNameError
from lmms.frame_policy import VideoBackend
from lmms.media.errors import MediaDecodeError, MediaTooLargeError, MediaUnsupportedError
from lmms.media.source import MediaInput, RandomAccess, native_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lmms.media.video import VideoInfo

#: Names that are accepted for another one.
ALIASES: Final[Mapping[str, VideoBackend]] = {"native": "rust"}
#: What LMMs-Eval's users set to choose the library of `read_video`.
VARIABLE: Final = "LMMS_VIDEO_DECODE_BACKEND"


class UnknownBackendError(UnknownNameError, ValueError):
    """A video back end that does not exist."""


_Read = Callable[["str | bytes", Sequence[int]], Any]


@dataclass(frozen=True, slots=True)
class _Library:
    """How a library is used."""

    module: str
    """What is imported."""
    package: str
    """What has to be installed, as pip knows it."""
    rotates: bool
    """Whether it applies rotation metadata by itself."""
    read: _Read
    """Content (a path, or bytes) and ascending distinct positions to uint8 RGB frames."""


def backend_named(name: str | None) -> VideoBackend:
    """Returns the back end of a name; without a name $LMMS_VIDEO_DECODE_BACKEND, else `rust`.

    Raises:
        UnknownBackendError: There is none of that name.
    """
    origin = "backend" if name is not None else f"${VARIABLE}"
    wanted = (name if name is not None else os.environ.get(VARIABLE, "")).strip().lower() or "rust"
    for known in get_args(VideoBackend):
        if ALIASES.get(wanted, wanted) == known:
            backend: VideoBackend = known
            return backend
    known_names = (*get_args(VideoBackend), *ALIASES)
    raise UnknownBackendError("video back end", wanted, known_names, origin=origin, list_all=True)


def distribution_of(backend: VideoBackend) -> tuple[str, str] | None:
    """Returns (module, pip package) of a back end's library; None for our own decoder."""
    if backend == "rust":
        return None
    library = _LIBRARIES[backend]
    return library.module, library.package


def check_installed(backend: VideoBackend) -> None:
    """Checks without importing it that a back end's library is there.

    Raises:
        MediaUnsupportedError: It is not installed.
    """
    if backend == "rust":
        return
    library = _LIBRARIES[backend]
    try:
        found = importlib.util.find_spec(library.module) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise _missing(backend, library)


def read_with(
    backend: VideoBackend,
    medium: MediaInput,
    indices: Sequence[int],
    info: VideoInfo,
    *,
    rotate: bool = True,
    max_bytes: int,
) -> NDArray[np.uint8]:
    """Decodes frames of a video with another library.

    Args:
        backend: Which one; not `rust`.
        medium: The video; what is no file is read into memory.
        indices: Positions in presentation order, in any order, repeats allowed.
        info: What `probe` says of the video.
        rotate: Applies rotation metadata, whether the library does it itself or not.
        max_bytes: Refuses to return more than this.

    Returns:
        uint8, shape (len(indices), height, width, 3), RGB, at the size of the video.

    Raises:
        MediaUnsupportedError: The library is not installed.
        MediaDecodeError: It does not give these frames.
        MediaTooLargeError: More bytes than `max_bytes`.
        ConfigError: A variable of the environment holds no number.
    """
    import numpy as np

    library = _LIBRARIES[backend]
    needed = len(indices) * info.width * info.height * 3
    if needed > max_bytes:
        raise MediaTooLargeError(
            f"{info.path}: {len(indices)} frames take {needed} bytes; the limit is {max_bytes}"
        )
    distinct = sorted(set(indices))
    check_installed(backend)
    try:
        frames = np.asarray(library.read(_content(medium), distinct))
    except (ConfigError, MediaUnsupportedError):
        raise
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise MediaDecodeError(
            f"{info.path}: {backend} cannot decode it: {reason or type(error).__name__}",
            hint="leave the back end out to use the built-in decoder",
        ) from error
    if frames.ndim != 4 or len(frames) != len(distinct) or frames.shape[-1] != 3:
        raise MediaDecodeError(
            f"{info.path}: {backend} gave frames of shape {frames.shape} "
            f"where {len(distinct)} frames were asked for"
        )
    turns = info.rotation // 90 * (int(rotate) - int(library.rotates))
    if turns % 4:
        frames = np.rot90(frames, -turns, axes=(1, 2))
    places = {index: place for place, index in enumerate(distinct)}
    if distinct != list(indices):
        frames = frames[[places[index] for index in indices]]
    return np.ascontiguousarray(frames, dtype=np.uint8)


def _content(medium: MediaInput) -> str | bytes:
    """Returns a path, or the bytes of what is no file of its own."""
    content = native_source(medium)
    if isinstance(content, str | os.PathLike):
        return os.fspath(content)
    if isinstance(content, tuple):
        path, offset, length = content
        with Path(path).open("rb") as file:
            file.seek(offset)
            return file.read(length)
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if not hasattr(content, "read_at"):
        raise MediaUnsupportedError(
            f"a {type(content).__name__} can only be decoded by rust",
            allowed="a path, a locator, bytes, a byte range, or an object with read_at",
        )
    reader = cast("RandomAccess", content)
    return reader.read_at(0, reader.size)


def _missing(backend: str, library: _Library) -> MediaUnsupportedError:
    return MediaUnsupportedError(
        f"the video back end {backend!r} needs the package {library.package}",
        hint=f"pip install {library.package}, or leave the back end out",
    )


def _count(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise ConfigError(
            f"{variable}={text!r} is no whole number", origin="environment", allowed="0, 1, 2, …"
        ) from None


# ------------------------------------------------------------------------------- the libraries


def _pyav(content: str | bytes, indices: Sequence[int]) -> Any:
    """Decodes from the start to the last position, as LMMs-Eval does."""
    import numpy as np

    av = importlib.import_module("av")

    wanted = set(indices)
    frames = []
    with av.open(io.BytesIO(content) if isinstance(content, bytes) else content, "r") as container:
        stream = container.streams.best("video")
        if stream is None:
            raise ValueError("it has no video stream")
        stream.thread_type = "AUTO"
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                frames.append(frame.to_ndarray(format="rgb24"))
            if number >= indices[-1]:
                break
    return np.stack(frames)


def _torchcodec(content: str | bytes, indices: Sequence[int]) -> Any:
    decoders = importlib.import_module("torchcodec.decoders")
    options: dict[str, Any] = {"dimension_order": "NHWC"}
    options["device"] = os.environ.get("LMMS_VIDEO_TORCHCODEC_DEVICE", "").strip() or "cpu"
    threads = _count("LMMS_VIDEO_TORCHCODEC_THREADS", 0)
    if threads > 0:
        options["num_ffmpeg_threads"] = threads
    decoder = decoders.VideoDecoder(content, **options)
    return decoder.get_frames_at(list(indices)).data.cpu().numpy()


def _decord(content: str | bytes, indices: Sequence[int]) -> Any:
    decord = importlib.import_module("decord")
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    threads = _count("LMMS_VIDEO_DECORD_THREADS", 2)
    reader = decord.VideoReader(source, ctx=decord.cpu(0), num_threads=threads)
    return reader.get_batch(list(indices)).asnumpy()


def _dali(content: str | bytes, indices: Sequence[int]) -> Any:
    """Decodes with `fn.decoders.video`, which takes explicit positions.

    LMMs-Eval's own DALI reader takes equal steps from the first frame instead, and so other
    frames than it asks for.
    """
    import numpy as np

    dali = importlib.import_module("nvidia.dali")
    fn = importlib.import_module("nvidia.dali.fn")
    device = os.environ.get("LMMS_VIDEO_DALI_DEVICE", "").strip().lower() or "gpu"
    if device not in ("gpu", "cpu"):
        raise ConfigError(
            f"LMMS_VIDEO_DALI_DEVICE={device!r} is no device",
            origin="environment",
            allowed=["gpu", "cpu"],
        )
    decoders = fn.decoders if hasattr(fn.decoders, "video") else fn.experimental.decoders
    pipeline = dali.Pipeline(
        batch_size=1,
        num_threads=max(1, _count("LMMS_VIDEO_DALI_THREADS", 2)),
        device_id=_count("LMMS_VIDEO_DALI_DEVICE_ID", 0) if device == "gpu" else None,
        prefetch_queue_depth=1,
    )
    with pipeline:
        encoded = fn.external_source(name="encoded", device="cpu")
        where = "mixed" if device == "gpu" else "cpu"
        pipeline.set_outputs(decoders.video(encoded, device=where, frames=list(indices)))
    pipeline.build()
    if isinstance(content, str):
        content = Path(content).read_bytes()
    pipeline.feed_input("encoded", [np.frombuffer(content, np.uint8)])
    (frames,) = pipeline.run()
    return frames.as_cpu().as_array()[0]


_LIBRARIES: Final[Mapping[str, _Library]] = {
    "pyav": _Library("av", "av", rotates=False, read=_pyav),
    "torchcodec": _Library("torchcodec", "torchcodec", rotates=True, read=_torchcodec),
    "decord": _Library("decord", "decord", rotates=True, read=_decord),
    "dali": _Library("nvidia.dali", "nvidia-dali-cuda120", rotates=False, read=_dali),
}
