"""Decoding in worker processes: what a file does to its decoder costs that one file.

FFmpeg is C code in the process that calls it. A worker process stands between: a crash, a hang or
a bomb ends the worker, is told as a `MediaError` of the medium, and the next job gets a fresh
worker. Pixels come back in anonymous memory that is mapped, not copied.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from lmms.errors import MediaError
from lmms.media import errors
from lmms.media.errors import (
    MediaInternalError,
    MediaTimeoutError,
    MediaTooLargeError,
    MediaUnsupportedError,
    MediaWorkerError,
)
from lmms.media.loading import Decoded, medium_of
from lmms.media.source import MediaInput, native_source, source_name
from lmms.media.video import MediaWarning, SizeRule, VideoInfo
from lmms.media.wire import (
    Channel,
    Message,
    WireError,
    policy_to_json,
    share_bytes,
    take_array,
)
from lmms.types import MediaRef

DEFAULT_TIMEOUT_SECONDS: Final = 120.0
DEFAULT_MEMORY_BYTES: Final = 2 * 2**30

_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 2.0
#: How Rust ends a process that gets no memory.
_NO_MEMORY: Final = "memory allocation of"
_FACTS: Final = {"array", "indices", "times", "source", "warnings"}
_MOST_READ: Final = 2**20
_MOST_ERROR_TEXT: Final = 2000
#: Without secrets: keys and tokens in the environment are nothing that a decoder needs.
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "HOME")
_ALONE: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "4"}
_START: Final = (
    "import sys; sys.path[:] = sys.argv[5:]; from lmms.media.isolation_worker import main; "
    "main(*map(int, sys.argv[1:5]))"
)
_PLAIN_ERRORS: Final[dict[str, type[Exception]]] = {
    "ValueError": ValueError,
    "IndexError": IndexError,
    "TypeError": TypeError,
}


@dataclass(frozen=True, slots=True)
class IsolationStatistics:
    """What the worker processes have done so far."""

    jobs: int = 0
    """Media given to a worker."""
    started: int = 0
    """Processes started."""
    deaths: int = 0
    """Processes that ended during a job."""
    timeouts: int = 0
    """Processes that were ended because a job took too long."""


class _DeadError(Exception):
    """The worker was gone before it got the job."""


class _Process:
    """One worker process and the channel to it."""

    def __init__(self, memory_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        held, self._lifeline = os.pipe()
        # What the dying worker said; in memory, so that nothing is left on any disk.
        self._said = os.memfd_create("lmms-media-errors", os.MFD_CLOEXEC)
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        words = [theirs.fileno(), held, os.getpid(), memory_bytes]
        path = [entry or str(Path.cwd()) for entry in sys.path]
        command = [sys.executable, "-P", "-c", _START, *map(str, words), *path]
        try:
            self._process = subprocess.Popen(
                command,
                env=kept | _ALONE,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=(theirs.fileno(), held),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            os.close(self._lifeline)
            os.close(self._said)
            raise MediaInternalError(f"a decoding process cannot be started: {error}") from None
        finally:
            theirs.close()
            os.close(held)
        self.channel = Channel(ours)
        self._ending: str | None = None

    def await_ready(self) -> None:
        """Waits until it takes jobs.

        Raises:
            MediaInternalError: It ended instead.
        """
        self.channel.deadline = time.monotonic() + _START_SECONDS
        try:
            self.channel.receive()
        except (WireError, TimeoutError):
            cause = self.end()
            raise MediaInternalError(f"a decoding process did not start: it {cause}") from None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def forget_errors(self) -> None:
        """Drops what it wrote to its standard error."""
        os.lseek(self._said, 0, os.SEEK_SET)
        os.ftruncate(self._said, 0)

    def kill(self) -> None:
        """Ends it at once; whoever waits for its answer learns that it is gone."""
        self._process.kill()

    def end(self) -> str:
        """Ends it, frees everything, and returns how it had ended if it had."""
        if self._ending is not None:
            return self._ending
        # The owner learns that it is gone a moment before its status can be read.
        self.channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        code = self._process.poll()
        self._process.kill()
        self._process.wait()
        text = os.pread(self._said, _MOST_ERROR_TEXT, 0).decode(errors="replace")
        os.close(self._lifeline)
        os.close(self._said)
        last = _telling(text)
        how = "did not answer" if code is None else _ending(code)
        self._ending = f"{how} ({last})" if last else how
        return self._ending


def _telling(text: str) -> str:
    """Returns the line of a dying process that says most."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("note:")]
    return next((line for line in lines if _NO_MEMORY in line), lines[-1] if lines else "")


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


