from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.statistics import (
    StatisticsError,
    adjust,
    benjamini_hochberg,
    benjamini_yekutieli,
    holm,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "statistics.json").read_text())
PROBABILITIES = st.lists(st.one_of(st.none(), st.floats(0.0, 1.0)), max_size=30)


@pytest.mark.parametrize("case", GOLDEN["multiplicity"], ids=lambda c: f"m{len(c['p'])}")
def test_adjusted_values_match_the_reference(case: dict) -> None:
    assert holm(case["p"]) == pytest.approx(case["holm"], rel=1e-9)
    assert benjamini_hochberg(case["p"]) == pytest.approx(case["bh"], rel=1e-9)
    assert benjamini_yekutieli(case["p"]) == pytest.approx(case["by"], rel=1e-9)


def test_missing_tests_do_not_count() -> None:
    for method in ("holm", "bh", "by"):
        alone = adjust([0.01, 0.04], method)
        among = adjust([None, 0.01, math.nan, 0.04], method)
        assert among == [None, alone[0], None, alone[1]]
    assert holm([]) == []
    assert holm([None]) == [None]


def test_wrong_values_and_methods_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"1\.5 is no p value"):
        holm([0.1, 1.5])
    with pytest.raises(StatisticsError, match="unknown correction 'homl'") as raised:
        adjust([0.1], "homl")  # type: ignore[arg-type]
    assert raised.value.suggestions == ("holm",)


@given(PROBABILITIES, st.sampled_from(["holm", "bh", "by"]))
def test_adjusting_keeps_the_order_and_never_lowers(p: list[float | None], method: str) -> None:
    found = adjust(p, method)  # type: ignore[arg-type]
    pairs = sorted((v, a) for v, a in zip(p, found, strict=True) if v is not None and a is not None)
    for (smaller, before), (larger, after) in pairwise(pairs):
        assert before <= after
        if smaller == larger:
            assert before == after
    # 1 ulp: m * p / m need not be p.
    assert all(v * (1 - 1e-15) <= a <= 1.0 for v, a in pairs)


@given(st.lists(st.floats(0.0, 1.0), max_size=30), st.randoms(use_true_random=False))
def test_input_order_does_not_matter(p: list[float], random: object) -> None:
    order = list(range(len(p)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for method in ("holm", "bh", "by"):
        whole = adjust(p, method)  # type: ignore[arg-type]
        assert adjust([p[i] for i in order], method) == [whole[i] for i in order]  # type: ignore[arg-type]
