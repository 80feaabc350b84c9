"""How many samples show a difference: planned from assumptions, or from two runs as a pilot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lmms.comparison.effects import FEW_CLUSTERS, MetricComparison, RepeatsSplit
from lmms.errors import ConfigError
from lmms.statistics import (
    SampleSize,
    achieved_power,
    difference_variance,
    minimal_effect,
    repeats_variance,
    sample_size,
    variance_interval,
)

_FEW = 30
"""Below, the normal law is no good likeness of Student's."""
_SURE = 100
"""Below so many pairs a plan says that its variance is uncertain itself."""
_TOO_HOPEFUL = (
    f"below {_FEW} samples the normal approximation is too hopeful: a t test needs some more"
)


PILOT_HINT = "a pilot of both models tells it: lmms model=… task=… repeats=4 limit=200"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerQuestion:
    """What is asked."""

    effect: float
    """True difference of the means, in the metric's unit."""
    alpha: float = 0.05
    power: float = 0.8
    n: int | None = None
    """Number of samples to judge."""
    repeats: tuple[int, int] | None = None
    """Answers per question of A and B; None: as measured, or one."""
    design_effect: float | None = None
    """None: as measured, or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the differences of pairs vary: assumed, or measured."""

    variance: float
    """Of the difference of one pair of samples."""
    std_a: float | None = None
    std_b: float | None = None
    correlation: float | None = None
    design_effect: float = 1.0
    clusters: int | None = None
    omega2: float | None = None
    """Variance over questions of the difference of expected scores; needs repeats."""
    lasting: float | None = None
    """What endless repeats leave of variance times design effect; None: omega2 times it."""
    sigma2: tuple[float, float] | None = None
    """Mean variance of the scores of one question's answers, of A and B."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerAt:
    """What a number of samples can show."""

    n: int
    minimal_effect: float | None
    """Smallest difference that is found with the wanted power."""
    power: float | None
    """Chance of finding the effect that was asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPlan:
    """The answer. What is undefined is None, with the reason."""

    task: str | None
    metric: str | None
    spread: Spread | None
    needed: int | None
    needed_exact: float | None
    needed_low: int | None = None
    """Where the variance was measured: samples needed at the ends of its 95 % interval."""
    needed_high: int | None = None
    answers: tuple[int, int] | None = None
    """Answers that A and B have to give for these samples, where questions are asked repeatedly."""
    needed_without_noise: int | None
    """Samples with any number of repeats: what the questions' own spread asks for."""
    at: tuple[PowerAt, ...] = ()
    reason: str | None = None
    warnings: tuple[str, ...] = ()


def assumed_spread(std_a: float, std_b: float, correlation: float) -> Spread:
    """Returns the spread that standard deviations and a correlation of the scores give.

    Raises:
        StatisticsError: For a negative deviation, or a correlation outside -1 to 1.
    """
    variance = difference_variance(std_a, std_b, correlation)
    return Spread(variance=variance, std_a=std_a, std_b=std_b, correlation=correlation)


def spread_of_repeats(
    omega2: float, sigma2: tuple[float, float], repeats: tuple[int, int]
) -> Spread:
    """Returns the spread of question means over repeated answers.

    Raises:
        StatisticsError: For a negative variance, or fewer than one answer.
    """
    variance = repeats_variance(omega2, *sigma2, *repeats)
    return Spread(variance=variance, omega2=omega2, sigma2=sigma2)


def plan_power(
    question: PowerQuestion,
    spread: Spread,
    *,
    task: str | None = None,
    metric: str | None = None,
    pairs: int | None = None,
) -> PowerPlan:
    """Returns how many samples show the effect, and what `question.n` and `pairs` samples show.

    Args:
        question: What is asked.
        spread: How differences vary.
        task: Where the spread was measured.
        metric: Likewise.
        pairs: Number of pairs that it was measured on.

    Raises:
        StatisticsError: An argument is out of range, e.g. an effect of 0.
    """
    if question.design_effect is not None:
        spread = replace(spread, design_effect=question.design_effect)
    size = _size(question, spread.variance * spread.design_effect)
    lasting = spread.lasting
    if lasting is None and spread.omega2 is not None:
        lasting = spread.omega2 * spread.design_effect
    limit = None if lasting is None else _size(question, lasting)
    answers = None
    if size.n is not None and question.repeats is not None:
        answers = size.n * question.repeats[0], size.n * question.repeats[1]
    counts = dict.fromkeys(n for n in (question.n, pairs) if n)
    return PowerPlan(
        task=task,
        metric=metric,
        spread=spread,
        needed=size.n,
        needed_exact=size.exact,
        answers=answers,
        needed_without_noise=None if limit is None else limit.n,
        at=tuple(_at(question, spread, n) for n in counts),
        reason=size.reason,
        warnings=() if size.n is None or size.n >= _FEW else (_TOO_HOPEFUL,),
    )


