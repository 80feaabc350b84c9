"""Bootstrap and comparisons: CPU seconds at the sizes of real runs.

Claims: 100,000 bootstrap draws of accuracy over 10,000 samples in at most 1 CPU second; a paired
comparison of two runs of 100,000 samples, with clusters, flips and a permutation test, in at most
1. Beside it lm-evaluation-harness' own `bootstrap_stderr` if it is installed, else the plain loop
over resamples, measured on fewer draws and scaled up.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.statistics import (
    bootstrap,
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_median,
    f1_of_tables,
    mcc_of_tables,
    mcnemar,
    paired_difference,
    sign_flip,
)

OUT = Path(__file__).parent / "out"
DRAWS = 100_000
SAMPLES = 10_000
ROUNDS = 3
LM_EVAL = importlib.util.find_spec("lm_eval") is not None
PEER = "lm-eval bootstrap_stderr, accuracy" if LM_EVAL else "plain loop, accuracy"
PEER_DRAWS = 1000


def cpu_seconds(call: Callable[[], Any]) -> float:
    """Median CPU seconds of this process."""
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def peer_draws(right: np.ndarray) -> Callable[[], Any]:
    """Returns `PEER_DRAWS` draws of accuracy in the peer's way, in this process."""
    if LM_EVAL:
        from lm_eval.api.metrics import _bootstrap_internal, mean

        scores = right.tolist()
        return lambda: _bootstrap_internal(mean, PEER_DRAWS)((0, scores))
    return lambda: bootstrap(right, lambda v: float(v.mean()), replicates=PEER_DRAWS, seed=0)


@pytest.fixture(scope="module")
def medians() -> dict[str, float]:
    """CPU seconds per call."""
    generator = np.random.default_rng(0)
    right = (generator.random(SAMPLES) < 0.6).astype(float)
    points = generator.normal(size=SAMPLES)
    table = np.asarray([[4000, 1000], [700, 4300]])
    clusters = np.arange(SAMPLES) // 10
    drawn = {"replicates": DRAWS, "seed": 0}
    n = 100_000
    a, b = ((generator.random(n) < share).astype(float) for share in (0.62, 0.6))
    groups = np.arange(n) // 8
    calls: dict[str, Callable[[], Any]] = {
        "accuracy": lambda: bootstrap_mean(right, **drawn),
        "accuracy, whole clusters": lambda: bootstrap_mean(right, clusters, **drawn),
        "F1": lambda: bootstrap_counts(table, f1_of_tables, **drawn),
        "MCC": lambda: bootstrap_counts(table, mcc_of_tables, **drawn),
        "median": lambda: bootstrap_median(points, **drawn),
        "mean of distinct scores (1/10 of the draws)": lambda: bootstrap_mean(
            points, replicates=DRAWS // 10, seed=0
        ),
        "comparison of 100,000 pairs": lambda: (
            paired_difference(a, b, groups),
            mcnemar(a, b),
            sign_flip(a - b, groups),
        ),
    }
    found = {name: cpu_seconds(call) for name, call in calls.items()}
    found[PEER] = cpu_seconds(peer_draws(right)) * DRAWS / PEER_DRAWS
    OUT.mkdir(exist_ok=True)
    (OUT / "statistics.json").write_text(json.dumps(found, indent=2))
    print(f"\n\nBootstrap, {DRAWS:,} draws over {SAMPLES:,} samples; CPU seconds")
    for name, seconds in found.items():
        scaled = "  (scaled up)" if name == PEER else ""
        print(f"{name:46} {seconds:10.3f}{scaled}")
    return found


def test_a_hundred_thousand_draws_take_less_than_a_second(medians: dict[str, float]) -> None:
    for name in ("accuracy", "accuracy, whole clusters", "F1", "MCC", "median"):
        assert medians[name] <= 1.0, name
    assert medians["accuracy"] < medians[PEER] / 20


def test_a_comparison_of_large_runs_is_quick(medians: dict[str, float]) -> None:
    assert medians["comparison of 100,000 pairs"] <= 1.0
