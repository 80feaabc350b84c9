"""One process per run folder: a lock that a dead process cannot leave behind."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmms.errors import JournalError

LOCK_NAME = "journal.lock"
_TRIES = 5
_PAUSE_SECONDS = 0.02

# File systems without flock answer with one of these; the owner's identity decides there.
_NO_FLOCK = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Owner:
    """Which process holds a lock. A process id alone is reused; with these three it is not."""

    pid: int
    boot_id: str
    start_time: str
    """Clock ticks since boot at which the process started, as the kernel tells."""
    host: str

    @classmethod
    def current(cls) -> Owner:
        """Returns this process."""
        return cls(os.getpid(), _boot_id(), _start_time(os.getpid()), os.uname().nodename)

    def alive(self) -> bool:
        """Whether that process may still run; a process of another machine may."""
        if self.host != os.uname().nodename:
            return True
        return self.boot_id == _boot_id() and self.start_time == _start_time(self.pid)


def _lock_patiently(descriptor: int) -> None:
    # `live_owner` holds a shared lock for a few microseconds; that is not a second run.
    for _ in range(_TRIES - 1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    try:
        # Field 22; the command in field 2 may hold blanks and parentheses.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "gone" if not _exists(pid) else ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class FolderLock:
    """An exclusive lock on a run folder, held until `release` or the end of the process.

    The kernel frees an `flock` when its process dies, so a stale lock file is simply taken over.
    Where a file system has no `flock`, the owner written in the file decides.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
            JournalError: Another live process has it, or the folder cannot be written to.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(
                f"the run folder cannot be written to: {error.strerror}",
                origin=str(self.path.parent),
                hint="choose another place with output.dir=PATH",
            ) from error
        try:
            self._take(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _take(self, descriptor: int) -> None:
        try:
            _lock_patiently(descriptor)
        except OSError as error:
            owner = read_owner(self.path)
            if error.errno not in _NO_FLOCK:
                raise _busy(self.path, owner) from error
            if owner is not None and owner != Owner.current() and owner.alive():
                raise _busy(self.path, owner) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(Owner.current())).encode(), 0)
        except OSError as error:
            raise JournalError(
                f"the run folder cannot be written to: {error.strerror}",
                origin=str(self.path.parent),
                hint="free some space, then run the same command again",
            ) from error

    def release(self) -> None:
        """Gives the lock back; the file stays, empty, since removing it would race."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None


def read_owner(path: Path) -> Owner | None:
    """Returns who wrote the lock file at `path`; None if nobody did or it cannot be read."""
    try:
        shown: dict[str, Any] = json.loads(path.read_text())
        return Owner(**shown)
    except (OSError, ValueError, TypeError):
        return None


def live_owner(folder: Path) -> Owner | None:
    """Returns the process that is working in `folder` now, without taking the lock."""
    path = folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        owner = read_owner(path)
        if error.errno in _NO_FLOCK and (owner is None or not owner.alive()):
            return None
        return owner or Owner(0, "", "", "")
    finally:
        os.close(descriptor)
    return None


def _busy(path: Path, owner: Owner | None) -> JournalError:
    who = f"process {owner.pid} on {owner.host}" if owner else "another process"
    return JournalError(
        f"the run folder is in use by {who}",
        origin=str(path.parent),
        hint="wait for it, or start a run of its own with run.resume=never",
    )
