"""The selector of adaptive runs: the documents that tell most about the ability so far.

Documents are chosen in batches, and a batch only when every document of the one before has ended.
What has been observed is taken into account in the order in which it was chosen, not in which it
ended, so that the course of a run is a function of the bank, the options and the answers alone:
whatever the timing, and however often the run was broken off and taken up again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from lmms.scheduler.selector import WAIT, Choice, SelectionState

if TYPE_CHECKING:
    from lmms.adaptive.session import AdaptiveSession

StopReason: TypeAlias = Literal["se", "max_items", "bank_used_up", "failures"]
"""Which rule stopped a task: the standard error, the number of answers, no document left, or as
many documents without an answer as answers were wanted."""

Values: TypeAlias = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """When a task has told enough."""

    max_items: int
    """Answers."""
    stderr: float | None = None
    """Standard error of the ability; None: only the number counts."""
    min_items: int = 1
    """Answers before which the standard error does not count."""


@dataclass(frozen=True, slots=True)
class SelectorStep:
    """The state after one answer."""

    number: int
    """From 0."""
    document: int
    """Index of the document."""
    position: int
    """Row of its item in the session's bank."""
    response: int
    """1 right, 0 wrong."""
    ability: float
    stderr: float | None


class AdaptiveSelector:
    """Chooses documents by the ability so far.

    Args:
        session: Chooses items and estimates the ability; nothing has been observed in it.
        documents: Index of the document of each item of the session's bank.
        rule: When to stop.
        batch_size: Documents chosen at once.
        response_of: Gives 1 or 0 for the scores of a document, or None if they say nothing about
            it; may raise `LmmsError`, which ends the run.
    """

    def __init__(
        self,
        session: AdaptiveSession,
        documents: Sequence[int],
        *,
        rule: StoppingRule,
        batch_size: int,
        response_of: Callable[[Values], int | None],
    ) -> None:
        self.session = session
        self.rule = rule
        self.steps: list[SelectorStep] = []
        self.failed: list[int] = []
        """Indices of documents that ended without an answer."""
        self.unscored: list[int] = []
        """Indices of documents about which the score says nothing."""
        self.stopped_because: StopReason | None = None
        self._documents = list(documents)
        self._batch_size = batch_size
        self._response_of = response_of
        self._batch: list[int] = []
        """Positions in the order in which they were chosen."""
        self._to_open: deque[int] = deque()
        self._ended: dict[int, Values | None] = {}
        """Scores by document of the batch; None: it failed."""

    @property
    def asked(self) -> frozenset[int]:
        """Indices of all documents that were chosen and have ended."""
        answered = [step.document for step in self.steps]
        return frozenset([*answered, *self.failed, *self.unscored])

    def next(self, state: SelectionState) -> Choice:
        """Returns the next document of the batch, or chooses the next batch when all have ended."""
        del state
        if not self._batch:
            self._choose()
        if self.stopped_because is not None:
            return None
        return self._to_open.popleft() if self._to_open else WAIT

    def observe(self, index: int, values: Values | None) -> None:
        """Takes the scores of a document; those of a batch count when all of it have ended.

        Raises:
            LmmsError: As `response_of` raises.
        """
        self._ended[index] = values
        if len(self._ended) == len(self._batch):
            self._settle()

    def _choose(self) -> None:
        self.stopped_because = self._reason()
        if self.stopped_because is not None:
            return
        wanted = min(self._batch_size, self.rule.max_items - len(self.steps))
        self._batch = [int(position) for position in self.session.next(wanted)]
        if not self._batch:
            self.stopped_because = "bank_used_up"
        self._to_open.extend(self._documents[position] for position in self._batch)

    def _reason(self) -> StopReason | None:
        count, rule = len(self.steps), self.rule
        if rule.stderr is not None and count >= rule.min_items:
            stderr = self.session.stderr
            if stderr is not None and stderr <= rule.stderr:
                return "se"
        if count >= rule.max_items:
            return "max_items"
        # A model that answers nothing would otherwise be asked everything.
        if len(self.failed) + len(self.unscored) >= rule.max_items:
            return "failures"
        return None

    def _settle(self) -> None:
        for position in self._batch:
            document = self._documents[position]
            values = self._ended[document]
            response = None if values is None else self._response_of(values)
            if response is None:
                (self.failed if values is None else self.unscored).append(document)
                self.session.skip(position)
                continue
            self.session.observe(position, response)
            self.steps.append(
                SelectorStep(
                    number=len(self.steps),
                    document=document,
                    position=position,
                    response=response,
                    ability=self.session.ability,
                    stderr=self.session.stderr,
                )
            )
        self._batch.clear()
        self._ended.clear()
        self.stopped_because = self._reason()
