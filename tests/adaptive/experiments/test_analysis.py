"""The analysis of experiments: measures with known values, and what a simulation must show."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.adaptive.experiments.analysis import Analysis, MethodQuality, analyse
from lmms.adaptive.experiments.curves import Curves, Estimator, curves_of
from lmms.adaptive.experiments.history import SimulatedBenchmark, simulate_history
from lmms.adaptive.experiments.measures import (
    mean_ranks,
    monotonicity,
    percentile_ranks,
    total_variation,
)
from lmms.adaptive.experiments.protocol import BenchmarkResponses, Protocol, run_experiment
from lmms.adaptive.experiments.resampling import Cells, ModelBootstrap, expanded_tail
from lmms.errors import ConfigError, DataError, UnknownNameError

NUMBERS = st.lists(st.integers(-50, 50), min_size=2, max_size=12)


def test_total_variation_counts_the_way_in_ranges() -> None:
    assert total_variation([0, 1, 5, 10]) == 1
    assert total_variation([0, 2, 1, 2]) == 2
    assert total_variation([3, 3, 3]) is None
    assert total_variation([3]) is None


def test_monotonicity_is_spearmans_correlation() -> None:
    assert monotonicity([1, 2, 30, 40]) == pytest.approx(1)
    assert monotonicity([4, 3, 2, 1]) == pytest.approx(-1)
    # Pearson's correlation of the ranks 0, 1.5, 1.5, 3 with 0, 1, 2, 3.
    assert monotonicity([1, 2, 2, 3]) == pytest.approx(0.9486832980505138)
    assert monotonicity([5, 5]) is None
    assert monotonicity([5]) is None


def test_ranks_share_ties() -> None:
    assert mean_ranks([10, 30, 20, 20]).tolist() == [0, 3, 1.5, 1.5]
    assert percentile_ranks([3, 1, 2]).tolist() == [100, 0, 50]


@given(NUMBERS, st.integers(1, 9), st.integers(-9, 9))
def test_measures_do_not_depend_on_the_unit(values: list[int], a: int, b: int) -> None:
    moved = [a * x + b for x in values]
    assert total_variation(moved) == pytest.approx(total_variation(values))
    assert monotonicity(moved) == pytest.approx(monotonicity(values))


@given(NUMBERS)
def test_measures_keep_their_bounds(values: list[int]) -> None:
    variation, order = total_variation(values), monotonicity(values)
    assert variation is None or variation >= 1 - 1e-12
    assert order is None or -1 - 1e-12 <= order <= 1 + 1e-12
    assert sum(mean_ranks(values)) == pytest.approx(sum(range(len(values))))


def _rows(benchmark: str, lm: str, **columns: Sequence[Any]) -> list[dict[str, Any]]:
    length = len(next(iter(columns.values())))
    return [
        {
            **{name: values[t] for name, values in columns.items()},
            "benchmark": benchmark,
            "lm": lm,
            "checkpoint": f"step{t}",
        }
        for t in range(length)
    ]


def _two_models() -> list[dict[str, Any]]:
    """Two models on two benchmarks, with numbers small enough to work out by hand."""
    return [
        *_rows("a", "x", full_ability=[0.0, 1.0], random_ability_1=[0.0, 2.0]),
        *_rows("a", "y", full_ability=[2.0, 3.0], random_ability_1=[2.0, 2.0]),
        *_rows("b", "x", full_ability=[0.0, 1.0], random_ability_1=[1.0, 0.0]),
        *_rows("b", "y", full_ability=[3.0, 2.0], random_ability_1=[2.0, 3.0]),
    ]


def _quality(analysis: Analysis, method: str, items: int | None = None) -> MethodQuality:
    return next(q for q in analysis.overall() if (q.method, q.items) == (method, items))


def test_values_are_those_worked_out_by_hand() -> None:
    analysis = analyse(curves_of(_two_models()), pairs=[("a", "b")])
    full = _quality(analysis, "full_ability")
    # Ranks of full on a: 0, 1, 2, 3; on b: 0, 1, 3, 2; y is 1 of 3 ranks away twice.
    assert full.rank_distance.value == pytest.approx((0 + 0 + 100 / 3 + 100 / 3) / 4)
    assert full.total_variation.value == 1
    assert full.monotonicity.value == pytest.approx((1 + 1 + 1 - 1) / 4)
    assert full.error.value is None
    assert "held against" in str(full.error.reason)
    random = _quality(analysis, "random_ability", 1)
    # Errors 0, 1, 0, -1 on a and 1, -1, -1, 1 on b; both standard deviations are sqrt(1.25).
    assert random.error.value == pytest.approx(((0 + 1 + 0 + 1 + 1 + 1 + 1 + 1) / 8 / 1.25) ** 0.5)
    # x on a moves by its range; y does not move at all and does not count.
    assert random.total_variation.value == 1
    assert random.truth_distance.value is None
    assert random.truth_distance.reason == "true abilities are not known"


def test_each_benchmark_has_its_own_values() -> None:
    analysis = analyse(curves_of(_two_models()), pairs=[("a", "b")])
    on_a = [q for q in analysis.qualities if q.benchmark == "a" and q.items == 1]
    assert on_a[0].error.value == pytest.approx((2 / 4 / 1.25) ** 0.5)


def test_without_pairs_there_is_no_validity_but_a_reason() -> None:
    quality = analyse(curves_of(_two_models())).overall()[0]
    assert quality.rank_distance.value is None
    assert "no pair of benchmarks" in str(quality.rank_distance.reason)


def test_one_model_has_values_without_intervals() -> None:
    rows = _rows("a", "x", full_ability=[0.0, 1.0, 3.0], random_ability_2=[0.0, 2.0, 1.0])
    quality = _quality(analyse(curves_of(rows)), "random_ability", 2)
    assert quality.monotonicity.value == pytest.approx(0.5)
    assert quality.monotonicity.low is None
    assert "4 models" in str(quality.monotonicity.reason)


def test_flat_curves_have_no_value_but_a_reason() -> None:
    rows = [*_rows("a", "x", full_accuracy=[0.5, 0.5]), *_rows("a", "y", full_accuracy=[0.5, 0.5])]
    quality = analyse(curves_of(rows)).overall()[0]
    assert quality.total_variation.value is None
    assert quality.total_variation.reason == "no curve moves"


def test_checkpoints_of_one_benchmark_alone_do_not_count_for_validity() -> None:
    rows = [*_two_models(), {**_two_models()[0], "checkpoint": "later", "full_ability": 99.0}]
    rows[-1]["random_ability_1"] = 99.0
    one = analyse(curves_of(rows), pairs=[("a", "b")])
    other = analyse(curves_of(_two_models()), pairs=[("a", "b")])
    assert [q.rank_distance.value for q in one.overall()] == [
        q.rank_distance.value for q in other.overall()
    ]


def test_the_order_of_benchmarks_rows_does_not_matter() -> None:
    rows = _two_models()
    one = analyse(curves_of(rows), pairs=[("a", "b")])
    other = analyse(curves_of([*rows[4:], *rows[:4]]), pairs=[("b", "a")])
    assert one.overall() == other.overall()


def test_paths_give_the_adaptive_estimates_and_the_saving() -> None:
    path = [[0.5, 0.0, 0.0], [0.5, 1.0, 1.0]]
    rows = [
        row
        for lm in ("w", "x", "y", "z")
        for row in _rows(
            "a", lm, full_ability=[0.0, 1.0], random_ability_3=[0.1, 0.9], abilities_fb=path
        )
    ]
    analysis = analyse(curves_of(rows))
    assert _quality(analysis, "fluid_benchmarking", 3).error.value == 0
    assert [(s.items, s.adaptive.value, s.adaptive.high) for s in analysis.savings] == [(3, 2, 2)]
    contrast = next(c for c in analysis.contrasts if c.measure == "error")
    assert (contrast.baseline, contrast.items) == ("random_ability", 3)
    assert contrast.difference.value == pytest.approx(-0.2)


def test_a_saving_that_is_never_reached_says_so() -> None:
    rows = _rows(
        "a", "x", full_ability=[0.0, 1.0], random_ability_1=[0.0, 1.0], abilities_fb=[[1.0], [1.0]]
    )
    saving = analyse(curves_of(rows)).savings[0].adaptive
    assert (saving.value, saving.reason) == (None, "it takes more than 1")


def test_intervals_are_the_same_for_the_same_seed() -> None:
    curves = curves_of(_two_models())
    assert analyse(curves, seed=1) == analyse(curves, seed=1)


def test_the_bootstrap_resamples_models() -> None:
    cells = Cells(np.array([[1.0, 3.0, 1.0, 3.0], [np.nan, 5.0, np.nan, 5.0]]))
    found = ModelBootstrap(4, 2000, 0, 0.95).mean(cells)
    assert found.estimate.value == 3
    assert found.replicates is not None
    # Of four draws k are models with both values.
    means = [(4 + 7 * k) / (4 + k) for k in range(5)]
    assert sorted(set(np.round(found.replicates, 9))) == pytest.approx(means)
    assert np.mean(found.replicates == 3) == pytest.approx(6 / 16, abs=0.05)


def test_intervals_of_six_models_hold_the_mean_as_often_as_they_say() -> None:
    # 2.5 % with the t distribution of five degrees and n - 1 for n.
    assert expanded_tail(6, 0.95) == pytest.approx(0.00243, abs=2e-5)
    assert expanded_tail(100_000, 0.95) == pytest.approx(0.025, abs=1e-5)
    generator = np.random.default_rng(3)
    bootstrap = ModelBootstrap(6, 2000, 0, 0.95)
    held = 0
    for values in generator.normal(size=(400, 1, 6)):
        found = bootstrap.mean(Cells(values)).estimate
        held += found.low <= 0 <= found.high
    assert held >= 0.91 * 400


def test_a_resample_without_a_value_leaves_no_interval() -> None:
    values = np.array([[1.0, np.nan, np.nan, np.nan]])
    found = ModelBootstrap(4, 100, 0, 0.95).mean(Cells(values))
    assert (found.estimate.value, found.estimate.low) == (1, None)
    assert "no interval" in str(found.estimate.reason)


@pytest.fixture(scope="module")
def simulated() -> Analysis:
    """A small experiment whose answer is known: 2 benchmarks of one skill."""
    history = simulate_history(
        2,
        models=4,
        checkpoints=15,
        benchmarks=[
            SimulatedBenchmark("one", "s", 300, 0.0),
            SimulatedBenchmark("two", "s", 200, 0.3),
        ],
    )
    labels = tuple((m, c) for m in history.models for c in history.checkpoints)
    benchmarks = [
        BenchmarkResponses(
            b.name,
            b.bank.ids,
            labels,
            b.responses.reshape(len(labels), -1),
            b.bank,
            abilities=b.abilities.ravel(),
        )
        for b in history.benchmarks
    ]
    rows = run_experiment(benchmarks, Protocol((10, 50)))
    return analyse(curves_of(rows), pairs=history.pairs)


def test_adaptive_selection_is_better_where_it_should_be(simulated: Analysis) -> None:
    for n in (10, 50):
        adaptive = _quality(simulated, "fluid_benchmarking", n)
        random = _quality(simulated, "random_ability", n)
        for measure in ("error", "rank_distance", "truth_distance", "total_variation"):
            assert getattr(adaptive, measure).value < getattr(random, measure).value
        assert (adaptive.monotonicity.value or 0) > (random.monotonicity.value or 0)
    assert all(s.adaptive.value is not None for s in simulated.savings)
    assert all((s.adaptive.high or 0) < s.items for s in simulated.savings)


def test_intervals_hold_their_values(simulated: Analysis) -> None:
    for quality in simulated.qualities:
        for measure in ("rank_distance", "truth_distance", "total_variation", "monotonicity"):
            found = getattr(quality, measure)
            assert found.low - 1e-9 <= found.value <= found.high + 1e-9


def test_sizes_can_be_chosen(simulated: Analysis) -> None:
    assert {q.items for q in simulated.qualities} == {None, 10, 50}
    curves: list[Curves] = curves_of(_two_models())
    assert {q.items for q in analyse(curves, sizes=[1]).qualities} == {None, 1}
    with pytest.raises(ConfigError, match="no estimate from 7 items"):
        analyse(curves, sizes=[7])


def test_wrong_settings_are_refused() -> None:
    curves = curves_of(_two_models())
    with pytest.raises(UnknownNameError, match="'c'"):
        analyse(curves, pairs=[("a", "c")])
    with pytest.raises(ConfigError, match="draws"):
        analyse(curves, draws=1)


def test_rows_without_meaning_are_refused() -> None:
    rows = _two_models()
    with pytest.raises(DataError, match="no rows"):
        curves_of([])
    with pytest.raises(DataError, match="stands in the experiment twice"):
        curves_of([*rows, rows[0]])
    with pytest.raises(DataError, match="other columns"):
        curves_of([rows[0], {**rows[1], "full_accuracy": 0.5}])
    with pytest.raises(DataError, match="no estimate of x on a"):
        curves_of([{"benchmark": "a", "lm": "x", "checkpoint": "1", "loss": 2.0}])
    with pytest.raises(DataError, match="is no number"):
        curves_of([{**rows[0], "full_ability": float("nan")}])
    with pytest.raises(DataError, match="differ in length"):
        curves_of(_rows("a", "x", abilities_fb=[[1.0], [1.0, 2.0]]))


def test_sizes_that_a_benchmark_lacks_are_nulls() -> None:
    rows = _rows("a", "x", random_accuracy_5=[None, None], full_accuracy=[0.1, 0.2])
    assert set(curves_of(rows)[0].estimates) == {Estimator("full_accuracy")}
