"""Whether subjects differ: Cochran's Q, KR-20, and links by common items."""

from __future__ import annotations

import numpy as np
import pytest

from lmms.adaptive.fitting.differences import subject_differences
from lmms.adaptive.fitting.fit import fit_bank
from lmms.adaptive.responses import ResponseMatrix
from tests.adaptive.simulation import simulate


def guesses(subjects: int, *, seed: int, items: int = 60, missing: float = 0.0) -> ResponseMatrix:
    random = np.random.default_rng(seed)
    values = (random.random((subjects, items)) < random.uniform(0.2, 0.8, items)).astype(int)
    values[random.random(values.shape) < missing] = -1
    return ResponseMatrix.from_arrays(values)


def test_complete_answers_give_the_textbook_statistics() -> None:
    values = simulate(9, 30, seed=1).responses.values.astype(float)
    found = subject_differences(ResponseMatrix.from_arrays(values))
    rows, columns = values.sum(1), values.sum(0)
    k = len(rows)
    cochran = (k - 1) * (k * (rows**2).sum() - rows.sum() ** 2)
    cochran /= k * columns.sum() - (columns**2).sum()
    p = values.mean(0)
    kr20 = 30 / 29 * (1 - (p * (1 - p)).sum() / rows.var())
    assert found.q == pytest.approx(cochran)
    assert found.degrees == 8
    assert found.reliability == pytest.approx(kr20)
    assert len(found.groups) == 1


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_equals_are_found_to_differ_as_often_as_they_should(missing: float) -> None:
    found = [subject_differences(guesses(12, seed=s, missing=missing)) for s in range(300)]
    p_values = np.array([f.p_value for f in found], dtype=float)
    # Of 300, 15 are expected below 0.05: SD 3.8.
    assert 4 <= (p_values < 0.05).sum() <= 27
    assert p_values.mean() == pytest.approx(0.5, abs=0.06)
    assert np.mean([f.reliability for f in found]) < 0.2


@pytest.mark.parametrize("subjects", [12, 40])
def test_a_fit_of_guesses_is_doubted_and_one_of_abilities_is_not(subjects: int) -> None:
    for seed in range(3):
        noise = fit_bank(guesses(subjects, seed=seed))
        assert "differ no more than chance" in noise.doubts[0]
        assert noise.warnings[0] == noise.doubts[0]
        assert noise.reliability is not None
        assert noise.reliability < 0.5
        fitted = fit_bank(simulate(subjects, 60, seed=seed).responses)
        assert fitted.doubts == ()
        assert fitted.reliability is not None
        assert fitted.reliability > 0.75


def test_subjects_without_common_items_are_not_linked() -> None:
    values = simulate(20, 40, seed=2).responses.values.copy()
    values[:12, 20:] = -1
    values[12:, :20] = -1
    matrix = ResponseMatrix.from_arrays(values, subjects=[f"m{i}" for i in range(20)])
    found = subject_differences(matrix)
    assert [len(group) for group in found.groups] == [12, 8]
    assert found.degrees == 18
    assert "2 groups without common items (m0, m1" in " ".join(fit_bank(matrix).doubts)
    values[0, 39] = 1
    assert len(subject_differences(ResponseMatrix.from_arrays(values)).groups) == 1


def test_nothing_tells_subjects_apart() -> None:
    found = subject_differences(ResponseMatrix.from_arrays(np.ones((5, 4))))
    assert (found.q, found.p_value, found.reliability) == (None, None, None)
    assert found.by_chance
