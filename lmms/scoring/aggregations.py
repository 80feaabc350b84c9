"""Aggregations: from the scores of all samples to one number with its uncertainty.

An aggregation takes scores one by one (samples are streamed) and keeps what it needs: eight bytes
per sample for a mean. Every result says how its interval was made.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lmms.errors import ConfigError
from lmms.registry import Registry
from lmms.statistics import (
    Bootstrap,
    Mean,
    bootstrap,
    bootstrap_median,
    bootstrap_totals,
    effective_clusters,
    summarize_mean,
)
from lmms.types import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """An aggregated metric."""

    mean: Mean
    breakdown: Mapping[str, Any] = field(default_factory=dict)
    """Category -> {"value", "n", "ci_low", "ci_high"}; counts under names of their own; texts
    for people under `warnings`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationOptions:
    """How uncertainty is computed."""

    confidence: float = 0.95
    bootstrap_samples: int = 1000
    seed: int = 0


class Aggregator(Protocol):
    """Collects the scores of one metric."""

    def add(self, score: Score, cluster: str | None) -> None:
        """Takes the score of one sample that has a value."""
        ...

    def result(self, options: AggregationOptions) -> Aggregate:
        """Returns the number over all samples taken so far."""
        ...


FEW_CLUSTERS = 30
"""Intervals over fewer clusters are too narrow more often than they say (Cameron and Miller 2015,
"A Practitioner's Guide to Cluster-Robust Inference")."""

AGGREGATIONS: Registry[Callable[..., Aggregator]] = Registry(
    "aggregation", group="lmms.aggregations"
)


class _Collected:
    """Values, cluster numbers and group memberships in compact arrays."""

    def __init__(self) -> None:
        self.values = array("d")
        self.clusters = array("q")
        self.groups: dict[str, array[int]] = {}
        self._numbers: dict[str, int] = {}
        self._clustered = False

    def add(self, score: Score, cluster: str | None) -> None:
        assert score.value is not None
        for name, value in ((score.record or {}).get("groups") or {}).items():
            self.groups.setdefault(f"{name}={value}", array("q")).append(len(self.values))
        # A sample without a cluster is a cluster of its own: it shares nothing with others.
        key = f"sample {len(self.values)}" if cluster is None else f"cluster {cluster}"
        if cluster is None:
            self.clusters.append(-1 - len(self.values))
        else:
            self._clustered = True
            self.clusters.append(self._numbers.setdefault(key, len(self._numbers)))
        self.values.append(score.value)

    def cluster_numbers(self) -> Any:
        """Returns one number per sample, or None if no sample belongs to a cluster."""
        import numpy as np

        return np.frombuffer(self.clusters, dtype=np.int64) if self._clustered else None

    def unequal_clusters(self) -> str | None:
        """Returns a warning where many clusters hide that a few large ones decide."""
        numbers = self.cluster_numbers()
        if numbers is None:
            return None
        count, effective = len(set(self.clusters)), effective_clusters(numbers)
        if count < FEW_CLUSTERS or effective >= FEW_CLUSTERS:
            return None
        return (
            f"the interval may be too narrow: {count} clusters of unequal size weigh as much as "
            f"{effective:.0f} equal ones"
        )

    def array(self) -> Any:
        import numpy as np

        return np.frombuffer(self.values, dtype=np.float64)

    def breakdown(self, confidence: float, *, proportions: bool) -> dict[str, Any]:
        """Returns the mean of every group, by name, with the same statistics as the whole."""
        import numpy as np

        values, clusters = self.array(), self.cluster_numbers()
        shown: dict[str, Any] = {}
        for name in sorted(self.groups):
            chosen = np.frombuffer(self.groups[name], dtype=np.int64)
            part = None if clusters is None else clusters[chosen]
            mean = summarize_mean(
                values[chosen], part, confidence=confidence, proportions=proportions
            )
            shown[name] = {
                "value": mean.value,
                "n": mean.n,
                "ci_low": mean.low,
                "ci_high": mean.high,
            }
        return shown


