"""`TaskScorer`: all scoring of one task, sample by sample and then together.

Per sample: reasoning is removed from every answer (raw text stays in `resps`), each chain of
filters runs over the answers, each value that a chain leaves is scored, and the values of repeats
are averaged. `filtered_resps` holds what was scored: per chain, in the task's order.

Over samples: values are over the *answered* samples; `n` says how many those are and `n_failed`
how many have no answer. A failed sample is never scored as wrong and never dropped in silence.
`n_unparsed` counts samples in whose answer nothing was found (they stay in the value, as the
metric's rule says: wrong, or a guess where the published rule guesses). Where a task's code gives
NaN, the answer has no score: it is left out of the value, counted, and told in a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lmms.config.schema import ReasoningConfig
from lmms.errors import LmmsError, ScoringError
from lmms.requests.episode import choices_of, target_of
from lmms.scoring.aggregations import (
    FEW_CLUSTERS,
    AggregationOptions,
    Aggregator,
    make_aggregator,
)
from lmms.scoring.filters import apply_chain, is_fallback
from lmms.scoring.inputs import SCORERS, Scorer, ScoringInput
from lmms.scoring.reasoning import strip_reasoning
from lmms.scoring.repeats import ANSWERS, REPEATS, RepeatTally
from lmms.statistics import Mean
from lmms.tasks.code import is_code, load_function
from lmms.tasks.spec import FilterSpec, MetricSpec, TaskSpec
from lmms.tasks.template import fields_of
from lmms.types import (
    Document,
    MetricResult,
    Request,
    Response,
    Sample,
    SampleScore,
    Score,
    ScoreStatus,
)

DEFAULT_FILTER = "none"
_WITHOUT_FILTERS = FilterSpec(name=DEFAULT_FILTER, steps=())
STRICT = "_strict"
"""Ending of the name of a metric that stands beside a published one."""
_BREAKDOWN = "breakdown"
NOT_A_NUMBER = "not_a_number"
"""Key of a score's record where the task's code gave NaN; of a metric's breakdown: how often."""
_UNPARSED: tuple[ScoreStatus, ...] = ("unparsed", "truncated", "refused")


def make_scorer(spec: TaskSpec, reasoning: ReasoningConfig, *, seed: int) -> TaskScorer:
    """Returns the scorer of a task.

    Args:
        spec: The task.
        reasoning: Whether reasoning is removed, and which tags mark it (None: the task's own).
        seed: Seed of rules that guess, and of the bootstrap.

    Raises:
        UnknownNameError: There is no such scorer or aggregation.
        ConfigError: The task's own code cannot be loaded.
    """
    return TaskScorer(spec, reasoning, seed=seed)


def score_key(metric: str, chain: str) -> str:
    """Returns the key of a metric's score: its name, with `,filter` where there are filters."""
    return metric if chain == DEFAULT_FILTER else f"{metric},{chain}"


def metric_warnings(metrics: Iterable[MetricResult]) -> list[str]:
    """Returns what people should know of aggregated metrics before they trust them.

    Among it are intervals that rest on few clusters (`FEW_CLUSTERS`).
    """
    warnings = []
    for metric in metrics:
        texts = list(metric.breakdown.get("warnings", ()))
        if metric.clusters is not None and 0 < metric.clusters < min(FEW_CLUSTERS, metric.n):
            texts.append(
                "there is no interval: all samples belong to one cluster"
                if metric.clusters == 1
                else f"the interval rests on only {metric.clusters} clusters"
            )
        warnings += [f"{metric.name}: {text}" for text in texts]
    return warnings


@dataclass(frozen=True, slots=True)
class _Answer:
    """The text that counts of one repeat."""

    raw: str
    repeat: int
    response: Response


