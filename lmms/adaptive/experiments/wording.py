"""How an analysis is put into words and cells; the terminal and the page share it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmms.adaptive.experiments.analysis import HIGHER_IS_BETTER, MEASURES, Analysis, MethodQuality
from lmms.adaptive.experiments.resampling import Estimate

METHOD_NAMES = {
    "full_accuracy": "accuracy, all items",
    "full_ability": "ability, all items",
    "random_accuracy": "Random",
    "random_ability": "Random-IRT",
    "fluid_benchmarking": "Fluid",
}

SIMULATED = (
    "simulated: the answers follow the 2PL model that adaptive selection assumes, which answers of "
    "real models need not"
)


@dataclass(frozen=True, slots=True)
class MeasureText:
    """What a measure is called and means."""

    title: str
    short: str
    meaning: str
    decimals: int


MEASURE_TEXTS = {
    "error": MeasureText(
        "Efficiency",
        "error",
        "Error against the estimate from all items, in standard deviations of those.",
        3,
    ),
    "rank_distance": MeasureText(
        "Validity",
        "rank distance",
        "Distance of a checkpoint's percentile ranks on two benchmarks of one skill.",
        1,
    ),
    "truth_distance": MeasureText(
        "Validity",
        "to truth",
        "Distance of a checkpoint's percentile rank from that of its true ability.",
        1,
    ),
    "total_variation": MeasureText(
        "Variance",
        "variation",
        "How far a training curve travels, in units of its range; 1 never turns back.",
        2,
    ),
    "monotonicity": MeasureText(
        "Saturation",
        "monotonicity",
        "Rank correlation of a training curve with the step; 1 always rises.",
        3,
    ),
}


def arrow(measure: str) -> str:
    """Returns which way is better."""
    return "↑" if measure in HIGHER_IS_BETTER else "↓"


def shown_measures(qualities: Sequence[MethodQuality]) -> list[str]:
    """Returns the measures that have a value anywhere."""
    return [m for m in MEASURES if any(getattr(q, m).value is not None for q in qualities)]


def heading_lines(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Gives what was analysed."""
    if analysis.simulated:
        yield "data", SIMULATED
    yield "models", ", ".join(analysis.models)
    yield "checkpoints", f"{analysis.checkpoints:,} in all"
    yield "benchmarks", ", ".join(analysis.benchmarks)
    if analysis.pairs:
        yield "one skill", ", ".join(f"{a} and {b}" for a, b in analysis.pairs)
    yield (
        "intervals",
        f"{analysis.confidence:.0%}, bootstrap over models, {analysis.draws:,} draws, "
        f"seed {analysis.seed}",
    )


def quality_table(qualities: Sequence[MethodQuality]) -> tuple[list[str], list[list[str]]]:
    """Returns title cells and rows: one method and number of items each."""
    measures = shown_measures(qualities)
    header = ["method", "items", *(f"{MEASURE_TEXTS[m].short} {arrow(m)}" for m in measures)]
    rows = []
    for quality in qualities:
        items = "all" if quality.items is None else str(quality.items)
        values = [cell(getattr(quality, m), MEASURE_TEXTS[m].decimals) for m in measures]
        rows.append([METHOD_NAMES[quality.method], items, *values])
    return header, rows


def cell(estimate: Estimate, decimals: int, *, signed: bool = False) -> str:
    """Returns a value with its interval; `–` is not available."""
    form = f"{'+' if signed else ''}.{decimals}f"
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return format(estimate.value, form)
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def contrast_table(analysis: Analysis) -> tuple[list[str], list[list[str]]]:
    """Returns title cells and rows of adaptive selection minus the other methods."""
    found = {(c.baseline, c.items, c.measure): c.difference for c in analysis.contrasts}
    known = {measure for (_, _, measure), d in found.items() if d.value is not None}
    measures = [m for m in MEASURES if m in known]
    header = ["Fluid minus", "items", *(f"{MEASURE_TEXTS[m].short} {arrow(m)}" for m in measures)]
    rows = [
        [
            METHOD_NAMES[baseline],
            str(items),
            *(
                cell(found[baseline, items, m], MEASURE_TEXTS[m].decimals, signed=True)
                for m in measures
            ),
        ]
        for baseline, items in dict.fromkeys((b, n) for b, n, _ in found)
    ]
    return header, rows if measures else []


def saving_lines(analysis: Analysis) -> Iterator[str]:
    """Gives how many adaptive items do what random ones do."""
    for saving in analysis.savings:
        found = saving.adaptive
        head = f"the error of {saving.items} random items:"
        if found.value is None:
            yield f"{head} not reached adaptively, {found.reason}"
            continue
        ends = ["?" if x is None else f"{x:.0f}" for x in (found.low, found.high)]
        interval = "" if found.low is None else f" [{ends[0]}, {ends[1]}]"
        yield f"{head} {found.value:.0f}{interval} adaptive items"


def reasons(analysis: Analysis) -> Iterator[str]:
    """Gives why measures, or their intervals, are missing altogether."""
    qualities = [q for q in analysis.overall() if q.items is not None] or list(analysis.overall())
    found: dict[str, list[str]] = {}
    for measure in MEASURES:
        estimates = [getattr(q, measure) for q in qualities]
        if all(e.value is None for e in estimates):
            what = f"not available, {estimates[0].reason}"
        elif all(e.low is None for e in estimates):
            what = f"no interval, {estimates[0].reason}"
        else:
            continue
        found.setdefault(what, []).append(MEASURE_TEXTS[measure].short)
    for what, measures in found.items():
        yield f"{', '.join(measures)}: {what}"
