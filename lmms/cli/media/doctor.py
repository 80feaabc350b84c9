"""`lmms media doctor`: all media of a task, a folder or files, before a run."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lmms.cli import console
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.cli.media import policy as policies
from lmms.cli.media import subjects as found_by
from lmms.cli.media.probe import shown_name
from lmms.errors import ConfigError, MediaError, RunInterruptedError

if TYPE_CHECKING:
    from lmms.media.audio import AudioInfo
    from lmms.media.doctor import Depth, Examination

_FLAGS = {
    **policies.FLAGS,
    "--full": SWITCH,
    "--quick": SWITCH,
    "--all": SWITCH,
    "--workers": "N",
}
_MAX_INDICES: Final = 9
_MAX_SAMPLES_NAMED: Final = 3


def main(words: Sequence[str]) -> int:
    """Examines media, prints what is wrong, worst first, and a summary.

    Returns:
        0 if all is fine, 4 if anything is missing, damaged, unreadable or over budget.

    Raises:
        RunInterruptedError: Ctrl-C; what was found by then is printed.
    """
    arguments = read_arguments(words, _FLAGS, command="media doctor")
    depth = _depth(arguments)
    workers = policies.number(arguments, "--workers") or 0
    checkup = found_by.collect(arguments)
    examinations, interrupted = _examine(checkup, depth, workers)
    if arguments.has("--json"):
        console.print_json(_document(checkup, examinations, depth, interrupted=interrupted))
    else:
        _print(checkup, examinations, everything=arguments.has("--all"))
    if interrupted:
        total = len(checkup.subjects) + len(checkup.failed)
        stopped = RunInterruptedError(
            f"interrupted after {len(examinations)} of {console.some(total, 'medium', 'media')}"
        )
        # A file that is being decoded on a thread is not waited for.
        stopped.immediate = True
        stopped.printed = True
        raise stopped
    fine = not checkup.unrendered and all(e.status == "fine" for e in examinations)
    return 0 if fine else MediaError.exit_code


def _examine(
    checkup: found_by.Checkup, depth: Depth, workers: int
) -> tuple[list[Examination], bool]:
    """Returns what was examined, and whether Ctrl-C ended it before all of it was."""
    done: list[Examination] = []
    try:
        from lmms.media.doctor import examine, worst_first
        from lmms.media.isolation import Isolation

        isolation = Isolation(workers or os.cpu_count() or 1)
        with closing(isolation), _Progress(len(checkup.subjects)) as progress:
            examined = examine(
                checkup.subjects,
                depth=depth,
                workers=workers,
                budget_bytes=checkup.budget_bytes,
                isolation=isolation,
                progress=progress,
                each=done.append,
            )
        return worst_first([*checkup.failed, *examined]), False
    except KeyboardInterrupt:
        return worst_first([*checkup.failed, *done]), True


def _depth(arguments: Arguments) -> Depth:
    if arguments.has("--full") and arguments.has("--quick"):
        raise ConfigError("--full and --quick contradict each other", origin="command line")
    if arguments.has("--full"):
        return "full"
    return "index" if arguments.has("--quick") else "chosen"


class _Progress:
    """One line on a terminal that says how many are done."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Callable[[int], None]:
        return self._show

    def __exit__(self, *exc: object) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _show(self, done: int) -> None:
        if self._live:
            line = f"\rlmms: {done} of {self._total} media examined"
            print(line, end="", file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------- for people


def _print(
    checkup: found_by.Checkup, examinations: Sequence[Examination], *, everything: bool
) -> None:
    shown = examinations if everything else [e for e in examinations if e.status != "fine"]
    for examination in shown:
        print(_text(examination))
    for path in checkup.skipped if everything else ():
        print(f"{'skipped'.ljust(8)}{shown_name(path)}")
    for sample, reason in checkup.unrendered.items():
        print(f"{console.bold('no request')}  {sample}: {' '.join(reason.split())}")
    if shown or checkup.unrendered or (everything and checkup.skipped):
        print()
    print(_summary(checkup, examinations))
    counts = Counter(f.code for e in examinations for f in e.findings)
    if counts:
        print("found: " + ", ".join(f"{code} {count}" for code, count in counts.most_common()))


_WORDS = {"error": "fails", "warning": "damaged", "fine": "fine"}


def _text(examination: Examination) -> str:
    over = {f.code for f in examination.findings if f.severity == "warning"} == {"over_budget"}
    word = "large" if over else _WORDS[examination.status]
    lines = [f"{console.bold(word.ljust(8))}{shown_name(examination.subject.name)}"]
    lines += [f"        {f.code}: {shown_name(f.message)}" for f in examination.findings]
    lines.append(f"        run: {_effect(examination)}")
    return "\n".join(lines)


def _effect(examination: Examination) -> str:
    """Says what a run does with a medium."""
    samples = sorted(examination.subject.samples)
    if examination.status == "error":
        if not samples:
            return "a sample that shows it fails"
        named = ", ".join(samples[:_MAX_SAMPLES_NAMED])
        more = ", …" if len(samples) > _MAX_SAMPLES_NAMED else ""
        return (
            f"{console.some(len(samples), 'sample')} fail{'s' * (len(samples) == 1)}: {named}{more}"
        )
    shown = "" if not samples else f"; in {console.some(len(samples), 'sample')}"
    if examination.sound is not None:
        return f"{_heard(examination.sound)}{shown}"
    if examination.size is None:
        return f"it is loaded{shown}"
    height, width = examination.size
    if examination.info is None:
        return f"the image at {width}x{height}{shown}"
    indices = [str(i) for i in examination.indices]
    if len(indices) > _MAX_INDICES:
        indices = [*indices[: _MAX_INDICES - 2], "…", indices[-1]]
    taken = console.some(len(examination.indices), "frame")
    return f"{taken} ({', '.join(indices)}) at {width}x{height}{shown}"


def _heard(sound: AudioInfo) -> str:
    """Says what a sound file holds, as `probe` does."""
    seconds = "" if sound.duration_seconds is None else f"{sound.duration_seconds:.3f} s of "
    channels = console.some(sound.channels, "channel")
    return f"{seconds}{sound.codec} sound, {sound.sample_rate} Hz, {channels}"


def _summary(checkup: found_by.Checkup, examinations: Sequence[Examination]) -> str:
    states = Counter(e.status for e in examinations)
    parts = [f"{states['fine']} fine"]
    if states["warning"]:
        parts.append(f"{states['warning']} damaged or large")
    if states["error"]:
        parts.append(f"{states['error']} failing")
    counted = console.some(len(examinations), "medium", "media")
    text = f"{shown_name(checkup.title)}: {counted}, {', '.join(parts)}"
    if checkup.samples:
        failing = len(_failing(checkup, examinations))
        text += f"; {failing} of {console.some(checkup.samples, 'sample')} would fail"
    if checkup.skipped:
        text += f"; {console.some(len(checkup.skipped), 'other file')} not looked at"
    return console.bold(text)


def _failing(checkup: found_by.Checkup, examinations: Sequence[Examination]) -> set[str]:
    failing = {s for e in examinations if e.status == "error" for s in e.subject.samples}
    return failing | set(checkup.unrendered)


# --------------------------------------------------------------------------------- for programs


def _document(
    checkup: found_by.Checkup,
    examinations: Sequence[Examination],
    depth: str,
    *,
    interrupted: bool,
) -> dict[str, Any]:
    states = Counter(e.status for e in examinations)
    return {
        "target": checkup.title,
        "depth": depth,
        "interrupted": interrupted,
        "media": len(examinations),
        "fine": states["fine"],
        "warnings": states["warning"],
        "errors": states["error"],
        "samples": checkup.samples,
        "samples_failing": sorted(_failing(checkup, examinations)),
        "unrendered": dict(checkup.unrendered),
        "skipped_files": len(checkup.skipped),
        "skipped": list(checkup.skipped),
        "findings": dict(Counter(f.code for e in examinations for f in e.findings)),
        "items": [_item(e) for e in examinations],
    }


def _item(examination: Examination) -> dict[str, Any]:
    ref, info, sound = examination.subject.ref, examination.info, examination.sound
    item: dict[str, Any] = {
        "name": examination.subject.name,
        "kind": ref.kind,
        "status": examination.status,
        "findings": [
            {"code": f.code, "severity": f.severity, "message": f.message}
            for f in examination.findings
        ],
        "samples": sorted(examination.subject.samples),
        "size": None if examination.size is None else list(examination.size),
        "indices": list(examination.indices),
        "times": list(examination.times),
        "bytes": examination.nbytes,
    }
    if info is not None:
        item |= {
            "num_frames": info.num_frames,
            "duration_seconds": info.duration_seconds,
            "codec": info.codec,
            "rotation": info.rotation,
            "is_vfr": info.is_vfr,
        }
    if sound is not None:
        item |= {
            "duration_seconds": sound.duration_seconds,
            "codec": sound.codec,
            "sample_rate": sound.sample_rate,
            "channels": sound.channels,
        }
    if ref.path is not None:
        item["bytes_of_file"] = _file_size(ref.path)
    return item


def _file_size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return None
