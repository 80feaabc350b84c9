"""What went wrong with the samples of a task, by reason: counted, and named up to a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lmms.report.wording import counted
from lmms.types import Failure, Sample

_MAX_REASONS: Final = 20
_MAX_DOCUMENTS: Final = 5
_MAX_NAMES: Final = 3


class Problems:
    """Takes samples as they stream by; memory grows with what is wrong, not with the samples."""

    def __init__(self) -> None:
        self._failures: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self._warnings: dict[str, dict[str, None]] = {}

    def add(self, sample: Sample) -> None:
        """Takes one sample."""
        if sample.failure is not None:
            key = (sample.failure.kind, reason_of(sample.failure))
            count, documents = self._failures.get(key, (0, []))
            if count < _MAX_DOCUMENTS:
                documents.append(sample.document_id)
            self._failures[key] = (count + 1, documents)
        for medium in sample.media:
            for warning in medium.get("warnings", ()):
                self._warnings.setdefault(str(warning), {})[medium_name(medium)] = None

    def reasons(self) -> tuple[dict[str, Any], ...]:
        """Returns the most frequent reasons of failures: kind, reason, count, some documents."""
        found = sorted(self._failures.items(), key=lambda item: -item[1][0])
        return tuple(
            {"kind": kind, "reason": reason, "count": count, "documents": list(documents)}
            for (kind, reason), (count, documents) in found[:_MAX_REASONS]
        )

    def warnings(self) -> list[str]:
        """Returns a line per distinct warning with the media that it is about, most first."""
        found = sorted(self._warnings.items(), key=lambda item: -len(item[1]))
        lines = [f"{_listed(list(names))}: {text}" for text, names in found[:_MAX_REASONS]]
        left = len(found) - _MAX_REASONS
        return [*lines, f"{counted(left, 'further warning')} about media"] if left > 0 else lines


def reason_of(failure: Failure) -> str:
    """Returns why, in one line and without the file's name, so that equal reasons are counted."""
    line = failure.message.partition("\n")[0]
    head, _, rest = line.partition(": ")
    names_a_file = failure.kind == "media" and rest and ("/" in head or "." in head)
    return rest if names_a_file else line


def medium_name(shown: Mapping[str, Any]) -> str:
    """Returns a short name for a medium of a sample: its file, member or row."""
    path = shown.get("path")
    if not path:
        return f"sha256 {str(shown.get('sha256', ''))[:12]}"
    scheme, _, rest = str(path).partition("://")
    member, _, container = rest.partition("::")
    # A part of a file has no name but the file's.
    named = container if scheme == "bytes" else member
    return (named or str(path)).rpartition("/")[2]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    left = len(names) - _MAX_NAMES
    return f"{shown} and {left} more" if left > 0 else shown
