"""Medians and running means in constant memory, and sums over sittings."""

from __future__ import annotations

import random
import statistics

import pytest

from lmms.runner.finish import MedianSketch
from lmms.runner.meters import add_up
from lmms.runner.observer import RunningMean


def test_the_median_is_right_to_within_a_per_cent() -> None:
    rng = random.Random(1)
    for scale in (1e-4, 0.03, 50.0):
        sketch, values = MedianSketch(), []
        for _ in range(5001):
            values.append(scale * rng.lognormvariate(0, 1))
            sketch.add(values[-1])
        assert sketch.median == pytest.approx(statistics.median(values), rel=0.01)


def test_the_median_of_nothing_and_of_zeros() -> None:
    assert MedianSketch().median is None
    sketch = MedianSketch()
    sketch.add(0.0)
    assert sketch.median == 0.0


def test_the_running_mean_is_the_mean() -> None:
    rng = random.Random(2)
    values = [rng.random() for _ in range(1000)]
    running = RunningMean()
    for value in values:
        running.add(value)
    assert running.mean == pytest.approx(statistics.fmean(values))
    assert running.stderr == pytest.approx(statistics.stdev(values) / 1000**0.5)


def test_one_number_has_no_spread() -> None:
    running = RunningMean()
    running.add(0.5)
    assert (running.mean, running.stderr) == (0.5, None)


def test_sittings_add_up() -> None:
    first = {"wall": 1.0, "tasks": {"a": {"asked": 3}}}
    second = {"wall": 2.0, "tasks": {"a": {"asked": 4}, "b": {"asked": 1}}}
    expected = {"wall": 3.0, "tasks": {"a": {"asked": 7}, "b": {"asked": 1}}}
    assert add_up(first, second) == expected
    assert add_up({}, first) == first
