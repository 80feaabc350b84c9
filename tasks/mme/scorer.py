"""Scores of MME: yes or no per question, then per image whether both of its questions are right.

A category's score is the mean over images of accuracy (100 * mean of the two) plus 100 if both
are right; perception and cognition are sums over their categories. An image with other than two
answered questions (a limit, a failed sample) cannot be scored by that rule: it is left out,
counted, and reported under `incomplete_pairs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lmms.errors import ScoringError
from lmms.scoring.aggregations import Aggregate, AggregationOptions
from lmms.scoring.extract.yes_no import yes_or_no
from lmms.scoring.inputs import ScoringInput
from lmms.statistics import stratified_sum, summarize_mean
from lmms.types import Score

PERCEPTION = frozenset(
    {
        "existence",
        "count",
        "position",
        "color",
        "posters",
        "celebrity",
        "scene",
        "landmark",
        "artwork",
        "OCR",
    }
)
_PAIR = 2
_MOST = 200.0


def score(given: ScoringInput) -> Mapping[str, Score]:
    """Returns both metrics; the one that does not cover the question's category has no value.

    Raises:
        ScoringError: The document's own answer is neither yes nor no.
    """
    expected = str(given.fields["answer"]).lower().strip().replace(".", "")
    if expected not in ("yes", "no"):
        raise ScoringError(
            f"the document's answer is {given.fields['answer']!r}", allowed="Yes, No"
        )
    answer = yes_or_no(str(given.answer))
    category = str(given.fields["category"])
    scored = Score(
        value=float(answer == expected),
        status="ok" if answer else "unparsed",
        answer=answer,
        record={"category": category, "pair": str(given.fields["question_id"])},
    )
    other = replace(scored, value=None)
    perceives = category in PERCEPTION
    return {
        "mme_perception_score": scored if perceives else other,
        "mme_cognition_score": other if perceives else scored,
    }


class PairScore:
    """Sum over categories of the mean over images of accuracy and accuracy+ (each up to 100)."""

    def __init__(self) -> None:
        self._categories: dict[str, dict[str, list[float]]] = {}

    def add(self, score: Score, cluster: str | None) -> None:
        """Takes one question."""
        assert score.value is not None
        assert score.record is not None
        pairs = self._categories.setdefault(score.record["category"], {})
        pairs.setdefault(score.record["pair"], []).append(score.value)

    def result(self, options: AggregationOptions) -> Aggregate:
        """Returns the sum with the standard error of a stratified estimate over images."""
        strata: dict[str, list[float]] = {}
        incomplete = 0
        for category, pairs in self._categories.items():
            for values in pairs.values():
                if len(values) != _PAIR:
                    incomplete += 1
                    continue
                both = all(value == 1.0 for value in values)
                points = 100.0 * sum(values) / _PAIR + (100.0 if both else 0.0)
                strata.setdefault(category, []).append(points)
        total = stratified_sum(list(strata.values()), confidence=options.confidence)
        breakdown: dict[str, object] = {}
        for category in sorted(strata):
            # Points from 0 to 200 are no shares, not even where all of them are 0.
            mean = summarize_mean(
                strata[category], confidence=options.confidence, proportions=False
            )
            breakdown[f"category={category}"] = {
                "value": mean.value,
                "n": _PAIR * mean.n,
                "ci_low": None if mean.low is None else max(0.0, mean.low),
                "ci_high": None if mean.high is None else min(_MOST, mean.high),
            }
        if incomplete:
            breakdown["incomplete_pairs"] = incomplete
            breakdown["warnings"] = [
                f"{incomplete} images without exactly two answered questions are left out"
            ]
        mean = replace(
            total,
            n=_PAIR * total.n,
            clusters=total.n,
            low=None if total.low is None else max(0.0, total.low),
            high=None if total.high is None else min(_MOST * len(strata), total.high),
        )
        return Aggregate(mean=mean, breakdown=breakdown)