def plan_from_rows(
    question: PowerQuestion, rows: Sequence[MetricComparison]
) -> tuple[PowerPlan, ...]:
    """Returns a plan per row of a comparison, from what was measured there.

    Raises:
        ConfigError: Repeats are asked about, and the runs asked each question once.
        StatisticsError: An argument is out of range.
    """
    if question.repeats is not None and all(row.repeats is None for row in rows):
        raise ConfigError(
            "the runs asked each question once, which does not tell how much answers to one "
            "question vary",
            origin="--repeats",
            hint=f"{PILOT_HINT}; or give --omega2 and --sigma2 instead of --from",
        )
    return tuple(_plan_from_row(question, row) for row in rows)


def _plan_from_row(question: PowerQuestion, row: MetricComparison) -> PowerPlan:
    measured = row.design_effect if question.design_effect is None else question.design_effect
    if row.variance is None:
        return _unknown(row, row.reason or "fewer than two pairs say nothing of the variance")
    if row.variance == 0:
        how = "by the same in every sample" if row.better or row.worse else "in any sample"
        verb = "differ" if row.better or row.worse else "do not differ"
        return _unknown(row, f"these runs {verb} {how}, so they say nothing about the variance")
    if measured == 0:
        return _unknown(row, row.reason or "no variance between clusters")
    if question.repeats is not None and row.repeats is None:
        return _unknown(row, "each question was asked once: answers to one may vary by anything")
    spread = Spread(
        variance=row.variance,
        std_a=row.std_a,
        std_b=row.std_b,
        correlation=row.correlation,
        design_effect=1.0 if measured is None else _at_least_one(measured, question),
        clusters=row.clusters,
    )
    if row.repeats is not None:
        spread = _with_repeats(spread, row.repeats, question)
    plan = plan_power(question, spread, task=row.shown, metric=row.metric, pairs=row.n)
    if plan.answers is None and plan.needed is not None and row.repeats is not None:
        counts = row.repeats.answers_a, row.repeats.answers_b
        a, b = (math.ceil(plan.needed * count) for count in counts)
        plan = replace(plan, answers=(a, b))
    if plan.needed_exact is not None and row.variance_degrees is not None:
        low, high = variance_interval(plan.needed_exact, row.variance_degrees)
        plan = replace(plan, needed_low=math.ceil(low), needed_high=math.ceil(high))
    return replace(plan, warnings=(*_warnings(question, row), *plan.warnings))


def _at_least_one(measured: float, question: PowerQuestion) -> float:
    """Returns a design effect to plan with: below 1 what was measured is chance, not a gain."""
    return measured if question.design_effect is not None else max(1.0, measured)


def _with_repeats(spread: Spread, split: RepeatsSplit, question: PowerQuestion) -> Spread:
    """Returns the spread with its parts, and at the number of answers that is asked about.

    Questions of one cluster share what makes them hard, not the chance of their answers. So the
    noise of answers is no part of what clusters multiply, unless a design effect was given.
    """
    sigma2 = split.sigma2_a, split.sigma2_b
    lasting = max(0.0, spread.design_effect * spread.variance - split.noise)
    given = question.design_effect is not None
    spread = replace(spread, omega2=split.omega2, sigma2=sigma2, lasting=None if given else lasting)
    if question.repeats is None:
        return spread
    variance = repeats_variance(split.omega2, *sigma2, *question.repeats)
    if given or variance == 0.0:
        return replace(spread, variance=variance)
    clustered = repeats_variance(lasting, *sigma2, *question.repeats)
    return replace(spread, variance=variance, design_effect=clustered / variance)


def _warnings(question: PowerQuestion, row: MetricComparison) -> Iterator[str]:
    if row.n < _SURE:
        yield f"measured on only {row.n} pairs: the variance is uncertain itself"
    measured = None if question.design_effect is not None else row.design_effect
    if measured is not None and measured < 1:
        yield f"the design effect measured is {measured:.3g}; below 1 it is not used, but 1 is"
    if row.clusters is not None and row.clusters < FEW_CLUSTERS and question.design_effect is None:
        yield (
            f"the design effect rests on only {row.clusters} clusters and may be far off: "
            "--design-effect takes one from elsewhere"
        )


def _unknown(row: MetricComparison, reason: str) -> PowerPlan:
    return PowerPlan(
        task=row.shown,
        metric=row.metric,
        spread=None,
        needed=None,
        needed_exact=None,
        needed_without_noise=None,
        reason=reason,
    )


def _size(question: PowerQuestion, variance: float) -> SampleSize:
    """Returns the samples needed where one pair has this variance, clusters included."""
    return sample_size(
        question.effect, variance=variance, alpha=question.alpha, power=question.power
    )


def _at(question: PowerQuestion, spread: Spread, n: int) -> PowerAt:
    return PowerAt(
        n=n,
        minimal_effect=minimal_effect(
            n,
            variance=spread.variance,
            alpha=question.alpha,
            power=question.power,
            design_effect=spread.design_effect,
        ),
        power=achieved_power(
            n,
            question.effect,
            variance=spread.variance,
            alpha=question.alpha,
            design_effect=spread.design_effect,
        ),
    )