class TaskScorer:
    """Scores the samples of one task and aggregates them. Made by `make_scorer`."""

    def __init__(self, spec: TaskSpec, reasoning: ReasoningConfig, *, seed: int) -> None:
        self._spec = spec
        self._seed = seed
        tags = spec.reasoning.tags if reasoning.tags is None else tuple(reasoning.tags)
        self._tags = tags if reasoning.strip else None
        self._chains = spec.filters or (_WITHOUT_FILTERS,)
        origin = spec.origin or f"task {spec.name}"
        self._score: Scorer = (
            cast(Scorer, load_function(spec, spec.scorer))
            if is_code(spec.scorer)
            else SCORERS.get(spec.scorer, origin=origin)
        )
        for metric in spec.metrics:
            self._aggregator(metric)  # an unknown name is an error now, not after the run

    def score(
        self, document: Document, requests: Sequence[Request], responses: Sequence[Response]
    ) -> SampleScore:
        """Scores one sample.

        Args:
            document: The row.
            requests: Requests of all rounds, in order.
            responses: Their responses.

        Raises:
            ScoringError: The task's code or data cannot score the document; it names both.
        """
        try:
            return self._sample(document, requests, responses)
        except ScoringError as error:
            raise self._located(document, error.message) from error
        except LmmsError as error:
            raise self._located(document, str(error)) from error
        except Exception as error:  # a task's code may raise anything
            raise self._located(document, f"{type(error).__name__}: {error}") from error

    def aggregate(
        self, samples: Iterable[Sample], *, confidence: float, bootstrap_samples: int
    ) -> tuple[MetricResult, ...]:
        """Aggregates samples in one pass; failed ones are counted, not scored."""
        tallies = [
            _Tally(metric, chain.name, self._aggregator(metric))
            for metric in self._spec.metrics
            for chain in self._chains
        ]
        by_key = {tally.key: tally for tally in tallies}
        for tally in tallies:
            published = tally.key.replace(STRICT, "", 1)
            if published != tally.key and published in by_key:
                tally.published = published
        for sample in samples:
            for tally in tallies:
                tally.add(sample)
        options = AggregationOptions(
            confidence=confidence, bootstrap_samples=bootstrap_samples, seed=self._seed
        )
        return tuple(tally.result(options) for tally in tallies)

    def _aggregator(self, metric: MetricSpec) -> Aggregator:
        kwargs = {k: v for k, v in metric.kwargs.items() if k != _BREAKDOWN}
        if is_code(metric.aggregation):
            make: Callable[..., Any] = load_function(self._spec, metric.aggregation)
            return cast(Aggregator, make(**kwargs))
        return make_aggregator(
            metric.aggregation, kwargs, origin=f"task {self._spec.name}, metric {metric.name}"
        )

    def _located(self, document: Document, message: str) -> ScoringError:
        return ScoringError(
            f"document {document.id!r} of task {self._spec.name!r} cannot be scored: {message}",
            origin=self._spec.origin,
        )

    def _sample(
        self, document: Document, requests: Sequence[Request], responses: Sequence[Response]
    ) -> SampleScore:
        fields = fields_of(self._spec, document)
        origin = f"task {self._spec.name}, document {document.id}"
        target = target_of(self._spec, fields, origin=origin)
        choices: tuple[str, ...] = ()
        if self._spec.choices is not None:
            choices = tuple(choices_of(self._spec, fields, origin=origin))
            fields = fields | {"choices": list(choices)}
        base = ScoringInput(
            document=document,
            fields=fields,
            target=target,
            answer=None,
            choices=choices,
            responses=tuple(responses),
        )
        if self._spec.output_type == "generate_until":
            scores, filtered = self._generated(base, requests, responses)
        else:
            scores, filtered = self._likelihoods(base, requests, responses)
        return SampleScore(
            scores=self._with_groups(scores, fields),
            target=target,
            resps=[_raw(response) for response in responses],
            filtered_resps=filtered,
            status=_status(scores),
            cluster=self._cluster(fields),
        )

    def _likelihoods(
        self, base: ScoringInput, requests: Sequence[Request], responses: Sequence[Response]
    ) -> tuple[dict[str, Score], list[Any]]:
        pairs = []
        for request, response in zip(requests, responses, strict=True):
            if request.kind == "loglikelihood":
                if response.loglikelihood is None:
                    raise ScoringError("a response to a log-likelihood request has no value")
                pairs.append((response.loglikelihood, bool(response.is_greedy)))
        given = _replaced(base, loglikelihoods=tuple(pairs), seed=self._seed_of(base, 0))
        scores = self._scored(given, _WITHOUT_FILTERS)
        return scores, [list(pair) for pair in pairs]

    def _generated(
        self, base: ScoringInput, requests: Sequence[Request], responses: Sequence[Response]
    ) -> tuple[dict[str, Score], list[Any]]:
        answers = _answers(requests, responses)
        texts = [
            answer.raw.strip() if self._tags is None else strip_reasoning(answer.raw, self._tags)
            for answer in answers
        ]
        scores: dict[str, Score] = {}
        filtered: list[Any] = []
        origin = f"task {self._spec.name}"
        for chain in self._chains:
            values = apply_chain(chain.steps, texts, base.fields, origin=origin)
            filtered.extend(values)
            scored = []
            for position, value in enumerate(values):
                # A chain that chose among repeats has fewer values; the guess follows the value.
                answer = answers[min(position, len(answers) - 1)]
                given = _replaced(
                    base,
                    answer=value,
                    parsed=not is_fallback(chain.steps, value),
                    seed=self._seed_of(base, answer.repeat),
                )
                scored.append(_explained(self._scored(given, chain), answer.response))
            scores |= _averaged(scored)
        return scores, filtered

    def _scored(self, given: ScoringInput, chain: FilterSpec) -> dict[str, Score]:
        found = self._score(given, **self._spec.scorer_kwargs)
        scores = {}
        for metric in self._spec.metrics:
            if metric.name not in found:
                raise ScoringError(
                    f"the scorer gives no {metric.name!r}", allowed=sorted(map(str, found))
                )
            scores[score_key(metric.name, chain.name)] = _defined(found[metric.name])
        return scores

    def _seed_of(self, base: ScoringInput, repeat: int) -> str:
        return f"{self._seed}\0{self._spec.name}\0{base.document.digest}\0{repeat}"

    def _cluster(self, fields: Mapping[str, Any]) -> str | None:
        if self._spec.cluster is None:
            return None
        value = fields.get(self._spec.cluster)
        return None if value is None else str(value)

    def _with_groups(
        self, scores: Mapping[str, Score], fields: Mapping[str, Any]
    ) -> dict[str, Score]:
        grouped = dict(scores)
        for metric in self._spec.metrics:
            names = [n for n in metric.kwargs.get(_BREAKDOWN, ()) if n in fields]
            if not names:
                continue
            groups = {name: str(fields[name]) for name in names}
            for chain in self._chains:
                key = score_key(metric.name, chain.name)
                score = grouped[key]
                own = dict((score.record or {}).get("groups") or {})
                record = dict(score.record or {}) | {"groups": groups | own}
                grouped[key] = _replaced(score, record=record)
        return grouped


