"""What adaptive evaluation costs: CPU time of steps, estimates and whole experiments.

Claims: a step of `fluid_benchmarking` takes at most 0.02 ms on a bank of 1,000 items and 0.1 ms on
10,000; an estimate from 500 right answers at most 0.05 ms; 1,000 trajectories of 100 steps on
5,000 items at most 10 CPU seconds. CPU time, best of the rounds. The peer's own package, which is
not on the package index, is measured beside where it is installed; else its figures are those that
were measured with its version 0.1.0 on another machine.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.adaptive import (
    AdaptiveSession,
    ItemBank,
    adaptive_trajectories,
    estimate_ability,
    fluid_benchmarking,
    full_ability,
)

ROUNDS = 7
STEPS = 100
OUT = Path(__file__).parent / "out"
PEER_STEP_MS = {1_000: 0.19, 10_000: 0.48}
PEER_ESTIMATE_MS = 43.0
CLAIM_STEP_MS = {1_000: 0.02, 10_000: 0.1}
CLAIM_ESTIMATE_MS = 0.05
CLAIM_EXPERIMENT_S = 10.0


def best_ms(work: Callable[[], object], repeats: int = 1) -> float:
    """CPU milliseconds of one call, the best of the rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(repeats):
            work()
        found.append((time.process_time() - started) / repeats * 1000)
    return min(found)


def simulated(n_items: int, n_subjects: int = 1) -> tuple[Any, Any]:
    """Item parameters (n, 2) and responses (subjects, n) as in the literature's simulations."""
    generator = np.random.default_rng(0)
    a = np.exp(0.4 * generator.standard_normal(n_items))
    b = generator.normal(0.2, 1.1, n_items)
    abilities = generator.standard_normal(n_subjects)
    right = generator.random((n_subjects, n_items)) < 1 / (
        1 + np.exp(-a * (abilities[:, None] - b))
    )
    return np.stack([a, b], axis=1), right.astype(np.int8)


def peer() -> Any:
    """The peer's functions, or None where its package is not installed."""
    try:
        return importlib.import_module("fluid_benchmarking.evaluation")
    except ImportError:
        return None


def report(name: str, ours: float, theirs: float, *, measured: bool, claim: float) -> None:
    source = "measured here" if measured else "on another machine"
    print(f"\n{name:34} {ours:9.4f}   peer {theirs:8.3f} ({source})   goal {claim}", end="")
    OUT.mkdir(exist_ok=True)
    with (OUT / "adaptive.jsonl").open("a") as file:
        record = {"bench": name, "ours": ours, "peer": theirs, "peer_measured": measured}
        file.write(json.dumps(record) + "\n")


@pytest.mark.parametrize("n_items", [1_000, 10_000])
def test_step(n_items: int) -> None:
    parameters, responses = simulated(n_items)
    ours = best_ms(lambda: fluid_benchmarking(responses[0], parameters, 0, STEPS)) / STEPS
    other = peer()
    theirs = PEER_STEP_MS[n_items]
    if other is not None:
        theirs = (
            best_ms(lambda: other.fluid_benchmarking(responses[0], parameters, 0, STEPS)) / STEPS
        )
    claim = CLAIM_STEP_MS[n_items]
    name = f"adaptive step, {n_items} items [ms]"
    report(name, ours, theirs, measured=other is not None, claim=claim)
    assert ours <= claim


def test_estimate_of_all_right_answers() -> None:
    a, b, right = np.ones(500), np.linspace(-2, 2, 500), np.ones(500)
    ours = best_ms(lambda: estimate_ability(a, b, right), repeats=50)
    other = peer()
    theirs = PEER_ESTIMATE_MS
    if other is not None:
        parameters = np.stack([a, b], axis=1)
        theirs = best_ms(lambda: other.full_ability(right, parameters))
    report(
        "500 right answers, estimate [ms]",
        ours,
        theirs,
        measured=other is not None,
        claim=CLAIM_ESTIMATE_MS,
    )
    assert ours <= CLAIM_ESTIMATE_MS


def test_experiment() -> None:
    parameters, responses = simulated(5_000, 1_000)
    started = time.process_time()
    table = adaptive_trajectories(responses, parameters, n_max=STEPS)
    seconds = time.process_time() - started
    print(
        f"\n1,000 trajectories, 5,000 items [s]  {seconds:.2f}   goal {CLAIM_EXPERIMENT_S}", end=""
    )
    assert table.items.shape == (1_000, STEPS)
    assert seconds <= CLAIM_EXPERIMENT_S


def test_other_costs() -> None:
    """No claims: what else a live evaluation computes, beside a model's seconds."""
    parameters, responses = simulated(10_000)
    bank = ItemBank.from_arrays(parameters[:, 0], parameters[:, 1])

    def live() -> None:
        session = AdaptiveSession(bank)
        for _ in range(STEPS):
            (position,) = session.next()
            session.observe(position, int(responses[0, position]))

    print(f"\nlive step, 10,000 items [ms]         {best_ms(live) / STEPS:.4f}", end="")
    whole = best_ms(lambda: full_ability(responses[0], parameters))
    print(f"\nability by 10,000 answers [ms]       {whole:.3f}   peer 2.8 (on another machine)")
