"""What a gate says, and when it closes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmms.comparison import ComparisonOptions, compare_runs
from lmms.comparison.effects import MetricComparison
from lmms.comparison.gates import GateRule, check_gate, gate_targets, parse_gate
from lmms.comparison.wording import comparison_table
from lmms.errors import ConfigError, UnknownNameError
from lmms.report.samples import write_samples

from .conftest import failed, sample


def row(**changes):
    given = {
        "task": "mmmu_val",
        "shown": "mmmu_val",
        "metric": "acc",
        "higher_is_better": True,
        "n": 900,
        "a": 0.5,
        "b": 0.48,
        "difference": -0.02,
        "p_value": 0.01,
        "p_adjusted": 0.03,
        "unit": True,
    }
    return MetricComparison(**(given | changes))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mmmu_val worse 1pp p<0.05", ("mmmu_val", None, "worse", 0.01, "pp", 0.05)),
        ("* worse p < 0.01", ("*", None, "worse", None, "", 0.01)),
        (" t em,strict different 2%", ("t", "em,strict", "different", 0.02, "%", None)),
        ("mme better p<.05 12.5", ("mme", None, "better", 12.5, "", 0.05)),
        ("mme worse 0.5 p<1e-3", ("mme", None, "worse", 0.5, "", 1e-3)),
    ],
)  # fmt: skip
def test_grammar(text, parts):
    gate = parse_gate(text)
    found = (gate.task, gate.metric, gate.direction, gate.margin, gate.unit, gate.alpha)
    assert found == pytest.approx(parts)


@pytest.mark.parametrize(
    "text",
    ["", "worse", "mmmu_val", "mmmu_val wrose 1pp", "a b c worse 1pp", "t worse 1pp 2pp",
     "t worse 1pt", "t worse p>0.05", "t worse -1pp", "t worse p<0", "t worse p<2"],
)  # fmt: skip
def test_what_is_no_gate(text):
    with pytest.raises(ConfigError) as caught:
        parse_gate(text)
    assert "gate" in str(caught.value)


def test_a_mistyped_direction_is_named():
    with pytest.raises(ConfigError) as caught:
        parse_gate("mmmu_val wrose 1pp")
    assert caught.value.suggestions == ("worse",)


def test_a_gate_says_by_how_much_or_how_certain():
    with pytest.raises(ConfigError, match="neither by how much nor how certain"):
        parse_gate("mmmu_val worse")


@pytest.mark.parametrize(
    ("gate", "changes", "closed"),
    [
        ("worse 1pp p<0.05", {}, True),
        ("worse 2pp p<0.05", {}, True),
        ("worse 2.1pp p<0.05", {}, False),
        ("worse 1pp p<0.03", {}, False),
        ("worse 1pp", {"p_adjusted": 0.9}, True),
        ("worse p<0.05", {}, True),
        ("worse p<0.05", {"difference": 0.0}, False),
        ("better 1pp", {}, False),
        ("different 1pp p<0.05", {}, True),
        ("worse 4%", {}, True),
        ("worse 5%", {}, False),
        ("worse 0.02", {}, True),
        # Less is better: lower scores are an improvement.
        ("worse 1pp p<0.05", {"higher_is_better": False}, False),
        ("better 1pp p<0.05", {"higher_is_better": False}, True),
        ("worse 1pp p<0.05", {"higher_is_better": False, "difference": 0.02}, True),
        # What cannot be checked does not let pass ...
        ("worse 1pp p<0.05", {"p_adjusted": None, "reason": "one sample"}, True),
        ("worse 1pp", {"difference": None, "a": None, "reason": "no pair"}, True),
        # ... unless it could not close whatever the missing number was.
        ("worse 1pp p<0.05", {"p_adjusted": None, "difference": 0.0}, False),
        ("worse 5pp p<0.05", {"p_adjusted": None}, False),
    ],
)
def test_closing(gate, changes, closed):
    verdict = check_gate(parse_gate(f"mmmu_val {gate}"), row(**changes))
    assert verdict.closed is closed, verdict.reason
    if closed and "reason" in changes:
        assert changes["reason"] in verdict.reason


@pytest.mark.parametrize("margin", ["5", "150pp"])
def test_a_gate_that_could_never_close_is_refused(margin):
    with pytest.raises(ConfigError, match="from 0 to 1 and cannot differ by") as raised:
        check_gate(parse_gate(f"mmmu_val worse {margin}"), row())
    assert "5pp are five percentage points" in str(raised.value)
    assert not check_gate(parse_gate("mmmu_val worse 1"), row()).closed
    assert not check_gate(parse_gate("mmmu_val worse 5"), row(unit=False)).closed


def test_points_need_a_scale_from_0_to_1():
    with pytest.raises(ConfigError, match="percentage points have no meaning"):
        check_gate(parse_gate("mmmu_val worse 1pp"), row(unit=False))
    assert not check_gate(parse_gate("mmmu_val worse 10%"), row(unit=False)).closed


def test_targets():
    metrics = {"mmmu_val": ["acc", "f1,strict"], "mme": ["points"], "quiz": ["acc"]}

    def targets(text):
        return gate_targets(parse_gate(text), metrics)

    assert targets("mm* worse 1pp") == [("mmmu_val", "acc"), ("mme", "points")]
    assert targets("mmmu_val f1 worse 1pp") == [("mmmu_val", "f1,strict")]
    assert targets("* acc worse 1pp") == [("mmmu_val", "acc"), ("quiz", "acc")]
    for text, near in (("mmmu_vall worse 1pp", "mmmu_val"), ("mme ponts worse 1pp", "points")):
        with pytest.raises(UnknownNameError) as caught:
            targets(text)
        assert near in caught.value.suggestions


def test_a_gate_brings_its_metric_into_the_table(write):
    a = write("a", [sample(f"d{i}", {"acc": 1.0, "f1": 0.5}) for i in range(4)])
    b = write("b", [sample(f"d{i}", {"acc": 1.0, "f1": 0.1 * i}) for i in range(4)])
    compared = compare_runs(a, b, ComparisonOptions(gates=("quiz f1 worse 10pp",)))
    assert [r.metric for r in compared.rows] == ["acc", "f1"]
    assert compared.closed
    assert [(g.metric, g.closed) for g in compared.gates] == [("f1", True)]


def _with_losses(write, *, failures=0, unscored=0, n=200):
    a = [sample(f"d{i}", float(i % 2)) for i in range(n)]
    b = [
        failed(f"d{i}")
        if i < failures
        else sample(f"d{i}", None if i < failures + unscored else float(i % 2))
        for i in range(n)
    ]
    return write("a", a), write("b", b)


@pytest.mark.parametrize(
    ("losses", "max_lost", "closed"),
    [
        ({"failures": 2}, 0.01, False),
        ({"failures": 3}, 0.01, True),
        ({"unscored": 3}, 0.01, True),
        ({"failures": 1, "unscored": 2}, 0.01, True),
        ({"failures": 180}, 0.9, False),
        ({"failures": 1}, 0.0, True),
        ({}, 0.0, False),
    ],
)
def test_a_gate_closes_where_too_few_pairs_are_left(write, losses, max_lost, closed):
    options = ComparisonOptions(gates=("quiz worse 1pp p<0.05",), max_lost=max_lost)
    compared = compare_runs(*_with_losses(write, **losses), options)
    assert compared.closed is closed
    (row,) = compared.rows
    assert row.lost == sum(losses.values())
    assert bool(row.warnings and "DO NOT TRUST" in row.warnings[0]) is closed
    (cells,) = comparison_table(compared).cells
    assert cells[3].endswith("of 200!") is closed
    if closed:
        assert f"{row.lost} of 200 pairs are lost" in compared.gates[0].reason


def test_losses_that_both_runs_share_are_losses(write):
    samples = [failed(f"d{i}") if i < 20 else sample(f"d{i}", 1.0) for i in range(40)]
    compared = compare_runs(
        write("a", samples), write("b", samples), ComparisonOptions(gates=("* worse 1pp",))
    )
    assert compared.closed


def test_samples_that_neither_run_scores_are_no_loss(sides):
    values = [1.0, 0.0, None, None]
    compared = compare_runs(*sides(values, values), ComparisonOptions(gates=("* worse 1pp",)))
    assert not compared.closed


def test_a_share_of_lost_pairs_is_a_share(sides):
    with pytest.raises(ConfigError) as caught:
        compare_runs(*sides([1.0], [1.0]), ComparisonOptions(max_lost=5))
    assert caught.value.origin == "--max-lost"


def test_p_of_gates_is_adjusted_over_their_rows_whatever_else_is_shown(write):
    # 6 of 60 samples changed for the worse: p = 0.013, and 0.026 where it is counted twice.
    worse = [{"acc": 1.0, "twin": 1.0, "f1": 1.0}] * 60
    b = [dict.fromkeys(given, float(i >= 6)) for i, given in enumerate(worse)]
    paths = [
        write(name, [sample(f"d{i}", v) for i, v in enumerate(values)])
        for name, values in (("a", worse), ("b", b))
    ]

    def verdicts(*gates, **options):
        given = ComparisonOptions(gates=gates, **options)
        return compare_runs(*paths, given).gates

    (alone,) = verdicts("quiz worse p<0.02")
    (beside,) = verdicts("quiz worse p<0.02", all_metrics=True)
    assert alone.closed
    assert beside == alone
    assert "adjusted" not in alone.reason
    two = verdicts("quiz worse p<0.02", "quiz twin worse p<0.02", all_metrics=True)
    assert [gate.closed for gate in two] == [False, False]
    assert "adjusted over the gates' 2 rows (Holm)" in two[0].reason
    raw = verdicts("quiz worse p<0.02", "quiz twin worse p<0.02", correction="none")
    assert [gate.closed for gate in raw] == [True, True]
    assert "adjusted" not in raw[0].reason
    again = verdicts("quiz worse p<0.02", "* acc worse 1pp p<0.02")
    assert [gate.closed for gate in again] == [True, True], "one row is one test"


@pytest.mark.parametrize(
    ("text", "changes", "rule", "closed"),
    [
        # t(0.95, 899) = 1.6466: the lower end is -0.02 - 0.0165 = -0.0365.
        ("3.6pp", {}, {}, True),
        ("3.7pp", {}, {}, False),
        ("0.037", {}, {}, False),
        ("7.2%", {}, {}, True),
        ("7.4%", {}, {}, False),
        # All rows must pass, so none is adjusted for the others.
        ("3.6pp", {}, {"tests": 4}, True),
        ("3.7pp", {}, {"tests": 4}, False),
        ("3.7pp", {}, {"confidence": 0.99}, True),
        ("1pp", {"higher_is_better": False}, {}, False),
        ("0pp", {"higher_is_better": False}, {}, False),
        ("0pp", {"higher_is_better": False, "stderr": 0.02}, {}, True),
        ("9pp", {"stderr": None, "degrees": None, "reason": "one sample"}, {}, True),
    ],
)
def test_what_may_be_worse(text, changes, rule, closed):
    given = row(**({"stderr": 0.01, "degrees": 899, "worse": 18} | changes))
    verdict = check_gate(parse_gate(f"mmmu_val maybe-worse {text}"), given, GateRule(**rule))
    assert verdict.closed is closed, verdict.reason
    assert changes.get("reason", "one-sided") in verdict.reason


@pytest.mark.parametrize(("n", "closed"), [(298, True), (299, False)])
def test_equal_scores_prove_as_much_as_there_are_of_them(sides, n, closed):
    # 0.99^298 > 0.05 > 0.99^299: so many samples without an event leave a share below 1 %.
    values = [float(i % 2) for i in range(n)]
    options = ComparisonOptions(gates=("quiz maybe-worse 1pp",))
    assert compare_runs(*sides(values, values), options).closed is closed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("* maybe-worse", "names no margin"),
        ("* maybe-worse p<0.05", "names no margin"),
        ("* maybe-worse 1pp p<0.05", "takes no p but --confidence"),
    ],
)
def test_what_is_harmless_must_be_said(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_gate(text)
    assert caught.value.allowed.endswith('"* maybe-worse 1pp"')


@pytest.mark.parametrize(("losses", "closed"), [(1, False), (2, True)])
def test_few_flips_are_no_proof(sides, losses, closed):
    # Of true losses of 1 % one would see at most 2 of 500 in 12 % of cases, at most 1 in 4 %.
    a = [1.0] * 500
    b = [float(i >= losses) for i in range(500)]
    compared = compare_runs(*sides(a, b), ComparisonOptions(gates=("quiz maybe-worse 1pp",)))
    assert compared.closed is closed


@pytest.mark.parametrize(("max_lost", "closed"), [(0.01, True), (0.9, False)])
def test_documents_that_the_candidate_lacks_close_gates(sides, max_lost, closed):
    """`--common` shows what is there; a gate on what is left of a run that broke off is none."""
    values = [float(i % 2) for i in range(60)]
    options = ComparisonOptions(gates=("quiz worse 1pp",), common=True, max_lost=max_lost)
    compared = compare_runs(*sides(values, values[:10]), options)
    (row,) = compared.rows
    assert (row.n, row.missing, row.lost) == (10, 50, 0)
    assert compared.closed is closed
    assert ("50 of 60 pairs are lost (50 not in B)" in compared.gates[0].reason) is closed


def test_documents_that_only_the_candidate_has_do_not(sides):
    values = [float(i % 2) for i in range(60)]
    options = ComparisonOptions(gates=("quiz worse 1pp",), common=True)
    assert not compare_runs(*sides(values[:10], values), options).closed


@pytest.mark.parametrize(
    ("gate", "tasks", "closed"),
    [
        ("* worse 1pp", (), ["extra"]),
        ("extra worse 1pp", (), ["extra"]),
        ("ext* f1 worse 1pp", (), ["extra"]),
        ("quiz worse 1pp", (), []),
        ("* worse 1pp", ("quiz",), []),
    ],
)
def test_a_task_that_the_candidate_did_not_run_closes_its_gates(sides, gate, tasks, closed):
    a, b = (Path(path) for path in sides([1.0, 0.0], [1.0, 0.0]))
    extra = [sample("x", 1.0, task="extra")]
    write_samples(a.with_name("samples_extra.jsonl"), extra)
    options = ComparisonOptions(gates=(gate,), tasks=tasks)
    compared = compare_runs(a.parent, b.parent, options)
    assert [g.task for g in compared.gates if g.closed] == closed
    if closed:
        assert compared.gates[-1].reason == "B did not run this task"
    # What only the candidate has is nothing that it could have lost.
    if gate.startswith("*"):
        assert not compare_runs(b.parent, a.parent, options).closed
