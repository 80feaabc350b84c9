"""Tables on a terminal: with rich where there is one, aligned plain text elsewhere."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from lmms.report.tables import Table


_EXPENDABLE = ("Filter", "Version", "n-shot", "±", "clusters", "McNemar", "deff", "sign flip")
"""Columns that a narrow terminal can do without; `Filter` only where there is but one."""
_GAP = 2
"""Columns between two cells of a rich table."""


def terminal_table(table: Table, *, color: bool | None = None, width: int | None = None) -> str:
    """Returns a table as it is printed.

    Args:
        table: What to print.
        color: Colours and rules by rich; None: if standard output is a terminal and `NO_COLOR`
            is not set. False gives aligned text that survives pipes and log files.
        width: Columns available to rich; None: those of the terminal. Nothing is cut off: where
            it is too narrow, cells wrap.
    """
    if color is None:
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return _rich(table, width) if color else _plain(table)


def _plain(table: Table) -> str:
    rows: list[Sequence[str]] = [[c.title for c in table.columns], *table.cells]
    widths = [max(_width(row[i]) for row in rows) for i in range(len(table.columns))]
    lines = []
    for row in rows:
        cells = [
            _padded(text, width, right=column.right)
            for text, width, column in zip(row, widths, table.columns, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _padded(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _width(text: str) -> int:
    """Columns that `text` takes: two for East Asian wide characters, none for combining ones."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _rich(table: Table, width: int | None) -> str:
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, highlight=False)
    table = _narrowed(table, console.width)
    shown = RichTable(
        box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True
    )
    styles = {"Value": "bold", "±": "dim", "Version": "dim", "Filter": "dim", "n-shot": "dim"}
    for column in table.columns:
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            style=styles.get(column.title, ""),
            # Where even that is too wide, names break and numbers never do.
            no_wrap=column.right
            or column.title not in ("Tasks", "Groups", "Filter", "Metric", "Model"),
            overflow="fold",
        )
    for row in table.cells:
        shown.add_row(*(_counted(c.title, t) for c, t in zip(table.columns, row, strict=True)))
    console.print(shown)
    lines = stream.getvalue().splitlines()
    return "\n".join(line for line in lines if Text.from_ansi(line).plain.strip())


def _narrowed(table: Table, width: int) -> Table:
    """Leaves out what matters least, one column after the other, until the table fits."""
    for title in _EXPENDABLE:
        widths = [
            max(_width(row[i]) for row in ([c.title for c in table.columns], *table.cells))
            for i in range(len(table.columns))
        ]
        if sum(widths) + _GAP * len(widths) <= width:
            break
        kept = [i for i, column in enumerate(table.columns) if column.title != title]
        if title == "Filter" and {row[i] for row in table.cells for i in _at(table, title)} - {
            "none",
            "",
        }:
            continue
        table = replace(
            table,
            columns=tuple(table.columns[i] for i in kept),
            cells=tuple(tuple(row[i] for i in kept) for row in table.cells),
        )
    return table


def _at(table: Table, title: str) -> list[int]:
    return [i for i, column in enumerate(table.columns) if column.title == title]


def _counted(title: str, text: str) -> Text:
    """Warns by colour where samples were not parsed or failed; plain text, never markup."""
    from rich.text import Text

    if title in ("unparsed", "failed"):
        alarm = "red" if title == "failed" else "yellow"
        return Text(text, style="dim" if text == "0" else alarm)
    return Text(text)
