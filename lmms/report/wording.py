"""Sentences about a run that the Markdown and the HTML report share."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lmms.types import RunResult

STATUS_WORDS = {
    "running": "running",
    "complete": "complete",
    "incomplete": "finished with failed samples",
    "interrupted": "interrupted",
}
FAILURE_WORDS = {
    "media": "media that could not be read",
    "model": "errors of the model",
    "timeout": "time-outs",
    "refused": "requests refused by the endpoint",
    "rejected": "requests rejected by the endpoint",
    "out_of_memory": "out of memory",
    "network": "network errors",
    "scoring": "errors while scoring",
}


# Control characters have no place in HTML, and lone surrogates none in UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def displayable(text: str) -> str:
    """Returns `text` with U+FFFD for each character that HTML or UTF-8 cannot carry."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def status_line(run: RunResult) -> str:
    """Returns one line: how the run stands, when it ended, over how many samples."""
    samples = sum(task.n_effective for task in run.tasks.values())
    tasks = len(run.tasks)
    parts = [
        STATUS_WORDS[run.status].capitalize(),
        counted(tasks, "task"),
        counted(samples, "sample"),
    ]
    if date := run.raw.get("end_time") or run.raw.get("date"):
        parts.append(str(date).replace("T", " ").replace("Z", " UTC"))
    if seconds := run.raw.get("total_evaluation_time_seconds"):
        parts.append(duration(float(seconds)))
    return " · ".join(parts)


def embedded_notice(run: RunResult) -> str:
    """Returns what is embedded and what that means; empty if nothing is."""
    embedded = run.raw.get("embedded", {})
    weights, data = bool(embedded.get("weights")), bool(embedded.get("data"))
    if not weights and not data:
        return ""
    own = any("@embedded" not in task.label for task in run.tasks.values())
    if weights and data and not own:
        what = (
            "The model is a small trained stand-in and the data are small sets made for this "
            "purpose, both shipped with lmms."
        )
    else:
        parts = ["The model is a small trained stand-in shipped with lmms."] if weights else []
        if data:
            whose = "The data of the tasks named …@embedded" if own else "The data"
            parts.append(f"{whose} are small sets made for this purpose, shipped with lmms.")
        what = " ".join(parts)
    return (
        f"{what} The numbers show that the whole evaluation works; they say nothing of any "
        "published model or benchmark. For the real ones, add env=hub."
    )


def reproduce_command(run: RunResult) -> str:
    """Returns the command line that led to this run, ready to paste."""
    words: Sequence[str] = run.raw.get("execution", {}).get("command", ())
    if not words:
        return f"lmms show {shlex.quote(run.path)} --yaml > run.yaml\nlmms --config run.yaml"
    return shlex.join(words if words[0].endswith("lmms") else ["lmms", *words])


def failure_lines(run: RunResult) -> list[str]:
    """Returns a line per task and cause of failed samples, and one for unparsed answers."""
    lines = []
    for task in run.tasks.values():
        for kind, count in task.failures.items():
            words = FAILURE_WORDS.get(kind, kind)
            lines.append(f"{task.label}: {counted(count, 'sample')} failed ({words})")
            lines += [
                f"{task.label}: {_reason(why)}"
                for why in task.failure_reasons
                if why["kind"] == kind
            ]
        for status, words in (
            ("unparsed", "no answer could be read from"),
            ("refused", "the model refused"),
            ("truncated", "the answer was cut off in"),
        ):
            if count := task.status_counts.get(status, 0):
                lines.append(f"{task.label}: {words} {counted(count, 'sample')}")
    return lines


def _reason(why: Mapping[str, Any]) -> str:
    documents = ", ".join(str(name) for name in why["documents"])
    more = ", …" if why["count"] > len(why["documents"]) else ""
    return f"{counted(why['count'], 'sample')}: {why['reason']} (document {documents}{more})"


def warning_lines(run: RunResult) -> list[str]:
    """Returns the warnings of the run and of its tasks, and the notes of the plan."""
    warnings = [str(w) for w in run.raw.get("execution", {}).get("warnings", ())]
    warnings += [f"{task.label}: {w}" for task in run.tasks.values() for w in task.warnings]
    return warnings + [f"note: {note}" for note in run.raw.get("notes", ())]


def counted(number: int, noun: str) -> str:
    """Returns `1 sample`, `2 samples`, `1,204 samples`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Returns a time in words: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
