from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.statistics import (
    StatisticsError,
    accuracy,
    confusion,
    f1,
    f1_of_tables,
    mcc,
    mcc_of_tables,
)

# 3 classes; figures by hand: F1 of a 2*4/(6+5), b 2*3/(4+6), c 2*2/(4+3).
TABLE = np.asarray([[4, 2, 0], [0, 3, 1], [1, 1, 2]])


def test_figures_of_a_table() -> None:
    each = [8 / 11, 6 / 10, 4 / 7]
    assert accuracy(TABLE) == pytest.approx(9 / 14)
    assert f1(TABLE, "macro") == pytest.approx(sum(each) / 3)
    assert f1(TABLE, "micro") == pytest.approx(9 / 14)
    assert [f1(TABLE, positive=i) for i in range(3)] == pytest.approx(each)
    targets, given_ = np.asarray([6, 4, 4]), np.asarray([5, 6, 3])
    expected = (9 * 14 - targets @ given_) / math.sqrt(
        (14**2 - targets @ targets) * (14**2 - given_ @ given_)
    )
    assert mcc(TABLE) == pytest.approx(expected)


@given(st.tuples(*[st.integers(1, 50)] * 4))
def test_two_classes_have_the_textbook_coefficient(cells: tuple[int, int, int, int]) -> None:
    tn, fp, fn, tp = cells
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    table = [[tn, fp], [fn, tp]]
    assert mcc(table) == pytest.approx((tp * tn - fp * fn) / below, abs=1e-12)
    assert f1(table) == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert mcc([row[::-1] for row in table]) == pytest.approx(-mcc(table), abs=1e-12)  # type: ignore[operator]


def test_what_is_undefined_is_not_zero() -> None:
    assert f1([[5, 0], [0, 0]]) is None
    assert mcc([[5, 0], [3, 0]]) is None
    assert accuracy([[0, 0], [0, 0]]) is None
    assert f1([[5, 0], [0, 0]], "macro") == 1.0  # of the one class that occurs
    assert f1([[5, 0], [3, 0]]) == 0.0  # there was something to find


def test_many_tables_at_once() -> None:
    tables = np.stack([TABLE, TABLE.T, np.zeros((3, 3))])
    assert f1_of_tables(tables, "macro")[:2] == pytest.approx([f1(TABLE, "macro")] * 2)
    assert list(np.isnan(mcc_of_tables(tables))) == [False, False, True]


def test_counting() -> None:
    found = confusion(["yes", "no", "yes", "no"], ["yes", "yes", "no", "no"])
    assert found.labels == ("no", "yes")
    assert found.counts.tolist() == [[1, 1], [1, 1]]
    assert confusion(["a"], ["a"], ["a", "b"]).counts.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: confusion(["a"], []), "1 targets and 0 predictions"),
        (lambda: confusion(["a"], ["c"], ["a", "b"]), "unknown label 'c'"),
        (lambda: f1([[1, 2]]), "shape"),
        (lambda: mcc([[1, -2], [0, 1]]), "counts below 0"),
        (lambda: f1(TABLE, "weighted"), "unknown average 'weighted'"),
        (lambda: f1(TABLE, positive=3), "no label 3"),
    ],
)
def test_wrong_tables_are_refused(call: object, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        call()  # type: ignore[operator]
