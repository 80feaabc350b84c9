"""What a fit found: one JSON document, and one static page for people.

The page loads nothing and runs nothing, like a run's report, whose style sheet it shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.fitting.diagnostics import FloatArray, ItemFit, SuspiciousItem
from lmms.adaptive.fitting.fit import FittedBank
from lmms.adaptive.responses import MISSING
from lmms.report.xy_plots import Axis, Color, Mark, Series, xy_plot
from lmms.statistics.intervals import wilson_interval

SCHEMA = "lmms-fit/1"
_SHOWN_ITEMS = 300
_SHOWN_SUSPICIOUS = 100
_SHOWN_CURVES = 12
_GROUPS = 6
_CURVE_POINTS = 81
_WIDEST = 4.0

BoolArray = NDArray[np.bool_]


def test_information(fitted: FittedBank, abilities: FloatArray) -> FloatArray:
    """Returns the Fisher information of all items together at some abilities, same shape."""
    information = np.zeros_like(abilities)
    for a, b in zip(fitted.bank.a, fitted.bank.b, strict=True):
        p = 1 / (1 + np.exp(np.clip(-a * (abilities - b), -700, 700)))
        information += a**2 * p * (1 - p)
    return information


def fit_document(
    fitted: FittedBank, fit: ItemFit, suspicious: Sequence[SuspiciousItem]
) -> dict[str, Any]:
    """Returns everything that a fit found, as JSON values once `jsonable`.

    Args:
        fitted: The fit.
        fit: `item_fit` of it.
        suspicious: `suspicious_items` of both.
    """
    bank, responses = fitted.bank, fitted.responses
    abilities = _abilities(fitted)
    information = test_information(fitted, abilities)
    assert bank.stderr_a is not None
    assert bank.stderr_b is not None
    return {
        "schema": SCHEMA,
        "model": fitted.model,
        "compat": fitted.compat,
        "n_subjects": len(responses.subjects),
        "n_items": len(bank),
        "n_responses": int((responses.values != MISSING).sum()),
        "rounds": fitted.iterations,
        "converged": fitted.converged,
        "log_posterior": fitted.log_posterior,
        "prior": asdict(fitted.prior),
        "ability_sd": fitted.ability_sd,
        "reliability": fitted.reliability,
        "differences": {
            "q": fitted.differences.q,
            "degrees": fitted.differences.degrees,
            "p_value": fitted.differences.p_value,
            "groups": len(fitted.differences.groups),
        },
        "doubts": list(fitted.doubts),
        "scale_known": fitted.scale_known,
        "all_right": list(fitted.all_right),
        "all_wrong": list(fitted.all_wrong),
        "negative": list(fitted.negative),
        "unanswered": list(fitted.unanswered),
        "warnings": list(fitted.warnings),
        "suspicious": [{"item": s.item, "reasons": list(s.reasons)} for s in suspicious],
        "abilities": {
            subject: {"ability": ability, "stderr": stderr}
            for subject, ability, stderr in zip(
                responses.subjects,
                fitted.abilities.tolist(),
                fitted.ability_stderrs.tolist(),
                strict=True,
            )
        },
        "test_information": {
            "ability": abilities.tolist(),
            "information": information.tolist(),
            "stderr": (1 / np.sqrt(np.maximum(information, 1e-12))).tolist(),
        },
        "items": [
            dict(zip(_ITEM_FIELDS, values, strict=True))
            for values in zip(
                bank.ids,
                bank.a.tolist(),
                bank.b.tolist(),
                bank.stderr_a.tolist(),
                bank.stderr_b.tolist(),
                fit.n.tolist(),
                fit.right.tolist(),
                fit.item_rest.tolist(),
                fit.infit.tolist(),
                fit.outfit.tolist(),
                strict=True,
            )
        ],
    }


_ITEM_FIELDS = (
    *("item", "a", "b", "stderr_a", "stderr_b", "n", "right", "item_rest"),
    *("infit", "outfit"),
)


def html_report(
    fitted: FittedBank, fit: ItemFit, suspicious: Sequence[SuspiciousItem], *, title: str
) -> str:
    """Returns the report of a fit as one page.

    Args:
        fitted: The fit.
        fit: `item_fit` of it.
        suspicious: `suspicious_items` of both.
        title: What was fitted.
    """
    from markupsafe import Markup

    from lmms.report.markup import render_page

    rows = list(_item_rows(fitted, fit))
    return render_page(
        "lmms.adaptive.fitting",
        "fit.html.j2",
        title=title,
        facts=list(_facts(fitted)),
        warnings=fitted.warnings,
        plots=[(name, Markup(plot)) for name, plot in _plots(fitted)],
        curves=[
            (fitted.bank.ids[i], Markup(_item_plot(fitted, i)))
            for i in _chosen(fitted, [s.item for s in suspicious])
        ],
        suspicious=suspicious[:_SHOWN_SUSPICIOUS],
        suspicious_left=max(0, len(suspicious) - _SHOWN_SUSPICIOUS),
        rows=rows[:_SHOWN_ITEMS],
        rows_left=max(0, len(rows) - _SHOWN_ITEMS),
    )


def _abilities(fitted: FittedBank) -> FloatArray:
    unit = max(1.0, fitted.ability_sd)
    return np.linspace(-_WIDEST * unit, _WIDEST * unit, _CURVE_POINTS)


def _facts(fitted: FittedBank) -> Iterator[tuple[str, str]]:
    reliability = fitted.reliability
    yield "Model", fitted.model.upper()
    yield "Subjects", f"{len(fitted.responses.subjects):,}"
    yield "Items", f"{len(fitted.bank):,}"
    yield "Responses", f"{int((fitted.responses.values != MISSING).sum()):,}"
    yield "Rounds", f"{fitted.iterations}" + ("" if fitted.converged else ", not converged")
    yield "SD of abilities", f"{fitted.ability_sd:.2f}"
    yield "Reliability (KR-20)", "not available" if reliability is None else f"{reliability:.3f}"
    yield "Scale", "of Fluid Benchmarking" if fitted.compat else "abilities are N(0, 1)"


def _plots(fitted: FittedBank) -> Iterator[tuple[str, str]]:
    information, stderr = _information_plots(fitted)
    yield "Abilities and difficulties", _scale_plot(fitted)
    yield "Discriminations and difficulties", _item_map(fitted)
    yield "Test information", information
    yield "Standard error of ability, every item asked", stderr


def _scale_plot(fitted: FittedBank) -> str:
    """Abilities and difficulties over the same axis: do the items ask where the subjects are?"""
    ends = _abilities(fitted)
    edges = np.linspace(ends[0], ends[-1], 33)
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()

    def shares(values: FloatArray) -> list[float | None]:
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        return [float(v) for v in counts / len(values)]

    difficulties = shares(fitted.bank.b)
    return xy_plot(
        [
            Series("subjects' abilities", middles, shares(fitted.abilities), "bars"),
            # A step keeps its value until the next edge; the last one ends at the last edge.
            Series(
                "items' difficulties",
                edges.tolist(),
                [*difficulties, difficulties[-1]],
                "steps",
                color="amber",
            ),
        ],
        title="distribution of abilities and difficulties",
        x=Axis("ability, difficulty", float(ends[0]), float(ends[-1])),
        y=Axis("share", 0.0),
    )


def _information_plots(fitted: FittedBank) -> tuple[str, str]:
    """Test information, and the standard error of ability that it leaves."""
    abilities = _abilities(fitted)
    information = test_information(fitted, abilities)
    stderr = 1 / np.sqrt(np.maximum(information, 1e-12))
    unit = max(1.0, fitted.ability_sd)
    axis = Axis("ability", float(abilities[0]), float(abilities[-1]))
    positions = abilities.tolist()
    return (
        xy_plot(
            [Series("", positions, information.tolist(), color="green")],
            title="information of all items together",
            x=axis,
            y=Axis("information", 0.0),
        ),
        xy_plot(
            [Series("", positions, [float(v) if v <= unit else None for v in stderr])],
            title="standard error of ability when every item is asked",
            x=axis,
            y=Axis("standard error", 0.0),
        ),
    )


def _item_map(fitted: FittedBank) -> str:
    bank = fitted.bank
    negative = bank.a < 0
    picked = np.arange(len(bank))
    if len(picked) > 2000:
        picked = picked[:: len(picked) // 2000 + 1]
    kinds: list[tuple[str, BoolArray, Color, Mark]] = [
        ("items", ~negative, "blue", "circle"),
        ("negative", negative, "red", "triangle"),
    ]
    series = []
    for label, which, color, mark in kinds:
        part = [i for i in picked if which[i]]
        if part:
            b, a = bank.b[part].tolist(), bank.a[part].tolist()
            series.append(Series(label, b, a, "dots", color=color, mark=mark))
    return xy_plot(
        series,
        title="discrimination and difficulty of the items",
        x=Axis("difficulty b"),
        y=Axis("discrimination a", None if negative.any() else 0.0),
    )


def _chosen(fitted: FittedBank, suspicious: Sequence[str]) -> list[int]:
    """Picks items to draw: half suspicious ones, the rest the best of each range of difficulty."""
    bank = fitted.bank
    picked = [bank.position(item) for item in suspicious[: _SHOWN_CURVES // 2]]
    order = [int(i) for i in np.argsort(bank.b, kind="stable") if int(i) not in picked]
    for part in np.array_split(np.array(order, dtype=np.intp), _SHOWN_CURVES - len(picked)):
        if len(part):
            picked.append(int(part[np.argmax(bank.a[part])]))
    return picked


def _item_plot(fitted: FittedBank, item: int) -> str:
    abilities = _abilities(fitted)
    a, b = float(fitted.bank.a[item]), float(fitted.bank.b[item])
    p = 1 / (1 + np.exp(np.clip(-a * (abilities - b), -700, 700)))
    curve, information = p.tolist(), (a**2 * p * (1 - p)).tolist()
    answers = fitted.responses.values[:, item]
    asked = np.flatnonzero(answers != MISSING)
    order = asked[np.argsort(fitted.abilities[asked], kind="stable")]
    groups = [g for g in np.array_split(order, min(_GROUPS, len(order))) if len(g)]
    shares = [float(np.mean(answers[g] == 1)) for g in groups]
    intervals = [wilson_interval(float(np.sum(answers[g] == 1)), len(g)) for g in groups]
    return xy_plot(
        [
            Series("", abilities.tolist(), curve),
            Series("", abilities.tolist(), information, color="grey"),
            Series(
                "",
                [float(fitted.abilities[g].mean()) for g in groups],
                shares,
                "dots",
                low=[None if i is None else i.low for i in intervals],
                high=[None if i is None else i.high for i in intervals],
                color="amber",
            ),
        ],
        title=f"characteristic and information curve of {fitted.bank.ids[item]}",
        x=Axis(f"ability (a = {a:.2f}, b = {b:.2f})", float(abilities[0]), float(abilities[-1])),
        y=Axis("", 0.0, max(1.0, *information)),
        width=340,
        height=230,
    )


def _item_rows(fitted: FittedBank, fit: ItemFit) -> Iterator[tuple[str, ...]]:
    """Rows of the table of items, most discriminating first."""
    bank = fitted.bank
    assert bank.stderr_a is not None
    assert bank.stderr_b is not None
    for i in np.argsort(-np.abs(bank.a), kind="stable"):
        yield (
            bank.ids[i],
            f"{bank.a[i]:.2f}",
            f"{bank.stderr_a[i]:.2f}",
            f"{bank.b[i]:.2f}",
            f"{bank.stderr_b[i]:.2f}",
            f"{fit.n[i]:,}",
            f"{fit.right[i] / fit.n[i]:.2f}",
            *(
                "–" if np.isnan(v) else f"{v:.2f}"
                for v in (fit.item_rest[i], fit.infit[i], fit.outfit[i])
            ),
        )
