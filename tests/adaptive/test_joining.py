from __future__ import annotations

from dataclasses import replace

import pytest

from lmms.adaptive.bank import ItemBank
from lmms.adaptive.joining import BankDocument, join_documents
from lmms.errors import DataError


def bank(*ids: str, digests: tuple[str, ...] | None = None) -> ItemBank:
    return ItemBank(ids, [1.0] * len(ids), [0.0] * len(ids), digests=digests)  # type: ignore[arg-type]


def documents(*ids: str) -> list[BankDocument]:
    return [BankDocument(i, name, f"{i:064x}") for i, name in enumerate(ids)]


@pytest.mark.parametrize(
    ("ids", "convention"),
    [
        (("mme/a", "mme/b"), "TASK/ID"),
        (("mme_a", "mme_b"), "TASK_ID"),
        (("a", "b"), "ID"),
        (("mme_0", "mme_1"), "TASK_INDEX"),
    ],
)
def test_each_way_to_name_documents(ids: tuple[str, ...], convention: str) -> None:
    joined = join_documents(bank(*ids), documents("a", "b", "c"), tasks=["mme"])
    assert joined.convention == convention
    assert joined.positions == (0, 1)
    assert [d.id for d in joined.documents] == ["a", "b"]
    assert (joined.without_parameters, joined.without_document, joined.changed) == (1, 0, 0)


def test_the_order_is_that_of_the_bank() -> None:
    joined = join_documents(bank("t/c", "t/x", "t/a"), documents("a", "b", "c"), tasks=["t"])
    assert joined.positions == (0, 2)
    assert [d.index for d in joined.documents] == [2, 0]
    assert (joined.without_parameters, joined.without_document) == (1, 1)


def test_one_convention_is_chosen_for_the_whole_bank() -> None:
    # "1" is an id of our own kind for one document, and the index of another one.
    joined = join_documents(bank("t_0", "t_1", "t_2"), documents("x", "2", "y"), tasks=["t"])
    assert joined.convention == "TASK_INDEX"
    assert [d.index for d in joined.documents] == [0, 1, 2]


def test_the_bank_may_know_the_task_by_its_label() -> None:
    joined = join_documents(bank("short/a"), documents("a"), tasks=["mme", "short"])
    assert joined.positions == (0,)


def test_of_several_documents_of_one_id_the_first_is_asked() -> None:
    joined = join_documents(bank("t/a"), documents("a", "a"), tasks=["t"])
    assert [d.index for d in joined.documents] == [0]
    assert joined.without_parameters == 1


def test_changed_documents_are_left_out() -> None:
    same, other = f"{0:064x}"[:16], "f" * 16
    known = bank("t/a", "t/b", "t/c", digests=(same, other, ""))
    joined = join_documents(known, documents("a", "b", "c"), tasks=["t"])
    assert [d.id for d in joined.documents] == ["a", "c"]
    assert joined.changed == 1
    with pytest.raises(DataError, match="have changed since the item bank was fitted"):
        join_documents(bank("t/a", digests=(other,)), documents("a"), tasks=["t"])


def test_nothing_in_common_says_what_was_looked_for() -> None:
    with pytest.raises(DataError) as caught:
        join_documents(bank("other/a"), documents("a"), tasks=["mme"], origin="irt.csv")
    text = str(caught.value)
    assert "no document of task 'mme' is in the item bank, whose items are 'other/a'" in text
    assert "'mme/a', 'mme_a', 'a', 'mme_0'" in text
    assert "irt.csv" in text


def test_documents_without_parameters_can_be_refused() -> None:
    with pytest.raises(DataError, match=r"1 of 2 documents .* have no item parameters.*'b'"):
        join_documents(bank("t/a"), documents("a", "b"), tasks=["t"], unmatched="refuse")


def test_changed_documents_can_be_refused() -> None:
    columns = ItemBank.from_arrays([1, 1], [0, 0], ids=["t/a", "t/b"])
    bank = replace(columns, digests=("0" * 16, "1" * 16))
    documents = [BankDocument(0, "a", "0" * 64), BankDocument(1, "b", "2" * 64)]
    assert join_documents(bank, documents, tasks=["t"]).changed == 1
    with pytest.raises(DataError, match="1 of 2 documents of task 't' have changed"):
        join_documents(bank, documents, tasks=["t"], unmatched="refuse")


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(DataError, match="task 't' has no document to choose from"):
        join_documents(ItemBank.from_arrays([1], [0]), [], tasks=["t"])
