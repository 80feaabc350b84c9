"""What became of a sample, in one word, and which samples are worth showing."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from lmms.types import MetricResult, Sample, Score

Verdict: TypeAlias = Literal[
    "failed", "refused", "truncated", "unparsed", "wrong", "partial", "right", "unscored"
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""In the order in which a reader wants to see them: what went wrong first."""

# Turns that a verdict gets in each round when samples are chosen: mistakes teach the most.
_TURNS: dict[Verdict, int] = {"wrong": 3, "right": 2, "partial": 2}


def primary_score(sample: Sample, metric: MetricResult | None) -> Score | None:
    """Returns the sample's score under a metric; its first score if the metric has none for it."""
    if metric is not None:
        for key in (f"{metric.name},{metric.filter}", metric.name):
            if key in sample.scores:
                return sample.scores[key]
    return next(iter(sample.scores.values()), None)


def verdict_of(sample: Sample, metric: MetricResult | None) -> Verdict:
    """Returns what became of a sample under the task's first metric.

    Statuses other than "ok" are verdicts by themselves: an answer that could not be read is neither
    right, even where the benchmark's rule guesses for it, nor wrong. The status is that of the
    metric's own score, since a stricter filter may find nothing where another one does. Scores
    between the worst and the best are "partial"; of a metric where less is better, 0 is the best.
    """
    score = primary_score(sample, metric)
    if sample.status != "failed" and score is not None and score.status != "ok":
        return score.status
    if sample.status != "ok":
        return sample.status
    if score is None or score.value is None:
        return "unscored"
    if metric is not None and not metric.higher_is_better:
        return "right" if score.value <= 0 else "wrong" if score.value >= 1 else "partial"
    return "right" if score.value >= 1 else "wrong" if score.value <= 0 else "partial"


@dataclass(slots=True)
class SampleChooser:
    """Picks samples to show while all of them stream by, and counts the verdicts.

    Within a verdict the choice is uniform and reproducible: the samples with the smallest hash of
    their identity win, whatever the order in which they come. Memory is bounded by
    `limit` samples per verdict.
    """

    limit: int
    """Samples to show."""
    metric: MetricResult | None
    """The task's first metric."""
    counts: Counter[Verdict] = field(default_factory=Counter)
    """All samples seen, per verdict."""
    _kept: dict[Verdict, list[tuple[int, int, Sample]]] = field(default_factory=dict)

    def watch(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Passes samples on unchanged and remembers the candidates."""
        for sample in samples:
            self._see(sample)
            yield sample

    def _see(self, sample: Sample) -> None:
        verdict = verdict_of(sample, self.metric)
        self.counts[verdict] += 1
        if self.limit < 1:
            return
        kept = self._kept.setdefault(verdict, [])
        identity = f"{sample.task}\0{sample.document_id}".encode("utf-8", "surrogatepass")
        rank = int.from_bytes(hashlib.sha256(identity).digest()[:8], "big")
        # A heap of negative ranks has the worst candidate on top; doc_id breaks ties.
        entry = (-rank, -sample.doc_id, sample)
        if len(kept) < self.limit:
            heapq.heappush(kept, entry)
        elif entry[:2] > kept[0][:2]:
            heapq.heapreplace(kept, entry)

    def chosen(self) -> dict[Verdict, list[Sample]]:
        """Returns the samples to show, per verdict in reading order, each in document order.

        Verdicts take turns until `limit` is reached, so that a rare failure is shown beside many
        right answers.
        """
        waiting = {
            v: [entry[2] for entry in sorted(self._kept.get(v, []), reverse=True)] for v in VERDICTS
        }
        picked: dict[Verdict, list[Sample]] = {v: [] for v in VERDICTS}
        left = self.limit
        while left > 0 and any(waiting.values()):
            for verdict in VERDICTS:
                take = min(_TURNS.get(verdict, 1), left)
                picked[verdict] += waiting[verdict][:take]
                left -= len(waiting[verdict][:take])
                waiting[verdict] = waiting[verdict][take:]
        return {v: sorted(s, key=lambda x: x.doc_id) for v, s in picked.items() if s}
