"""What an experiment shows of each method: efficiency, validity, variance and saturation.

"Fluid Language Model Benchmarking" (arXiv 2509.11106) judges methods by these four; its abstract
names them and their quantities are known as rank distance, normalised total variation and
monotonicity, but the analysis was not published as code. So these are our readings, and numbers
of the paper need not be met to the last digit:

- *Efficiency*: the error of an estimate from few items against the same estimate from all of
  them, as root mean square over checkpoints, in units of the standard deviation of the estimates
  from all items (so that accuracy and ability can be compared); and how many adaptive items have
  the error of n random ones.
- *Validity*: the mean absolute difference of a checkpoint's percentile rank (among all
  checkpoints of all models) on two benchmarks of the same skill, both measured by the method with
  n items. Where true abilities are known, also the difference from the rank of those.
- *Variance*: the total variation of a training curve, in units of its range.
- *Saturation*: Spearman's correlation of the estimates with the training step.

Each is the mean over models and benchmarks (or pairs of benchmarks). Intervals are those of a
bootstrap over models, because checkpoints of one model are not independent, widened for their small
number; fewer than four models have none. All methods are resampled together, so that their
differences have intervals too. They do not cover the luck of the random subsets, which are one draw
for all models: experiments with other seeds show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.experiments.curves import FLUID, Curves, Estimator
from lmms.adaptive.experiments.measures import monotonicity, percentile_ranks, total_variation
from lmms.adaptive.experiments.protocol import METHODS
from lmms.adaptive.experiments.resampling import Cells, Estimate, ModelBootstrap, Resampled
from lmms.errors import ConfigError, UnknownNameError

FloatArray = NDArray[np.float64]
MEASURES = ("error", "rank_distance", "truth_distance", "total_variation", "monotonicity")
HIGHER_IS_BETTER = frozenset({"monotonicity"})


@dataclass(frozen=True, slots=True)
class MethodQuality:
    """The quality of one method with one number of items.

    Attributes:
        method: Name from `METHODS`.
        items: Number of items, None for all.
        benchmark: Name of the benchmark, None for the mean over all.
        error: Efficiency; lower is better.
        rank_distance: Validity, 0 to 100 percentile ranks; lower is better.
        truth_distance: The same to true abilities, where they are known.
        total_variation: Variance, at least 1; lower is better.
        monotonicity: Saturation, -1 to 1; higher is better.
    """

    method: str
    items: int | None
    benchmark: str | None
    error: Estimate
    rank_distance: Estimate
    truth_distance: Estimate
    total_variation: Estimate
    monotonicity: Estimate


@dataclass(frozen=True, slots=True)
class Contrast:
    """Adaptive selection minus another method with as many items, over all benchmarks.

    Attributes:
        baseline: The other method.
        items: Number of items of both.
        measure: Name from `MEASURES`.
        difference: Adaptive minus baseline, its interval over the same resampled models.
    """

    baseline: str
    items: int
    measure: str
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Saving:
    """How many adaptive items have the error of random ones.

    Attributes:
        items: Number of random items.
        adaptive: Smallest number of adaptive items whose error is not larger.
    """

    items: int
    adaptive: Estimate


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole analysis of an experiment."""

    benchmarks: tuple[str, ...]
    models: tuple[str, ...]
    checkpoints: int
    """Checkpoints of all models together."""
    pairs: tuple[tuple[str, str], ...]
    draws: int
    seed: int
    confidence: float
    qualities: tuple[MethodQuality, ...]
    contrasts: tuple[Contrast, ...]
    savings: tuple[Saving, ...]
    simulated: bool = False
    """Whether the answers are made up."""

    def overall(self) -> tuple[MethodQuality, ...]:
        """Returns the qualities over all benchmarks."""
        return tuple(q for q in self.qualities if q.benchmark is None)


def analyse(
    curves: Sequence[Curves],
    *,
    pairs: Iterable[tuple[str, str]] = (),
    sizes: Iterable[int] | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    simulated: bool = False,
) -> Analysis:
    """Analyses an experiment; the formulas are in the module's text.

    Args:
        curves: From `curves_of`.
        pairs: Benchmarks that measure the same skill.
        sizes: Only these numbers of items; None: all that there are.
        draws: Bootstrap draws.
        seed: Of the bootstrap.
        confidence: Coverage of the intervals.
        simulated: Whether the answers are made up, for the reader.

    Raises:
        UnknownNameError: A pair names a benchmark that the experiment has not.
        ConfigError: No estimate has such a size, or the settings make no sense.
    """
    if draws < 100 or not 0 < confidence < 1:
        raise ConfigError(
            f"draws={draws}, confidence={confidence}",
            allowed="at least 100 draws, a confidence between 0 and 1",
        )
    table = _Measured(curves, tuple(pairs), sizes)
    bootstrap = ModelBootstrap(len(table.models), draws, seed, confidence)
    found = {
        (estimator, benchmark): {
            measure: bootstrap.mean(cells)
            for measure, cells in table.cells(estimator, benchmark).items()
        }
        for benchmark in (None, *table.benchmarks)
        for estimator in table.estimators
        if table.has(estimator, benchmark)
    }
    return Analysis(
        benchmarks=table.benchmarks,
        models=table.models,
        checkpoints=table.checkpoints,
        pairs=table.pairs,
        draws=draws,
        seed=seed,
        confidence=confidence,
        qualities=tuple(
            MethodQuality(e.method, e.items, b, **{m: r.estimate for m, r in measured.items()})
            for (e, b), measured in found.items()
        ),
        contrasts=tuple(_contrasts({e: m for (e, b), m in found.items() if b is None}, bootstrap)),
        savings=tuple(_savings(table, bootstrap)),
        simulated=simulated,
    )