class _Tally:
    """Counts and values of one metric under one chain of filters."""

    def __init__(self, metric: MetricSpec, chain: str, aggregator: Aggregator) -> None:
        self._metric = metric
        self._chain = chain
        self.key = score_key(metric.name, chain)
        self.published: str | None = None
        """Key of the published score that this strict one stands beside."""
        self._disagreements = 0
        self._aggregator = aggregator
        self._repeats = RepeatTally()
        self._unparsed = 0
        self._failed = 0
        self._undefined = 0

    def add(self, sample: Sample) -> None:
        if sample.failure is not None or sample.status == "failed":
            self._failed += 1
            return
        given = sample.scores.get(self.key)
        if given is None:
            return
        score = _defined(given)
        self._undefined += bool((score.record or {}).get(NOT_A_NUMBER))
        if score.value is None:
            return
        self._unparsed += score.status in _UNPARSED
        if self.published is not None and self.published in sample.scores:
            other = sample.scores[self.published]
            self._disagreements += (other.value, other.answer) != (score.value, score.answer)
        self._aggregator.add(score, sample.cluster)
        self._repeats.add(score, sample.cluster)

    def result(self, options: AggregationOptions) -> MetricResult:
        found = self._aggregator.result(options)
        mean = _defined_mean(found.mean)
        breakdown = dict(found.breakdown)
        warnings = [*breakdown.get("warnings", ()), *self._warnings(found.mean)]
        if warnings:
            breakdown["warnings"] = warnings
        if self._undefined:
            breakdown[NOT_A_NUMBER] = self._undefined
        if self.published is not None:
            breakdown["disagreements"] = self._disagreements
        repeats = self._repeats.result(options.confidence)
        if repeats is not None:
            breakdown[REPEATS] = repeats
        return MetricResult(
            name=self._metric.name,
            value=mean.value,
            filter=self._chain,
            stderr=mean.stderr,
            ci_low=mean.low,
            ci_high=mean.high,
            confidence=options.confidence,
            interval_method=mean.method,
            n=mean.n,
            clusters=mean.clusters,
            n_unparsed=self._unparsed,
            n_failed=self._failed,
            higher_is_better=self._metric.higher_is_better,
            maximum=self._metric.maximum,
            breakdown=breakdown,
        )

    def _warnings(self, mean: Mean) -> Iterator[str]:
        if self._undefined:
            samples = "1 sample" if self._undefined == 1 else f"{self._undefined} samples"
            yield f"the task's code gave NaN as score of {samples}: left out of the value"
        if mean.value is not None and math.isnan(mean.value):
            yield "there is no value: the aggregation gave NaN"


