"""Line charts: every value has its place, and nothing but SVG comes out."""

import re
import xml.etree.ElementTree as ET

import pytest

from lmms.report.lines import Curve, Level, Point, legend_mark, line_chart

CURVES = [
    Curve("Fluid", "line-1", (Point(10, 0.4, 0.3, 0.5), Point(100, 0.2, 0.1, 0.3))),
    Curve("Random <b>", "line-2", (Point(10, 1.0),)),
    Curve("third", "line-3", (Point(100, 0.5),)),
]


def _chart(*curves: Curve, levels: tuple[Level, ...] = ()) -> ET.Element:
    return ET.fromstring(line_chart(curves or CURVES, levels, title="a < b", x_title="items"))


def _texts(chart: ET.Element) -> list[str | None]:
    return [t.text for t in chart.iter("text")]


def test_a_chart_is_well_formed_and_named() -> None:
    chart = _chart()
    assert chart.get("aria-label") == "a < b"
    assert [t.text for t in chart.iter("title")] == ["Fluid", "Random <b>", "third"]
    assert not re.search(
        r"<(script|style|image)|style=|href", line_chart(CURVES, title="", x_title="")
    )


def test_every_number_of_items_has_a_tick() -> None:
    assert {"10", "100", "items"} <= set(_texts(_chart()))


def test_marks_stand_where_their_values_are() -> None:
    circles = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in _chart().iter("circle")]
    assert len(circles) == 2
    (x1, y1), (x2, y2) = circles
    assert x1 < x2
    assert y1 < y2  # Down is less.
    grid = {float(line.get("y1", 0)) for line in _chart().iter("line")}
    assert min(abs(y - y1) for y in grid) < 0.1  # 0.4 and 0.2 are ticks of an axis from 0 to 1.
    assert min(abs(y - y2) for y in grid) < 0.1


def test_an_interval_has_a_whisker_and_a_value_alone_has_none() -> None:
    whiskers = [p for p in _chart().iter("path") if p.get("class") == "whisker"]
    assert len(whiskers) == 2


def test_levels_are_dashed_lines_within_the_axis() -> None:
    chart = _chart(levels=(Level("all items", "line-2", 1.7),))
    levels = [p for p in chart.iter("path") if p.get("class") == "level"]
    assert len(levels) == 1
    y = float(re.findall(r"M\S+ (\S+)H", levels[0].get("d", ""))[0])
    assert 0 < y < min(float(c.get("cy", 0)) for c in chart.iter("circle"))


def test_roles_are_told_apart_without_colour() -> None:
    forms = {re.sub(r"line-\d", "", legend_mark(f"line-{i}")) for i in (1, 2, 3)}
    assert len(forms) == 3


@pytest.mark.parametrize("value", [0.0, 0.5, -2.0, 1e-9, 3e6])
def test_a_single_value_has_an_axis(value: float) -> None:
    chart = _chart(Curve("one", "line-1", (Point(7, value),)))
    (circle,) = chart.iter("circle")
    assert 0 <= float(circle.get("cy", -1)) <= 300


def test_an_axis_need_not_begin_at_nothing() -> None:
    texts = _texts(_chart(Curve("c", "line-1", (Point(1, 0.80), Point(9, 0.95)))))
    assert "0.00" not in texts
    assert "0.80" in texts


def test_close_ticks_leave_room_for_each_other() -> None:
    points = tuple(Point(n, n / 100) for n in (*range(1, 10), *range(10, 100, 10), 100, 500))
    texts = _texts(_chart(Curve("c", "line-1", points)))
    assert "1" in texts
    assert "90" not in texts
