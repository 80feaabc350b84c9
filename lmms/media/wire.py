"""What a worker process and its owner say to each other: framed JSON, raw bytes, sealed pixels.

Nothing is pickled: the worker may be in the hands of whoever made the file that it decodes, so
what comes from it is read as data only, its sizes are checked, and pixels are taken only from
memory that it can no longer change.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import mmap
import os
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lmms.types import FramePolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREFIX: Final = struct.Struct("<II")
_MOST_BYTES: Final = 64 * 2**20
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
#: Smaller arrays are copied: a mapping holds a file descriptor, and a process has about 1,000.
MAPPED_FROM_BYTES: Final = 4 * 2**20
_DTYPES: Final = ("uint8", "float32")


class WireError(Exception):
    """The other side is gone, or sent what it must not."""


@dataclass(slots=True)
class Message:
    """One message."""

    head: dict[str, Any]
    payload: bytes = b""
    descriptor: int | None = None
    """An open file that came with it; the receiver closes it."""


@dataclass(slots=True)
class Channel:
    """One end of a stream socket."""

    connection: socket.socket
    deadline: float | None = field(default=None)
    """On the clock of `time.monotonic`; sending and receiving raise `TimeoutError` after it."""

    def send(self, message: Message) -> None:
        """Sends a message; its file stays open here.

        Raises:
            WireError: The other side is gone.
            TimeoutError: The deadline has passed.
        """
        text = json.dumps(message.head).encode()
        prefix = _PREFIX.pack(len(text), len(message.payload))
        self._await()
        try:
            if message.descriptor is None:
                self.connection.sendall(prefix)
            else:
                # Twelve bytes into an empty socket buffer are never split.
                socket.send_fds(self.connection, [prefix], [message.descriptor])
            self.connection.sendall(text)
            self.connection.sendall(message.payload)
        except TimeoutError:
            raise
        except OSError as error:
            raise WireError(str(error)) from None

    def receive(self) -> Message:
        """Waits for a message.

        Raises:
            WireError: The other side is gone, or sends too much.
            TimeoutError: The deadline has passed.
        """
        self._await()
        try:
            prefix, descriptors, _, _ = socket.recv_fds(
                self.connection, _PREFIX.size, 1, socket.MSG_CMSG_CLOEXEC
            )
        except TimeoutError:
            raise
        except OSError as error:
            raise WireError(str(error)) from None
        message = Message({}, descriptor=descriptors[0] if descriptors else None)
        try:
            prefix += self._exactly(_PREFIX.size - len(prefix))
            lengths = _PREFIX.unpack(prefix)
            if max(lengths) > _MOST_BYTES:
                raise WireError(f"a message of {sum(lengths)} bytes")
            message.head = _mapping(self._exactly(lengths[0]))
            message.payload = self._exactly(lengths[1])
        except BaseException:
            if message.descriptor is not None:
                os.close(message.descriptor)
            raise
        return message

    def close(self) -> None:
        """Closes this end."""
        self.connection.close()

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size > 0:
            self._await()
            try:
                piece = self.connection.recv(min(size, 2**20))
            except TimeoutError:
                raise
            except OSError as error:
                raise WireError(str(error)) from None
            if not piece:
                raise WireError("the connection ended")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _await(self) -> None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.connection.settimeout(left)


def _mapping(text: bytes) -> dict[str, Any]:
    try:
        head = json.loads(text)
    except ValueError:
        raise WireError("a message that is not JSON") from None
    if not isinstance(head, dict):
        raise WireError("a message that is no mapping")
    return head


# ------------------------------------------------------------------------------------- memory


def share_bytes(data: Any) -> int:
    """Copies a buffer into anonymous memory that nobody can change any more.

    Returns:
        A file descriptor; the memory is freed when the last descriptor and mapping are gone, so
        that nothing is left behind by a process that dies.
    """
    descriptor = os.memfd_create("lmms-media", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(data).cast("B")
        # Written, not mapped: a mapping would count against the worker's address space.
        while left:
            left = left[os.write(descriptor, left) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def share_array(array: NDArray[Any]) -> tuple[dict[str, Any], int]:
    """Returns what `take_array` needs: a description and a file descriptor."""
    import numpy as np

    whole = np.ascontiguousarray(array)
    flat = whole.reshape(-1) if whole.size else np.zeros(0, whole.dtype)
    return {"shape": list(array.shape), "dtype": str(array.dtype)}, share_bytes(flat)


def take_array(described: Any, descriptor: int | None) -> NDArray[Any]:
    """Returns the array that a worker shared, without copying where it is large.

    The descriptor is not closed.

    Raises:
        WireError: The description is wrong, or the worker could still change the memory.
    """
    import numpy as np

    if descriptor is None or not isinstance(described, dict):
        raise WireError("a result without pixels")
    shape, dtype = described.get("shape"), described.get("dtype")
    if not isinstance(shape, list) or len(shape) > 4 or dtype not in _DTYPES:
        raise WireError(f"a result of shape {shape} and type {dtype}")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise WireError(f"a result of shape {shape} and type {dtype}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise WireError("pixels that can still change")
        if os.fstat(descriptor).st_size != size:
            raise WireError(f"{os.fstat(descriptor).st_size} bytes for shape {shape}")
        return map_array(descriptor, 0, shape, dtype)
    except OSError as error:
        raise WireError(f"a result that cannot be read: {error}") from None


def map_array(descriptor: int, offset: int, shape: list[int], dtype: str) -> NDArray[Any]:
    """Returns part of an open file as a read-only array: mapped where it is large, else copied.

    Args:
        descriptor: The open file; may be closed afterwards.
        offset: First byte, a multiple of the page size.
        shape: Of the array.
        dtype: Name of the element type.

    Raises:
        OSError: The file is too short or cannot be read.
    """
    import numpy as np

    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size >= MAPPED_FROM_BYTES:
        flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_POPULATE", 0)
        # No descriptor left for a mapping: copying needs none.
        with contextlib.suppress(OSError):
            mapped = mmap.mmap(descriptor, size, flags=flags, prot=mmap.PROT_READ, offset=offset)
            return np.frombuffer(mapped, dtype).reshape(shape)
    array: NDArray[Any] = np.empty(shape, dtype)
    left = array.reshape(-1).view(np.uint8).data
    while left:
        count = os.preadv(descriptor, [left], offset)
        if count == 0:
            raise OSError(f"the file ends {len(left)} bytes early")
        left, offset = left[count:], offset + count
    array.flags.writeable = False
    return array


# --------------------------------------------------------------------------------------- jobs


def policy_to_json(policy: FramePolicy) -> dict[str, Any]:
    """Returns what `policy_from_json` reads; the control is left out, it is applied later."""
    return {
        name: getattr(policy, name)
        for name, spec in policy.__dataclass_fields__.items()
        if name != "control" and getattr(policy, name) != spec.default
    }


def policy_from_json(shown: dict[str, Any]) -> FramePolicy:
    """Reads what `policy_to_json` wrote."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in shown.items()}
    return FramePolicy(**values)