def _contrasts(
    found: Mapping[Estimator, Mapping[str, Resampled]], bootstrap: ModelBootstrap
) -> Iterator[Contrast]:
    for estimator, measured in found.items():
        adaptive = found.get(Estimator(FLUID, estimator.items))
        if estimator.items is None or estimator.method == FLUID or adaptive is None:
            continue
        for measure in MEASURES:
            difference = bootstrap.difference(adaptive[measure], measured[measure])
            yield Contrast(estimator.method, estimator.items, measure, difference)


def _savings(table: _Measured, bootstrap: ModelBootstrap) -> Iterator[Saving]:
    for estimator in table.estimators:
        if estimator.method != "random_ability" or estimator.items is None:
            continue
        errors = table.path_errors(estimator)
        if errors is not None:
            yield Saving(estimator.items, bootstrap.crossing(*errors))


class _Measured:
    """The measures of every curve, by estimator, benchmark and model."""

    def __init__(
        self,
        curves: Sequence[Curves],
        pairs: tuple[tuple[str, str], ...],
        sizes: Iterable[int] | None,
    ) -> None:
        self._curves = {(c.benchmark, c.lm): c for c in curves}
        self.benchmarks = tuple(dict.fromkeys(c.benchmark for c in curves))
        self.models = tuple(dict.fromkeys(c.lm for c in curves))
        self.checkpoints = sum(
            len({x for c in curves if c.lm == lm for x in c.checkpoints}) for lm in self.models
        )
        self.pairs = pairs
        for name in (name for pair in pairs for name in pair):
            if name not in self.benchmarks:
                raise UnknownNameError("benchmark", name, self.benchmarks, origin="pairs")
        self.estimators = self._chosen(sizes)
        self._scale = {b: self._scales(b) for b in self.benchmarks}

    def _chosen(self, sizes: Iterable[int] | None) -> tuple[Estimator, ...]:
        found = {e for c in self._curves.values() for e in c.estimates}
        if sizes is not None:
            wanted = set(sizes)
            there = {e.items for e in found if e.items is not None}
            if absent := sorted(wanted - there):
                raise ConfigError(
                    f"no estimate from {', '.join(map(str, absent))} items",
                    allowed=[str(n) for n in sorted(there)],
                )
            found = {e for e in found if e.items is None or e.items in wanted}
        return tuple(sorted(found, key=lambda e: (METHODS.index(e.method), e.items or 0)))

    def _scales(self, benchmark: str) -> dict[str, float]:
        """Returns the standard deviation of the estimates from all items, where it is not 0."""
        scales = {}
        for method in ("full_accuracy", "full_ability"):
            full = [c.estimates.get(Estimator(method)) for c in self._of(benchmark)]
            known = [values for values in full if values is not None]
            spread = float(np.std(np.concatenate(known))) if known else 0.0
            if len(known) == len(full) and spread > 0:
                scales[method] = spread
        return scales

    def _of(self, benchmark: str) -> list[Curves]:
        found = (self._curves.get((benchmark, lm)) for lm in self.models)
        return [curve for curve in found if curve is not None]

    def has(self, estimator: Estimator, benchmark: str | None) -> bool:
        """Whether there are such estimates."""
        return benchmark is None or any(estimator in c.estimates for c in self._of(benchmark))

    def cells(self, estimator: Estimator, benchmark: str | None) -> dict[str, Cells]:
        """Returns each measure of an estimator, for one benchmark or all."""
        chosen = self.benchmarks if benchmark is None else (benchmark,)
        pairs = [p for p in self.pairs if benchmark is None or benchmark in p]
        return {
            "error": self._errors(estimator, chosen),
            "rank_distance": self._rank_distances(estimator, pairs),
            "truth_distance": self._truth_distances(estimator, chosen),
            "total_variation": self._along(estimator, chosen, total_variation),
            "monotonicity": self._along(estimator, chosen, monotonicity),
        }

    def _grid(
        self, benchmarks: Sequence[str], measure: Callable[[Curves], float | None]
    ) -> FloatArray:
        values = np.full((len(benchmarks), len(self.models)), np.nan)
        for i, benchmark in enumerate(benchmarks):
            for j, lm in enumerate(self.models):
                curve = self._curves.get((benchmark, lm))
                value = None if curve is None else measure(curve)
                values[i, j] = np.nan if value is None else value
        return values

    def _along(
        self,
        estimator: Estimator,
        benchmarks: Sequence[str],
        measure: Callable[[FloatArray], float | None],
    ) -> Cells:
        def of(curve: Curves) -> float | None:
            values = curve.estimates.get(estimator)
            return None if values is None else measure(values)

        return Cells(self._grid(benchmarks, of), reason="no curve moves")

    def _errors(self, estimator: Estimator, benchmarks: Sequence[str]) -> Cells:
        if estimator.items is None:
            nothing = np.full((1, len(self.models)), np.nan)
            return Cells(nothing, reason="it has all items: the others are held against it")

        def of(curve: Curves) -> float | None:
            values = curve.estimates.get(estimator)
            scale = self._scale[curve.benchmark].get(estimator.reference)
            if values is None or scale is None:
                return None
            full = curve.estimates[Estimator(estimator.reference)]
            return float(np.mean(((values - full) / scale) ** 2))

        reason = f"there is no {estimator.reference} that differs between checkpoints"
        return Cells(self._grid(benchmarks, of), root=True, reason=reason)

    def _truth_distances(self, estimator: Estimator, benchmarks: Sequence[str]) -> Cells:
        rows = []
        for benchmark in benchmarks:
            curves = [c for c in self._of(benchmark) if estimator in c.estimates]
            if curves and all(c.truth is not None for c in curves):
                truth = {c.lm: c.truth for c in curves if c.truth is not None}
                rows.append(self._distance({c.lm: c.estimates[estimator] for c in curves}, truth))
        return self._stacked(rows, "true abilities are not known")

    def _rank_distances(self, estimator: Estimator, pairs: Sequence[tuple[str, str]]) -> Cells:
        rows = []
        for pair in pairs:
            one, other = (self._common(estimator, *names) for names in (pair, pair[::-1]))
            if one:
                rows.append(self._distance(one, other))
        reason = (
            "both benchmarks of a pair are needed"
            if pairs
            else "no pair of benchmarks is named that measure the same skill"
        )
        return self._stacked(rows, reason)

    def _common(self, estimator: Estimator, benchmark: str, other: str) -> dict[str, FloatArray]:
        """Returns estimates at the checkpoints that both benchmarks have, by model."""
        found = {}
        for lm in self.models:
            curve, partner = self._curves.get((benchmark, lm)), self._curves.get((other, lm))
            if curve is None or partner is None or estimator not in partner.estimates:
                continue
            if estimator in curve.estimates:
                shared = set(curve.checkpoints) & set(partner.checkpoints)
                place = {c: i for i, c in enumerate(curve.checkpoints)}
                found[lm] = curve.estimates[estimator][[place[c] for c in sorted(shared)]]
        return {lm: values for lm, values in found.items() if len(values)}

    def _distance(
        self, one: Mapping[str, FloatArray], other: Mapping[str, FloatArray]
    ) -> FloatArray:
        """Returns each model's mean distance of ranks, float64 of shape (models,)."""
        row = np.full(len(self.models), np.nan)
        x, y = (np.concatenate([each[lm] for lm in one]) for each in (one, other))
        if len(x) < 2:
            return row
        apart = np.abs(percentile_ranks(x) - percentile_ranks(y))
        start = 0
        for lm, values in one.items():
            row[self.models.index(lm)] = apart[start : start + len(values)].mean()
            start += len(values)
        return row

    def _stacked(self, rows: Sequence[FloatArray], reason: str) -> Cells:
        values = np.stack(rows) if rows else np.full((1, len(self.models)), np.nan)
        return Cells(values, reason=reason)

    def path_errors(self, estimator: Estimator) -> tuple[FloatArray, FloatArray] | None:
        """Returns mean squared errors of adaptive selection, and of a random method.

        Returns:
            Shapes (models, items) and (models,), over the benchmarks that have both for every
            model; None if there is none.
        """
        paths, levels = [], []
        for benchmark in self.benchmarks:
            scale = self._scale[benchmark].get("full_ability")
            whole = [c for c in self._of(benchmark) if c.path is not None]
            if scale is None or sum(estimator in c.estimates for c in whole) < len(self.models):
                continue
            full = [c.estimates[Estimator("full_ability")] for c in whole]
            paths.append(
                [
                    (((c.path - f[:, None]) / scale) ** 2).mean(axis=0)
                    for c, f in zip(whole, full, strict=True)
                    if c.path is not None
                ]
            )
            levels.append(
                [
                    (((c.estimates[estimator] - f) / scale) ** 2).mean()
                    for c, f in zip(whole, full, strict=True)
                ]
            )
        if not paths:
            return None
        shortest = min(len(path) for of_models in paths for path in of_models)
        falling = np.array([[path[:shortest] for path in of_models] for of_models in paths])
        return falling.mean(axis=0), np.array(levels).mean(axis=0)
