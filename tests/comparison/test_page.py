"""The page, the tables and the JSON document of a comparison."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from lmms.comparison import ComparisonOptions, compare_runs
from lmms.comparison.document import comparison_document
from lmms.comparison.page import comparison_page
from lmms.comparison.wording import comparison_table, p_text, problem_lines, reading_line, signed

from .conftest import failed, sample

NASTY = "<script>alert(1)</script> & \x00"


@pytest.fixture
def comparison(write):
    a = [sample(f"d{i}", float(i % 2), input=f"{NASTY} {i}", resps=[NASTY]) for i in range(20)]
    b = [sample(f"d{i}", float(i % 3 == 0), input=f"{NASTY} {i}") for i in range(20)]
    b[3] = sample("d3", 1.0, input="Another prompt of B")
    b[5] = failed("d5")
    gates = ("quiz worse 50pp p<0.05", "* different 1pp")
    options = ComparisonOptions(gates=gates, max_lost=0.1)
    return compare_runs(write("a", a), write("b", b), options)


def test_the_page_loads_nothing_and_runs_nothing(comparison):
    page = comparison_page(comparison)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x00" not in page
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    expected = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src &#39;sha256-{expected}&#39;" in page or f"'sha256-{expected}'" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_the_page_holds_table_plot_notes_gates_and_all_flips(comparison):
    page = comparison_page(comparison)
    (row,) = comparison.rows
    assert page.count('class="card sample"') == row.better + row.worse
    assert 'aria-label="differences, B − A"' in page
    assert "left out 1 pair with a failed sample (0 in A, 1 in B)" in page
    assert "a gate closed" in page
    assert "not shown" not in page
    some = comparison_page(comparison, flips=1)
    assert some.count('class="card sample"') == 2
    assert f"{row.worse - 1} not shown" in some


def test_a_prompt_is_shown_once_unless_the_runs_asked_differently(write):
    a = write("a", [sample("d0", 1.0, input="Same"), sample("d1", 1.0, input="Asked of A")])
    b = write("b", [sample("d0", 0.0, input="Same"), sample("d1", 0.0, input="Asked of B")])
    page = comparison_page(compare_runs(a, b))
    assert page.count(">Same<") == 1
    assert page.count(">Asked of A<") == page.count(">Asked of B<") == 1


def test_the_document_has_everything(comparison):
    document = comparison_document(comparison)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    (result,) = document["results"]
    assert document["schema"] == "lmms-compare/1"
    assert document["difference"] == "b - a"
    assert result["difference"] == pytest.approx(result["b"] - result["a"])
    assert document["pairs"]["quiz"]["failed_b"] == 1
    assert len(document["flips"]) == result["better"] + result["worse"]
    assert {flip["direction"] for flip in document["flips"]} == {"better", "worse"}
    assert document["flips"][0]["a"]["answer"] == "right"
    assert result["lost"] == result["failed"] == 1
    assert result["verdict"].startswith("no difference shown")
    assert document["closed"] is True
    assert [gate["closed"] for gate in document["gates"]] == [False, True]
    assert len(comparison_document(comparison, flips=1)["flips"]) == 2


def test_the_table_leaves_out_what_no_row_has(comparison, sides):
    titles = [column.title for column in comparison_table(comparison).columns]
    assert "McNemar" in titles
    assert "McNemar: exact p of these two counts." in reading_line(comparison)
    assert "deff" not in titles
    assert "p adj." not in titles, "one test needs no adjusting"
    points = compare_runs(*sides([120.0, 80.0, 3.5], [90.0, 85.0, 7.5]))
    assert "McNemar" not in [column.title for column in comparison_table(points).columns]
    assert "McNemar" not in reading_line(points)
    (cells,) = comparison_table(points).cells
    assert cells[6] == "-7"


def test_beside_clusters_there_is_no_mcnemar(write):
    paths = [
        write(n, [sample(f"d{i}", float(v), cluster=f"c{i // 2}") for i, v in enumerate(values)])
        for n, values in (("a", [0, 1, 0, 1, 1, 1]), ("b", [1, 1, 1, 1, 0, 1]))
    ]
    found = compare_runs(*paths)
    assert found.rows[0].mcnemar_p is not None
    titles = [column.title for column in comparison_table(found).columns]
    assert "McNemar" not in titles
    assert titles[-3:] == ["sign flip", "clusters", "deff"]
    (cells,) = comparison_table(found).cells
    assert cells[titles.index("sign flip")] == "1.00"


def test_reasons_are_told(sides):
    lines = list(problem_lines(compare_runs(*sides([1.0], [0.0]))))
    reason = "one sample: nothing says how much others would differ"
    assert lines[0] == f"quiz, acc: interval and p are not available: {reason}"
    lines = list(problem_lines(compare_runs(*sides([None], [0.0]))))
    told = "the difference is not available: no pair of samples has this score"
    assert lines[0] == f"quiz, acc: {told}"


@pytest.mark.parametrize(
    ("p", "text"),
    [(None, "–"), (0.0, "<0.0001"), (0.00123, "0.0012"), (0.5, "0.50"), (1.0, "1.00")],
)
def test_p_values_for_people(p, text):
    assert p_text(p) == text


def test_signs():
    assert [signed(v, 2) for v in (0.1, -0.1, 0.0, 0.001, None)] == [
        "+0.10", "-0.10", "0.00", "0.00", "–",
    ]  # fmt: skip
