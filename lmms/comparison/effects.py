"""The paired difference of one metric between two runs, with its test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lmms.comparison.outcomes import Outcomes
from lmms.comparison.pairing import Pairing
from lmms.comparison.sides import MetricFacts
from lmms.statistics import adjust, mcnemar, paired_difference, sign_flip, variance_degrees

if TYPE_CHECKING:
    from numpy.typing import NDArray

Correction: TypeAlias = Literal["holm", "bh", "by", "none"]
CORRECTIONS: dict[Correction, str] = {
    "holm": "Holm",
    "bh": "Benjamini-Hochberg",
    "by": "Benjamini-Yekutieli",
    "none": "none",
}
MAX_LOST = 0.01
"""Share of the pairs that may be lost before what is left is no fair picture."""
FEW_CLUSTERS = 30
"""Below, intervals are too narrow more often than they say (Cameron and Miller 2015)."""
_UNEQUAL = 2 / 3
"""Where fewer of the clusters would weigh as much if all were of one size, the t test rejects too
often (in simulations with lognormal sizes in 7 to 9 % of cases at a level of 5 %)."""
_ROUNDED = 1e-4
"""A benchmark may publish a mean rounded to some places; further away it is no mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsSplit:
    """The variance of the differences, split into that of questions and that of answers.

    variance = omega2 + noise; asking more often makes the noise smaller only. See Miller (2024),
    arXiv 2411.00640, section 3.
    """

    omega2: float
    """Variance over questions of the difference of expected scores, at least 0."""
    sigma2_a: float
    """Mean variance of the scores of one question's answers."""
    sigma2_b: float
    answers_a: float
    """Mean number of answers per question."""
    answers_b: float
    noise: float
    """Mean over the pairs of sigma2_a / answers + sigma2_b / answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricComparison:
    """One metric of one task in both runs. What is undefined is None, with the reason."""

    task: str
    """Label of the task."""
    shown: str
    """The task as tables show it."""
    metric: str
    """Key of the metric, with `,filter` where there are filters."""
    higher_is_better: bool
    n: int
    """Pairs of samples which the metric scores on both sides."""
    a: float | None
    """Mean score of the baseline over these pairs."""
    b: float | None
    difference: float | None
    """b - a."""
    stderr: float | None = None
    stderr_unpaired: float | None = None
    """What the standard error were, did the runs answer different questions."""
    correlation: float | None = None
    std_a: float | None = None
    """Standard deviation of A's scores, divisor n - 1."""
    std_b: float | None = None
    variance: float | None = None
    """Of the differences of the pairs, divisor n - 1, clusters left aside."""
    variance_degrees: float | None = None
    """Of freedom of a chi-square law that spreads as the estimate of this variance, or with
    clusters of the clustered one."""
    repeats: RepeatsSplit | None = None
    """Where both runs asked every question several times."""
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    p_value: float | None = None
    """Two-sided, of the null hypothesis that there is no difference."""
    p_adjusted: float | None = None
    degrees: int | None = None
    """Of freedom, of interval and test."""
    method: str | None = None
    reason: str | None = None
    """Why something above is None."""
    clusters: int | None = None
    effective_clusters: float | None = None
    """How many clusters of equal size would weigh as much."""
    design_effect: float | None = None
    better: int = 0
    """Samples on which B scores better than A."""
    worse: int = 0
    binary: bool = False
    """Whether all scores are 0 or 1."""
    mcnemar_p: float | None = None
    """Exact; for 0/1 scores. Knows no clusters."""
    sign_flip_p: float | None = None
    """Of random signs of whole clusters; keeps its level where their sizes are very unequal. None
    without clusters."""
    unit: bool = False
    """Whether all scores lie from 0 to 1, so that percentage points mean something."""
    unscored: int = 0
    """Pairs that the metric scores on one side only; left out."""
    failed: int = 0
    """Pairs left out because the sample of a side failed."""
    missing: int = 0
    """Documents that A has and B lacks, where only the common ones are compared."""
    reported_a: float | None = None
    """What the run reported over all of its samples."""
    reported_b: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """Pairs that should count and do not: a side failed, or has no score where the other has.

        Failures of both sides count, too: an outage that hit both runs leaves a picture that is no
        fairer than one that hit the candidate.
        """
        return self.failed + self.unscored

    @property
    def lost_share(self) -> float:
        """`lost` as a share of the pairs, 0 to 1."""
        return self.lost / (self.n + self.lost) if self.lost else 0.0

    @property
    def unpaired_share(self) -> float:
        """`lost` and `missing` as a share of A's documents, 0 to 1: what a gate cannot see."""
        unseen = self.lost + self.missing
        return unseen / (self.n + unseen) if unseen else 0.0

    @property
    def gain(self) -> float | None:
        """The difference, above 0 where B is better."""
        if self.difference is None:
            return None
        return self.difference if self.higher_is_better else -self.difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Pairs on which the two runs score differently, the largest changes first."""

    better: Any
    """Positions in the pairing, int64; B scores better."""
    worse: Any


def compare_metric(
    task: tuple[str, str],
    metric: MetricFacts,
    reported_b: float | None,
    columns: tuple[Outcomes, Outcomes],
    pairing: Pairing,
    *,
    confidence: float,
    max_lost: float = MAX_LOST,
) -> tuple[MetricComparison, Flips]:
    """Compares one metric over the pairs of a task.

    Args:
        task: Label of the task, and its name as shown.
        metric: What the baseline knows of the metric.
        reported_b: The number that the candidate reported.
        columns: Samples of baseline and candidate.
        pairing: Their pairs.
        confidence: Coverage of the interval.
        max_lost: Share of the pairs that may be lost without a warning.
    """
    import numpy as np

    a = _values(columns[0], metric.key)[pairing.a]
    b = _values(columns[1], metric.key)[pairing.b]
    known_a, known_b = ~np.isnan(a), ~np.isnan(b)
    both = known_a & known_b
    a, b = a[both], b[both]
    clusters = _clusters(columns, pairing, both)
    gains = b - a if metric.higher_is_better else a - b
    binary = bool(a.size) and bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())
    row = MetricComparison(
        task=task[0],
        shown=task[1],
        metric=metric.key,
        higher_is_better=metric.higher_is_better,
        n=int(a.size),
        a=float(a.mean()) if a.size else None,
        b=float(b.mean()) if a.size else None,
        difference=float((b - a).mean()) if a.size else None,
        confidence=confidence,
        reason=None if a.size else "no pair of samples has this score",
        better=int((gains > 0).sum()),
        worse=int((gains < 0).sum()),
        binary=binary,
        unit=bool(a.size) and min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) <= 1,
        unscored=int((known_a != known_b).sum()),
        failed=pairing.failed,
        missing=len(pairing.only_a),
        reported_a=metric.reported,
        reported_b=reported_b,
    )
    if a.size:
        row = _tested(row, a, b, clusters)
    if a.size > 1:
        row = replace(
            row,
            std_a=float(a.std(ddof=1)),
            std_b=float(b.std(ddof=1)),
            variance=float((b - a).var(ddof=1)),
            variance_degrees=variance_degrees(b - a, clusters),
        )
        rows = pairing.a[both], pairing.b[both]
        row = replace(row, repeats=_repeats_split(columns, metric.key, rows, row.variance or 0.0))
    complete = not (pairing.only_a or pairing.only_b or pairing.failed or row.unscored)
    warnings = (*_unfair(row, max_lost), *_warnings(row, complete=complete))
    return replace(row, warnings=warnings), _flips(gains, both)


def adjusted(
    rows: Sequence[MetricComparison], correction: Correction
) -> tuple[MetricComparison, ...]:
    """Returns the rows with p-values adjusted over all of them; without a p-value a row is none."""
    if correction == "none":
        return tuple(replace(row, p_adjusted=row.p_value) for row in rows)
    found = adjust([row.p_value for row in rows], correction)
    return tuple(replace(row, p_adjusted=p) for row, p in zip(rows, found, strict=True))


def _values(columns: Outcomes, key: str) -> NDArray[Any]:
    import numpy as np

    column = columns.values.get(key)
    if column is None:
        return np.full(len(columns), np.nan)
    return np.frombuffer(column, dtype=np.float64)


def _clusters(
    columns: tuple[Outcomes, Outcomes], pairing: Pairing, both: NDArray[Any]
) -> NDArray[Any] | None:
    """Returns a number per pair, equal within a cluster; None if no pair has one.

    The baseline says which; where it knows none the candidate does. A pair without a cluster is
    one of its own.
    """
    import numpy as np

    for side, rows in zip(columns, (pairing.a, pairing.b), strict=True):
        names = [side.clusters[row] for row in rows[both]]
        if any(name is not None for name in names):
            numbers: dict[str, int] = {}
            return np.fromiter(
                (
                    -1 - i if name is None else numbers.setdefault(name, len(numbers))
                    for i, name in enumerate(names)
                ),
                np.int64,
                len(names),
            )
    return None


def _tested(row: MetricComparison, a: Any, b: Any, clusters: Any) -> MetricComparison:
    import numpy as np

    if clusters is not None and np.unique(clusters).size == clusters.size:
        clusters = None
    found = paired_difference(b, a, clusters, confidence=row.confidence)
    exact = mcnemar(b, a) if row.binary else None
    flipped = None if clusters is None or found.clusters == 1 else sign_flip(b - a, clusters)
    return replace(
        row,
        stderr=found.stderr,
        stderr_unpaired=found.stderr_unpaired,
        correlation=found.correlation,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        degrees=found.degrees,
        method=found.method,
        reason=found.reason,
        clusters=found.clusters,
        effective_clusters=found.effective_clusters,
        design_effect=found.design_effect,
        mcnemar_p=None if exact is None else exact.p_value,
        sign_flip_p=None if flipped is None else flipped.p_value,
    )


def _repeats_split(
    columns: tuple[Outcomes, Outcomes], key: str, rows: tuple[Any, Any], variance: float
) -> RepeatsSplit | None:
    """Splits the variance over these rows of both sides; None if a side asked nothing twice."""
    import numpy as np

    noise, sigma2, answers = [], [], []
    for side, chosen in zip(columns, rows, strict=True):
        found = side.repeats.get(key)
        if found is None:
            return None
        counts = np.ones(len(side), dtype=np.int64)
        counts[found.rows] = found.counts
        variances = np.full(len(side), np.nan)
        variances[found.rows] = found.variances
        counts, variances = counts[chosen], variances[chosen]
        several = counts > 1
        if not several.any():
            return None
        sigma2.append(float(variances[several].mean()))
        # One answer has no variance of its own: it has that of the others.
        known = np.where(several, variances, sigma2[-1])
        noise.append(float((known / counts).mean()))
        answers.append(float(counts.mean()))
    return RepeatsSplit(
        omega2=max(0.0, variance - sum(noise)),
        sigma2_a=sigma2[0],
        sigma2_b=sigma2[1],
        answers_a=answers[0],
        answers_b=answers[1],
        noise=sum(noise),
    )


def _flips(gains: Any, both: Any) -> Flips:
    """Positions among all pairs; large changes first, in the order of the documents within."""
    import numpy as np

    positions = np.flatnonzero(both)

    def ordered(sign: int) -> Any:
        chosen = np.flatnonzero(sign * gains > 0)
        order = np.argsort(-np.abs(gains[chosen]), kind="stable")
        return positions[chosen[order]]

    return Flips(better=ordered(1), worse=ordered(-1))


def lost_text(row: MetricComparison, *, missing: bool = False) -> str:
    """Returns how many pairs are lost, and to what.

    Args:
        row: The row.
        missing: Whether documents that B lacks count as well.
    """
    counts = [(row.failed, "failed"), (row.unscored, "without a score on one side")]
    if missing:
        counts.append((row.missing, "not in B"))
    lost = sum(count for count, _ in counts)
    parts = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{lost} of {row.n + lost} pairs are lost ({parts})"


def _unfair(row: MetricComparison, max_lost: float) -> list[str]:
    if row.lost_share <= max_lost:
        return []
    rest = f"the {row.n} left are no fair picture" if row.n else "none is left"
    return [f"DO NOT TRUST THIS ROW: {lost_text(row)}; {rest}"]


def _warnings(row: MetricComparison, *, complete: bool) -> list[str]:
    texts = []
    if row.unscored:
        texts.append(f"{row.unscored} pairs are scored on one side only and left out")
    if row.low is not None and row.clusters is not None and row.clusters < FEW_CLUSTERS:
        texts.append(
            f"the interval rests on only {row.clusters} clusters and is probably too narrow"
        )
    if unequal_clusters(row):
        texts.append(
            f"p and interval trust {row.clusters} clusters, which weigh as much as "
            f"{row.effective_clusters:.1f} of equal size: read the sign flip p "
            f"({row.sign_flip_p:.2g}) instead of p ({row.p_value:.2g})"
        )
    reported = (("A", row.a, row.reported_a), ("B", row.b, row.reported_b))
    told = [
        f"{number:g} for {side}"
        for side, mean, number in reported
        if complete and mean is not None and _is_no_mean(number, mean)
    ]
    if told:
        texts.append(
            f"the task reports {' and '.join(told)}, which is no mean of its samples' scores; "
            "compared here are these scores"
        )
    return texts


def unequal_clusters(row: MetricComparison) -> bool:
    """Whether sizes of clusters differ so much that the sign flip's p is the one to read."""
    count, effective = row.clusters, row.effective_clusters
    if count is None or effective is None or effective >= _UNEQUAL * count:
        return False
    return row.p_value is not None and row.sign_flip_p is not None


def _is_no_mean(reported: float | None, mean: float) -> bool:
    return reported is not None and abs(reported - mean) > _ROUNDED * max(1.0, abs(mean))
