"""`lmms compare`: two runs on the same documents."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmms.cli import console
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.cli.values import names, one_of, real_number, whole_number
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from lmms.comparison import Comparison, ComparisonOptions, MetricComparison
    from lmms.comparison.outcomes import PairBy

GATE_CLOSED = 10
"""Exit code where a gate of `--fail-if` closed."""

_FLAGS = {
    "--task": "TASK",
    "--metric": "METRIC",
    "--all-metrics": SWITCH,
    "--cluster": "KEY",
    "--correct": "holm, bh, by or none",
    "--confidence": "0.95",
    "--fail-if": '"TASK worse 1pp p<0.05"',
    "--max-lost": "SHARE",
    "--common": SWITCH,
    "--pair-by": "digest or id",
    "--flips": "N or all",
    "--html": "FILE",
    "--quiet": SWITCH,
    "--output-dir": "DIR",
}
_PAIR_BY: tuple[PairBy, ...] = ("digest", "id")
_FLIPS = 10
"""Flipped samples that are listed per direction; beside many rows none."""
_FEW_ROWS = 4
_WIDTH = 48
"""Characters of an answer or target in a list."""
_VALUE_WIDTH = 60
"""Characters of a setting's value."""


def main(words: Sequence[str]) -> int:
    """Compares two runs; returns 10 where a gate closed."""
    arguments = read_arguments(words, _FLAGS, command="compare")
    if len(arguments.words) != 2:
        raise ConfigError(
            f"lmms compare takes two runs, not {len(arguments.words)}",
            origin="command line",
            hint="lmms compare BASELINE CANDIDATE; differences are CANDIDATE − BASELINE",
        )
    options, flips = _options(arguments), _flips(arguments)
    from lmms.comparison import compare_runs

    output = arguments.value("--output-dir") or "outputs"
    a, b = arguments.words
    comparison = compare_runs(a, b, options, output_dir=output)
    page = arguments.value("--html")
    if page is not None:
        _write_page(comparison, Path(page), flips)
    if arguments.has("--json"):
        from lmms.comparison.document import comparison_document

        console.print_json(comparison_document(comparison, flips=flips))
    else:
        _print(comparison, flips, page, quiet=arguments.has("--quiet"))
    return GATE_CLOSED if comparison.closed else 0


def _options(arguments: Arguments) -> ComparisonOptions:
    from lmms.comparison import ComparisonOptions
    from lmms.comparison.effects import CORRECTIONS, MAX_LOST

    confidence = real_number(arguments, "--confidence", allowed="0.95")
    max_lost = real_number(arguments, "--max-lost", allowed="a share of the pairs, e.g. 0.05")
    return ComparisonOptions(
        tasks=names(arguments, "--task"),
        # A comma belongs to a metric's name: exact_match,strict-match.
        metrics=arguments.values.get("--metric", ()),
        all_metrics=arguments.has("--all-metrics"),
        cluster=arguments.value("--cluster"),
        correction=one_of(arguments, "--correct", tuple(CORRECTIONS), kind="correction") or "holm",
        confidence=0.95 if confidence is None else confidence,
        common=arguments.has("--common"),
        pair_by=pairing_identity(arguments),
        gates=arguments.values.get("--fail-if", ()),
        max_lost=MAX_LOST if max_lost is None else max_lost,
    )


def pairing_identity(arguments: Arguments) -> PairBy:
    """Returns what documents are paired by.

    Raises:
        UnknownNameError: `--pair-by` names nothing of the kind.
    """
    return one_of(arguments, "--pair-by", _PAIR_BY, kind="identity") or "digest"


def _flips(arguments: Arguments) -> int | None:
    """Returns how many flips were asked for; None where nothing was said."""
    if arguments.value("--flips") == "all":
        return sys.maxsize
    return whole_number(arguments, "--flips", allowed="0, 1, …, all")


def _write_page(comparison: Comparison, path: Path, flips: int | None) -> None:
    from lmms.comparison.page import comparison_page
    from lmms.report.files import write_page

    write_page(path, comparison_page(comparison, flips=flips))


def _print(
    comparison: Comparison, flips: int | None, page: str | None, *, quiet: bool = False
) -> None:
    from lmms.comparison import wording
    from lmms.report.terminal import terminal_table

    print(console.fields(dict(wording.heading_lines(comparison))))
    print()
    print(terminal_table(wording.comparison_table(comparison)))
    if len(comparison.rows) == 1:
        print("\n" + console.bold("".join(wording.verdict_lines(comparison))))
    if not quiet:
        print()
        print(console.dim(wording.reading_line(comparison)))
        _print_lines("Note", wording.problem_lines(comparison))
    _print_lines("Gates", _gate_lines(comparison))
    if not quiet:
        _print_settings(comparison)
    shown = wording.most_shown(comparison.rows, flips, few=_FLIPS, many=_FEW_ROWS)
    if quiet and flips is None:
        shown = 0
    for row in comparison.rows:
        for better in (False, True):
            _print_flips(comparison, row, better=better, limit=shown)
    if page is not None:
        print()
        print(console.fields({"page": page}))


def _print_lines(title: str, lines: Iterable[str]) -> None:
    told = [f"  {line}" for line in lines]
    if told:
        print("\n".join(["", console.bold(title), *told]))


def _gate_lines(comparison: Comparison) -> Iterator[str]:
    for gate in comparison.gates:
        state = "CLOSED" if gate.closed else "open  "
        about = gate.task if gate.metric is None else f"{gate.task}, {gate.metric}"
        yield f"{state}  {gate.gate}  ({about}: {gate.reason})"


def _print_settings(comparison: Comparison) -> None:
    from lmms.comparison.wording import setting_rows

    rows = [tuple(_cut(text, _VALUE_WIDTH) for text in row) for row in setting_rows(comparison)]
    if rows:
        print()
        print(console.table(("What differs", "A", "B"), rows))


def _print_flips(
    comparison: Comparison, row: MetricComparison, *, better: bool, limit: int
) -> None:
    from lmms.comparison.wording import answers_text, flip_title

    total = row.better if better else row.worse
    if not total or not limit:
        return
    more = f"; the first {limit}, --flips all shows all" if total > limit else ""
    print()
    print(console.bold(flip_title(row, better=better) + more))
    lines = []
    for a, b in comparison.flipped(row, better=better, limit=limit):
        said = answers_text(a, row.metric), answers_text(b, row.metric)
        cells = (a.document_id, *("–" if text is None else text for text in said), a.target)
        lines.append(tuple(_cut(text, _WIDTH) for text in cells))
    print(console.table(("document", "A answers", "B answers", "target"), lines))


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
