from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.report.digits import decimals_for, fixed, supported_decimals


@pytest.mark.parametrize(
    ("stderr", "decimals"),
    [
        (0.0438, 2),
        (0.0213, 3),
        (0.0354, 3),
        (0.0355, 2),
        (0.0949, 2),
        (0.0951, 2),
        (0.00999, 3),
        (0.5, 1),
        (0.12, 2),
        (1.7, 1),
        (4.2, 0),
        (88.2, 0),
        (1e-9, 4),
    ],
)
def test_particle_data_group_rule(stderr: float, decimals: int) -> None:
    assert supported_decimals(stderr) == decimals


@given(st.floats(min_value=1e-4, max_value=3.5, allow_nan=False))
def test_last_digit_is_neither_finer_nor_coarser_than_the_error(stderr: float) -> None:
    unit = 10.0 ** -supported_decimals(stderr)
    # Two digits of an error below 3.55 units of its decade, one digit of a larger one.
    assert unit <= stderr * 2.9
    assert stderr < 100 * unit or unit == 1e-4


def test_without_an_error_the_interval_then_the_count_then_four_digits_decide() -> None:
    assert decimals_for(1.0, 0.0, 0.94, 1.0) == 3
    assert decimals_for(0.5, None, None, None, n=100) == 2
    assert decimals_for(1583.25, None) == 0
    assert decimals_for(0.12345, None) == 4
    assert decimals_for(0.0, None) == 2


def test_fixed_shows_missing_numbers_and_no_negative_zero() -> None:
    assert fixed(None, 2) == "–"
    assert fixed(math.nan, 2) == "–"
    assert fixed(-0.001, 2) == "0.00"
    assert fixed(-0.25, 2) == "-0.25"
