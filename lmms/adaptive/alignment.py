"""Responses and item parameters in the forms that callers have, brought to one order of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.bank import (
    ItemBank,
    check_columns,
    check_parameters,
    listed_ids,
    read_bank,
    repeated,
)
from lmms.adaptive.errors import BankError, ResponsesError
from lmms.adaptive.responses import read_responses

FloatArray = NDArray[np.float64]

#: A sequence, array or series of 0 and 1 in the bank's order; responses by item id; or a file.
Responses: TypeAlias = "Sequence[float] | NDArray[Any] | Mapping[str, float] | str | Path | Any"
#: An (n, 2) array with the columns a, b; a frame; an item bank; (a, b) by item id; or a file.
Parameters: TypeAlias = "NDArray[Any] | ItemBank | Mapping[str, Sequence[float]] | str | Path | Any"


@dataclass(frozen=True, eq=False)
class SubjectResponses:
    """The responses of one subject.

    Attributes:
        values: 1 right, 0 wrong, int8, shape (n,).
        ids: Item ids when the responses came by id, else None.
        labels: The labels of a series' index, if it has its own.
    """

    values: NDArray[np.int8]
    ids: tuple[str, ...] | None = None
    labels: tuple[object, ...] | None = None

    def positions(self, samples: Sequence[Any] | NDArray[Any]) -> NDArray[np.intp]:
        """Returns the rows of sampled items: ids for responses by id, else positions.

        Raises:
            ResponsesError: A sample that is not among the items.
        """
        if self.ids is not None:
            place = {item: row for row, item in enumerate(self.ids)}
            unknown = [str(sample) for sample in samples if sample not in place]
            if unknown:
                raise ResponsesError(
                    f"{len(unknown)} of {len(samples)} sampled items have no response: "
                    f"{listed_ids(unknown)}",
                    allowed="ids of items, as the responses are by item id",
                )
            return np.array([place[sample] for sample in samples], dtype=np.intp)
        rows = np.asarray(samples)
        if rows.ndim != 1 or not rows.size or rows.dtype.kind not in "iu":
            raise ResponsesError(
                f"sampled items have the type {rows.dtype} and the shape {rows.shape}",
                allowed="a list of positions, at least one",
            )
        outside = rows[(rows < 0) | (rows >= len(self.values))]
        if outside.size:
            raise ResponsesError(
                f"{outside.size} of {rows.size} sampled positions are outside, e.g. {outside[0]}",
                allowed=f"0 to {len(self.values) - 1}",
            )
        return rows.astype(np.intp)


@dataclass(frozen=True, eq=False)
class ItemParameters:
    """Item parameters in the order in which they were given.

    Attributes:
        a: Discriminations, shape (n,).
        b: Difficulties, shape (n,).
        ids: Item ids, where they are known.
        labels: The labels of a frame's index, if it has its own.
        bank: The bank that they came from, if it was one.
    """

    a: FloatArray
    b: FloatArray
    ids: tuple[str, ...] | None = None
    labels: tuple[object, ...] | None = None
    bank: ItemBank | None = None

    def as_bank(self) -> ItemBank:
        """Returns the parameters as a bank, with its content groups if there are any."""
        return self.bank or ItemBank.from_arrays(self.a, self.b, self.ids)


def align(
    lm_responses: Responses, irt_model: Parameters
) -> tuple[SubjectResponses, ItemParameters]:
    """Takes responses and item parameters in any form, in the order of the parameters.

    Responses by id are joined by id, and must be those to exactly the bank's items. Others are
    taken in the bank's order; a series and a frame whose own labels differ are refused.

    Raises:
        BankError: Parameters that are not finite, an empty or swapped bank, or no ids where
            the responses have them.
        ResponsesError: Values other than 0 and 1, items without parameters, parameters without
            a response, or another number of them.
    """
    responses, parameters = subject_responses(lm_responses), item_parameters(irt_model)
    if responses.ids is not None:
        return _joined(responses, responses.ids, parameters), parameters
    if len(parameters.a) != len(responses.values):
        raise ResponsesError(
            f"there are {len(responses.values)} responses to the {len(parameters.a)} items "
            "of the bank",
            allowed="one response for each item, in the bank's order, or responses by item id",
        )
    labels = (parameters.labels, responses.labels)
    if None not in labels and labels[0] != labels[1]:
        raise ResponsesError(
            "the index of the responses is not that of the item parameters",
            allowed="equal indexes",
            hint="give the responses as a mapping from item id, and they are joined by id",
        )
    return responses, parameters


def subject_responses(lm_responses: Responses) -> SubjectResponses:
    """Takes a subject's responses in any form.

    Raises:
        ResponsesError: Values other than 0 and 1, missing ones, an id twice, none at all, or a
            file of several subjects.
    """
    if isinstance(lm_responses, str | Path):
        lm_responses = _subject_of_file(Path(lm_responses))
    if isinstance(lm_responses, Mapping):
        ids = tuple(str(item) for item in lm_responses)
        if len(set(ids)) != len(ids):
            raise ResponsesError(f"responses name items twice: {listed_ids(repeated(ids))}")
        values = np.array([_number(value) for value in lm_responses.values()], dtype=np.float64)
        return SubjectResponses(_binary(values, ids), ids)
    try:
        values = np.asarray(_array(lm_responses), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ResponsesError(
            f"responses are not numbers: {error}", allowed="1 right, 0 wrong"
        ) from None
    if values.ndim != 1:
        raise ResponsesError(
            f"responses have the shape {values.shape}", allowed="one value for each item"
        )
    return SubjectResponses(_binary(values, None), None, _labels(lm_responses))


def _subject_of_file(file: Path) -> dict[str, float]:
    matrix = read_responses(file)
    if len(matrix.subjects) != 1:
        raise ResponsesError(
            f"the file has the responses of {len(matrix.subjects)} subjects: "
            f"{listed_ids(matrix.subjects)}",
            origin=str(file),
            allowed="one subject",
            hint="read the file and give one subject's responses by item id",
        )
    answers = zip(matrix.items, matrix.values[0].tolist(), strict=True)
    return {item: float(value) for item, value in answers if value >= 0}


def _number(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        raise ResponsesError(f"a response is {value!r}", allowed="1 right, 0 wrong") from None


def _array(given: Any) -> Any:
    return given.to_numpy() if hasattr(given, "to_numpy") else given


def _labels(given: Any) -> tuple[object, ...] | None:
    """Returns a frame's or series' own labels; the default ones, 0, 1, …, say nothing."""
    # Lists have a method of the name.
    index = getattr(given, "index", None)
    if index is None or callable(index):
        return None
    labels = tuple(index)
    return None if labels == tuple(range(len(labels))) else labels


def _binary(values: FloatArray, ids: tuple[str, ...] | None) -> NDArray[np.int8]:
    if not values.size:
        raise ResponsesError("there are no responses", allowed="at least one")
    missing = np.isnan(values)
    wrong = np.flatnonzero(~((values == 0) | (values == 1)))
    if wrong.size:
        shown = listed_ids(str(i if ids is None else ids[i]) for i in wrong)
        first = values[wrong[0]]
        raise ResponsesError(
            f"{wrong.size} of {values.size} responses are neither right nor wrong, the first is "
            f"{first:g}: items {shown}",
            allowed="1 right, 0 wrong",
            hint="leave items without an answer out, of the bank too"
            if missing.any()
            else "scores between 0 and 1 become responses by a threshold, e.g. score >= 0.5",
        )
    return values.astype(np.int8)


def item_parameters(irt_model: Parameters) -> ItemParameters:
    """Takes item parameters in any form.

    Raises:
        BankError: Parameters that are not finite, another shape, an id twice, or an empty or
            swapped bank.
    """
    given = _parameters(irt_model)
    check_parameters(given.a, given.b, given.ids)
    check_columns(given.a, given.b)
    return given


def _parameters(irt_model: Parameters) -> ItemParameters:
    if isinstance(irt_model, str | Path):
        irt_model = read_bank(irt_model)
    if isinstance(irt_model, ItemBank):
        return ItemParameters(irt_model.a, irt_model.b, irt_model.ids, bank=irt_model)
    ids: tuple[str, ...] | None = None
    labels = _labels(irt_model)
    try:
        if isinstance(irt_model, Mapping):
            ids = tuple(str(item) for item in irt_model)
            table = np.array(list(irt_model.values()), dtype=np.float64)
        elif {"a", "b"} <= set(map(str, getattr(irt_model, "columns", ()))):
            columns = [np.asarray(_array(irt_model[name]), np.float64) for name in ("a", "b")]
            table = np.stack(columns, axis=1)
        else:
            table = np.asarray(_array(irt_model), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BankError(f"item parameters are not numbers: {error}", allowed="a, b") from None
    if not table.size:
        raise BankError("the item bank is empty", allowed="at least one item")
    if table.ndim != 2 or table.shape[1] != 2:
        raise BankError(
            f"item parameters have the shape {table.shape}",
            allowed="(items, 2), discrimination a and difficulty b",
        )
    if ids is None and labels is not None:
        ids = tuple(str(label) for label in labels)
    if ids is not None and len(set(ids)) != len(ids):
        raise BankError(f"the item bank has ids more than once: {listed_ids(repeated(ids))}")
    a, b = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
    return ItemParameters(a, b, ids, labels)


def _joined(
    responses: SubjectResponses, ids: tuple[str, ...], parameters: ItemParameters
) -> SubjectResponses:
    """Returns the responses in the bank's order, in which equal items are chosen."""
    if parameters.ids is None:
        raise BankError(
            "responses by item id were given, and the item parameters have no ids",
            allowed="an item bank, its file, a mapping from item id, or a frame indexed by id",
        )
    place = {item: row for row, item in enumerate(ids)}
    known = set(parameters.ids)
    without = [item for item in ids if item not in known]
    if without:
        raise ResponsesError(
            f"{len(without)} of {len(ids)} items with a response have no parameters in the bank: "
            f"{listed_ids(without)}",
            hint="leave them out, or fit the bank with them",
        )
    missing = [item for item in parameters.ids if item not in place]
    if missing:
        raise ResponsesError(
            f"{len(missing)} of {len(known)} items of the bank have no response: "
            f"{listed_ids(missing)}",
            hint="take the items of the bank that were answered, with ItemBank.subset",
        )
    rows = [place[item] for item in parameters.ids]
    return SubjectResponses(responses.values[rows], parameters.ids)
