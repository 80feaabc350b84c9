"""Examines media before a run: what is missing or damaged, and what the run will do with each.

Every medium is examined on its own, on threads; what is wrong with one is a finding about it and
never stops the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from lmms.errors import MediaError
from lmms.media.audio import AudioInfo, probe_audio, read_audio
from lmms.media.diagnosis import explained
from lmms.media.errors import (
    MediaNotFoundError,
    MediaRangeError,
    MediaTimeoutError,
    MediaTooLargeError,
    MediaUnreadableError,
    MediaUnsupportedError,
    MediaWorkerError,
)
from lmms.media.hashing import hash_file
from lmms.media.images import image_size
from lmms.media.isolation import Isolation
from lmms.media.loading import Decoded, load, medium_of
from lmms.media.sampling import pixel_bounds
from lmms.media.video import VideoInfo, bounded_size, chosen_frames, frame_times, probe
from lmms.types import FramePolicy, MediaRef

Severity = Literal["error", "warning", "note"]
Depth = Literal["index", "chosen", "full"]

_RANK: Final = {"error": 0, "warning": 1, "note": 2}
#: Frames that nobody looks at are made this small, which decodes them all the same.
_TINY: Final = (8, 8)
#: Sound that nobody listens to: all of it is decoded, and 1 MiB is kept for four minutes.
_SOUND_RATE: Final = 1000
#: Longer sound is not decoded to its end, so that its samples fit into memory.
_SOUND_SECONDS: Final = 8 * 3600.0
_CODES: Final[tuple[tuple[type[MediaError], str], ...]] = (
    (MediaNotFoundError, "missing"),
    (MediaUnreadableError, "unreadable"),
    (MediaTooLargeError, "too_large"),
    (MediaUnsupportedError, "unsupported"),
    (MediaRangeError, "out_of_range"),
    (MediaTimeoutError, "timeout"),
    (MediaWorkerError, "crash"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found out about a medium."""

    code: str
    """Stable name: missing, empty, unreadable, no_video, no_audio, undecodable, too_large,
    unsupported, out_of_range, timeout, crash (errors); a code of `MediaWarning`, over_budget
    (warnings); rotated, variable_rate, few_frames, capped, resized, duplicate, not_examined, and
    unsupported for what no sample shows (notes)."""
    severity: Severity
    """`error`: loading it fails, and its samples with it. `warning`: it is shown, but damaged or
    at a price. `note`: a fact that is dealt with."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A medium to examine, and who needs it."""

    ref: MediaRef
    name: str
    """What reports call it."""
    samples: frozenset[str] = frozenset()
    """The samples that show it; empty where it belongs to no task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found out about one medium."""

    subject: Subject
    findings: tuple[Finding, ...] = ()
    """Worst first."""
    info: VideoInfo | None = None
    sound: AudioInfo | None = None
    size: tuple[int, int] | None = None
    """(height, width) within the policy's pixel bounds, before a model's own sizing rule."""
    indices: tuple[int, ...] = ()
    """Positions of the frames that a run takes."""
    times: tuple[float, ...] = ()
    """Their seconds from the first frame."""

    @property
    def status(self) -> Severity | Literal["fine"]:
        """The worst finding's severity; notes do not keep a medium from being fine."""
        worst = self.findings[0].severity if self.findings else "note"
        return "fine" if worst == "note" else worst

    @property
    def nbytes(self) -> int:
        """Bytes of the frames that a run takes, at `size`."""
        if self.size is None:
            return 0
        return max(1, len(self.indices)) * self.size[0] * self.size[1] * 3


def examine(
    subjects: Sequence[Subject],
    *,
    depth: Depth = "chosen",
    workers: int = 0,
    budget_bytes: int | None = None,
    isolation: Isolation | None = None,
    progress: Callable[[int], None] | None = None,
    each: Callable[[Examination], None] | None = None,
) -> list[Examination]:
    """Examines media in parallel.

    Args:
        subjects: What to examine.
        depth: `index` reads no pictures, `chosen` decodes the frames that a run takes, `full`
            decodes every frame.
        workers: Threads; 0: one per core.
        budget_bytes: More bytes of frames for one medium are a warning.
        isolation: Decodes there, so that a medium that ends or hangs its decoder is a finding;
            None decodes in this process.
        progress: Told how many are done, after each.
        each: Given each examination when it is done, so that an interruption loses none.

    Returns:
        One examination for each subject, worst first: by severity, then by how many samples are
        concerned, then by name.
    """
    stop = threading.Event()
    ward = _Ward(depth, budget_bytes, isolation, stop)
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="lmms-doctor")
    done: list[Examination] = []
    try:
        futures = [pool.submit(ward.examine, s) for s in subjects]
        for future in as_completed(futures):
            done.append(future.result())
            if each is not None:
                each(done[-1])
            if progress is not None:
                progress(len(done))
    finally:
        # After Ctrl-C nothing new is begun, and a decode that goes on is not waited for.
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return worst_first(_with_duplicates(done))


