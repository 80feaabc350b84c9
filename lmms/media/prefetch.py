"""Loading media ahead of the model: decode once, share, keep memory within bounds.

Decoding runs on threads of the loader (the extension works without the GIL). Several questions
about one video share one decode: results are kept in a least-recently-used cache bounded by bytes,
and a second request for something that is being decoded waits for it instead of decoding again.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from lmms.errors import MediaError
from lmms.media.controls import apply_control
from lmms.media.errors import MediaUnsupportedError, native
from lmms.media.frame_store import FrameStore
from lmms.media.hashing import file_identity, hash_bytes, hash_file
from lmms.media.isolation import DEFAULT_MEMORY_BYTES, DEFAULT_TIMEOUT_SECONDS, Isolation
from lmms.media.loading import Decoded, choice_of, load, uses_ffmpeg
from lmms.media.source import is_url, split_locator
from lmms.media.video import SizeRule
from lmms.types import FramePolicy, LoadedMedia, MediaRef

#: What an item is taken to need before the first one has been seen: 12 frames of 720p.
_FIRST_GUESS_BYTES = 32 * 2**20

#: So that many tiny media are not all started at once.
_MOST_AHEAD = 256

IsolationMode = Literal["auto", "process", "none"]


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
    store_hits: int = 0
    """Requests served from the frame store."""
    store_misses: int = 0
    """Requests that were looked for in the frame store and decoded."""
    store_bytes: int = 0
    """Bytes of pixels served from the frame store."""
    isolated: int = 0
    """Media that were decoded in a worker process."""
    workers_lost: int = 0
    """Worker processes that a medium ended, or that were ended because it took too long."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A medium without its control, and the size that is asked for."""

    ref: MediaRef
    digest: str
    size: SizeRule | None


class MediaLoader:
    """Loads media on threads, ahead of their use.

    Args:
        max_workers: Threads that load.
        byte_budget: Bytes of loaded and not yet released pixels up to which `has_room` says that
            more may be submitted. Submitting never blocks: a consumer that needs a whole batch
            at once must get it whatever its size.
        decode_cache_bytes: Bytes of decoded pixels kept for further requests; 0 keeps none.
        isolation: Which media are decoded in worker processes: `process` all, `none` none, `auto`
            those that FFmpeg decodes and that are no plain files on this machine. Results are
            the same.
        timeout_seconds: Time for one medium in a worker process.
        worker_memory_bytes: Memory for decoding one medium in a worker process, beside its pixels.
        threads: Decoding threads of this process and of its workers; 0: one per core.
        store: Decoded frames on disk, where to look first and to keep what was decoded.
    """

    def __init__(
        self,
        max_workers: int = 2,
        byte_budget: int = 2**30,
        decode_cache_bytes: int = 256 * 2**20,
        *,
        isolation: IsolationMode = "auto",
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        worker_memory_bytes: int = DEFAULT_MEMORY_BYTES,
        threads: int = 0,
        store: FrameStore | None = None,
    ) -> None:
        if max_workers < 1 or byte_budget < 0 or decode_cache_bytes < 0 or threads < 0:
            raise ValueError("max_workers must be at least 1, threads and byte counts at least 0")
        if isolation not in get_args(IsolationMode):
            raise ValueError(f"isolation is one of {get_args(IsolationMode)}, not {isolation!r}")
        self._isolated = isolation
        self._threads = threads
        self._store = store
        self._isolation = Isolation(
            max_workers,
            timeout_seconds=timeout_seconds,
            memory_bytes=worker_memory_bytes,
            threads=threads,
        )
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="lmms-media")
        self._byte_budget = byte_budget
        self._cache_bytes = decode_cache_bytes
        # Reentrant: the collector may run a finaliser while this thread holds the lock.
        self._changed = threading.Condition(threading.RLock())
        self._cache: OrderedDict[Hashable, Decoded] = OrderedDict()
        self._under_way: dict[Hashable, Future[Decoded]] = {}
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
        workers = self._isolation.statistics
        return replace(
            self._statistics, isolated=workers.jobs, workers_lost=workers.deaths + workers.timeouts
        )

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the worker processes that run now."""
        return self._isolation.processes

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

    @property
    def busy(self) -> bool:
        """Whether media are being loaded or wait for that; also after `close(wait=False)`."""
        return self._pending > 0

    def close(self, *, wait: bool = True) -> None:
        """Cancels what has not started, and empties the cache.

        Args:
            wait: Waits for what has started. False leaves it to threads that end by themselves;
                worker processes are ended in both cases.
        """
        self._pool.shutdown(wait=wait, cancel_futures=True)
        self._isolation.close()
        if self._threads and "lmms._media" in sys.modules:
            with native() as media:
                media.set_thread_budget(0)
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
        plain = choice_of(ref)
        wanted = _Wanted(plain, digest, size_fn)
        key = (_identity(ref, digest), ref.kind, plain.policy, ref.frame, size_key)
        decoded = self._shared(key, wanted)
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

    def _shared(self, key: Hashable, wanted: _Wanted) -> Decoded:
        """Returns the decoded pixels from the cache, another thread's decode, or a decode."""
        with self._changed:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                self._count(hits=1)
                return found
            under_way = self._under_way.get(key)
            mine: Future[Decoded] = Future()
            if under_way is None:
                self._under_way[key] = mine
        if under_way is not None:
            # The thread that decodes is running, so waiting for it cannot block for ever.
            decoded = under_way.result()
            with self._changed:
                self._count(hits=1)
            return decoded
        return self._decode_for_all(key, mine, wanted)

    def _decode_for_all(self, key: Hashable, mine: Future[Decoded], wanted: _Wanted) -> Decoded:
        try:
            decoded = self._stored_or_decoded(wanted)
        except BaseException as error:
            with self._changed:
                del self._under_way[key]
            mine.set_exception(error)
            raise
        with self._changed:
            self._remember(key, decoded)
            del self._under_way[key]
        mine.set_result(decoded)
        return decoded

    def _stored_or_decoded(self, wanted: _Wanted) -> Decoded:
        store = self._store
        if store is None or not store.holds(wanted.ref):
            return self._decode(wanted.ref, wanted.size)
        found = store.load(
            wanted.ref,
            wanted.digest,
            wanted.size,
            lambda rule: self._decode(wanted.ref, rule),
            # A file that was replaced meanwhile must not be stored under its old digest.
            unchanged=lambda: _digest(wanted.ref) == wanted.digest,
        )
        with self._changed:
            if found.hit:
                self._count(store_hits=1, store_bytes=found.decoded.nbytes)
            else:
                self._count(store_misses=1)
        return found.decoded

    def _decode(self, ref: MediaRef, size: SizeRule | None) -> Decoded:
        started = time.perf_counter()
        decoded = self._decode_somewhere(ref, size)
        with self._changed:
            self._count(
                misses=1,
                frames=decoded.count,
                decoded_bytes=decoded.nbytes,
                decode_seconds=time.perf_counter() - started,
            )
        return decoded

    def _decode_somewhere(self, ref: MediaRef, size_fn: SizeRule | None) -> Decoded:
        if self._isolated == "process" or (
            self._isolated == "auto" and uses_ffmpeg(ref) and is_foreign(ref)
        ):
            return self._isolation.load(ref, size_fn)
        if self._threads:
            with native() as media:
                media.set_thread_budget(self._threads)
        return load(ref, size_fn)

    # -------------------------------------------------------------------------- book-keeping

    def _remember(self, key: Hashable, decoded: Decoded) -> None:
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


