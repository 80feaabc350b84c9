"""A task of an adaptive run: its bank joined to its documents, its course, and what came of it.

The mean over the documents that were asked is no score of the benchmark, since they were chosen to
be answered rightly about every other time. The numbers of such a task are the ability, and the
score that this ability predicts for the documents in the bank. Only where these are as good as all
documents is that a score of the task; else it has another name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lmms.adaptive.joining import BankDocument, JoinedDocuments, join_documents
from lmms.config.plan import PlannedBank, RunPlan
from lmms.errors import DataError, PlanError
from lmms.responses.journal import Journal
from lmms.responses.steps import Step
from lmms.runner.observer import TaskProgress
from lmms.runner.task_run import TaskRun
from lmms.scheduler import AdaptiveSelector, SelectorStep, StoppingRule
from lmms.types import MetricResult, Sample

if TYPE_CHECKING:
    from lmms.adaptive.bank import ItemBank
    from lmms.adaptive.prediction import PredictedScore

HIGHEST_ABILITY: Final = 4.0
"""Abilities are estimated between this and its negative."""
_SHARE_RIGHT: Final = "predicted_share_right"
OUTSIDE_SHARE: Final = 0.01
"""Up to this share of a task's documents may be outside the bank before the predicted score is no
longer called one of the task."""


@dataclass
class AdaptiveTask:
    """What an adaptive run knows of one task beyond the task itself."""

    task: TaskRun
    planned: PlannedBank
    bank: ItemBank
    """Of the items that have a document, in the order of the whole bank."""
    joined: JoinedDocuments
    selector: AdaptiveSelector
    rule: StoppingRule
    estimation: str
    _kept: int = 0
    """Steps that are in the journal."""
    _over: bool = field(default=False)

    @property
    def complete(self) -> bool:
        """Whether the rule that was asked for has stopped the task."""
        return self.selector.stopped_because in ("se", "max_items", "bank_used_up")

    def samples(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Passes on the samples that belong to this course; the journal may hold others.

        A run that went on from another one's answers, or that asked a failed document again, may
        have chosen otherwise.
        """
        asked = self.selector.asked
        return (sample for sample in samples if sample.doc_id in asked)

    def keep(self, journal: Journal, shown: TaskProgress) -> None:
        """Writes the steps that are new, and shows where the task stands.

        Raises:
            JournalError: They cannot be written.
        """
        steps = self.selector.steps
        over = self.selector.stopped_because is not None
        if self._over or (self._kept == len(steps) and not over):
            return
        fresh = [self._step(step) for step in steps[self._kept :]]
        journal.record_steps(self.task.label, fresh, total=len(steps) if over else None)
        self._kept, self._over = len(steps), over
        if steps:
            shown.ability = (steps[-1].ability, steps[-1].stderr)
        shown.total = shown.done if over else self.expected

    @property
    def expected(self) -> int:
        """Documents that will be asked at most, as far as is known."""
        lost = len(self.selector.failed) + len(self.selector.unscored)
        return min(len(self.bank), self.rule.max_items + lost)

    def _step(self, step: SelectorStep) -> Step:
        item = self.joined.documents[step.position].id
        return Step(step.number, step.document, item, step.response, step.ability, step.stderr)

    # ---------------------------------------------------------------------------------- numbers

    def report(
        self, confidence: float, statuses: Mapping[str, int]
    ) -> tuple[tuple[MetricResult, ...], dict[str, Any], list[str]]:
        """Returns the metrics, the block `adaptive` of the results, and warnings.

        Args:
            confidence: Of the intervals.
            statuses: Samples of this course per status.
        """
        if not self.selector.steps:
            reason = "no document was answered"
            return (), self._block(None, None, confidence) | {"reason": reason}, [reason]
        ability, prediction = self._ability(confidence, statuses), self._predict(confidence)
        metrics = (ability, self._predicted(prediction, confidence, ability))
        return metrics, self._block(ability, prediction, confidence), self._warnings(ability)

    def _ability(self, confidence: float, statuses: Mapping[str, int]) -> MetricResult:
        from lmms.statistics.quantiles import normal_quantile

        last = self.selector.steps[-1]
        low = high = None
        if last.stderr is not None:
            half = normal_quantile(0.5 + confidence / 2) * last.stderr
            low, high = last.ability - half, last.ability + half
        unread = sum(statuses.get(name, 0) for name in ("unparsed", "truncated", "refused"))
        return MetricResult(
            name="ability",
            value=last.ability,
            stderr=last.stderr,
            ci_low=low,
            ci_high=high,
            confidence=confidence,
            interval_method="normal" if low is not None else None,
            n=len(self.selector.steps),
            n_unparsed=unread,
            n_failed=statuses.get("failed", 0),
            maximum=HIGHEST_ABILITY,
        )

    def _predict(self, confidence: float) -> PredictedScore:
        from lmms.adaptive.prediction import predict_score

        answered = {step.position: step.response for step in self.selector.steps}
        return predict_score(self.bank, self.selector.session, answered, confidence)

    def _predicted(
        self, prediction: PredictedScore, confidence: float, ability: MetricResult
    ) -> MetricResult:
        name, _, chain = self.planned.metric.partition(",")
        return MetricResult(
            name=self._predicted_name(name),
            filter=chain or "none",
            value=prediction.value,
            stderr=prediction.stderr,
            ci_low=prediction.low,
            ci_high=prediction.high,
            confidence=confidence,
            interval_method="posterior" if prediction.low is not None else None,
            n=ability.n,
            n_unparsed=ability.n_unparsed,
            n_failed=ability.n_failed,
        )

    def _predicted_name(self, metric: str) -> str:
        """A metric that is no mean of zeros and ones has another value than the share right."""
        plain = any(m.name == metric and m.aggregation == "mean" for m in self.task.spec.metrics)
        name = f"predicted_{metric}" if plain and self.planned.right_from is None else _SHARE_RIGHT
        return f"{name}_in_bank" if self._covers_a_part else name

    @property
    def _outside(self) -> int:
        """Documents of the task for which nothing is predicted."""
        return self.joined.without_parameters + self.joined.changed

    @property
    def _covers_a_part(self) -> bool:
        return self._outside > OUTSIDE_SHARE * self.task.limit

    def _block(
        self, ability: MetricResult | None, prediction: PredictedScore | None, confidence: float
    ) -> dict[str, Any]:
        selector, asked = self.selector, len(self.selector.asked)
        answers = [step.response for step in selector.steps]
        within = self.task.limit
        return {
            "ability": ability.value if ability else None,
            "stderr": ability.stderr if ability else None,
            "interval": [ability.ci_low, ability.ci_high]
            if ability and ability.ci_low is not None
            else None,
            "confidence": confidence,
            "estimation": self.estimation,
            "n_asked": asked,
            "n_answered": len(answers),
            "n_bank": self.planned.items,
            "n_matched": len(self.bank),
            "n_documents": within,
            "left_out": {
                "without_parameters": self.joined.without_parameters,
                "changed": self.joined.changed,
                "failed": len(selector.failed),
                "unscored": len(selector.unscored),
            },
            "predicted": {
                "metric": self._predicted_name(self.planned.metric.partition(",")[0]),
                "value": prediction.value,
                "low": prediction.low,
                "high": prediction.high,
                "stderr": prediction.stderr,
                "n_items": prediction.n_items,
                "n_documents": within,
                "reason": prediction.reason,
            }
            if prediction
            else None,
            "observed_share": sum(answers) / len(answers) if answers else None,
            "right_if": {"metric": self.planned.metric, "from": self.planned.right_from},
            "saved": {"documents": within - asked, "share": (within - asked) / within},
            "stopped_because": selector.stopped_because,
            "stopping_rule": {
                "max_items": self.rule.max_items,
                "min_items": self.rule.min_items,
                "se": self.rule.stderr,
            },
            "bank": {
                "path": self.planned.path,
                "digest": self.planned.digest,
                "n_subjects": self.bank.median_subjects,
                "naming": self.joined.convention,
                "items_without_document": self.joined.without_document,
            },
            "trajectory": [self._entry(step) for step in selector.steps],
        }

    def _entry(self, step: SelectorStep) -> dict[str, Any]:
        return {
            "document_id": self.joined.documents[step.position].id,
            "doc_id": step.document,
            "a": float(self.bank.a[step.position]),
            "b": float(self.bank.b[step.position]),
            "response": step.response,
            "ability": step.ability,
            "stderr": step.stderr,
        }

    def _warnings(self, ability: MetricResult) -> list[str]:
        from lmms.adaptive.bank import doubt_of

        selector, warnings = self.selector, []
        within = self.task.limit
        if self._outside:
            warnings.append(self._coverage(within))
        if doubt := doubt_of(self.bank.median_subjects):
            warnings.append(doubt)
        if selector.unscored:
            warnings.append(
                f"{self.planned.metric} says nothing about {len(selector.unscored)} documents "
                "that were asked; others were asked instead"
            )
        if selector.failed:
            warnings.append(f"{len(selector.failed)} documents failed; others were asked instead")
        if selector.stopped_because == "failures":
            warnings.append("stopped early: too many documents gave no answer")
        if selector.stopped_because == "bank_used_up" and len(selector.steps) < self.rule.max_items:
            warnings.append(f"all {len(self.bank)} documents with item parameters were asked")
        if ability.stderr is None:
            warnings.append(
                "ability has no standard error: all answers point beyond the scale "
                "(selector.estimation=map has one)"
            )
        elif selector.session.estimate.at_bound:
            warnings.append(
                f"ability stands at the end of its scale ({ability.value:g}): the answers point "
                "beyond it, and its interval says less than it seems to"
            )
        return warnings

    def _coverage(self, within: int) -> str:
        """Says what the predicted score leaves out."""
        joined = self.joined
        reasons = {
            "have no item parameters": joined.without_parameters,
            "have changed since the item bank was fitted": joined.changed,
        }
        text = f"predicted for {len(self.bank):,} of {within:,} documents; " + ", ".join(
            f"{count:,} {reason}" for reason, count in reasons.items() if count
        )
        if self._covers_a_part:
            name = self._predicted_name(self.planned.metric.partition(",")[0])
            text += f": {name} is no score of the whole task"
        return text


