"""Do 95 % intervals hold the truth 95 times in 100? Simulated, with tables: `make simulate`.

Every row draws new data 10,000 times from a law whose truth is known and asks the estimator that
reports use. The Monte-Carlo error of a coverage near 95 % is 0.2 points. Where theory says that an
interval covers more or less than it says, the row says so and has bounds of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from lmms.statistics import (
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_median,
    exact_interval,
    f1_of_tables,
    group_mean,
    mcc_of_tables,
    mcnemar,
    paired_difference,
    sign_flip,
    summarize_mean,
    summarize_passes,
    summarize_repeats,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REPLICATIONS = 10_000
NOMINAL = (0.935, 0.965)
LEVEL = (0.04, 0.06)
Generator = np.random.Generator
Draw = Callable[[Generator], tuple[float | None, float | None]]


@dataclass(frozen=True)
class Row:
    """One line of a table: an estimator on one kind of data."""

    name: str
    draw: Draw
    truth: float
    bounds: tuple[float, float] = NOMINAL
    note: str = ""


def ends(found: Any) -> tuple[float | None, float | None]:
    return (None, None) if found is None else (found.low, found.high)


def covered(row: Row, number: int) -> tuple[float, float]:
    """Returns how often the interval holds the truth and how often there is one."""
    generator = np.random.default_rng([2024, number])
    inside = given = 0
    for _ in range(REPLICATIONS):
        low, high = row.draw(generator)
        if low is None or high is None:
            continue
        given += 1
        inside += low <= row.truth <= high
    return inside / max(given, 1), given / REPLICATIONS


def check(title: str, rows: Sequence[Row]) -> None:
    """Prints a table and holds every coverage against its bounds."""
    print(f"\n\n{title}; {REPLICATIONS:,} replications each")
    print(f"{'estimator and data':58} {'share':>7} {'allowed':>13}  {'given':>6}")
    wrong = []
    for number, row in enumerate(rows):
        share, given = covered(row, number)
        low, high = row.bounds
        print(
            f"{row.name:58} {share:7.2%} {low:6.1%}-{high:6.1%}  {given:6.1%}  {row.note}",
            flush=True,
        )
        if not low <= share <= high:
            wrong.append(f"{row.name}: {share:.2%}")
    assert not wrong, wrong


def binary(generator: Generator, n: int, share: float) -> Any:
    return (generator.random(n) < share).astype(float)


def test_intervals_of_independent_samples_cover() -> None:
    def wilson(n: int, share: float, *more: Any) -> Row:
        return Row(
            f"Wilson, n {n}, share {share:g}",
            lambda g: ends(summarize_mean(binary(g, n, share), proportions=True)),
            share,
            *more,
        )

    def exact(n: int, share: float) -> Row:
        return Row(
            f"exact (Clopper-Pearson), n {n}, share {share:g}",
            lambda g: ends(exact_interval(int(g.binomial(n, share)), n)),
            share,
            (0.95 - 0.005, 1.0),
            "never below 95 %, by construction",
        )

    check(
        "Coverage of 95 % intervals, independent samples",
        [
            Row("t, n 10, normal", lambda g: ends(summarize_mean(g.normal(0.4, 0.2, 10))), 0.4),
            Row("t, n 100, normal", lambda g: ends(summarize_mean(g.normal(0.4, 0.2, 100))), 0.4),
            Row("t, n 50, beta(2, 3)", lambda g: ends(summarize_mean(g.beta(2, 3, 50))), 0.4),
            Row(
                "t, n 10, exponential",
                lambda g: ends(summarize_mean(g.exponential(1.0, 10))),
                1.0,
                (0.88, 0.92),
                "skewed and few: t is below 95 %",
            ),
            wilson(50, 0.7),
            wilson(100, 0.25),
            wilson(200, 0.95, (0.96, 0.972), "counts are whole: 96.6 % by the binomial law"),
            wilson(1000, 0.6),
            exact(10, 0.7),
            exact(100, 0.25),
            exact(1000, 0.6),
        ],
    )


def clustered(
    generator: Generator, sizes: Any, spread: float, *, shares: bool = False
) -> tuple[Any, Any]:
    """Draws scores that share something within a cluster, and their clusters."""
    clusters = np.repeat(np.arange(sizes.size), sizes)
    if shares:
        concentration = 1.0 / spread**2
        chance = generator.beta(0.6 * concentration, 0.4 * concentration, sizes.size)
        return (generator.random(clusters.size) < chance[clusters]).astype(float), clusters
    effects = generator.normal(0.0, spread, sizes.size)
    return 0.6 + effects[clusters] + generator.normal(0.0, 0.3, clusters.size), clusters


def skewed_sizes(generator: Generator, count: int) -> Any:
    return 1 + generator.lognormal(1.0, 1.0, count).astype(np.int64)


def test_intervals_of_clustered_samples_cover() -> None:
    def equal(count: int, *, shares: bool) -> Row:
        sizes = np.full(count, 6)
        kind = "0/1 scores" if shares else "normal"
        return Row(
            f"clustered t, C {count}, 6 each, {kind}",
            lambda g: ends(
                summarize_mean(*clustered(g, sizes, 0.4, shares=shares), proportions=shares)
            ),
            0.6,
        )

    def unequal(count: int, bounds: tuple[float, float], note: str) -> Row:
        return Row(
            f"clustered t, C {count}, sizes lognormal, normal",
            lambda g: ends(summarize_mean(*clustered(g, skewed_sizes(g, count), 0.4))),
            0.6,
            bounds,
            note,
        )

    # The variance of a sum over unequal clusters is that of its few largest ones: C - 1 promises
    # more degrees of freedom than there are (Carter, Schnepel and Steigerwald 2017).
    few = "unequal clusters: the largest ones decide"
    check(
        "Coverage of 95 % intervals, clustered samples",
        [
            *(equal(count, shares=False) for count in (10, 30, 100)),
            *(equal(count, shares=True) for count in (10, 30, 100)),
            unequal(10, (0.86, 0.94), few),
            unequal(30, (0.90, 0.95), few),
            unequal(100, (0.925, 0.96), few),
            Row(
                "t that ignores clusters, C 100, 6 each, normal",
                lambda g: ends(summarize_mean(clustered(g, np.full(100, 6), 0.4)[0])),
                0.6,
                (0.5, 0.75),
                "what the peers' paired and stratified figures do",
            ),
        ],
    )


def test_intervals_of_repeats_and_groups_cover() -> None:
    def answers(generator: Generator, questions: int, repeats: int) -> Any:
        chance = generator.beta(1.2, 0.8, questions)[:, None]
        return (generator.random((questions, repeats)) < chance).astype(float)

    # E[1 - (1 - p)^2] for p ~ Beta(1.2, 0.8).
    two = 1.0 - 0.8 * 1.8 / (2.0 * 3.0)
    sizes, shares = (40, 120, 300), (0.35, 0.65, 0.8)

    def tasks(generator: Generator) -> list[Any]:
        drawn = zip(sizes, shares, strict=True)
        return [summarize_mean(binary(generator, n, share), proportions=True) for n, share in drawn]

    micro = sum(n * s for n, s in zip(sizes, shares, strict=True)) / sum(sizes)

    def pooled_t(generator: Generator) -> tuple[float | None, float | None]:
        return ends(summarize_mean(answers(generator, 60, 4).reshape(-1)))

    check(
        "Coverage of 95 % intervals, repeats and groups",
        [
            Row(
                "repeats, 60 questions x 4 answers",
                lambda g: ends(summarize_repeats(answers(g, 60, 4))),
                0.6,
            ),
            Row("pass@2 of 4, 60 questions", lambda g: passes(answers(g, 60, 4)), two),
            Row("pass@2 of 4, 200 questions", lambda g: passes(answers(g, 200, 4)), two),
            Row(
                "all answers as independent samples, 60 x 4",
                pooled_t,
                0.6,
                (0.7, 0.9),
                "the formula to avoid",
            ),
            Row("macro mean of 3 tasks", lambda g: ends(group_mean(tasks(g))), sum(shares) / 3),
            Row("micro mean of 3 tasks", lambda g: ends(group_mean(tasks(g), "micro")), micro),
        ],
    )


def passes(scores: Any) -> tuple[float | None, float | None]:
    return ends(summarize_passes(scores, 2))


def test_bootstrap_intervals_cover() -> None:
    drawn: dict[str, Any] = {"replicates": 1000, "seed": 1}

    def table(generator: Generator, n: int) -> Any:
        return generator.multinomial(n, [0.45, 0.1, 0.15, 0.3]).reshape(2, 2)

    mcc = (0.3 * 0.45 - 0.1 * 0.15) / np.sqrt(0.4 * 0.45 * 0.55 * 0.6)
    check(
        "Coverage of 95 % percentile intervals, bootstrap of 1,000",
        [
            Row(
                "mean, n 100, 0/1 scores",
                lambda g: ends(bootstrap_mean(binary(g, 100, 0.6), **drawn)),
                0.6,
            ),
            Row(
                "mean, C 50 of 6, 0/1 scores",
                lambda g: ends(
                    bootstrap_mean(*clustered(g, np.full(50, 6), 0.4, shares=True), **drawn)
                ),
                0.6,
            ),
            Row(
                "mean, n 10, normal",
                lambda g: ends(bootstrap_mean(g.normal(0.4, 0.2, 10), **drawn)),
                0.4,
                (0.87, 0.925),
                "few: percentiles are too narrow by sqrt((n-1)/n) and t",
            ),
            Row(
                "median, n 101, normal",
                lambda g: ends(bootstrap_median(g.normal(0.4, 0.2, 101), **drawn)),
                0.4,
            ),
            Row(
                "F1, n 300",
                lambda g: ends(bootstrap_counts(table(g, 300), f1_of_tables, **drawn)),
                2 * 0.3 / (2 * 0.3 + 0.25),
            ),
            Row(
                "MCC, n 300",
                lambda g: ends(bootstrap_counts(table(g, 300), mcc_of_tables, **drawn)),
                float(mcc),
            ),
        ],
    )


def pair(generator: Generator, clusters: Any, spread: float) -> tuple[Any, Any]:
    """Draws 0/1 scores of two equally good systems; clusters like one or the other better."""
    count = int(clusters.max()) + 1
    hard = generator.beta(2.0, 2.0, clusters.size)
    tilt = generator.uniform(-spread, spread, count)[clusters]
    chance_a = np.clip(hard + tilt, 0.0, 1.0)
    chance_b = np.clip(hard - tilt, 0.0, 1.0)
    return (
        (generator.random(clusters.size) < chance_a).astype(float),
        (generator.random(clusters.size) < chance_b).astype(float),
    )


def test_paired_differences_cover_and_keep_their_level() -> None:
    alone = np.arange(200)

    def clusters(count: int) -> Any:
        return np.repeat(np.arange(count), 6)

    def interval(labels: Any, *, grouped: bool) -> Draw:
        return lambda g: ends(paired_difference(*pair(g, labels, 0.3), labels if grouped else None))

    check(
        "Coverage of 95 % intervals of a difference",
        [
            Row("paired t, n 200, 0/1 scores", interval(alone, grouped=False), 0.0),
            *(
                Row(f"paired clustered t, C {c}, 6 each", interval(clusters(c), grouped=True), 0.0)
                for c in (10, 30, 100)
            ),
        ],
    )

    def rejects(p_value: float | None) -> tuple[float, float]:
        # As an interval that holds 0 where the test rejects, so that the share is the level.
        return (-1.0, 1.0) if p_value is not None and p_value < 0.05 else (1.0, 2.0)

    def level(labels: Any, *, grouped: bool) -> Draw:
        return lambda g: rejects(
            paired_difference(*pair(g, labels, 0.3), labels if grouped else None).p_value
        )

    def unequal(count: int) -> Draw:
        def draw(g: Generator) -> tuple[float, float]:
            labels = np.repeat(np.arange(count), skewed_sizes(g, count))
            return rejects(paired_difference(*pair(g, labels, 0.3), labels).p_value)

        return draw

    def flips(sizes: Callable[[Generator], Any]) -> Draw:
        def draw(g: Generator) -> tuple[float, float]:
            labels = np.repeat(np.arange(30), sizes(g))
            a, b = pair(g, labels, 0.3)
            return rejects(sign_flip(a - b, labels, permutations=999, seed=1).p_value)

        return draw

    check(
        "Level of 5 % tests of no difference",
        [
            Row("paired t, n 200, 0/1 scores", level(alone, grouped=False), 0.0, LEVEL),
            *(
                Row(
                    f"paired clustered t, C {c}, 6 each",
                    level(clusters(c), grouped=True),
                    0.0,
                    LEVEL,
                )
                for c in (10, 30, 100)
            ),
            Row(
                "paired clustered t, C 30, sizes lognormal",
                unequal(30),
                0.0,
                (0.04, 0.11),
                "unequal clusters: the largest ones decide",
            ),
            Row(
                "paired clustered t, C 100, sizes lognormal",
                unequal(100),
                0.0,
                (0.04, 0.085),
                "unequal clusters: the largest ones decide",
            ),
            Row("sign flips of clusters, C 30, 6 each", flips(lambda g: 6), 0.0, LEVEL),
            Row(
                "sign flips of clusters, C 30, sizes lognormal",
                flips(lambda g: skewed_sizes(g, 30)),
                0.0,
                LEVEL,
                "exact for clusters of any sizes",
            ),
            Row(
                "paired t that ignores clusters, C 100, 6 each",
                level(clusters(100), grouped=False),
                0.0,
                (0.1, 0.4),
                "what the peers do",
            ),
            Row(
                "McNemar, exact, n 200",
                lambda g: rejects(mcnemar(*pair(g, alone, 0.3)).p_value),
                0.0,
                (0.02, 0.055),
                "never above 5 %, by construction",
            ),
        ],
    )
