"""Loading media ahead of the model: decode once, share, keep memory within bounds.

Decoding runs on threads of the loader (the extension works without the GIL). Several questions
about one video share one decode: results are kept in a least-recently-used cache bounded by bytes,
and a second request for something that is being decoded waits for it instead of decoding again.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from lmms.media.controls import apply_control
from lmms.media.errors import MediaUnsupportedError
from lmms.media.hashing import file_identity, hash_bytes, hash_file
from lmms.media.images import load_image, resize_image
from lmms.media.video import SizeRule, decode
from lmms.types import FramePolicy, LoadedMedia, MediaRef

#: What an item is taken to need before the first one has been seen: 12 frames of 720p.
_FIRST_GUESS_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class LoaderStatistics:
    """What a loader has done so far."""

    hits: int = 0
    """Requests served from the cache, or by joining a decode that was under way."""
    misses: int = 0
    """Requests that were decoded."""
    failures: int = 0
    """Requests whose media could not be loaded."""
    frames: int = 0
    """Frames decoded (an image counts as one)."""
    decoded_bytes: int = 0
    """Bytes of pixels decoded."""
    decode_seconds: float = 0.0
    """Time spent decoding, summed over threads."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Pixels as the cache holds them, before any control."""

    frames: Any
    indices: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        return int(self.frames.nbytes)


