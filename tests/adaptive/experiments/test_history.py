"""The simulated training history: the same everywhere, and what its description says."""

import numpy as np
import pytest

from lmms.adaptive.experiments.history import SimulatedBenchmark, TrainingHistory, simulate_history
from lmms.errors import ConfigError

PAIR = (
    SimulatedBenchmark("one", "skill", 400, 0.0),
    SimulatedBenchmark("two", "skill", 300, 0.5),
)


@pytest.fixture(scope="module")
def history() -> TrainingHistory:
    return simulate_history(0)


def test_the_answers_are_those_of_every_machine(history: TrainingHistory) -> None:
    assert history.digest == "485956e64c5b79dcd0c990c5b668b374ddeb95860b044442a67fdd135c0519a1"
    assert simulate_history(1).digest != history.digest


def test_the_parameters_are_those_of_every_machine(history: TrainingHistory) -> None:
    bank = history.benchmarks[0].bank
    assert bank.ids[:2] == ("knowledge_wide_0", "knowledge_wide_1")
    assert all(round(x, 6) == x for x in (*bank.a[:50], *bank.b[:50]))


def test_it_has_the_shape_of_the_papers_experiment(history: TrainingHistory) -> None:
    assert (len(history.models), len(history.checkpoints), len(history.subjects)) == (6, 100, 102)
    assert [len(b.bank) for b in history.benchmarks] == [2000, 1000, 1200, 600, 1500, 500]
    assert history.checkpoints[0] == "step1000"
    assert history.checkpoints[-1] == "step100000"
    assert set(map(frozenset, history.pairs)) == {
        frozenset({"knowledge_wide", "knowledge_exam"}),
        frozenset({"reasoning_steps", "reasoning_choice"}),
        frozenset({"language_endings", "language_pronouns"}),
    }


def test_benchmarks_of_one_skill_have_the_same_abilities(history: TrainingHistory) -> None:
    by_name = {b.name: b for b in history.benchmarks}
    for one, other in history.pairs:
        assert np.array_equal(by_name[one].abilities, by_name[other].abilities)
    assert not np.array_equal(history.benchmarks[0].abilities, history.benchmarks[2].abilities)


def test_training_rises_and_stays_in_range(history: TrainingHistory) -> None:
    for benchmark in history.benchmarks:
        early, late = benchmark.abilities[:, :10], benchmark.abilities[:, -10:]
        assert (late.mean(axis=1) > early.mean(axis=1) + 0.5).all()
        assert np.abs(benchmark.abilities).max() < 3


def test_leaderboard_abilities_have_the_scale_of_the_prior(history: TrainingHistory) -> None:
    abilities = np.concatenate([b.leaderboard_abilities for b in history.benchmarks])
    assert abs(abilities.mean()) < 0.3
    assert 0.8 < abilities.std() < 1.2


def test_answers_follow_the_curves(history: TrainingHistory) -> None:
    for benchmark in history.benchmarks:
        bank = benchmark.bank
        theta = benchmark.abilities[:, :, None]
        p = 1 / (1 + np.exp(-bank.a * (theta - bank.b)))
        residual = (benchmark.responses - p).sum() / np.sqrt((p * (1 - p)).sum())
        assert abs(residual) < 4
        assert set(np.unique(benchmark.responses)) == {0, 1}


def test_wrong_keys_turn_the_curve_around(history: TrainingHistory) -> None:
    for benchmark in history.benchmarks:
        negative = np.flatnonzero(benchmark.bank.a < 0)
        assert tuple(negative) == benchmark.mislabelled
        assert 0.005 < len(negative) / len(benchmark.bank) < 0.04
    assert simulate_history(benchmarks=PAIR, mislabelled=0).benchmarks[0].mislabelled == ()


def test_more_models_leave_items_and_models_as_they_were() -> None:
    few = simulate_history(3, models=2, checkpoints=10, leaderboard=5, benchmarks=PAIR[:1])
    many = simulate_history(3, models=3, checkpoints=10, leaderboard=5, benchmarks=PAIR)
    assert few.benchmarks[0].bank.digest == many.benchmarks[0].bank.digest
    assert np.array_equal(few.benchmarks[0].responses, many.benchmarks[0].responses[:2])
    assert np.array_equal(few.benchmarks[0].leaderboard, many.benchmarks[0].leaderboard)


def test_a_guess_floor_lifts_those_who_know_nothing() -> None:
    plain = simulate_history(benchmarks=PAIR, mislabelled=0).benchmarks[1]
    guessed = simulate_history(benchmarks=PAIR, mislabelled=0, guess=0.25).benchmarks[1]
    p = plain.responses[:, :5].mean()
    assert abs(guessed.responses[:, :5].mean() - (0.25 + 0.75 * p)) < 0.02


@pytest.mark.parametrize(
    "wrong", [{"models": 0}, {"checkpoints": 0}, {"guess": 1.0}, {"mislabelled": -0.1}]
)
def test_impossible_histories_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        simulate_history(benchmarks=PAIR, **wrong)
