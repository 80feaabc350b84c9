"""The page of an analysis: whole, escaped, without anything to load or run."""

import re
from html.parser import HTMLParser

from lmms.adaptive.experiments.analysis import Analysis, analyse
from lmms.adaptive.experiments.curves import curves_of
from lmms.adaptive.experiments.page import analysis_page
from lmms.adaptive.experiments.wording import contrast_table, quality_table, reasons, saving_lines


def _analysis(lm: str = "x") -> Analysis:
    rows = [
        {
            "full_ability": t + 0.0,
            "random_ability_2": t + 0.5 * (-1) ** t,
            "abilities_fb": [t + 0.4 * (-1) ** t, t + 0.1],
            "benchmark": benchmark,
            "lm": model,
            "checkpoint": f"step{t}",
        }
        for benchmark in ("one", "two")
        for model in (lm, "y", "v", "w")
        for t in range(4)
    ]
    return analyse(curves_of(rows), pairs=[("one", "two")])


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_shows_every_measure_and_loads_nothing() -> None:
    page = analysis_page(_analysis(), source="results/experiment.jsonl")
    tags = _Tags()
    tags.feed(page)
    names = [tag for tag, _ in tags.seen]
    assert names.count("figure") == 4  # There is no truth.
    assert not {"script", "img", "link", "iframe"} & set(names)
    assert not [a for _, a in tags.seen if {"style", "src", "onclick"} & set(a)]
    assert "default-src 'none'" in page
    for title in ("Efficiency", "Validity", "Variance", "Saturation", "What is saved"):
        assert title in page
    assert "one" in page
    assert "two" in page


def test_names_are_escaped() -> None:
    page = analysis_page(_analysis("<script>alert(1)</script>"), source="<b>")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_the_same_analysis_gives_the_same_page() -> None:
    assert analysis_page(_analysis(), source="a") == analysis_page(_analysis(), source="a")


def test_tables_have_a_row_for_each_method_and_size() -> None:
    analysis = _analysis()
    header, rows = quality_table(analysis.overall())
    assert header[:3] == ["method", "items", "error ↓"]
    assert [row[:2] for row in rows] == [
        ["ability, all items", "all"],
        ["Random-IRT", "2"],
        ["Fluid", "2"],
    ]
    assert rows[0][2] == "–"
    assert re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", rows[1][2])
    header, rows = contrast_table(analysis)
    assert header[0] == "Fluid minus"
    assert rows[0][:2] == ["Random-IRT", "2"]
    assert rows[0][2].startswith("-")


def test_what_is_missing_has_its_reason() -> None:
    analysis = _analysis()
    assert list(reasons(analysis)) == ["to truth: not available, true abilities are not known"]
    assert list(saving_lines(analysis)) == ["the error of 2 random items: 1 [1, 1] adaptive items"]