class MediaLoader:
    """Loads media on threads, ahead of their use.

    Args:
        max_workers: Threads that load.
        byte_budget: Bytes of loaded and not yet released pixels up to which `has_room` says that
            more may be submitted. Submitting never blocks: a consumer that needs a whole batch
            at once must get it whatever its size.
        decode_cache_bytes: Bytes of decoded pixels kept for further requests; 0 keeps none.
    """

    def __init__(
        self,
        max_workers: int = 2,
        byte_budget: int = 2**30,
        decode_cache_bytes: int = 256 * 2**20,
    ) -> None:
        if max_workers < 1 or byte_budget < 0 or decode_cache_bytes < 0:
            raise ValueError("max_workers must be at least 1, byte counts at least 0")
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="lmms-media")
        self._byte_budget = byte_budget
        self._cache_bytes = decode_cache_bytes
        # Reentrant: the collector may run a finaliser while this thread holds the lock.
        self._changed = threading.Condition(threading.RLock())
        self._cache: OrderedDict[Hashable, _Decoded] = OrderedDict()
        self._under_way: dict[Hashable, Future[_Decoded]] = {}
        self._cached = 0
        self._held = 0
        self._pending = 0
        self._largest = 0
        self._statistics = LoaderStatistics()

    def submit(
        self,
        ref: MediaRef,
        size_fn: SizeRule | None = None,
        *,
        size_key: Hashable = None,
    ) -> Future[LoadedMedia]:
        """Starts loading one medium.

        Args:
            ref: An image or a video.
            size_fn: Final (height, width) from (number of frames, height, width); None keeps the
                source's size (within the policy's pixel bounds for a video).
            size_key: What identifies the sizing rule in the cache; defaults to `size_fn` itself.
                Pass a key if the rule is a fresh closure each time.

        Returns:
            A future; its exception is a `MediaError` if the medium cannot be loaded. The pixels
            may be shared with other requests and must not be written to (they are read-only).
        """
        with self._changed:
            self._pending += 1
        key = size_key if size_key is not None else size_fn
        try:
            future = self._pool.submit(self._load, ref, size_fn, key)
        except RuntimeError:
            self._finished(None)
            raise
        future.add_done_callback(self._finished)
        return future

    @property
    def held_bytes(self) -> int:
        """Bytes of results that somebody still holds; arrays count until they are collected."""
        return self._held

    @property
    def statistics(self) -> LoaderStatistics:
        """Counts so far."""
        return self._statistics

    @property
    def has_room(self) -> bool:
        """Whether the budget allows to submit more.

        Items that are not loaded yet count as the largest item seen so far. An idle loader always
        has room, so that an item above the whole budget can be loaded.
        """
        with self._changed:
            if self._pending == 0 and self._held == 0:
                return True
            expected = self._largest or _FIRST_GUESS_BYTES
            return self._held + (self._pending + 1) * expected <= self._byte_budget

    def wait_for_room(self, timeout_seconds: float | None = None) -> bool:
        """Blocks until `has_room`; False if that took longer than the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self.has_room, timeout_seconds)

    def close(self) -> None:
        """Cancels what has not started, waits for what has, and empties the cache."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._changed:
            self._cache.clear()
            self._cached = 0

    def __enter__(self) -> MediaLoader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ------------------------------------------------------------------ on the loader's threads

    def _load(self, ref: MediaRef, size_fn: SizeRule | None, size_key: Hashable) -> LoadedMedia:
        digest = _digest(ref)
        policy = ref.policy or FramePolicy()
        decoded = self._shared(
            (_identity(ref, digest), ref.kind, _choice(ref), size_key), ref, size_fn
        )
        frames, times = apply_control(decoded.frames, decoded.times, policy.control, seed=digest)
        frames = _own_view(frames)
        self._hold(frames)
        return LoadedMedia(
            ref=ref,
            digest=digest,
            frames=frames,
            indices=decoded.indices,
            times=times,
            source=decoded.source,
            warnings=decoded.warnings,
        )

    def _shared(self, key: Hashable, ref: MediaRef, size_fn: SizeRule | None) -> _Decoded:
        """Returns the decoded pixels from the cache, another thread's decode, or a decode."""
        with self._changed:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                self._count(hits=1)
                return found
            under_way = self._under_way.get(key)
            mine: Future[_Decoded] = Future()
            if under_way is None:
                self._under_way[key] = mine
        if under_way is not None:
            # The thread that decodes is running, so waiting for it cannot block for ever.
            decoded = under_way.result()
            with self._changed:
                self._count(hits=1)
            return decoded
        return self._decode_for_all(key, mine, ref, size_fn)

    def _decode_for_all(
        self, key: Hashable, mine: Future[_Decoded], ref: MediaRef, size_fn: SizeRule | None
    ) -> _Decoded:
        started = time.perf_counter()
        try:
            decoded = _decode(ref, size_fn)
        except BaseException as error:
            with self._changed:
                del self._under_way[key]
            mine.set_exception(error)
            raise
        with self._changed:
            self._count(
                misses=1,
                frames=len(decoded.frames) if decoded.frames.ndim == 4 else 1,
                decoded_bytes=decoded.nbytes,
                decode_seconds=time.perf_counter() - started,
            )
            self._remember(key, decoded)
            del self._under_way[key]
        mine.set_result(decoded)
        return decoded

    # -------------------------------------------------------------------------- book-keeping

    def _remember(self, key: Hashable, decoded: _Decoded) -> None:
        if decoded.nbytes > self._cache_bytes:
            return
        self._cache[key] = decoded
        self._cached += decoded.nbytes
        while self._cached > self._cache_bytes:
            _, dropped = self._cache.popitem(last=False)
            self._cached -= dropped.nbytes

    def _hold(self, frames: Any) -> None:
        size = int(frames.nbytes)
        with self._changed:
            self._held += size
            self._largest = max(self._largest, size)
        weakref.finalize(frames, self._release, size)

    def _release(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def _finished(self, future: Future[LoadedMedia] | None) -> None:
        with self._changed:
            self._pending -= 1
            if future is not None and not future.cancelled() and future.exception() is not None:
                self._count(failures=1)
            self._changed.notify_all()

    def _count(self, **more: float) -> None:
        now = self._statistics
        self._statistics = replace(
            now, **{name: getattr(now, name) + amount for name, amount in more.items()}
        )


def _own_view(frames: Any) -> Any:
    """Returns a read-only array over the same pixels whose life tells when they are released.

    It goes through a memory view because NumPy shortens chains of arrays: a slice of a plain
    view would keep the shared pixels alive, but not the view.
    """
    import numpy as np

    return np.asarray(memoryview(frames).toreadonly())


def _digest(ref: MediaRef) -> str:
    if ref.data is not None:
        return hash_bytes(ref.data)
    if ref.path is None:
        raise MediaUnsupportedError(f"a {ref.kind} reference without path or data")
    return hash_file(ref.path)


def _identity(ref: MediaRef, digest: str) -> Hashable:
    return digest if ref.path is None else file_identity(ref.path)


def _choice(ref: MediaRef) -> Hashable:
    """What of the medium is decoded; a control works on the result and is no part of it."""
    return (replace(ref.policy, control=None) if ref.policy else None, ref.frame)


def _decode(ref: MediaRef, size_fn: SizeRule | None) -> _Decoded:
    if ref.kind == "video" and ref.path is not None:
        return _decode_video(ref.path, ref.policy or FramePolicy(), size_fn)
    if ref.kind == "image":
        return _decode_image(ref, size_fn)
    held = "a path" if ref.path is not None else "bytes"
    raise MediaUnsupportedError(
        f"{ref.kind} given as {held} cannot be loaded",
        allowed="videos as a path, images as a path or bytes",
    )


def _decode_video(path: str, policy: FramePolicy, size_fn: SizeRule | None) -> _Decoded:
    batch = decode(path, policy, size=size_fn)
    info = batch.info
    source = {
        "width": info.width,
        "height": info.height,
        "total_frames": info.num_frames,
        "duration_seconds": info.duration_seconds,
        "average_fps": info.average_fps,
        "codec": info.codec,
        "is_vfr": info.is_vfr,
    }
    warnings = tuple(str(warning) for warning in batch.warnings)
    return _Decoded(batch.frames, batch.indices, batch.times, source, warnings)


def _decode_image(ref: MediaRef, size_fn: SizeRule | None) -> _Decoded:
    if ref.frame is not None and ref.path is not None:
        policy = FramePolicy(indices=(ref.frame,), rotate=ref.policy.rotate if ref.policy else True)
        batch = decode(ref.path, policy, size=size_fn)
        source = {"width": batch.width, "height": batch.height, "frame": ref.frame}
        warnings = tuple(str(warning) for warning in batch.warnings)
        return _Decoded(batch.frames[0], batch.indices, batch.times, source, warnings)
    picture = load_image(ref.data if ref.data is not None else str(ref.path))
    height, width = int(picture.shape[0]), int(picture.shape[1])
    source = {"width": width, "height": height}
    if size_fn is not None:
        target = size_fn(1, height, width)
        if target != (height, width):
            picture = resize_image(picture, target)
    return _Decoded(picture, source=source)
