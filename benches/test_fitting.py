"""Fitting item response models: CPU seconds, memory, and how well the truth is found again.

Claims: 100 subjects x 2,000 items in 0.2 CPU s and 150 MB for the whole process; 1,000 x 14,000
with 30 % missing in 20 CPU s and 2 GB. Every fit runs in a process of its own, the 100 x 2,000
one three times after one to warm up. Beside it girth's marginal maximum likelihood, where it is
installed (100 x 200 only: larger sets take it minutes).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OUT = Path(__file__).parent / "out"
ROOT = Path(__file__).resolve().parents[1]
SMALL_CPU, SMALL_MB = 0.2, 150
LARGE_CPU, LARGE_MB = 20.0, 2048

CHILD = """
import json, re, sys, time
import numpy as np

subjects, items, missing, rounds, fitter = json.loads(sys.argv[1])
random = np.random.default_rng(1)
ability = random.normal(size=subjects)
b, a = random.normal(0.2, 1.1, items), random.lognormal(0, 0.4, items)
values = np.empty((subjects, items), np.int8)
for row, theta in zip(values, ability):
    row[:] = random.random(items) < 1 / (1 + np.exp(-a * (theta - b)))
    row[random.random(items) < missing] = -1

if fitter == "lmms":
    from lmms.adaptive import ResponseMatrix, fit_bank
    ids = [tuple(map(str, range(n))) for n in values.shape]
    responses = ResponseMatrix(*ids, values)
    def fit():
        fitted = fit_bank(responses)
        return fitted.bank.a, fitted.bank.b
else:
    from girth import twopl_mml
    def fit():
        found = twopl_mml(values.T.astype(int))
        return found["Discrimination"], found["Difficulty"]

# Not ru_maxrss: that of a child begins with its parent's.
seconds = []
for _ in range(rounds):
    started = time.process_time()
    found_a, found_b = fit()
    seconds.append(time.process_time() - started)
print(json.dumps({
    "cpu": min(seconds[1:] or seconds),
    "rss_mb": int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024,
    "corr_b": np.corrcoef(found_b, b)[0, 1],
    "corr_log_a": np.corrcoef(np.log(np.abs(found_a)), np.log(a))[0, 1],
    "rmse_b": float(np.sqrt(np.mean((found_b - b) ** 2))),
}))
"""


def measure(
    subjects: int, items: int, missing: float = 0.0, *, rounds: int = 4, fitter: str = "lmms"
) -> dict[str, float]:
    """Fits simulated answers in a process of its own."""
    case = json.dumps([subjects, items, missing, rounds, fitter])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, case],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if "ModuleNotFoundError" in ended.stderr:
        pytest.skip(f"{fitter} is not installed")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    name = f"{fitter:<6} {subjects:>5} x {items:<6} {missing:>4.0%} missing"
    print(
        f"\n{name}  {found['cpu']:7.3f} CPU s  {found['rss_mb']:5.0f} MB  "
        f"corr b {found['corr_b']:.3f}, log a {found['corr_log_a']:.3f}, "
        f"RMSE b {found['rmse_b']:.3f}",
        end="",
    )
    OUT.mkdir(exist_ok=True)
    with (OUT / "fitting.jsonl").open("a") as file:
        file.write(json.dumps({"bench": "fitting", "case": name} | found) + "\n")
    return found


def test_small_sets() -> None:
    measure(100, 200)
    measure(300, 100)
    measure(1000, 50)


def test_100_x_2000() -> None:
    found = measure(100, 2_000)
    assert found["cpu"] <= SMALL_CPU
    assert found["rss_mb"] <= SMALL_MB


def test_1000_x_14000_with_missing() -> None:
    found = measure(1_000, 14_000, 0.3, rounds=1)
    assert found["cpu"] <= LARGE_CPU
    assert found["rss_mb"] <= LARGE_MB


def test_girth() -> None:
    measure(100, 200, rounds=1, fitter="girth")
