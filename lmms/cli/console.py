"""What the commands print: text or one JSON document on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

_BOLD, _DIM, _RED, _YELLOW, _RESET = "\033[1m", "\033[2m", "\033[31m", "\033[33m", "\033[0m"


def uses_color(stream: IO[str]) -> bool:
    """Whether to colour: a terminal, and neither NO_COLOR nor a dumb one."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def bold(text: str, stream: IO[str] | None = None) -> str:
    """Returns bold text where colours are used."""
    return _styled(text, _BOLD, stream)


def dim(text: str, stream: IO[str] | None = None) -> str:
    """Returns faint text where colours are used."""
    return _styled(text, _DIM, stream)


def _styled(text: str, style: str, stream: IO[str] | None) -> str:
    return f"{style}{text}{_RESET}" if uses_color(stream or sys.stdout) else text


def print_json(document: Any) -> None:
    """Prints one JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_error(text: str) -> None:
    """Prints an error on stderr."""
    print(f"{_styled('lmms: error:', _RED, sys.stderr)} {text}", file=sys.stderr)


def print_note(text: str) -> None:
    """Prints a remark on stderr."""
    print(f"{_styled('lmms:', _YELLOW, sys.stderr)} {text}", file=sys.stderr)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()
) -> str:
    """Returns an aligned table.

    Args:
        header: Titles of the columns.
        rows: Cells.
        right: Columns aligned to the right.
    """
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            c.rjust(w) if i in right else c.ljust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([bold(line(header)), *(line(r) for r in rows)])


def counted(number: int | None) -> str:
    """Returns a number with thousands marks, "?" for an unknown one."""
    return "?" if number is None else f"{number:,}".replace(",", " ")


def some(number: int, what: str, several: str | None = None) -> str:
    """Returns how many of what there are: `1 file`, `2 files`.

    Args:
        number: How many.
        what: One of them.
        several: More than one, or none, where that is not `what` with an s.
    """
    return f"{number} {what if number == 1 else several or what + 's'}"


def fields(values: Mapping[str, str]) -> str:
    """Returns one `name  value` line per entry."""
    width = max((len(k) for k in values), default=0)
    return "\n".join(f"{bold(k.ljust(width))}  {v}" for k, v in values.items())
