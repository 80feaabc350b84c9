"""`read_video` with LMMs-Eval's signature and rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from lmms.media.backends import backend_named, read_with
from lmms.media.sampling import fps_indices, uniform_indices
from lmms.media.source import MediaInput, shared_source
from lmms.media.video import DEFAULT_MAX_BYTES, probe, read_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_video(
    path: MediaInput | Sequence[MediaInput],
    *,
    num_frm: int = 8,
    fps: float | None = None,
    format: str = "rgb24",
    force_include_last_frame: bool = False,
    backend: str | None = None,
) -> NDArray[np.uint8]:
    """Reads frames by the rule and with the signature of LMMs-Eval's `read_video`.

    The rule is the same for every container and back end: `linspace(0, total - 1, k)` truncated,
    with `k = max(1, min(total, num_frm))`, where `fps` first lowers `num_frm` to
    `int(total / rate * fps)`. What LMMs-Eval answers with the whole video (webm and mkv, an `fps`
    that asks for less than one frame) follows the rule here; what it answers with fewer frames
    or with the whole video because something went wrong is an error here.

    Args:
        path: A video; of a list or tuple of paths the first is read.
        num_frm: Frames wanted, at least 1; a shorter video gives all its frames.
        fps: Frames per second wanted.
        format: `rgb24` or `bgr24`.
        force_include_last_frame: Takes the last frame where the rule would leave it out (k = 1).
        backend: Library that decodes: `rust` (our own, also called `native`), `pyav`,
            `torchcodec`, `decord` or `dali`; None: $LMMS_VIDEO_DECODE_BACKEND, else `rust`.

    Returns:
        uint8, shape (k, height, width, 3), rotation metadata applied.

    Raises:
        ValueError: There is no such back end, or an argument is out of its range.
        MediaUnsupportedError: The back end's library is not installed.
        MediaError: As `probe` and `read_frames`.
    """
    medium = _first(path)
    chosen = backend_named(backend)
    if format not in ("rgb24", "bgr24"):
        raise ValueError(f"unknown format {format!r}; allowed: rgb24, bgr24")
    if num_frm < 1:
        raise ValueError(f"num_frm must be at least 1, got {num_frm}")
    shared = shared_source(medium)
    info = probe(shared)
    last = force_include_last_frame
    if fps is None:
        indices = uniform_indices(info.num_frames, num_frm, force_include_last_frame=last)
    else:
        indices = fps_indices(
            info.num_frames,
            info.frame_rate,
            fps,
            max_frames=num_frm,
            force_include_last_frame=last,
        )
    if chosen == "rust":
        frames = read_frames(shared, indices)
    else:
        frames = read_with(chosen, medium, indices, info, max_bytes=DEFAULT_MAX_BYTES)
    return frames[..., ::-1].copy() if format == "bgr24" else frames


def _first(path: MediaInput | Sequence[MediaInput]) -> MediaInput:
    """Returns the first of a list or tuple; a byte range is a tuple too, but one medium."""
    is_range = isinstance(path, tuple) and len(path) == 3 and isinstance(path[1], int)
    first = path[0] if isinstance(path, list | tuple) and not is_range else path
    return cast("MediaInput", first)


#: The name that LMMs-Eval keeps for old code; whatever decodes is chosen as for `read_video`.
read_video_pyav = read_video