def open_adaptive(plan: RunPlan, tasks: Mapping[str, TaskRun]) -> dict[str, AdaptiveTask]:
    """Reads the banks of an adaptive run and finds the documents of their items; else nothing.

    Raises:
        DataError: A bank cannot be read, or has nothing in common with its task.
        PlanError: A bank is not the one that was planned.
    """
    if plan.selector is None:
        return {}
    return {
        label: _open(plan, task, plan.selector.banks[label], plan.selector.batch_size)
        for label, task in tasks.items()
    }


def _open(plan: RunPlan, task: TaskRun, planned: PlannedBank, batch_size: int) -> AdaptiveTask:
    from lmms.adaptive.bank import read_bank
    from lmms.adaptive.session import AdaptiveSession

    given = plan.config.selector
    whole = read_bank(Path(planned.path))
    if whole.digest != planned.digest:
        raise PlanError(
            "the item bank has changed since the plan was made",
            origin=planned.path,
            hint="make the plan again",
        )
    names = tuple(dict.fromkeys((task.spec.name, task.label)))
    joined = join_documents(
        whole,
        _documents(task, with_digests=whole.digests is not None and any(whole.digests)),
        tasks=names,
        unmatched=given.unmatched,
        origin=planned.path,
    )
    bank = whole.subset(joined.positions)
    session = AdaptiveSession(
        bank,
        start_ability=given.start_ability,
        estimation=given.estimation,
        bounds=(-HIGHEST_ABILITY, HIGHEST_ABILITY),
        exposure=given.exposure,
        balance=given.balance,
        seed=plan.config.seed,
    )
    rule = StoppingRule(given.max_items, given.se, given.min_items)
    selector = AdaptiveSelector(
        session,
        [document.index for document in joined.documents],
        rule=rule,
        batch_size=batch_size,
        response_of=response_by(planned.metric, planned.right_from, label=task.label),
    )
    return AdaptiveTask(task, planned, bank, joined, selector, rule, given.estimation)


def _documents(task: TaskRun, *, with_digests: bool) -> Iterator[BankDocument]:
    if with_digests:
        for document in task.source.iterate(0, task.limit):
            yield BankDocument(document.index, document.id, document.digest)
    else:
        for index, name in enumerate(task.source.ids(task.limit)):
            yield BankDocument(index, name)


def response_by(
    metric: str, right_from: float | None, *, label: str
) -> Callable[[Mapping[str, float | None]], int | None]:
    """Returns what makes right (1) or wrong (0) of a document's scores, or None of no score.

    Args:
        metric: Key of the score.
        right_from: Scores from here on are right; None: they must be 0 or 1.
        label: The task, for messages.
    """

    def response_of(values: Mapping[str, float | None]) -> int | None:
        value = values.get(metric)
        if value is None or math.isnan(value):
            return None
        if right_from is not None:
            return int(value >= right_from)
        if value not in (0, 1):
            raise DataError(
                f"the score {metric} of a document is {value:g}, neither right nor wrong",
                origin=f"task {label}",
                allowed="0 or 1",
                hint="say from where on it is right, e.g. selector.threshold=0.5",
            )
        return int(value)

    return response_of
