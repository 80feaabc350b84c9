from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lmms.statistics.resampling as resampling
from lmms.statistics import (
    Bootstrap,
    StatisticsError,
    accuracy_of_tables,
    bootstrap,
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_median,
    bootstrap_totals,
    f1_of_tables,
    mcc_of_tables,
)

GENERATOR = np.random.default_rng(11)
RIGHT = (GENERATOR.random(200) < 0.7).astype(float)
POINTS = GENERATOR.normal(size=41)
CLUSTERS = np.repeat(np.arange(20), 10)
TABLE = np.asarray([[40, 9], [7, 24]])


def close(found: Bootstrap | None, expected: float, replicates: int) -> None:
    assert found is not None
    assert abs(found.stderr - expected) < 4 * expected / math.sqrt(2 * replicates)


@pytest.mark.parametrize(
    "values", [RIGHT, POINTS, np.round(POINTS), np.arange(3000) % 7], ids=["01", "all", "few", "7"]
)
def test_the_mean_has_its_exact_spread(values: np.ndarray) -> None:
    found = bootstrap_mean(values, replicates=20_000, seed=2)
    close(found, float(values.std()) / math.sqrt(values.size), 20_000)
    assert found is not None
    assert found.low < values.mean() < found.high


def test_clusters_are_drawn_whole() -> None:
    values = np.random.default_rng(3).normal(size=20)[CLUSTERS]
    found = bootstrap_mean(values, CLUSTERS, replicates=20_000, seed=2)
    close(found, float(values[::10].std()) / math.sqrt(20), 20_000)


def test_the_plain_bootstrap_draws_clusters_whole_as_well() -> None:
    sizes = np.asarray([1, 9, 4, 6, 2, 8])
    labels = np.repeat(list("qwerty"), sizes)
    values = np.random.default_rng(5).normal(size=30)
    plain = bootstrap(values, lambda v: float(v.mean()), labels, replicates=3000, seed=1)
    fast = bootstrap_mean(values, labels, replicates=20_000, seed=1)
    assert plain is not None
    assert fast is not None
    assert fast.stderr == pytest.approx(plain.stderr, rel=4 / math.sqrt(2 * 3000))
    assert bootstrap(values[:9], len, ["q"] * 9, replicates=10, seed=0) is None


def test_fast_paths_have_the_law_of_the_plain_bootstrap() -> None:
    ways: list[tuple[Any, Callable[[Any], float], Bootstrap | None]] = []
    ways.append(
        (
            POINTS,
            lambda v: float(np.median(v)),
            bootstrap_median(POINTS, replicates=20_000, seed=1),
        )
    )
    even = POINTS[:16]
    ways.append(
        (
            even,
            lambda v: float(np.median(v)),
            bootstrap_median(even, replicates=20_000, seed=1),
        )
    )
    pairs = np.stack([np.abs(POINTS), 1.0 + POINTS**2], axis=1)
    ways.append(
        (
            pairs,
            lambda v: float(v[:, 0].sum() / v[:, 1].sum()),
            bootstrap_totals(pairs, lambda t: t[:, 0] / t[:, 1], replicates=20_000, seed=1),
        )
    )
    cells = np.repeat(np.arange(4), TABLE.reshape(-1))
    for of_tables in (f1_of_tables, mcc_of_tables, accuracy_of_tables):
        ways.append(
            (
                cells,
                lambda v, f=of_tables: float(f(np.bincount(v, minlength=4).reshape(2, 2))),
                bootstrap_counts(TABLE, of_tables, replicates=20_000, seed=1),
            )
        )
    for values, statistic, fast in ways:
        plain = bootstrap(values, statistic, replicates=3000, seed=4)
        assert plain is not None
        assert fast is not None
        assert fast.stderr == pytest.approx(plain.stderr, rel=4 / math.sqrt(2 * 3000))
        assert fast.low == pytest.approx(plain.low, abs=0.25 * plain.stderr)
        assert fast.high == pytest.approx(plain.high, abs=0.25 * plain.stderr)


@pytest.mark.parametrize(
    "draw",
    [
        lambda **k: bootstrap_mean(RIGHT, **k),
        lambda **k: bootstrap_mean(POINTS, **k),
        lambda **k: bootstrap_mean(RIGHT, CLUSTERS, **k),
        lambda **k: bootstrap_median(POINTS, **k),
        lambda **k: bootstrap_counts(TABLE, mcc_of_tables, **k),
    ],
)
def test_replicates_do_not_depend_on_how_they_are_split(
    draw: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "summarize_replicates", lambda found, confidence: found)
    whole = draw(replicates=14_000, seed=3)
    parts = [draw(replicates=n, seed=3, first=f) for f, n in ((0, 4100), (4100, 33), (4133, 9867))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, draw(replicates=14_000, seed=4))
    assert len(set(whole)) > 5


def test_replicates_without_a_value_are_counted() -> None:
    # No positive in e^-6 = 0.25 % of the resamples; in e^-2 = 13 % of the others.
    some = bootstrap_counts([[600, 0], [0, 6]], f1_of_tables, replicates=20_000, seed=0)
    assert some is not None
    assert 20 < some.undefined < 90
    assert some.replicates + some.undefined == 20_000
    assert bootstrap_counts([[200, 0], [0, 2]], f1_of_tables, replicates=20_000, seed=0) is None


def test_too_little_is_undefined_and_wrong_input_refused() -> None:
    assert bootstrap_mean([1.0], replicates=10, seed=0) is None
    assert bootstrap_mean([1.0, 0.0], [5, 5], replicates=10, seed=0) is None
    assert bootstrap_median([1.0], replicates=10, seed=0) is None
    assert bootstrap_counts([[1, 0], [0, 0]], mcc_of_tables, replicates=10, seed=0) is None
    constant = bootstrap_mean([1.0] * 5, replicates=10, seed=0)
    assert constant is not None
    assert (constant.stderr, constant.low, constant.high) == (0.0, 1.0, 1.0)
    for call in (
        lambda: bootstrap_mean([1.0, math.nan], replicates=10, seed=0),
        lambda: bootstrap_mean([1.0, 0.0], replicates=10, seed=-1),
        lambda: bootstrap_counts([[0.5, 1]], mcc_of_tables, replicates=10, seed=0),
        lambda: bootstrap_totals([1.0, 2.0], sum, replicates=10, seed=0),
    ):
        with pytest.raises(StatisticsError):
            call()
