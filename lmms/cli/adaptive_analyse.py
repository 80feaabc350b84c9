"""`lmms adaptive analyse`: what an experiment shows of each method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmms.cli import console
from lmms.cli.arguments import Arguments, read_arguments
from lmms.cli.values import names, real_number, whole_number, whole_numbers
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from lmms.adaptive.experiments.analysis import Analysis

_FLAGS = {
    "--html": "FILE.html",
    "--pairs": "A:B,C:D",
    "--sizes": "N,N,...",
    "--draws": "N",
    "--seed": "N",
    "--confidence": "SHARE",
}
_DEFAULT_DRAWS = 1000


def main(words: Sequence[str]) -> int:
    """Analyses an experiment: a table, one JSON document, a page."""
    arguments = read_arguments(words, _FLAGS, command="adaptive analyse")
    if len(arguments.words) != 1:
        raise ConfigError(
            "lmms adaptive analyse takes one experiment",
            origin="command line",
            hint="lmms adaptive analyse results/experiment.parquet",
        )
    path = Path(arguments.words[0])
    page = arguments.value("--html")
    analysis = _analysis(arguments, path)
    if page is not None:
        from lmms.adaptive.experiments.page import analysis_page
        from lmms.report.files import write_page

        write_page(Path(page), analysis_page(analysis, source=path.name))
    if arguments.has("--json"):
        from dataclasses import asdict

        console.print_json(asdict(analysis))
        return 0
    print("\n\n".join(_sections(analysis)))
    if page is not None:
        print(f"\n{console.fields({'page': page})}")
    return 0


def _analysis(arguments: Arguments, path: Path) -> Analysis:
    from lmms.adaptive.experiments.analysis import analyse
    from lmms.adaptive.experiments.curves import curves_of
    from lmms.adaptive.experiments.files import read_facts, read_rows

    named = names(arguments, "--pairs", allowed="A:B,C:D")
    draws = whole_number(arguments, "--draws")
    confidence = real_number(arguments, "--confidence")
    curves = curves_of(read_rows(path))
    facts = read_facts(path)
    pairs = [_pair(text) for text in named] if named else facts.get("pairs", [])
    return analyse(
        curves,
        pairs=pairs,
        sizes=whole_numbers(arguments, "--sizes", allowed="10,50,100"),
        draws=_DEFAULT_DRAWS if draws is None else draws,
        seed=whole_number(arguments, "--seed") or 0,
        confidence=0.95 if confidence is None else confidence,
        simulated=facts.get("source", {}).get("kind") == "simulated",
    )


def _pair(text: str) -> tuple[str, str]:
    one, sign, other = text.partition(":")
    if not (one and sign and other) or one == other:
        raise ConfigError(
            f"{text!r} is no pair of benchmarks",
            origin="--pairs",
            allowed="two benchmarks that measure the same skill, A:B",
        )
    return one, other


def _sections(analysis: Analysis) -> Iterable[str]:
    from lmms.adaptive.experiments.wording import (
        contrast_table,
        heading_lines,
        quality_table,
        reasons,
        saving_lines,
    )

    yield console.fields(dict(heading_lines(analysis)))
    header, rows = quality_table(analysis.overall())
    yield console.table(header, rows, right=frozenset(range(1, len(header))))
    header, rows = contrast_table(analysis)
    if rows:
        yield console.table(header, rows, right=frozenset(range(1, len(header))))
    if lines := [*saving_lines(analysis), *reasons(analysis)]:
        yield "\n".join(lines)