def worst_first(examinations: Iterable[Examination]) -> list[Examination]:
    """Sorts by severity, then by how many samples are concerned, then by name."""
    return sorted(examinations, key=_order)


def _order(examination: Examination) -> tuple[Any, ...]:
    worst = examination.findings[0] if examination.findings else None
    rank = 3 if worst is None else _RANK[worst.severity]
    return rank, -len(examination.subject.samples), examination.subject.name


@dataclass(frozen=True, slots=True)
class _Ward:
    """How media are examined."""

    depth: Depth
    budget_bytes: int | None
    isolation: Isolation | None
    stop: threading.Event

    def examine(self, subject: Subject) -> Examination:
        """Examines one medium, on a thread of the pool."""
        if self.stop.is_set():
            return Examination(subject=subject)
        ref = subject.ref
        try:
            if ref.kind == "video" or (ref.kind == "image" and ref.frame is not None):
                found = self._video(subject)
            elif ref.kind == "image":
                found = self._image(subject)
            else:
                found = self._sound(subject)
        except MediaError as error:
            return failed(subject, error)
        extra = [] if self.budget_bytes is None else _over_budget(found, self.budget_bytes)
        findings = sorted((*found.findings, *extra), key=lambda f: _RANK[f.severity])
        return replace(found, findings=tuple(findings))

    def _video(self, subject: Subject) -> Examination:
        ref, policy = subject.ref, _policy(subject.ref)
        info = self._probe(ref)
        found = [(w.code, w.message) for w in info.warnings]
        if self.depth == "index":
            times = frame_times(medium_of(ref)).tolist()
            indices = chosen_frames(medium_of(ref), policy, info).indices
            chosen = tuple(times[i] for i in indices)
        else:
            decoded = self._load(replace(ref, kind="video", frame=None, policy=policy))
            indices, chosen = decoded.indices, decoded.times
            found += map(_code_and_message, decoded.warnings)
        if self.depth == "full":
            every = FramePolicy(indices=tuple(range(info.num_frames)))
            decoded = self._load(replace(ref, kind="video", frame=None, policy=every))
            found += map(_code_and_message, decoded.warnings)
        native = (info.height, info.width)
        if not policy.rotate:
            native = (info.stored_height, info.stored_width)
        size = bounded_size(*native, *pixel_bounds(policy, len(indices)))
        warnings = [Finding(code, "warning", message) for code, message in dict.fromkeys(found)]
        return Examination(
            subject=subject,
            findings=(*warnings, *_facts(info, policy, len(indices), native, size)),
            info=info,
            size=size,
            indices=indices,
            times=chosen,
        )

    def _image(self, subject: Subject) -> Examination:
        ref = subject.ref
        if self.depth == "index":
            native = image_size(medium_of(ref))
        else:
            source = self._load(ref).source
            native = (int(source["height"]), int(source["width"]))
        bounds = (None, None) if ref.policy is None else pixel_bounds(ref.policy, 1)
        size = bounded_size(*native, *bounds)
        return Examination(subject=subject, findings=tuple(_resized(native, size)), size=size)

    def _sound(self, subject: Subject) -> Examination:
        """Examines sound in this process: workers decode what a run loads, pictures only."""
        medium = medium_of(subject.ref)
        info, findings = probe_audio(medium), []
        if self.depth != "index":
            clip = read_audio(medium, sample_rate=_SOUND_RATE, channels=1, end=_SOUND_SECONDS)
            findings = [Finding(w.code, "warning", w.message) for w in clip.warnings]
            if not clip.samples.size:
                findings.append(Finding("undecodable", "error", "no sound can be decoded"))
            if clip.duration_seconds >= _SOUND_SECONDS:
                message = f"what comes after {_SOUND_SECONDS / 3600:g} hours is not examined"
                findings.append(Finding("not_examined", "note", message))
        try:
            self._load(subject.ref)
        except MediaUnsupportedError as error:  # As the loader of a run will say.
            needed: Severity = "error" if subject.samples else "note"
            findings.append(Finding("unsupported", needed, _one_line(error)))
        return Examination(subject=subject, findings=tuple(findings), sound=info)

    def _probe(self, ref: MediaRef) -> VideoInfo:
        if self.isolation is None or ref.path is None:
            return probe(medium_of(ref))
        return self.isolation.probe(ref.path)

    def _load(self, ref: MediaRef) -> Decoded:
        if self.isolation is None:
            return load(ref, lambda *_: _TINY)
        return self.isolation.load(ref, lambda *_: _TINY)


def _code_and_message(warning: str) -> tuple[str, str]:
    code, _, message = warning.partition(": ")
    return code, message


