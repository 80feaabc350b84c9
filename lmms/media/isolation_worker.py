"""The process that decodes what may be hostile. It is started by `lmms.media.isolation`.

It holds no secrets, has a bound on its memory, and ends when its owner does.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lmms.errors import MediaError
from lmms.media.wire import Channel, Message, WireError, policy_from_json, share_array

_PARENT_CHECK_MS: Final = 1000
#: How this layer and FFmpeg say that an allocation failed.
_OUT_OF_MEMORY: Final = ("out of memory", "Cannot allocate memory")
_PASSED_ON: Final = (ValueError, IndexError, TypeError)


class _AbortedError(Exception):
    """The owner's size rule failed; the owner knows why."""


class _Remote:
    """Content that stays with the owner and is read from it piece by piece."""

    def __init__(self, channel: Channel, size: int, name: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self.size = size
        self.name = name

    def read_at(self, offset: int, size: int) -> bytes:
        """Returns up to `size` bytes from `offset`."""
        with self._lock:
            self._channel.send(Message({"ask": "read", "offset": offset, "size": size}))
            answer = self._channel.receive()
        if "failed" in answer.head:
            raise OSError(answer.head["failed"])
        return answer.payload


class _Worker:
    """Does one job after the other."""

    def __init__(self, channel: Channel, memory_bytes: int) -> None:
        self._channel = channel
        self._memory_bytes = memory_bytes
        self._base = _address_space()

    def serve(self) -> None:
        """Works until the owner goes away."""
        self._channel.send(Message({"ready": os.getpid()}))
        while True:
            job = self._channel.receive()
            answer = self._answer(job)
            self._channel.send(answer)
            if answer.descriptor is not None:
                os.close(answer.descriptor)

    def _answer(self, job: Message) -> Message:
        self._allow(0)
        try:
            return self._do(job)
        except _AbortedError:
            return Message({"aborted": True})
        except MemoryError:
            return Message({"out_of_memory": True})
        except MediaError as error:
            if any(words in str(error) for words in _OUT_OF_MEMORY):
                return Message({"out_of_memory": True})
            return Message({"failed": _described(error)})
        except _PASSED_ON as error:
            return Message({"failed": {"class": type(error).__name__, "message": str(error)}})
        finally:
            if job.descriptor is not None:
                os.close(job.descriptor)

    def _do(self, job: Message) -> Message:
        from lmms.media import video
        from lmms.media.loading import load
        from lmms.types import MediaRef

        head = job.head
        os.chdir(head["folder"])
        with _extension() as media:
            media.set_thread_budget(head["threads"])
        medium = self._medium(head["medium"], head["name"], job.descriptor)
        if head["do"] == "probe":
            return Message({"info": info_to_json(video.probe(medium))})
        ref = MediaRef(
            kind=head["kind"],
            path=head["name"],
            policy=policy_from_json(head["policy"]) if head["policy"] is not None else None,
            frame=head["frame"],
        )
        done = load(ref, self._size_rule(head, ref), medium=medium)
        described, descriptor = share_array(done.frames)
        facts = {
            "array": described,
            "indices": done.indices,
            "times": done.times,
            "source": done.source,
            "warnings": done.warnings,
        }
        return Message({"done": facts}, descriptor=descriptor)

    def _medium(self, shown: dict[str, Any], name: str, descriptor: int | None) -> Any:
        """Returns what the owner named, under the owner's name for it."""
        if "path" in shown:
            return shown["path"]
        with _extension() as media:
            return media.Source(self._content(shown, name, descriptor), name, None)

    def _content(self, shown: dict[str, Any], name: str, descriptor: int | None) -> Any:
        if "range" in shown:
            return tuple(shown["range"])
        if "remote" in shown:
            return _Remote(self._channel, shown["remote"], name)
        if descriptor is None:
            raise WireError("a job without its content")
        with os.fdopen(os.dup(descriptor), "rb", buffering=0) as content:
            content.seek(0)
            return content.readall()

    def _size_rule(self, head: dict[str, Any], ref: Any) -> Callable[..., tuple[int, int]] | None:
        if ref.kind == "audio":
            return None

        def size(frames: int, height: int, width: int) -> tuple[int, int]:
            target = self._target(head, ref, frames, height, width)
            self._allow(2 * 3 * frames * target[0] * target[1])
            return target

        return size

    def _target(
        self, head: dict[str, Any], ref: Any, frames: int, height: int, width: int
    ) -> tuple[int, int]:
        if head["ask_size"]:
            asked = {"ask": "size", "frames": frames, "height": height, "width": width}
            self._channel.send(Message(asked))
            answer = self._channel.receive().head
            if "size" not in answer:
                raise _AbortedError
            return int(answer["size"][0]), int(answer["size"][1])
        from lmms.media.loading import default_size

        return default_size(ref)(frames, height, width)

    def _allow(self, output_bytes: int) -> None:
        """Bounds the address space: what was there at the start, the allowance, the result."""
        bound = self._base + self._memory_bytes + output_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            bound = min(bound, hard)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))


def info_to_json(info: Any) -> dict[str, Any]:
    """Returns a `VideoInfo` as JSON values."""
    shown = {name: getattr(info, name) for name in info.__dataclass_fields__}
    shown["frame_rate"] = [info.frame_rate.numerator, info.frame_rate.denominator]
    shown["warnings"] = [[warning.code, warning.message] for warning in info.warnings]
    return shown


def _extension() -> Any:
    from lmms.media.errors import native

    return native()


def _described(error: MediaError) -> dict[str, Any]:
    allowed = error.allowed
    return {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "allowed": allowed if allowed is None or isinstance(allowed, str) else list(allowed),
    }


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _end_with(owner: int, lifeline: int) -> None:
    """Ends this process when the owner closes the lifeline or is gone."""
    poll = select.poll()
    poll.register(lifeline, select.POLLIN | select.POLLHUP)
    # A process that the owner forked may keep the lifeline open; being an orphan tells it too.
    while not poll.poll(_PARENT_CHECK_MS):
        if os.getppid() != owner:
            break
    os._exit(0)


def main(connection: int, lifeline: int, owner: int, memory_bytes: int) -> None:
    """Runs the worker.

    Args:
        connection: Descriptor of the socket to the owner.
        lifeline: Descriptor of a pipe whose other end the owner holds.
        owner: Process id of the owner.
        memory_bytes: Address space for decoding, beside what is there at the start and results.
    """
    # Ctrl-C reaches the owner, which decides what it means for its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(owner, lifeline), daemon=True).start()
    import numpy  # noqa: F401 - loaded before the memory bound is measured

    from lmms.media import loading  # noqa: F401

    channel = Channel(socket.socket(fileno=connection))
    try:
        with _extension():
            pass
    except MediaError:
        # Said again by the first job, which has somebody to say it to.
        pass
    try:
        _Worker(channel, memory_bytes).serve()
    except WireError:
        # The owner is gone.
        return
