"""Item parameters found again: on the golden sets, on simulations, and where data are odd."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lmms.adaptive.fitting.fit import FLUID_ABILITY_SD, abilities_of, fit_bank
from lmms.adaptive.fitting.marginal import Answers, Grid, ItemPrior, Items, derivatives, expect
from lmms.adaptive.responses import ResponseMatrix
from lmms.errors import ConfigError, DataError, UnknownNameError

from ..simulation import Simulated, recovery, simulate

GOLDEN = Path(__file__).parents[1] / "golden"
NOT_WORSE = 0.005
RAW_RMSE_B = 0.36


@pytest.mark.parametrize("name", ["fit_s100_i200", "fit_s300_i100", "fit_s100_i2000"])
def test_golden_sets(name: str) -> None:
    case = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    values = np.array([[int(c) for c in row] for row in case["responses"]])
    truth = Simulated(
        np.array(case["theta"]),
        np.array(case["a"]),
        np.array(case["b"]),
        ResponseMatrix.from_arrays(values),
    )
    fitted = fit_bank(truth.responses)
    found = recovery(fitted.bank.a, fitted.bank.b, truth)
    upstream = case["quality"]["upstream_pyirt"]
    for key in ("corr_b", "corr_log_a", "corr_theta_map"):
        assert found[key] >= upstream[key] - NOT_WORSE, key
    for key in ("rmse_b_equated", "rmse_log_a_equated", "rmse_theta_equated"):
        assert found[key] <= upstream[key] + NOT_WORSE, key
    assert found["rmse_b_raw"] <= RAW_RMSE_B
    assert fitted.converged
    assert fitted.warnings == ()


def test_measure_of_recovery_agrees_with_the_golden_files() -> None:
    case = json.loads((GOLDEN / "fit_s100_i200.json").read_text("utf-8"))
    values = np.array([[int(c) for c in row] for row in case["responses"]])
    truth = Simulated(
        np.array(case["theta"]),
        np.array(case["a"]),
        np.array(case["b"]),
        ResponseMatrix.from_arrays(values),
    )
    upstream = case["upstream_pyirt_params"]
    found = recovery(np.array(upstream["a"]), np.array(upstream["b"]), truth)
    for key, value in found.items():
        assert value == pytest.approx(case["quality"]["upstream_pyirt"][key], abs=2e-3), key


def test_log_posterior_never_falls() -> None:
    for seed, missing in ((1, 0.0), (2, 0.4)):
        fitted = fit_bank(simulate(80, 60, seed=seed, missing=missing).responses)
        assert len(fitted.history) > 2
        assert np.diff(fitted.history).min() > 0
        assert fitted.log_posterior == fitted.history[-1]


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_gradient(missing: float) -> None:
    data = simulate(40, 12, seed=7, missing=missing)
    values = data.responses.values
    asked = None if missing == 0 else (values >= 0).astype(float)
    answers = Answers((values == 1).astype(float), asked)
    grid, prior = Grid.of(61), ItemPrior(0.1, 0.4, 0.2, 1.3)
    log_a, b = np.log(np.abs(data.a)) + 0.1, data.b - 0.2

    def value(log_a: np.ndarray, b: np.ndarray) -> float:
        items = Items(log_a, b, prior)
        return expect(answers, grid, items).log_likelihood + items.log_prior()

    items = Items(log_a, b, prior)
    found = derivatives(answers, grid, items, expect(answers, grid, items))
    for item in range(len(b)):
        step = np.zeros(len(b))
        step[item] = 1e-5
        by_log_a = (value(log_a + step, b) - value(log_a - step, b)) / 2e-5
        by_b = (value(log_a, b + step) - value(log_a, b - step)) / 2e-5
        assert found.gradient_log_a[item] == pytest.approx(by_log_a, abs=1e-5)
        assert found.gradient_b[item] == pytest.approx(by_b, abs=1e-5)


def test_scale_is_that_of_the_subjects() -> None:
    truth = simulate(400, 80, seed=3, mean_log_a=0.7)
    fitted = fit_bank(truth.responses)
    assert np.log(fitted.bank.a).mean() == pytest.approx(0.7, abs=0.12)
    assert fitted.ability_sd == pytest.approx(1.0, abs=0.06)
    assert fitted.reliability == pytest.approx(0.97, abs=0.02)
    assert np.sqrt(np.mean((fitted.bank.b - truth.b) ** 2)) < 0.2


def test_missing_at_random() -> None:
    truth = simulate(300, 100, seed=5, missing=0.3)
    fitted = fit_bank(truth.responses)
    assert np.corrcoef(fitted.bank.b, truth.b)[0, 1] > 0.97
    assert np.corrcoef(fitted.abilities, truth.abilities)[0, 1] > 0.95
    assert abs(fitted.bank.b - truth.b).mean() < 0.2


def test_missing_is_not_wrong() -> None:
    truth = simulate(200, 40, seed=6)
    values = truth.responses.values.copy()
    values[100:, 0] = -1
    fitted = fit_bank(ResponseMatrix(truth.responses.subjects, truth.responses.items, values))
    whole = fit_bank(truth.responses)
    assert fitted.bank.b[0] == pytest.approx(whole.bank.b[0], abs=0.45)
    assert fitted.bank.stderr_b[0] > 1.2 * whole.bank.stderr_b[0]


def test_order_does_not_matter() -> None:
    truth = simulate(60, 50, seed=8, missing=0.1, negative=3)
    fitted = fit_bank(truth.responses)
    random = np.random.default_rng(0)
    rows, columns = random.permutation(60), random.permutation(50)
    responses = ResponseMatrix(
        tuple(truth.responses.subjects[i] for i in rows),
        tuple(truth.responses.items[i] for i in columns),
        np.ascontiguousarray(truth.responses.values[rows][:, columns]),
    )
    again = fit_bank(responses)
    np.testing.assert_allclose(again.bank.a, fitted.bank.a[columns], rtol=1e-7)
    np.testing.assert_allclose(again.bank.b, fitted.bank.b[columns], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(again.abilities, fitted.abilities[rows], rtol=1e-6, atol=1e-7)


def test_standard_errors_cover() -> None:
    inside_a, inside_b = [], []
    for seed in range(5):
        truth = simulate(300, 100, seed=100 + seed)
        fitted = fit_bank(truth.responses)
        unit = truth.abilities.std() / fitted.ability_sd
        shift = truth.abilities.mean() - unit * fitted.abilities.mean()
        b = (unit * fitted.bank.b + shift - truth.b) / (unit * fitted.bank.stderr_b)
        log_a = np.log(fitted.bank.a / unit / truth.a) * fitted.bank.a / fitted.bank.stderr_a
        inside_b.append(np.mean(np.abs(b) < 1.96))
        inside_a.append(np.mean(np.abs(log_a) < 1.96))
    assert 0.93 < np.mean(inside_b) < 0.98
    assert 0.92 < np.mean(inside_a) < 0.97


def test_items_that_all_or_none_solve() -> None:
    truth = simulate(100, 60, seed=9)
    values = truth.responses.values.copy()
    values[:, 0], values[:, 1] = 1, 0
    fitted = fit_bank(ResponseMatrix(truth.responses.subjects, truth.responses.items, values))
    assert (fitted.all_right, fitted.all_wrong) == (("i0",), ("i1",))
    assert -6 < fitted.bank.b[0] < fitted.bank.b[2:].min() + 0.5
    assert fitted.bank.b[2:].max() - 0.5 < fitted.bank.b[1] < 6
    assert np.all(np.isfinite(fitted.bank.stderr_b))
    assert fitted.bank.stderr_b[0] > 2 * np.median(fitted.bank.stderr_b)


def test_mislabelled_items_are_found() -> None:
    truth = simulate(300, 100, seed=10, negative=6)
    fitted = fit_bank(truth.responses)
    wanted = {f"i{i}" for i in range(6) if abs(truth.a[i]) > 0.5}
    assert wanted <= set(fitted.negative) <= {f"i{i}" for i in range(6)}
    found = [i for i in range(6) if fitted.bank.a[i] < 0]
    np.testing.assert_allclose(fitted.bank.a[found], truth.a[found], rtol=0.6)
    np.testing.assert_allclose(fitted.bank.b[found], truth.b[found], atol=0.6)
    assert len(fitted.usable()) == 100 - len(found)
    assert np.all(fitted.usable().a > 0)
    assert "mislabelled" in " ".join(fitted.warnings)


def test_honest_items_are_not_called_mislabelled() -> None:
    fits = [fit_bank(simulate(100, 200, seed=seed).responses) for seed in range(6)]
    assert sum(len(fitted.negative) for fitted in fits) <= 1


def test_common_discrimination() -> None:
    truth = simulate(300, 60, seed=11, slopes=0.0, mean_log_a=0.4)
    fitted = fit_bank(truth.responses, model="1pl")
    assert np.ptp(fitted.bank.a) == 0
    assert fitted.bank.a[0] == pytest.approx(np.exp(0.4), rel=0.12)
    assert np.corrcoef(fitted.bank.b, truth.b)[0, 1] > 0.985
    # With one slope the number right is all that tells subjects apart.
    order = np.argsort(truth.responses.values.sum(1), kind="stable")
    assert np.all(np.diff(fitted.abilities[order]) > -1e-9)
    assert np.all(np.diff(fitted.history) > 0)


def test_scale_of_fluid_benchmarking() -> None:
    truth = simulate(100, 80, seed=12)
    own, fluid = fit_bank(truth.responses), fit_bank(truth.responses, compat="fluid")
    assert fluid.ability_sd == pytest.approx(FLUID_ABILITY_SD)
    assert 0.4 < fluid.bank.a.mean() < 0.7
    z = own.bank.a * (own.abilities[:, None] - own.bank.b)
    np.testing.assert_allclose(
        fluid.bank.a * (fluid.abilities[:, None] - fluid.bank.b), z, atol=1e-9
    )


def test_abilities_solve_their_equation() -> None:
    fitted = fit_bank(simulate(50, 40, seed=13, missing=0.2).responses)
    ability, stderr = abilities_of(fitted.bank, fitted.responses)
    np.testing.assert_allclose(ability, fitted.abilities, atol=1e-7)
    values, bank = fitted.responses.values, fitted.bank
    p = 1 / (1 + np.exp(-bank.a * (ability[:, None] - bank.b)))
    asked = values >= 0
    gradient = (asked * bank.a * ((values == 1) - p)).sum(1) - ability
    np.testing.assert_allclose(gradient, 0, atol=1e-5)
    np.testing.assert_allclose(stderr**-2, 1 + (asked * bank.a**2 * p * (1 - p)).sum(1), rtol=1e-6)


@pytest.mark.parametrize("model", ["2pl", "1pl"])
@pytest.mark.parametrize(
    "values",
    [np.ones((5, 4)), np.zeros((2, 1)), np.eye(6), np.tile([[1], [0]], (3, 5)), np.ones((40, 3))],
    ids=["all right", "all wrong", "equal scores", "two kinds", "many all right"],
)
def test_answers_that_tell_little(values: np.ndarray, model: str) -> None:
    fitted = fit_bank(ResponseMatrix.from_arrays(values), model=model)
    assert not fitted.scale_known
    assert any("scale" in warning for warning in fitted.warnings)
    assert np.all(np.abs(fitted.bank.b) < 8)
    assert np.all((fitted.bank.a > 0.05) & (fitted.bank.a < 10))
    assert np.all(np.abs(fitted.abilities) < 4)
    assert fitted.reliability is None or 0 <= fitted.reliability <= 1


def test_few_subjects_are_said() -> None:
    fitted = fit_bank(simulate(12, 60, seed=14).responses)
    assert "12 subjects are few" in " ".join(fitted.warnings)


def test_items_that_nobody_answered_are_left_out() -> None:
    truth = simulate(40, 10, seed=15)
    values = truth.responses.values.copy()
    values[:, 4] = -1
    fitted = fit_bank(ResponseMatrix(truth.responses.subjects, truth.responses.items, values))
    assert fitted.unanswered == ("i4",)
    assert "i4" not in fitted.bank
    assert len(fitted.bank) == 9
    assert any("nobody" in warning for warning in fitted.warnings)


def test_wrong_input() -> None:
    data = simulate(20, 10, seed=16).responses
    with pytest.raises(DataError, match="one subject"):
        fit_bank(ResponseMatrix.from_arrays([[1, 0, 1]]))
    with pytest.raises(DataError, match="without any response: 1"):
        fit_bank(ResponseMatrix.from_arrays([[1, 0], [-1, -1]]))
    with pytest.raises(DataError, match="every one is missing"):
        fit_bank(ResponseMatrix.from_arrays([[-1, -1], [-1, -1]]))
    with pytest.raises(UnknownNameError, match="3pl"):
        fit_bank(data, model="3pl")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="flluid"):
        fit_bank(data, compat="flluid")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="tolerance"):
        fit_bank(data, tolerance=0)
    with pytest.raises(DataError, match="all abilities are equal"):
        fit_bank(ResponseMatrix.from_arrays(np.ones((4, 3))), compat="fluid")


def test_unconverged_is_said() -> None:
    fitted = fit_bank(simulate(60, 40, seed=17).responses, tolerance=1e-13, max_rounds=2)
    assert not fitted.converged
    assert any("not converged" in warning for warning in fitted.warnings)
