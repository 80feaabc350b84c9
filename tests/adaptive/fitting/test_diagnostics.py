"""Fit statistics against their definitions, and what makes an item suspicious."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmms.adaptive.fitting.diagnostics import (
    item_fit,
    item_rest_correlation,
    slices,
    suspicious_items,
)
from lmms.adaptive.fitting.fit import fit_bank
from lmms.adaptive.responses import ResponseMatrix

from ..simulation import simulate


def test_item_rest_correlation() -> None:
    responses = simulate(60, 8, seed=1, missing=0.2).responses
    found = item_rest_correlation(responses)
    values = responses.values
    for item in range(8):
        others = np.delete(values, item, axis=1)
        rate = (others == 1).sum(1) / (others >= 0).sum(1)
        asked = values[:, item] >= 0
        wanted = np.corrcoef(values[asked, item], rate[asked])[0, 1]
        assert found[item] == pytest.approx(wanted, abs=1e-12)


def test_item_rest_correlation_of_what_does_not_vary() -> None:
    found = item_rest_correlation(ResponseMatrix.from_arrays([[1, 1, 0], [1, 0, 1], [1, 1, 1]]))
    assert np.isnan(found[0])
    assert np.all(np.isnan(item_rest_correlation(ResponseMatrix.from_arrays([[1], [0]]))))


def test_mean_squares() -> None:
    fitted = fit_bank(simulate(80, 30, seed=2, missing=0.1).responses)
    found, bank, values = item_fit(fitted), fitted.bank, fitted.responses.values
    for item in (0, 7):
        asked = values[:, item] >= 0
        p = 1 / (1 + np.exp(-bank.a[item] * (fitted.abilities[asked] - bank.b[item])))
        residual = (values[asked, item] - p) ** 2
        assert found.outfit[item] == pytest.approx(np.mean(residual / (p * (1 - p))))
        assert found.infit[item] == pytest.approx(residual.sum() / (p * (1 - p)).sum())
        assert found.n[item] == asked.sum()
        assert found.right[item] == (values[:, item] == 1).sum()


def test_honest_items_fit() -> None:
    fitted = fit_bank(simulate(400, 100, seed=3).responses)
    found = item_fit(fitted)
    assert np.mean(found.infit) == pytest.approx(1.0, abs=0.03)
    assert abs(np.mean(found.infit_z)) < 0.5
    # Below 1: two parameters of each item are fitted to the same answers.
    assert 0.3 < np.std(found.infit_z) < 1.0
    assert not [s for s in suspicious_items(fitted, found) if "misfit" in s.reasons[0]]


def test_suspicious_items_are_named_with_reasons() -> None:
    truth = simulate(400, 60, seed=4, negative=1)
    values = truth.responses.values.copy()
    random = np.random.default_rng(1)
    values[:, 1], values[:, 2] = 1, 0
    values[:, 3] = random.integers(0, 2, 400)
    # Solved by the weak and by the strong, not in between.
    values[:, 4] = np.abs(truth.abilities) > 0.8
    responses = ResponseMatrix(truth.responses.subjects, truth.responses.items, values)
    fitted = fit_bank(responses)
    found = suspicious_items(fitted, item_fit(fitted))
    assert found[0].item == "i0"
    reasons = {s.item: "; ".join(s.reasons) for s in found}
    assert "mislabelled" in reasons["i0"]
    assert (fitted.all_right, fitted.all_wrong) == (("i1",), ("i2",))
    assert "hardly discriminates" in reasons["i3"]
    assert "i4" in reasons
    assert set(reasons) == {"i0", "i3", "i4"}


def test_a_flat_curve_is_called_dull_only_if_its_error_allows_that() -> None:
    fitted = fit_bank(simulate(400, 40, seed=5).responses)
    a, stderr = fitted.bank.a.copy(), np.full(40, 0.05)
    a[3] = a[4] = 0.2
    stderr[4] = 2.0
    turned = replace(fitted, bank=replace(fitted.bank, a=a, stderr_a=stderr))
    reasons = {s.item: s.reasons[0] for s in suspicious_items(turned, item_fit(fitted))}
    assert reasons["i3"] == "hardly discriminates (a = 0.20 ± 0.05)"
    assert "i4" not in reasons


def test_slices_cover_everything_once() -> None:
    for rows, columns in ((1, 1), (7, 100_000), (100_000, 5), (0, 3)):
        covered = [i for part in slices(rows, columns) for i in range(part.start, part.stop)]
        assert covered == list(range(columns))


def test_a_steep_fall_is_not_called_flat() -> None:
    fitted = fit_bank(simulate(40, 12, seed=6).responses)
    a = fitted.bank.a.copy()
    a[5] = -1.77
    turned = replace(fitted, bank=replace(fitted.bank, a=a))
    reasons = {s.item: s.reasons for s in suspicious_items(turned, item_fit(fitted))}
    assert len(reasons["i5"]) == 1
    assert reasons["i5"][0].startswith("negative discrimination (a = -1.77 ± ")
    assert reasons["i5"][0].endswith("): mislabelled, or chance")
