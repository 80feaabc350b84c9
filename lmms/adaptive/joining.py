"""Which item of a bank is which document of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from lmms.errors import DataError

if TYPE_CHECKING:
    from lmms.adaptive.bank import ItemBank

DIGEST_DIGITS: Final = 16
"""Hex digits of a document's digest that a bank keeps, so that a changed document is noticed."""

_SHOWN = 3

_CONVENTIONS: Final[Mapping[str, Callable[[str, str, int], str]]] = {
    "TASK/ID": lambda task, name, index: f"{task}/{name}",
    "TASK_ID": lambda task, name, index: f"{task}_{name}",
    "ID": lambda task, name, index: name,
    "TASK_INDEX": lambda task, name, index: f"{task}_{index}",
}
"""How banks name documents: as fits of our own runs do, as Fluid Benchmarking does (an index
within the benchmark), and in between."""


@dataclass(frozen=True, slots=True)
class BankDocument:
    """A document as far as a bank can know it."""

    index: int
    id: str
    digest: str | None = None
    """SHA-256 of its content; None: not read."""


@dataclass(frozen=True, slots=True)
class JoinedDocuments:
    """The items of a bank that have a document, and the documents that have an item."""

    positions: tuple[int, ...]
    """Rows of the bank, in its order."""
    documents: tuple[BankDocument, ...]
    """The document of each."""
    convention: str
    """How the bank names documents: `TASK/ID`, `TASK_ID`, `ID` or `TASK_INDEX`."""
    without_parameters: int
    """Documents that the bank does not have."""
    without_document: int
    """Items of the bank that are no document."""
    changed: int
    """Documents whose content is not what the bank was fitted on; not among `documents`."""


def join_documents(
    bank: ItemBank,
    documents: Iterable[BankDocument],
    *,
    tasks: Sequence[str],
    unmatched: Literal["drop", "refuse"] = "drop",
    origin: str | None = None,
) -> JoinedDocuments:
    """Finds the document of each item.

    One convention is chosen for the whole bank, the one under which most items have a document;
    of several documents of one id the first counts.

    Args:
        bank: The items.
        documents: The documents of the task that may be asked.
        tasks: Names under which the bank may know the task, the likeliest first.
        unmatched: Whether documents without an item, and changed ones, are left out or an error.
        origin: The bank's file, for messages.

    Raises:
        DataError: There are no documents, no item has an unchanged document, or some document has
            no item or has changed and that is refused.
    """
    known = list(documents)
    if not known:
        raise DataError(
            f"task {tasks[0]!r} has no document to choose from", allowed="limit: at least 1"
        )
    convention, found = _best_convention(bank, known, tasks)
    if not found:
        raise _nothing_in_common(bank, known, tasks, origin)
    positions, joined, changed = [], [], 0
    for position in sorted(found):
        document = found[position]
        if _is_changed(bank, position, document):
            changed += 1
        else:
            positions.append(position)
            joined.append(document)
    without = len(known) - len(found)
    if without and unmatched == "refuse":
        matched = {document.index for document in found.values()}
        first = next(d for d in known if d.index not in matched)
        raise DataError(
            f"{without} of {len(known)} documents of task {tasks[0]!r} have no item parameters, "
            f"the first: {first.id!r}",
            origin=origin,
            hint="selector.unmatched=drop leaves them out with a count",
        )
    if changed and positions and unmatched == "refuse":
        raise DataError(
            f"{changed} of {len(known)} documents of task {tasks[0]!r} have changed since the item "
            "bank was fitted",
            origin=origin,
            hint="selector.unmatched=drop leaves them out with a count",
        )
    if not positions:
        raise DataError(
            f"all {changed} documents of task {tasks[0]!r} have changed since the item bank was "
            "fitted",
            origin=origin,
            hint="fit the bank again, or take the column `digest` out of it",
        )
    return JoinedDocuments(
        positions=tuple(positions),
        documents=tuple(joined),
        convention=convention,
        without_parameters=without,
        without_document=len(bank) - len(found),
        changed=changed,
    )


def _best_convention(
    bank: ItemBank, documents: Sequence[BankDocument], tasks: Sequence[str]
) -> tuple[str, dict[int, BankDocument]]:
    best: tuple[str, dict[int, BankDocument]] = ("", {})
    for task in tasks:
        for name, item_of in _CONVENTIONS.items():
            found: dict[int, BankDocument] = {}
            for document in documents:
                item = item_of(task, document.id, document.index)
                if item in bank:
                    found.setdefault(bank.position(item), document)
            if len(found) > len(best[1]):
                best = (name, found)
    return best


def _is_changed(bank: ItemBank, position: int, document: BankDocument) -> bool:
    digest = bank.digests[position] if bank.digests is not None else ""
    return bool(
        digest and document.digest is not None and document.digest[:DIGEST_DIGITS] != digest
    )


def _nothing_in_common(
    bank: ItemBank, documents: Sequence[BankDocument], tasks: Sequence[str], origin: str | None
) -> DataError:
    ids = ", ".join(repr(item) for item in bank.ids[:_SHOWN])
    first = documents[0]
    names = (item_of(tasks[0], first.id, first.index) for item_of in _CONVENTIONS.values())
    return DataError(
        f"no document of task {tasks[0]!r} is in the item bank, whose items are {ids}, …",
        origin=origin,
        allowed="for the first document: " + ", ".join(map(repr, dict.fromkeys(names))),
    )