def failed(subject: Subject, error: MediaError) -> Examination:
    """Returns the examination of a medium that cannot be loaded."""
    ref = subject.ref
    if ref.kind != "image" and (ref.path is not None or ref.data is not None):
        error = explained(error, medium_of(ref))
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "undecodable")
    said = error.message.removeprefix(ref.path or "")
    if code == "undecodable" and "no video" in said:
        code = "no_video"
    if code == "undecodable" and "no audio stream" in said:
        code = "no_audio"
    if code == "undecodable" and ref.path is not None and _is_empty(ref.path):
        code = "empty"
    finding = Finding(code, "error", _one_line(error))
    return Examination(subject=subject, findings=(finding,))


def _one_line(error: MediaError) -> str:
    return "; ".join(" ".join(line.split()) for line in str(error).splitlines())


def _is_empty(path: str) -> bool:
    try:
        return Path(path).stat().st_size == 0
    except (OSError, ValueError):
        return False


def _policy(ref: MediaRef) -> FramePolicy:
    policy = ref.policy or FramePolicy()
    if ref.frame is not None:
        return replace(policy, indices=(ref.frame,))
    return policy


def _facts(
    info: VideoInfo,
    policy: FramePolicy,
    taken: int,
    native: tuple[int, int],
    size: tuple[int, int],
) -> list[Finding]:
    """Returns the notes: what is unusual and dealt with."""
    notes = []
    if info.rotation:
        done = "is applied" if policy.rotate else "is not applied (media.rotate=false)"
        notes.append(("rotated", f"a rotation by {info.rotation} degrees {done}"))
    if info.is_vfr:
        notes.append(("variable_rate", "frames are shown for different lengths of time"))
    explicit = policy.indices is not None or policy.times is not None
    if not explicit and policy.fps is None and policy.num_frames and taken < policy.num_frames:
        notes.append(("few_frames", f"{_frames(taken)} taken of {policy.num_frames} wanted"))
    cap = policy.max_frames or policy.num_frames
    if not explicit and policy.fps is not None and info.frame_rate and cap:
        asked = int(info.num_frames / info.frame_rate * policy.fps)
        if asked > cap:
            notes.append(("capped", f"{policy.fps:g} fps asks for {_frames(asked)}, {cap} allowed"))
    found = [Finding(code, "note", message) for code, message in notes]
    return found + _resized(native, size)


def _resized(native: tuple[int, int], size: tuple[int, int]) -> list[Finding]:
    if size == native:
        return []
    message = f"{_by(native)} becomes {_by(size)} within the pixel bounds"
    return [Finding("resized", "note", message)]


def _by(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _over_budget(found: Examination, budget_bytes: int) -> list[Finding]:
    if found.nbytes <= budget_bytes:
        return []
    message = (
        f"{_frames(max(1, len(found.indices)))} of {_by(found.size or (0, 0))} take "
        f"{_mebibytes(found.nbytes)} where {_mebibytes(budget_bytes)} may be held; "
        "fewer frames, or media.max_pixels, take less"
    )
    return [Finding("over_budget", "warning", message)]


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count != 1)}"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def _with_duplicates(examinations: Iterable[Examination]) -> list[Examination]:
    """Adds a note to files whose content another file has too; only equal sizes are hashed."""
    done = list(examinations)
    by_size: dict[int, dict[str, None]] = {}
    for path in dict.fromkeys(e.subject.ref.path for e in done if e.status != "error"):
        if path is not None:
            by_size.setdefault(_size_of(path), {})[path] = None
    first: dict[Hashable, str] = {}
    copies: dict[str, str] = {}
    for size, paths in by_size.items():
        if size < 0:  # A locator: telling copies apart would read what holds it.
            continue
        for path in sorted(paths) if len(paths) > 1 else ():
            original = first.setdefault(_digest(path), path)
            if original != path:
                copies[path] = original
    return [_noted(e, copies.get(e.subject.ref.path or "")) for e in done]


def _size_of(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return -1


def _digest(path: str) -> Hashable:
    try:
        return hash_file(path)
    except MediaError:
        return (path,)


def _noted(examination: Examination, original: str | None) -> Examination:
    if original is None:
        return examination
    note = Finding("duplicate", "note", f"its content is that of {original}")
    return replace(examination, findings=(*examination.findings, note))


@dataclass(slots=True)
class SubjectList:
    """Collects media so that each is examined once, whoever shows it."""

    _samples: dict[Hashable, set[str]] = field(default_factory=dict)
    _first: dict[Hashable, tuple[MediaRef, str]] = field(default_factory=dict)

    def add(self, ref: MediaRef, *, name: str = "", sample: str | None = None) -> None:
        """Adds a medium.

        Args:
            ref: The medium; the same one with another policy is another subject.
            name: For bytes, which have none of their own.
            sample: Who shows it.
        """
        key = (ref.kind, ref.path, ref.data, ref.frame, ref.policy)
        self._first.setdefault(key, (ref, ref.path or name or "<memory>"))
        found = self._samples.setdefault(key, set())
        if sample is not None:
            found.add(sample)

    def subjects(self) -> list[Subject]:
        """Returns what was added, in the order of the first mention."""
        return [
            Subject(ref=ref, name=name, samples=frozenset(self._samples[key]))
            for key, (ref, name) in self._first.items()
        ]
