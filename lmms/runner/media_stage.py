"""Media of requests: loaded on threads while the model computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from lmms.runner.episodes import Asked
from lmms.runner.records import failure_of
from lmms.scheduler.messages import Event, Loaded, LoadFailed
from lmms.types import LoadedMedia, MediaRef

if TYPE_CHECKING:
    from lmms.config.schema import MediaConfig
    from lmms.media.frame_store import FrameStore
    from lmms.media.prefetch import LoaderStatistics, MediaLoader
    from lmms.models.base import Model


class MediaStage:
    """Loads the media of requests and says so.

    The loader, and with it NumPy and FFmpeg's libraries, is made when the first medium is asked
    for: a text run does without.

    Args:
        config: Threads and bytes of the cache.
        model: Says to which size frames are scaled, and how long a request is.
        post: Receives `Loaded` and `LoadFailed`; called from the loader's threads.
        cache_dir: Our own cache (`env.cache_dir`), for the frame store.
    """

    def __init__(
        self,
        config: MediaConfig,
        model: Model,
        post: Callable[[Event], None],
        *,
        cache_dir: str | None = None,
    ) -> None:
        self._config = config
        self._model = model
        self._post = post
        self._cache_dir = cache_dir
        self._loader: MediaLoader | None = None

    def load(self, asked: Asked) -> None:
        """Starts loading everything that a request shows."""
        refs = asked.request.media
        _Loading(self, asked, len(refs)).start(refs)

    def submit(self, ref: MediaRef) -> Future[LoadedMedia]:
        """Starts loading one medium."""
        if self._loader is None:
            from lmms.media.prefetch import MediaLoader

            self._loader = MediaLoader(
                max_workers=self._config.workers or os.cpu_count() or 1,
                byte_budget=self._config.prefetch_bytes,
                decode_cache_bytes=self._config.cache_bytes,
                isolation=self._config.isolation,
                timeout_seconds=self._config.timeout_seconds,
                worker_memory_bytes=self._config.worker_memory_bytes,
                threads=self._config.threads,
                store=frame_store_of(self._config, self._cache_dir),
            )
        policy = ref.policy
        budget = None
        if policy is not None:
            budget = (policy.min_pixels, policy.max_pixels, policy.total_pixels)

        def size(frames: int, height: int, width: int) -> tuple[int, int]:
            from lmms.media.sampling import pixel_bounds
            from lmms.media.video import bounded_size

            if policy is not None:
                height, width = bounded_size(height, width, *pixel_bounds(policy, frames))
            kind = "image" if ref.kind == "image" else "video"
            return self._model.media_size(height, width, frames, kind)

        return self._loader.submit(ref, size, size_key=budget)

    @property
    def statistics(self) -> LoaderStatistics | None:
        """What the loader has done; None if no medium was asked for."""
        return None if self._loader is None else self._loader.statistics

    def close(self, *, wait: bool = True) -> bool:
        """Drops what has not started; returns whether decoders are left at work.

        Args:
            wait: Waits for the decoders.
        """
        if self._loader is None:
            return False
        self._loader.close(wait=wait)
        return self._loader.busy

    def loaded(self, asked: Asked, media: tuple[LoadedMedia, ...]) -> None:
        """Reports a request whose media are there."""
        asked.loaded = media
        nbytes = sum(medium.nbytes for medium in media)
        task = asked.document.task
        # The largest seen is a safe guess: a budget that is guessed too low is overrun.
        task.media_seen = max(task.media_seen, nbytes)
        try:
            cost = None if self._model.batch_size == 1 else self._model.cost_hint(asked.prepared())
        except Exception as error:  # noqa: BLE001 - a back end's mistake costs one sample
            self.failed(asked, error)
            return
        self._post(Loaded(asked.number, max(1, nbytes), cost))

    def failed(self, asked: Asked, error: BaseException) -> None:
        """Reports a request whose media cannot be loaded."""
        asked.loaded = ()
        self._post(LoadFailed(asked.number, failure_of(error, doing="loading media")))


def frame_store_of(config: MediaConfig, cache_dir: str | None) -> FrameStore | None:
    """Returns the frame store that a run was told to use; None if it was not."""
    chosen = config.frame_store
    if not chosen:
        return None
    from lmms.config.locations import cache_folder
    from lmms.media.frame_store import FrameStore

    folder = cache_folder(cache_dir) / "frames" if chosen is True else chosen
    return FrameStore(folder, config.frame_store_bytes, wait_seconds=config.timeout_seconds)


class _Loading:
    """The media of one request on their way."""

    def __init__(self, stage: MediaStage, asked: Asked, count: int) -> None:
        self._stage = stage
        self._asked = asked
        self._media: list[LoadedMedia | None] = [None] * count
        self._left = count
        self._error: BaseException | None = None
        self._guard = threading.Lock()

    def start(self, refs: tuple[MediaRef, ...]) -> None:
        for place, ref in enumerate(refs):
            try:
                future = self._stage.submit(ref)
            except Exception as error:  # noqa: BLE001 - reported with the request
                future = Future()
                future.set_exception(error)
            future.add_done_callback(partial(self._done, place))

    def _done(self, place: int, future: Future[LoadedMedia]) -> None:
        error: BaseException | None = None
        if future.cancelled():
            error = RuntimeError("loading was cancelled")
        else:
            error = future.exception()
            if error is None:
                self._media[place] = future.result()
        with self._guard:
            self._error = self._error or error
            self._left -= 1
            if self._left:
                return
        if self._error is not None:
            self._stage.failed(self._asked, self._error)
        else:
            media = tuple(medium for medium in self._media if medium is not None)
            self._stage.loaded(self._asked, media)
