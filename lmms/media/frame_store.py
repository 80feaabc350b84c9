"""Decoded frames on disk, shared by models, runs and processes.

An entry is named by what it holds: the digest of the source, the positions of the frames, their
size, and what decoded them. So an entry is never wrong, only unused, and a sweep of eight models
that ask for the same frames at the same size decodes once.

Two kinds of files: a *plan* says which frames and which size question a policy led to, so that a
hit needs not even the index of the video; *frames* hold the pixels behind a header, with a
checksum. Files appear whole or not at all. Everything that can go wrong on a disk costs a decode.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from lmms.errors import ConfigError
from lmms.media.errors import native
from lmms.media.loading import Decoded, default_size, uses_ffmpeg
from lmms.media.video import SizeRule
from lmms.media.wire import map_array, policy_to_json
from lmms.types import FramePolicy, MediaRef, canonical_json

DEFAULT_STORE_BYTES: Final = 20 * 2**30

_FORMAT: Final = "lmms-frames/2"
_MAGIC: Final = b"LMMSFRM1"
#: Pixels start on a page, so that they can be mapped.
_HEADER_BYTES: Final = 4096
_LOCK_STRIPES: Final = 4096
_POLL_SECONDS: Final = 0.02
# Down to this share at once, so that not every entry beyond the budget looks through the folder.
_KEPT_SHARE: Final = 0.9
_WRITES_BETWEEN_LOOKS: Final = 16
_STALE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class FrameStoreStatistics:
    """What a store has done in this process."""

    hits: int = 0
    """Requests whose frames were there."""
    misses: int = 0
    """Requests that had to be decoded."""
    bytes_read: int = 0
    """Bytes of pixels given from the disk."""
    bytes_written: int = 0
    """Bytes of files written."""
    damaged: int = 0
    """Entries whose checksum was wrong; they were dropped and decoded again."""
    evicted: int = 0
    """Entries removed to keep to the budget."""
    errors: int = 0
    """Reads and writes that the operating system refused (disk full, permission)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Frames, and whether they were there."""

    decoded: Decoded
    hit: bool


class FrameStore:
    """A folder of decoded frames within a byte budget; the least recently used go first.

    Safe to use from several threads and processes at once: what one of them decodes, others that
    need it at the same time wait for. It is local storage that is meant; on a network file system
    without locks two processes may decode the same.

    Args:
        folder: Is made if it does not exist, readable only by its owner.
        byte_budget: Bytes of all files. What is larger by itself is not stored.
        wait_seconds: How long to wait for another process that decodes the same.

    Raises:
        ValueError: The budget or the wait is not positive.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        byte_budget: int = DEFAULT_STORE_BYTES,
        *,
        wait_seconds: float = 120.0,
    ) -> None:
        if byte_budget < 1 or wait_seconds <= 0:
            raise ValueError("byte_budget and wait_seconds must be above 0")
        self.folder = Path(folder).expanduser()
        self._root = self.folder / "v1"
        self._budget = byte_budget
        self._wait_seconds = wait_seconds
        self._guard = threading.Lock()
        self._used: int | None = None
        self._writes = 0
        self._statistics = FrameStoreStatistics()

    @property
    def statistics(self) -> FrameStoreStatistics:
        """Counts so far, of this process."""
        return self._statistics

    def prepare(self) -> None:
        """Makes the folder and tries to write there.

        Without this, a folder that cannot be used costs every medium a decode and shows only in
        `statistics`.

        Raises:
            ConfigError: It is a file, or cannot be made or written to.
        """
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root):
                pass
        except OSError as error:
            in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
            reason = "it is a file" if in_the_way else error.strerror
            raise ConfigError(
                f"decoded frames cannot be kept in {str(self.folder)!r}: {reason}",
                origin="media.frame_store",
                allowed="a folder that can be written to, or true for one in our own cache",
            ) from error

    def holds(self, ref: MediaRef) -> bool:
        """Whether a medium is one for the store: frames of videos, by our own decoder.

        Still images are as quick to decode as to read; what other decoders give is for
        reproducing old numbers and depends on their versions.
        """
        policy = ref.policy or FramePolicy()
        return uses_ffmpeg(ref) and ref.kind != "audio" and policy.backend == "rust"

    def load(
        self,
        ref: MediaRef,
        digest: str,
        size: SizeRule | None,
        decode: Callable[[SizeRule], Decoded],
        *,
        unchanged: Callable[[], bool],
    ) -> Stored:
        """Returns the frames of a medium from the store, or decodes and stores them.

        Args:
            ref: Which frames of which video; a control is not applied.
            digest: SHA-256 of the video's content.
            size: Final (height, width) from (number of frames, height, width).
            decode: Decodes the medium under the rule that it is given.
            unchanged: Whether the digest is still that of the content; asked after decoding.

        Raises:
            Exception: What `decode` and `size` raise.
        """
        rule = size or default_size(ref)
        request = _request_key(ref, digest)
        found = self._find(request, ref, digest, rule)
        if found is None:
            with self._alone(request):
                found = self._find(request, ref, digest, rule)
                if found is None:
                    self._count(misses=1)
                    decoded, plan = _planned(decode, rule)
                    if plan is not None and unchanged():
                        self._keep(request, _frames_key(ref, digest, plan), plan, decoded.frames)
                    return Stored(decoded, hit=False)
        self._count(hits=1, bytes_read=found.nbytes)
        return Stored(found, hit=True)

    def used_bytes(self) -> int:
        """Returns the bytes of all files in the store."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> None:
        """Removes all entries."""
        for _, _, path in self._entries():
            path.unlink(missing_ok=True)
        with self._guard:
            self._used = None

    # ------------------------------------------------------------------------------- reading

    def _find(self, request: str, ref: MediaRef, digest: str, rule: SizeRule) -> Decoded | None:
        path = self._path(request, "plan")
        plan = self._read_plan(path)
        if plan is None:
            return None
        target = rule(*plan["asked"])
        key = _frames_key(ref, digest, plan | {"size": list(target)})
        frames = self._read_frames(key)
        if frames is None:
            return None
        # The time of the last use decides what goes first.
        for used in (path, self._path(key, "frames")):
            with contextlib.suppress(OSError):
                os.utime(used)
        return Decoded(
            frames,
            tuple(plan["indices"]),
            tuple(plan["times"]),
            plan["source"],
            tuple(plan["warnings"]),
        )

    def _read_plan(self, path: Path) -> dict[str, Any] | None:
        try:
            plan = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError:
            self._count(errors=1)
            return None
        except ValueError:
            plan = None
        if not isinstance(plan, dict) or plan.pop("checksum", None) != _checksum(plan):
            self._drop(path)
            return None
        return plan

    def _read_frames(self, key: str) -> Any:
        path = self._path(key, "frames")
        try:
            with path.open("rb") as file:
                head = _read_header(file.read(_HEADER_BYTES), key)
                size = os.fstat(file.fileno()).st_size
                if head is None or size != _HEADER_BYTES + math.prod(head["shape"]):
                    self._drop(path)
                    return None
                frames = map_array(file.fileno(), _HEADER_BYTES, head["shape"], "uint8")
                if zlib.crc32(frames.reshape(-1).data) != head["crc32"]:
                    self._drop(path)
                    return None
        except FileNotFoundError:
            return None
        except OSError:
            self._count(errors=1)
            return None
        return frames

    def _drop(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()
        self._count(damaged=1)

    # ------------------------------------------------------------------------------- writing

    def _keep(self, request: str, key: str, plan: dict[str, Any], frames: Any) -> None:
        if frames.nbytes + _HEADER_BYTES > self._budget:
            return
        try:
            self._write(self._path(key, "frames"), _header(frames, key), frames)
            text = json.dumps(plan | {"checksum": _checksum(plan)}).encode()
            self._write(self._path(request, "plan"), text, None)
            self._keep_to_budget()
        except OSError:
            # A full disk or a missing permission costs the next one a decode, nothing else.
            self._count(errors=1)

    def _write(self, path: Path, head: bytes, frames: Any) -> None:
        """Writes a file that appears whole or not at all."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{uuid.uuid4().hex}.draft")
        try:
            with draft.open("xb") as file:
                file.write(head)
                if frames is not None:
                    file.write(_flat(frames))
                size = file.tell()
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._count(bytes_written=size)
        with self._guard:
            self._writes += 1
            if self._used is not None:
                self._used += size

    def _keep_to_budget(self) -> None:
        with self._guard:
            # Other processes write too: what they added is seen when the folder is looked through.
            look = self._used is None or self._writes >= _WRITES_BETWEEN_LOOKS
            if not look and (self._used or 0) <= self._budget:
                return
            self._writes = 0
        with self._locked("eviction", 0.0) as mine:
            if mine:
                self._evict()

    def _evict(self) -> None:
        entries = sorted(self._entries())
        used = sum(size for _, size, _ in entries)
        evicted = 0
        if used > self._budget:
            for _, size, path in entries:
                if used <= self._budget * _KEPT_SHARE:
                    break
                path.unlink(missing_ok=True)
                used -= size
                evicted += 1
        self._count(evicted=evicted)
        with self._guard:
            self._used = used

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Yields (last use, size, path) of all entries; removes drafts of writers that died."""
        for path in self._root.glob("??/*"):
            try:
                status = path.stat()
            except OSError:
                continue  # Another process removed it meanwhile.
            if path.name.startswith("."):
                if time.time() - status.st_mtime > _STALE_SECONDS:
                    path.unlink(missing_ok=True)
                continue
            yield status.st_mtime, status.st_size, path

    # ------------------------------------------------------------------------------- locking

    @contextlib.contextmanager
    def _alone(self, request: str) -> Iterator[None]:
        """Lets one thread of one process at a time decode a request.

        If another takes longer than the limit, or the file system has no locks, both do.
        """
        with contextlib.ExitStack() as held:
            try:
                stripe = int(request[:8], 16) % _LOCK_STRIPES
                held.enter_context(self._locked(f"{stripe:03x}", self._wait_seconds))
            except OSError:
                self._count(errors=1)
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, wait_seconds: float) -> Iterator[bool]:
        folder = self._root / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + wait_seconds
            held = _try_lock(descriptor)
            while not held and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                held = _try_lock(descriptor)
            yield held
        finally:
            # Closing unlocks, also when this process dies.
            os.close(descriptor)

    def _path(self, key: str, suffix: str) -> Path:
        return self._root / key[:2] / f"{key}.{suffix}"

    def _count(self, **more: int) -> None:
        with self._guard:
            now = self._statistics
            self._statistics = replace(now, **{k: getattr(now, k) + n for k, n in more.items()})


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# ---------------------------------------------------------------------------------- what is stored


@cache
def decoder_identity() -> str:
    """Returns what decodes: FFmpeg's version and the digest of this build of the extension.

    Raises:
        MediaError: The extension or FFmpeg's libraries are missing.
    """
    with native() as media:
        build = hashlib.sha256(Path(str(media.__file__)).read_bytes()).hexdigest()
        return f"{media.ffmpeg_version()} {build}"


def _request_key(ref: MediaRef, digest: str) -> str:
    return _key(
        {
            "decoder": decoder_identity(),
            "digest": digest,
            "kind": ref.kind,
            "frame": ref.frame,
            "policy": policy_to_json(ref.policy or FramePolicy()),
        }
    )


def _frames_key(ref: MediaRef, digest: str, plan: dict[str, Any]) -> str:
    policy = ref.policy or FramePolicy()
    return _key(
        {
            "decoder": decoder_identity(),
            "digest": digest,
            "kind": ref.kind,
            "indices": plan["indices"],
            "size": [int(side) for side in plan["size"]],
            "rotate": policy.rotate,
            "strategy": policy.strategy,
        }
    )


def _planned(
    decode: Callable[[SizeRule], Decoded], rule: SizeRule
) -> tuple[Decoded, dict[str, Any] | None]:
    """Decodes, and returns what led to the frames; None if that was not asked for a size."""
    asked: list[tuple[int, int, int]] = []

    def recorded(frames: int, height: int, width: int) -> tuple[int, int]:
        asked.append((frames, height, width))
        return rule(frames, height, width)

    decoded = decode(recorded)
    if not asked:
        return decoded, None
    return decoded, {
        "asked": list(asked[-1]),
        "size": [int(side) for side in decoded.frames.shape[-3:-1]],
        "indices": list(decoded.indices),
        "times": list(decoded.times),
        "source": decoded.source,
        "warnings": list(decoded.warnings),
    }


def _key(described: dict[str, Any]) -> str:
    text = canonical_json({"format": _FORMAT} | described)
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(plan: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(plan, sort_keys=True).encode())


def _header(frames: Any, key: str) -> bytes:
    facts = {"key": key, "shape": list(frames.shape), "crc32": zlib.crc32(_flat(frames))}
    text = json.dumps(facts).encode()
    return (_MAGIC + len(text).to_bytes(4, "little") + text).ljust(_HEADER_BYTES, b"\0")


def _read_header(raw: bytes, key: str) -> dict[str, Any] | None:
    if len(raw) != _HEADER_BYTES or not raw.startswith(_MAGIC):
        return None
    start = len(_MAGIC) + 4
    try:
        facts = json.loads(raw[start : start + int.from_bytes(raw[len(_MAGIC) : start], "little")])
        sound = facts["key"] == key and all(int(n) >= 0 for n in facts["shape"])
    except (ValueError, TypeError, KeyError):
        return None
    return facts if sound and isinstance(facts.get("crc32"), int) else None


def _flat(frames: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(frames).reshape(-1).data
