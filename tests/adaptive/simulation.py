"""Subjects, items and answers whose truth is known, and how well a fit finds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmms.adaptive.responses import ResponseMatrix


@dataclass(frozen=True)
class Simulated:
    """Truth and the answers that came of it."""

    abilities: np.ndarray
    a: np.ndarray
    b: np.ndarray
    responses: ResponseMatrix


def simulate(
    subjects: int,
    items: int,
    *,
    seed: int,
    missing: float = 0.0,
    negative: int = 0,
    slopes: float = 0.4,
    mean_log_a: float = 0.0,
) -> Simulated:
    """Ability ~ N(0, 1), b ~ N(0.2, 1.1²), log a ~ N(mean_log_a, slopes²)."""
    random = np.random.default_rng(seed)
    abilities = random.normal(size=subjects)
    b = random.normal(0.2, 1.1, items)
    a = np.exp(random.normal(mean_log_a, slopes, items))
    a[:negative] *= -1
    p = 1 / (1 + np.exp(-a * (abilities[:, None] - b)))
    values = (random.random(p.shape) < p).astype(np.int8)
    values[random.random(p.shape) < missing] = -1
    return Simulated(
        abilities,
        a,
        b,
        ResponseMatrix(
            tuple(f"s{i}" for i in range(subjects)), tuple(f"i{i}" for i in range(items)), values
        ),
    )


def map_abilities(right: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Abilities of complete answers under N(0, 1), between -4 and 4."""
    ability = np.zeros(len(right))
    for _ in range(30):
        p = 1 / (1 + np.exp(-a * (ability[:, None] - b)))
        gradient = ((right - p) * a).sum(1) - ability
        information = (a * a * p * (1 - p)).sum(1) + 1
        ability = np.clip(ability + np.clip(gradient / information, -1, 1), -4, 4)
    return ability


def recovery(a: np.ndarray, b: np.ndarray, truth: Simulated) -> dict[str, float]:
    """Correlations with the truth and root mean square errors, raw and equated.

    Equated: the scale is moved so that the abilities that the parameters give have the true
    mean and SD.
    """
    right = (truth.responses.values == 1).astype(float)
    ability = map_abilities(right, a, b)
    unit = truth.abilities.std() / ability.std()
    shift = truth.abilities.mean() - unit * ability.mean()

    def rms(error: np.ndarray) -> float:
        return float(np.sqrt(np.mean(error**2)))

    return {
        "corr_b": float(np.corrcoef(b, truth.b)[0, 1]),
        "corr_log_a": float(np.corrcoef(np.log(a), np.log(truth.a))[0, 1]),
        "rmse_b_raw": rms(b - truth.b),
        "rmse_b_equated": rms(unit * b + shift - truth.b),
        "rmse_log_a_raw": rms(np.log(a / truth.a)),
        "rmse_log_a_equated": rms(np.log(a / unit / truth.a)),
        "corr_theta_map": float(np.corrcoef(ability, truth.abilities)[0, 1]),
        "rmse_theta_equated": rms(unit * ability + shift - truth.abilities),
    }
