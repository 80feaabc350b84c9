"""Uncertainty of scores: pure functions on arrays. What is undefined is None, never 0 or NaN."""

from __future__ import annotations

from lmms.statistics.bootstrap import Bootstrap, bootstrap
from lmms.statistics.clusters import clustered_stderr
from lmms.statistics.intervals import (
    Interval,
    Mean,
    bernoulli_stderr,
    mean_stderr,
    normal_interval,
    summarize_mean,
    t_interval,
    wilson_interval,
)
from lmms.statistics.quantiles import normal_quantile, t_quantile
from lmms.statistics.stratified import stratified_sum

__all__ = [
    "Bootstrap",
    "Interval",
    "Mean",
    "bernoulli_stderr",
    "bootstrap",
    "clustered_stderr",
    "mean_stderr",
    "normal_interval",
    "normal_quantile",
    "stratified_sum",
    "summarize_mean",
    "t_interval",
    "t_quantile",
    "wilson_interval",
]