class Isolation:
    """Decodes media in worker processes; safe to use from several threads.

    A worker is started when it is first needed and does one job at a time. Results are the same,
    byte for byte, as without isolation.

    Args:
        workers: Most processes at a time; a further job waits for one to be free.
        timeout_seconds: Time for one medium; a worker that takes longer is killed.
        memory_bytes: Address space for decoding one medium, beside the pixels it gives.
        threads: Decoding threads of all workers together; 0: one per core.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        threads: int = 0,
    ) -> None:
        if workers < 1 or timeout_seconds <= 0 or memory_bytes < 1 or threads < 0:
            raise ValueError("workers, timeout_seconds and memory_bytes must be above 0")
        self._timeout = timeout_seconds
        self._memory_bytes = memory_bytes
        self._threads = threads or os.cpu_count() or 1
        self._free = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._owner = os.getpid()
        self._closed = False
        self._statistics = IsolationStatistics()

    def load(self, ref: MediaRef, size: SizeRule | None = None) -> Decoded:
        """Loads a medium as `lmms.media.loading.load` does, in a worker.

        Raises:
            MediaWorkerError: The medium ended the worker.
            MediaTimeoutError: It took longer than the limit.
            MediaTooLargeError: It needs more memory than the limit.
            MediaError: As without isolation.
        """
        head = {
            "do": "load",
            "kind": ref.kind,
            "policy": None if ref.policy is None else policy_to_json(ref.policy),
            "frame": ref.frame,
            "ask_size": size is not None,
        }
        answer, frames = self._run(head, medium_of(ref), size)
        facts = answer["done"]
        return Decoded(
            frames,
            tuple(facts["indices"]),
            tuple(facts["times"]),
            facts["source"],
            tuple(facts["warnings"]),
        )

    def probe(self, path: str | os.PathLike[str] | bytes) -> VideoInfo:
        """Describes a video as `lmms.media.probe` does, in a worker; errors as `load`."""
        answer, _ = self._run({"do": "probe"}, path, None)
        info = answer["info"]
        info["frame_rate"] = Fraction(*info["frame_rate"])
        info["warnings"] = tuple(MediaWarning(*pair) for pair in info["warnings"])
        return VideoInfo(**info)

    @property
    def statistics(self) -> IsolationStatistics:
        """Counts so far."""
        return self._statistics

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the processes that run now."""
        with self._lock:
            return tuple(process.pid for process in (*self._idle, *self._busy))

    def close(self) -> None:
        """Ends all workers; jobs that are under way fail."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        if self._owner != os.getpid():
            return
        for process in busy:
            process.kill()
        for process in idle:
            process.kill()
            process.end()

    def __enter__(self) -> Isolation:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------ one job

    def _run(
        self, head: dict[str, Any], source: MediaInput, size: SizeRule | None
    ) -> tuple[dict[str, Any], Any]:
        name, medium = source_name(source), native_source(source)
        if not hasattr(os, "memfd_create"):
            raise MediaUnsupportedError(
                "decoding in worker processes needs Linux", hint="set media.isolation=none"
            )
        with self._lock:
            self._count(jobs=1)
        with self._free:
            while True:
                process = self._take()
                healthy = False
                try:
                    # Relative paths start where this process is now.
                    here = {"name": name, "folder": str(Path.cwd())}
                    done = _Job(self._shared_out(head) | here, medium, size)
                    outcome = done.on(process, self._timeout)
                    healthy = not outcome.out_of_memory
                except _DeadError:
                    # It ended while it was idle, which is no fault of this medium.
                    continue
                except (WireError, TimeoutError) as error:
                    raise self._lost(process, error, name) from None
                finally:
                    # Left in the middle of a job (also by Ctrl-C) it would answer the next one
                    # with what belongs to this one.
                    self._give_back(process, healthy=healthy)
                if outcome.out_of_memory:
                    raise self._too_much(name)
                if outcome.error is not None:
                    raise outcome.error
                return outcome.answer, outcome.frames

    def _shared_out(self, head: dict[str, Any]) -> dict[str, Any]:
        """Adds the job's share of the decoding threads: all of them if it is alone."""
        with self._lock:
            return head | {"threads": max(1, self._threads // max(1, len(self._busy)))}

    def _take(self) -> _Process:
        with self._lock:
            if self._owner != os.getpid():
                # A forked child shares the parent's connections and must not speak on them.
                self._owner, self._idle, self._busy = os.getpid(), [], set()
            if self._closed:
                raise MediaInternalError("the decoding processes are closed")
            process = self._idle.pop() if self._idle else None
            if process is not None:
                self._busy.add(process)
                return process
        process = _Process(self._memory_bytes)
        with self._lock:
            self._busy.add(process)
            self._count(started=1)
        try:
            process.await_ready()
        except BaseException:
            self._give_back(process, healthy=False)
            raise
        return process

    def _give_back(self, process: _Process, *, healthy: bool) -> None:
        with self._lock:
            self._busy.discard(process)
            kept = healthy and not self._closed
            if kept:
                self._idle.append(process)
        if not kept:
            process.end()

    def _lost(self, process: _Process, error: Exception, name: str) -> MediaError:
        late = isinstance(error, TimeoutError)
        if late:
            process.kill()
        cause = process.end()
        with self._lock:
            closed = self._closed
            self._count(timeouts=int(late), deaths=int(not late and not closed))
        if late:
            return MediaTimeoutError(
                f"{name}: decoding took longer than {self._timeout:g} s and was ended",
                hint="raise media.timeout_seconds if the file is sound",
            )
        if closed:
            return MediaInternalError(f"{name}: decoding was ended because the run ends")
        if _NO_MEMORY in cause:
            return self._too_much(name)
        return MediaWorkerError(f"{name}: the process that decoded it {cause}")

    def _too_much(self, name: str) -> MediaError:
        return MediaTooLargeError(
            f"{name}: decoding needs more memory than a process may take "
            f"({self._memory_bytes} bytes beside the frames)",
            hint="raise media.worker_memory_bytes if the file is sound",
        )

    def _count(self, **more: int) -> None:
        now = self._statistics
        self._statistics = replace(now, **{k: getattr(now, k) + n for k, n in more.items()})


@dataclass(slots=True)
class _Outcome:
    """How a job ended that left its worker alive."""

    answer: dict[str, Any]
    frames: Any = None
    error: BaseException | None = None
    out_of_memory: bool = False


class _Job:
    """One conversation: the job, what the worker asks meanwhile, the result."""

    def __init__(self, head: dict[str, Any], medium: Any, size: SizeRule | None) -> None:
        self._head = head
        self._medium = medium
        self._size = size
        self._error: Exception | None = None
        """What failed here, so that the worker could not go on."""

    def on(self, process: _Process, timeout_seconds: float) -> _Outcome:
        """Has a worker do it.

        Raises:
            _DeadError: The worker was gone already.
            WireError: It is gone now.
            TimeoutError: It takes too long.
        """
        channel = process.channel
        channel.deadline = time.monotonic() + timeout_seconds
        process.forget_errors()
        shown, descriptor = _shown(self._medium)
        try:
            channel.send(Message(self._head | {"medium": shown}, descriptor=descriptor))
        except WireError:
            raise _DeadError from None
        finally:
            if descriptor is not None:
                os.close(descriptor)
        while True:
            message = channel.receive()
            try:
                if "ask" not in message.head:
                    return self._ended(message)
            finally:
                if message.descriptor is not None:
                    os.close(message.descriptor)
            channel.send(self._reply(message.head))

    def _reply(self, asked: dict[str, Any]) -> Message:
        try:
            if asked["ask"] == "size" and self._size is not None:
                target = self._size(asked["frames"], asked["height"], asked["width"])
                return Message({"size": list(target)})
            data = self._medium.read_at(asked["offset"], min(asked["size"], _MOST_READ))
            return Message({}, payload=bytes(data))
        except Exception as error:  # noqa: BLE001 - a size rule or a store may raise anything
            self._error = error
            return Message({"failed": f"{type(error).__name__}: {error}"})

    def _ended(self, message: Message) -> _Outcome:
        head = message.head
        if "out_of_memory" in head:
            return _Outcome(head, out_of_memory=True)
        if "aborted" in head and self._error is not None:
            return _Outcome(head, error=self._error)
        if "failed" in head:
            error = _raised(head["failed"])
            error.__cause__ = self._error
            return _Outcome(head, error=error)
        if "info" in head:
            return _Outcome(head)
        facts = head.get("done")
        if not isinstance(facts, dict) or not facts.keys() >= _FACTS:
            raise WireError("an answer that is none")
        return _Outcome(head, take_array(facts["array"], message.descriptor))


def _shown(medium: Any) -> tuple[dict[str, Any], int | None]:
    """Returns how a medium is named to a worker, and its content where that is in memory."""
    if isinstance(medium, str | os.PathLike):
        return {"path": os.fspath(medium)}, None
    if isinstance(medium, tuple):
        path, offset, length = medium
        return {"range": [os.fspath(path), offset, length]}, None
    if isinstance(medium, bytes | bytearray | memoryview):
        return {"memory": len(medium)}, share_bytes(medium)
    return {"remote": int(medium.size)}, None


def _raised(told: dict[str, Any]) -> Exception:
    """Returns the exception that a worker told of; only classes that media work raises."""
    name, message = str(told.get("class")), str(told.get("message"))
    if name in _PLAIN_ERRORS:
        return _PLAIN_ERRORS[name](message)
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, MediaError):
        return known(message, hint=told.get("hint"), allowed=told.get("allowed"))
    return MediaInternalError(message)
