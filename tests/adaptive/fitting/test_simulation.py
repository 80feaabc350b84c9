"""Minutes of simulation: how well fits find the truth, and whether their standard errors cover."""

from __future__ import annotations

import numpy as np
import pytest

from lmms.adaptive.fitting.fit import fit_bank

from ..simulation import recovery, simulate

pytestmark = pytest.mark.slow

COVERAGE = (0.935, 0.965)
SHAPES = [(100, 200, 0.0, 60), (300, 100, 0.0, 80), (1000, 50, 0.0, 40), (300, 200, 0.3, 40)]
PATTERNS = "subjects items missing   cover b  log a"


def reference_em(right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plain EM: 41 nodes, log a ~ N(0, 0.5²), b ~ N(0, 2²), 60 rounds of 3 Newton steps."""
    nodes = np.linspace(-4.5, 4.5, 41)
    weights = np.exp(-(nodes**2) / 2)
    log_weights = np.log(weights / weights.sum())
    log_a, mean = np.zeros(right.shape[1]), right.mean(0).clip(0.02, 0.98)
    b = -np.log(mean / (1 - mean))
    for _ in range(60):
        z = np.exp(log_a)[:, None] * (nodes - b[:, None])
        log_joint = right @ z - np.logaddexp(0, z).sum(0) + log_weights
        posterior = np.exp(log_joint - log_joint.max(1, keepdims=True))
        posterior /= posterior.sum(1, keepdims=True)
        count, solved = posterior.sum(0), right.T @ posterior
        for _ in range(3):
            a = np.exp(log_a)[:, None]
            z = a * (nodes - b[:, None])
            p = 1 / (1 + np.exp(-z))
            residual, weight = solved - count * p, count * p * (1 - p)
            by_a = (residual * z).sum(1) - log_a / 0.25
            by_b = -(a * residual).sum(1) - b / 4
            aa, bb = (weight * z * z).sum(1) + 4, (weight * a * a).sum(1) + 0.25
            ab = -(weight * z * a).sum(1)
            determinant = aa * bb - ab**2
            log_a = log_a + ((bb * by_a - ab * by_b) / determinant).clip(-0.5, 0.5)
            b = b + ((aa * by_b - ab * by_a) / determinant).clip(-1, 1)
    return np.exp(log_a), b


@pytest.mark.parametrize(("subjects", "items", "missing", "fits"), SHAPES)
def test_standard_errors_cover(subjects: int, items: int, missing: float, fits: int) -> None:
    """The scale is equated first: where it stands is the sample of subjects' error, not the fit's.

    What 95 % intervals of b and log a cover, on average over items and sets.
    """
    inside: list[tuple[float, float]] = []
    for seed in range(fits):
        truth = simulate(subjects, items, seed=1000 + seed, missing=missing)
        fitted = fit_bank(truth.responses)
        bank = fitted.bank
        # Estimates are drawn to the mean by as much as their errors are wide.
        spread = np.sqrt(fitted.abilities.var() + np.mean(fitted.ability_stderrs**2))
        unit = truth.abilities.std() / spread
        assert bank.stderr_a is not None
        assert bank.stderr_b is not None
        shift = truth.abilities.mean() - unit * fitted.abilities.mean()
        b = (unit * bank.b + shift - truth.b) / (unit * bank.stderr_b)
        log_a = np.log(np.abs(bank.a) / unit / truth.a) * np.abs(bank.a) / bank.stderr_a
        inside.append((float(np.mean(np.abs(b) < 1.96)), float(np.mean(np.abs(log_a) < 1.96))))
    by_b, by_log_a = np.mean(inside, axis=0)
    print(f"\n{PATTERNS}\n{subjects:8} {items:5} {missing:7.0%} {by_b:9.3f} {by_log_a:6.3f}")
    assert COVERAGE[0] < by_b < COVERAGE[1]
    assert COVERAGE[0] < by_log_a < COVERAGE[1]


@pytest.mark.parametrize(("subjects", "items", "fits"), [(100, 200, 30), (300, 100, 30)])
def test_quality_beside_a_plain_em(subjects: int, items: int, fits: int) -> None:
    ours: list[dict[str, float]] = []
    plain: list[dict[str, float]] = []
    for seed in range(fits):
        truth = simulate(subjects, items, seed=2000 + seed)
        bank = fit_bank(truth.responses).bank
        ours.append(recovery(np.abs(bank.a), bank.b, truth))
        right = (truth.responses.values == 1).astype(float)
        plain.append(recovery(*reference_em(right), truth))
    mean = {k: (np.mean([f[k] for f in ours]), np.mean([f[k] for f in plain])) for k in ours[0]}
    print(f"\n{subjects} x {items}, {fits} sets: ours, plain EM")
    for key, (found, other) in mean.items():
        print(f"  {key:20} {found:.4f} {other:.4f}")
    for key in ("corr_b", "corr_log_a"):
        assert mean[key][0] > mean[key][1], key
    for key in ("rmse_b_equated", "rmse_log_a_equated"):
        assert mean[key][0] < mean[key][1], key
    assert mean["rmse_b_raw"][0] < mean["rmse_b_raw"][1] + 0.02
    worst = np.min([f["corr_b"] - p["corr_b"] for f, p in zip(ours, plain, strict=True)])
    assert worst > -0.005