#: What a medium may be given as outside of a run: a path or locator, content, or a reference.
Medium = MediaRef | str | os.PathLike[str] | bytes


def prefetch_frames(
    media: Iterable[Medium],
    policy: FramePolicy | None = None,
    *,
    size: SizeRule | None = None,
    loader: MediaLoader | None = None,
) -> Iterator[tuple[Medium, LoadedMedia | MediaError]]:
    """Yields media with their frames, in order, while the next ones are being decoded.

    How far it runs ahead is bounded by the loader's byte budget: frames that the caller still
    holds count, so that a caller who keeps everything gets one medium at a time.

    Args:
        media: Videos as paths, locators or content, or references of any kind; taken lazily.
        policy: Which frames; of references only those without a policy of their own.
        size: Final (height, width) from (number of frames, height, width).
        loader: Gives threads, budget, isolation and store, and stays open; None makes one with
            its defaults.

    Yields:
        Each medium with what was loaded, or with why it could not be.
    """
    own = MediaLoader(os.cpu_count() or 1) if loader is None else None
    chosen = loader or own
    waiting: deque[tuple[Medium, Future[LoadedMedia]]] = deque()
    coming = iter(media)
    try:
        while chosen is not None:
            # The next is always under way, even where the caller's frames fill the budget.
            while not waiting or (chosen.has_room and len(waiting) < _MOST_AHEAD):
                medium = next(coming, None)
                if medium is None:
                    break
                waiting.append((medium, chosen.submit(_as_ref(medium, policy), size)))
            if not waiting:
                return
            medium, future = waiting.popleft()
            error = future.exception()
            if error is not None and not isinstance(error, MediaError):
                raise error
            yield medium, error if isinstance(error, MediaError) else future.result()
            del future
    finally:
        for _, future in waiting:
            future.cancel()
        if own is not None:
            own.close()


def _as_ref(medium: Medium, policy: FramePolicy | None) -> MediaRef:
    if isinstance(medium, MediaRef):
        return replace(medium, policy=policy) if medium.policy is None else medium
    if isinstance(medium, bytes):
        return MediaRef(kind="video", data=medium, policy=policy)
    return MediaRef(kind="video", path=os.fspath(medium), policy=policy)


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


def is_foreign(ref: MediaRef) -> bool:
    """Whether a medium comes from elsewhere than a file that lies on this machine's disk.

    That is content that was handed over as bytes, members of archives and rows of tables. Files
    that somebody has put on the disk are taken to be known to them.
    """
    path = ref.path or ""
    return ref.data is not None or is_url(path) or split_locator(path) is not None