def _defined(score: Score) -> Score:
    """Returns the score; NaN becomes no score, and the record says so."""
    if score.value is None or not math.isnan(score.value):
        return score
    record = dict(score.record or {}) | {NOT_A_NUMBER: True}
    return cast(Score, _replaced(score, value=None, record=record))


def _defined_mean(mean: Mean) -> Mean:
    """Returns the mean with None for what is NaN; without a value there is no uncertainty."""
    numbers = {"value": mean.value, "stderr": mean.stderr, "low": mean.low, "high": mean.high}
    unknown = {name for name, x in numbers.items() if x is not None and math.isnan(x)}
    if "value" in unknown:
        unknown = set(numbers)
    return cast(Mean, _replaced(mean, **dict.fromkeys(unknown))) if unknown else mean


def _replaced(value: Any, /, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(value, **changes)


def _raw(response: Response) -> Any:
    if response.loglikelihood is not None:
        return [response.loglikelihood, bool(response.is_greedy)]
    return response.text if response.text is not None else ""


def _answers(requests: Sequence[Request], responses: Sequence[Response]) -> list[_Answer]:
    """Returns the last generated text of every repeat: earlier rounds lead up to it."""
    last: dict[int, _Answer] = {}
    for request, response in zip(requests, responses, strict=True):
        if request.kind == "generate_until":
            last[request.repeat] = _Answer(response.text or "", request.repeat, response)
    if not last:
        raise ScoringError("there is no generated answer")
    return [last[repeat] for repeat in sorted(last)]


def _explained(scores: Mapping[str, Score], response: Response) -> dict[str, Score]:
    """Says why nothing was found, where the response tells: it was cut off, or refused."""
    reasons: dict[str | None, ScoreStatus] = {"length": "truncated", "filter": "refused"}
    status = reasons.get(response.finish_reason)
    if status is None:
        return dict(scores)
    return {
        key: _replaced(score, status=status) if score.status == "unparsed" else score
        for key, score in scores.items()
    }


def _averaged(repeats: Sequence[Mapping[str, Score]]) -> dict[str, Score]:
    """Returns one score per metric: of several repeats the mean value and the first answer."""
    if len(repeats) == 1:
        return dict(repeats[0])
    averaged: dict[str, Score] = {}
    for key, first in repeats[0].items():
        values = [r[key].value for r in repeats]
        known = [v for v in values if v is not None]
        unparsed = [r[key].status for r in repeats if r[key].status != "ok"]
        answers = [r[key].answer for r in repeats]
        record = dict(first.record or {}) | {REPEATS: values, ANSWERS: answers}
        if any((r[key].record or {}).get(NOT_A_NUMBER) for r in repeats):
            record[NOT_A_NUMBER] = True
        averaged[key] = Score(
            value=sum(known) / len(known) if known else None,
            status=unparsed[0] if len(unparsed) == len(repeats) else "ok",
            answer=first.answer,
            explanation=first.explanation,
            record=record,
        )
    return averaged


def _status(scores: Mapping[str, Score]) -> ScoreStatus:
    """Returns ok if some metric found an answer, else what the first one says."""
    statuses = [score.status for score in scores.values() if score.value is not None]
    if not statuses or "ok" in statuses:
        return "ok"
    return statuses[0]
