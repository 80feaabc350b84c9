"""What an adaptive evaluation would have found, replayed on answers that are there already.

For runs over a whole task it says how few items would have done, and how near the adaptive
ability and the predicted score come to those of all items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from lmms.adaptive.ability import ability_of, estimation
from lmms.adaptive.bank import ItemBank, listed_ids
from lmms.adaptive.errors import ResponsesError, SettingError
from lmms.adaptive.fluid import TrajectoryTable, adaptive_trajectories
from lmms.adaptive.joining import DIGEST_DIGITS
from lmms.adaptive.prediction import PredictedScore, predict_score
from lmms.adaptive.reference import FINE_NODES
from lmms.adaptive.responses import MISSING, ResponseMatrix

DEFAULT_MAX_ITEMS = 100
_NAMINGS: Final[tuple[Callable[[str], str], ...]] = (
    str,
    lambda item: item.replace("/", "_", 1),
    lambda item: item.partition("/")[2],
)
"""How a bank may name the item `task/id`; of equally good ones the first is taken."""


@dataclass(frozen=True)
class ReplayStep:
    """One replayed answer.

    Attributes:
        item: The item's id.
        response: 1 right, 0 wrong.
        ability: The estimate with all answers up to this one.
        stderr: Its standard error, None where there is none.
    """

    item: str
    response: int
    ability: float
    stderr: float | None


@dataclass(frozen=True)
class ReplayedSubject:
    """An adaptive evaluation of one subject, beside what all its answers say.

    Attributes:
        subject: The subject's id.
        steps: The items that would have been asked, in their order.
        predicted: The score on all items as predicted from the asked ones.
        full_ability: The ability by all answers.
        full_stderr: Its standard error.
        full_score: The share of right answers among all.
        n_answered: How many answers of this subject the bank knows.
    """

    subject: str
    steps: tuple[ReplayStep, ...]
    predicted: PredictedScore
    full_ability: float
    full_stderr: float | None
    full_score: float
    n_answered: int


@dataclass(frozen=True)
class JoinedResponses:
    """Responses in the order of a bank, and what did not fit.

    Attributes:
        values: 1 right, 0 wrong, -1 missing; int8 of shape (subjects, items of the bank).
        without_parameters: Items that were answered and are not in the bank.
        changed: Items whose document is not the one that the bank was fitted on.
    """

    values: np.ndarray[tuple[int, int], np.dtype[np.int8]]
    without_parameters: tuple[str, ...]
    changed: tuple[str, ...]


def join_responses(responses: ResponseMatrix, bank: ItemBank) -> JoinedResponses:
    """Brings responses into a bank's order, by id; items whose documents changed are left out.

    Answers of runs are named `<task>/<document id>`; a bank may as well name them
    `<task>_<document id>` or by the document's id alone. The way that fits most is taken.

    Raises:
        ResponsesError: No item is in the bank.
    """
    place = {item: row for row, item in enumerate(bank.ids)}
    values = np.full((len(responses.subjects), len(bank)), MISSING, dtype=np.int8)
    strangers, changed = [], []
    named = max(_NAMINGS, key=lambda naming: sum(naming(i) in place for i in responses.items))
    for column, item in enumerate(responses.items):
        row = place.get(named(item))
        if row is None:
            strangers.append(item)
        elif _differs(responses, column, bank, row):
            changed.append(item)
        else:
            values[:, row] = responses.values[:, column]
    if changed and len(changed) == len(responses.items):
        raise ResponsesError(
            f"all {len(changed)} documents have changed since the item bank was fitted, "
            f"e.g. {listed_ids(changed)}",
            hint="fit the bank again, or take the column `digest` out of it",
        )
    if len(strangers) + len(changed) == len(responses.items):
        raise ResponsesError(
            f"none of the {len(responses.items)} answered items is in the bank, "
            f"e.g. {listed_ids(strangers or changed)}",
            allowed=f"items like {listed_ids(bank.ids[:1])}, of the same documents",
        )
    return JoinedResponses(values, tuple(strangers), tuple(changed))


def _differs(responses: ResponseMatrix, column: int, bank: ItemBank, row: int) -> bool:
    if responses.digests is None or bank.digests is None:
        return False
    ours, fitted = responses.digests[column], bank.digests[row]
    return bool(ours and fitted) and ours[:DIGEST_DIGITS] != fitted[:DIGEST_DIGITS]


def replay(
    responses: ResponseMatrix,
    bank: ItemBank,
    *,
    max_items: int = DEFAULT_MAX_ITEMS,
    se: float | None = None,
    estimation_method: str = "map",
    start_ability: float = 0.0,
    confidence: float = 0.95,
) -> tuple[list[ReplayedSubject], JoinedResponses]:
    """Replays the adaptive evaluation of every subject.

    Args:
        responses: Known answers.
        bank: Item parameters, joined to the answers by id.
        max_items: How many items are asked at most.
        se: Asking ends as soon as the standard error of ability is at most this.
        estimation_method: "map", "mle" or "eap".
        start_ability: For which ability the first item is chosen.
        confidence: Of the predicted score's interval.

    Returns:
        The subjects in their order, and how their answers fit the bank.

    Raises:
        ResponsesError: No answer fits the bank, or a subject has none that does.
        SettingError: A number that makes no sense.
        UnknownMethodError: An unknown method.
    """
    if max_items < 1:
        raise SettingError(f"at most {max_items} items are asked for", allowed="at least 1")
    if se is not None and not se > 0:
        raise SettingError(f"the wanted standard error is {se:g}", allowed="above 0")
    options = estimation(estimation_method, nodes=FINE_NODES)
    joined = join_responses(responses, bank)
    silent = [
        subject
        for subject, row in zip(responses.subjects, joined.values, strict=True)
        if not (row != MISSING).any()
    ]
    if silent:
        raise ResponsesError(
            f"{len(silent)} of {len(responses.subjects)} subjects have no answer to an item of "
            f"the bank: {listed_ids(silent)}"
        )
    table = adaptive_trajectories(joined.values, bank, start_ability, max_items, estimation_method)
    found = []
    for number, subject in enumerate(responses.subjects):
        answers = joined.values[number]
        steps = _steps(table, number, answers, bank, se)
        asked = {int(i): int(answers[i]) for i in table.items[number][: len(steps)]}
        last = steps[-1]
        known = np.flatnonzero(answers != MISSING)
        full = ability_of(bank.a[known], bank.b[known], answers[known] == 1, start_ability, options)
        # Beside the score of all answers: predicted over the same items.
        within = bank.subset(known)
        rows = {int(item): row for row, item in enumerate(known)}
        predicted = predict_score(
            within,
            (last.ability, last.stderr),
            {rows[item]: response for item, response in asked.items()},
            confidence,
        )
        found.append(
            ReplayedSubject(
                subject,
                steps,
                predicted,
                full.value,
                full.stderr,
                float(np.mean(answers[known])),
                len(known),
            )
        )
    return found, joined


def _steps(
    table: TrajectoryTable,
    number: int,
    answers: np.ndarray[tuple[int], np.dtype[np.int8]],
    bank: ItemBank,
    se: float | None,
) -> tuple[ReplayStep, ...]:
    steps = []
    for item, ability, stderr in zip(
        table.items[number], table.abilities[number], table.stderrs[number], strict=True
    ):
        if item < 0:
            break
        spread = float(stderr) if np.isfinite(stderr) else None
        steps.append(ReplayStep(bank.ids[item], int(answers[item]), float(ability), spread))
        if se is not None and spread is not None and spread <= se:
            break
    return tuple(steps)
