"""What several answers to each question say of one metric: chance, steadiness, passes, votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lmms.statistics import (
    Mean,
    majority_vote,
    stability,
    summarize_passes,
    variance_split,
)
from lmms.types import Score

REPEATS = "repeats"
"""Key of a score's record: the values of all answers to the question. Of a metric's breakdown:
what they say together."""
ANSWERS = "repeat_answers"
"""Key of a score's record: what was found in each of those answers."""


class RepeatTally:
    """Collects the answers to questions that were asked several times, for one metric."""

    def __init__(self) -> None:
        self._scores: list[list[float]] = []
        self._answers: list[list[str | None]] = []
        self._clusters: list[str] = []
        self._clustered = False

    def add(self, score: Score, cluster: str | None) -> None:
        """Takes the score of one sample; one that was asked once says nothing of chance."""
        record = score.record or {}
        values = record.get(REPEATS)
        if not isinstance(values, list):
            return
        answers = record.get(ANSWERS) or []
        known = [i for i, value in enumerate(values) if value is not None]
        if not known:
            return
        self._scores.append([float(values[i]) for i in known])
        self._answers.append([answers[i] for i in known] if len(answers) == len(values) else [])
        # A sample without a cluster is a cluster of its own.
        self._clustered |= cluster is not None
        own = f"sample {len(self._clusters)}"
        self._clusters.append(own if cluster is None else f"cluster {cluster}")

    def result(self, confidence: float) -> dict[str, Any] | None:
        """Returns what the answers say together; None if no question was asked several times.

        Keys: `questions`; `fewest` and `most` answers per question; `stability`; `variance`;
        `pass_at` and `pass_hat` by k for right-or-wrong scores, else empty; `majority`, None where
        no answer was extracted.
        """
        if not self._scores:
            return None
        counts = [len(row) for row in self._scores]
        clusters = self._clusters if self._clustered else None
        binary = all(value in (0.0, 1.0) for row in self._scores for value in row)
        steady = asdict(stability(self._scores))
        if not binary:
            # More than half of k points is no majority of right answers.
            steady["consensus_accuracy"] = None
        draws = _draws(min(counts)) if binary else ()
        passes = {
            name: {
                str(k): _shown(
                    summarize_passes(
                        self._scores, k, clusters, all_right=all_right, confidence=confidence
                    )
                )
                for k in draws
            }
            for name, all_right in (("pass_at", False), ("pass_hat", True))
        }
        return {
            "questions": len(counts),
            "fewest": min(counts),
            "most": max(counts),
            "stability": steady,
            "variance": asdict(variance_split(self._scores)),
            **passes,
            "majority": self._majority(clusters, confidence, proportions=binary),
        }

    def _majority(
        self, clusters: list[str] | None, confidence: float, *, proportions: bool
    ) -> Mapping[str, Any] | None:
        if not all(self._answers) or not any(a for row in self._answers for a in row):
            return None
        found = majority_vote(
            self._answers, self._scores, clusters, confidence=confidence, proportions=proportions
        )
        return _shown(found.mean) | {"ties": found.ties}


def _draws(most: int) -> tuple[int, ...]:
    """Returns 1, 2, 4 … and the number of answers itself."""
    powers = [1 << i for i in range(most.bit_length())]
    return tuple(sorted({*powers, most}))


def _shown(mean: Mean) -> dict[str, Any]:
    return {
        "value": mean.value,
        "stderr": mean.stderr,
        "ci_low": mean.low,
        "ci_high": mean.high,
        "n": mean.n,
    }