@AGGREGATIONS.register("mean")
class MeanAggregator:
    """The arithmetic mean.

    Args:
        decimals: Places to which a benchmark publishes its figure; the value alone is rounded.
        proportions: Whether samples score 0 to 1, right or wrong; False for points and counts,
            whose zeros and ones say nothing about a share.
    """

    def __init__(self, decimals: int | None = None, *, proportions: bool = True) -> None:
        self._collected = _Collected()
        self._decimals = decimals
        self._proportions = proportions

    def add(self, score: Score, cluster: str | None) -> None:
        """Takes one sample."""
        self._collected.add(score, cluster)

    def result(self, options: AggregationOptions) -> Aggregate:
        """Returns the mean, by `lmms.statistics.summarize_mean`."""
        from dataclasses import replace

        mean = summarize_mean(
            self._collected.array(),
            self._collected.cluster_numbers(),
            confidence=options.confidence,
            proportions=self._proportions,
        )
        if self._decimals is not None and mean.value is not None:
            mean = replace(mean, value=round(mean.value, self._decimals))
        breakdown = self._collected.breakdown(options.confidence, proportions=self._proportions)
        if warning := self._collected.unequal_clusters():
            breakdown["warnings"] = [warning]
        return Aggregate(mean=mean, breakdown=breakdown)


class _CorpusAggregator:
    """A statistic of all values together; its uncertainty comes from the bootstrap."""

    def __init__(self) -> None:
        self._collected = _Collected()

    def add(self, score: Score, cluster: str | None) -> None:
        """Takes one sample."""
        self._collected.add(score, cluster)

    def statistic(self, values: Any) -> float:
        """Returns the statistic of an array of shape (n,)."""
        raise NotImplementedError

    def spread(self, values: Any, clusters: Any, options: AggregationOptions) -> Bootstrap | None:
        """Returns what resampling says; whole clusters are drawn where there are any."""
        return bootstrap(
            values,
            self.statistic,
            clusters,
            replicates=options.bootstrap_samples,
            seed=options.seed,
            confidence=options.confidence,
        )

    def result(self, options: AggregationOptions) -> Aggregate:
        """Returns the statistic with a seeded bootstrap standard error and percentile interval."""
        values = self._collected.array()
        if not values.size:
            return Aggregate(mean=Mean(value=None, n=0))
        clusters = self._collected.cluster_numbers()
        count = None if clusters is None else len(set(self._collected.clusters))
        spread = self.spread(values, clusters, options)
        value, n = self.statistic(values), int(values.size)
        if spread is None:
            return Aggregate(mean=Mean(value=value, n=n, clusters=count))
        if bool((values == values[0]).all()):
            # Every resample of equal values is the same, which tells nothing of other samples.
            return Aggregate(mean=Mean(value=value, n=n, stderr=0.0, clusters=count))
        return Aggregate(
            mean=Mean(
                value=value,
                n=n,
                stderr=spread.stderr,
                low=spread.low,
                high=spread.high,
                method="bootstrap",
                clusters=count,
            )
        )


@AGGREGATIONS.register("perplexity")
class PerplexityAggregator(_CorpusAggregator):
    """exp(-mean) of the targets' log-likelihoods: per target, not per token."""

    def statistic(self, values: Any) -> float:
        """Returns exp(-mean)."""
        try:
            return math.exp(-float(values.mean()))
        except OverflowError:
            return math.inf

    def spread(self, values: Any, clusters: Any, options: AggregationOptions) -> Bootstrap | None:
        """Returns the same spread by totals, which are drawn at once."""
        import numpy as np

        if not np.all(np.isfinite(values)):
            return None

        def perplexities(totals: Any) -> Any:
            with np.errstate(over="ignore"):
                return np.exp(-totals[:, 0] / totals[:, 1])

        return bootstrap_totals(
            np.stack([values, np.ones_like(values)], axis=1),
            perplexities,
            clusters,
            replicates=options.bootstrap_samples,
            seed=options.seed,
            confidence=options.confidence,
        )


@AGGREGATIONS.register("median")
class MedianAggregator(_CorpusAggregator):
    """The median; of an even number of values the mean of the two in the middle."""

    def statistic(self, values: Any) -> float:
        """Returns the median."""
        import numpy as np

        return float(np.median(values))

    def spread(self, values: Any, clusters: Any, options: AggregationOptions) -> Bootstrap | None:
        """Returns the same spread by order statistics, where no clusters are to be drawn."""
        import numpy as np

        if clusters is not None or not np.all(np.isfinite(values)):
            return super().spread(values, clusters, options)
        return bootstrap_median(
            values,
            replicates=options.bootstrap_samples,
            seed=options.seed,
            confidence=options.confidence,
        )


def make_aggregator(name: str, kwargs: Mapping[str, Any], *, origin: str) -> Aggregator:
    """Returns a new aggregator.

    Raises:
        UnknownNameError: There is no such aggregation.
        ConfigError: It does not take these arguments.
    """
    try:
        return AGGREGATIONS.get(name, origin=origin)(**kwargs)
    except TypeError as error:
        raise ConfigError(f"aggregation {name!r}: {error}", origin=origin) from error
