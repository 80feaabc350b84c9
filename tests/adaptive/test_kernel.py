"""The extension's arithmetic and NumPy's against each other."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.adaptive import kernel, reference
from lmms.adaptive.reference import Estimation


@st.composite
def banks_with_answers(draw):
    """Draws a bank with answers; steep, flat, negative and equal items among them."""
    n = draw(st.integers(1, 40))
    spread = draw(st.sampled_from([0.2, 1.0, 12.0]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    a = generator.normal(spread, spread, n)
    b = generator.normal(0, 1.5, n)
    if draw(st.booleans()):
        a, b = np.round(a), np.round(b)
    responses = generator.integers(-1, 2, n).astype(np.int8)
    if draw(st.booleans()):
        responses = np.full(n, draw(st.integers(0, 1)), dtype=np.int8)
    return a, b, responses


options_drawn = st.builds(
    Estimation,
    method=st.sampled_from(["map", "mle", "eap"]),
    prior_mean=st.sampled_from([0.0, 0.7]),
    prior_sd=st.sampled_from([1.0, 0.5, 3.0]),
    low=st.sampled_from([-4.0, -1.0]),
    high=st.sampled_from([4.0, 1.5]),
    scale=st.sampled_from([1.0, 1.7]),
)


@settings(max_examples=300, deadline=None)
@given(banks_with_answers(), options_drawn, st.floats(-5, 5))
def test_estimates_agree(case, options, start):
    a, b, responses = case
    asked = responses >= 0
    arguments = (a[asked], b[asked], responses[asked] == 1, start, options)
    native, plain = kernel.estimate(*arguments), reference.estimate(*arguments)
    assert native[0] == pytest.approx(plain[0], abs=1e-7)
    assert native[1] == pytest.approx(plain[1], rel=1e-5, nan_ok=True)
    assert native[2] == pytest.approx(plain[2], rel=1e-5, abs=1e-12)
    assert native[3] == plain[3]


@settings(max_examples=300, deadline=None)
@given(banks_with_answers(), st.floats(-6, 6), st.sampled_from([1.0, 1.7]))
def test_selections_agree(case, ability, scale):
    a, b, responses = case
    free = responses >= 0
    native = kernel.item_pool(a, b, scale).select(free, ability)
    plain = reference.ItemPool(a, b, scale).select(free, ability)
    assert (native is None) == (plain is None)
    if native is not None and native != plain:
        found = reference.information(a, b, ability, scale)
        assert free[native]
        # The exponentials of NumPy and of the C library differ in the last digit.
        assert found[native] == pytest.approx(found[plain], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(banks_with_answers(), options_drawn, st.floats(-2, 2))
def test_trajectories_agree_until_a_tie(case, options, start):
    a, b, responses = case
    table = np.stack([responses, 1 - np.abs(responses)])
    arguments = (a, b, table, np.array([start, 0.0]), 12, options)
    native, plain = kernel.trajectories(*arguments, threads=2), reference.trajectories(*arguments)
    for subject in range(2):
        items, other = native[0][subject], plain[0][subject]
        differing = np.flatnonzero(items != other)
        until = differing[0] if len(differing) else len(items)
        np.testing.assert_allclose(native[1][subject, :until], plain[1][subject, :until], atol=1e-6)
        np.testing.assert_allclose(native[2][subject, :until], plain[2][subject, :until], rtol=1e-4)
        if len(differing):
            ability = native[1][subject, until - 1] if until else (start, 0.0)[subject]
            found = reference.information(a, b, ability, options.scale)
            # After a step the abilities differ in their tenth digit, and with them near ties.
            assert found[items[until]] == pytest.approx(found[other[until]], rel=1e-6)


def test_many_subjects_give_the_rows_of_single_ones():
    generator = np.random.default_rng(3)
    a, b = np.exp(generator.normal(0, 0.4, 50)), generator.normal(0, 1, 50)
    table = generator.integers(0, 2, (600, 50)).astype(np.int8)
    starts = generator.normal(0, 1, 600)
    whole = kernel.trajectories(a, b, table, starts, 9, Estimation())
    for row in (0, 255, 256, 599):
        one = kernel.trajectories(a, b, table[[row]], starts[[row]], 9, Estimation())
        for column, single in zip(whole, one, strict=True):
            np.testing.assert_array_equal(column[row], single[0])
    none = kernel.trajectories(a, b, table[:0], starts[:0], 9, Estimation())
    assert [column.shape for column in none] == [(0, 9)] * 3


def test_without_the_extension_numpy_computes(repository):
    code = """
import sys
sys.modules["lmms._media"] = None
import numpy as np
from lmms.adaptive import AdaptiveSession, ItemBank, kernel, reference
assert isinstance(kernel.item_pool(np.ones(2), np.zeros(2)), reference.ItemPool)
session = AdaptiveSession(ItemBank.from_arrays([1, 2, 1.5], [0, 0.1, 0.2]))
session.observe(session.next()[0], 1)
print(session.items, round(session.ability, 6))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=repository, check=False
    )
    assert done.returncode == 0, done.stderr
    from lmms.adaptive import AdaptiveSession, ItemBank

    session = AdaptiveSession(ItemBank.from_arrays([1, 2, 1.5], [0, 0.1, 0.2]))
    session.observe(session.next()[0], 1)
    assert done.stdout.split() == f"{session.items} {session.ability:.6f}".split()
