from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from hypothesis import example, given
from hypothesis import strategies as st

from lmms.report.plots import ForestRow, Segment, bar, forest, forest_of_differences

SVG = re.compile(r"<(\w+)")


def circles(plot: str) -> list[float]:
    return [float(x) for x in re.findall(r'class="dot(?: hollow)?" cx="([\d.]+)"', plot)]


def test_values_between_zero_and_one_share_that_axis() -> None:
    rows = [ForestRow("a", 0.0, 0.0, 0.3), ForestRow("b", 0.5), ForestRow("c", 1.0)]
    plot = forest(rows, title="t")
    left, middle, right = circles(plot)
    assert middle == (left + right) / 2
    assert re.findall(r'class="tick"[^>]*>([^<]+)', plot) == [
        "0.00",
        "0.25",
        "0.50",
        "0.75",
        "1.00",
    ]


def test_the_interval_lies_where_its_numbers_are() -> None:
    rows = [ForestRow("a", 0.5, 0.25, 0.75), ForestRow("low", 0.25), ForestRow("high", 0.75)]
    plot = forest(rows, title="t")
    ends = re.search(r'class="ci" x1="([\d.]+)" x2="([\d.]+)"', plot)
    assert ends is not None
    _, low, high = circles(plot)
    assert (float(ends[1]), float(ends[2])) == (low, high)


def test_other_scales_get_round_ticks_around_all_values() -> None:
    plot = forest([ForestRow("mme", 1583.2, 1490.0, 1672.0)], title="t")
    ticks = [float(t.replace(",", "")) for t in re.findall(r'class="tick"[^>]*>([^<]+)', plot)]
    assert ticks[0] == 0.0
    assert ticks[-1] >= 1672
    assert "1,583" in plot or "1583" in plot


def test_a_zero_of_unknown_scale_has_no_place_among_shares() -> None:
    zero = ForestRow("mme", 0.0, n=10, stderr=0.0)
    alone = forest([zero], title="t")
    assert circles(alone) == []
    assert 'class="tick"' not in alone, "an axis from 0 to 1 would be made up"
    assert len(circles(forest([zero, ForestRow("acc", 0.5, 0.2, 0.8)], title="t"))) == 1
    assert len(circles(forest([zero, ForestRow("OCR", 50.0)], title="t"))) == 2


def test_a_row_without_a_value_says_so() -> None:
    plot = forest([ForestRow("a", None, n=0)], title="t")
    assert "not available" in plot
    assert "circle" not in plot


numbers = st.none() | st.floats(-1e9, 1e9, allow_nan=False)


@given(st.text(max_size=60), numbers, numbers, numbers, st.none() | st.integers(0, 10**9))
@example("", None, None, -2.3e-308, None)
@example("", -2.3e-308, None, None, None)
def test_any_label_and_number_gives_well_formed_svg(
    label: str, value: float | None, low: float | None, high: float | None, n: int | None
) -> None:
    label = "".join(c for c in label if c.isprintable())
    row = ForestRow(label + '"<script>', value, low, high, n)
    plot = forest([ForestRow(label, None, role="heading"), row], title=label + '">')
    tree = ElementTree.fromstring(plot)
    assert {e.tag for e in tree.iter()} <= {
        "svg", "g", "title", "text", "tspan", "line", "path", "circle",
    }  # fmt: skip
    assert all(0 <= x <= 960 for x in circles(plot))


def test_bar_pieces_are_as_long_as_their_share() -> None:
    segments = [Segment("a", 3, "a"), Segment("b", 0, "none"), Segment("c", 1, "c <&>")]
    plot = bar(segments, title="t")
    rects = ElementTree.fromstring(plot).findall("rect")
    assert [r.get("class") for r in rects] == ["a", "c"]
    assert [float(r.get("x", "")) for r in rects] == [0.0, 720.0]
    assert bar([], title="t") == ""


def test_differences_lie_on_both_sides_of_a_marked_zero() -> None:
    rows = [
        ForestRow("worse", -0.03, -0.05, -0.01, n=900, stderr=0.01),
        ForestRow("better", 0.11, 0.02, 0.2, n=900, stderr=0.05),
        ForestRow("unknown", None),
    ]
    plot = forest_of_differences(rows, title="t")
    ElementTree.fromstring(plot)
    zero = re.search(r'class="grid zero" x1="([\d.]+)"', plot)
    assert zero is not None
    worse, better = circles(plot)
    assert worse < float(zero[1]) < better
    ticks = re.findall(r'class="tick"[^>]*>([^<]+)', plot)
    assert "0.0" in ticks
    assert [float(t) for t in ticks] == sorted(-float(t) for t in ticks)
    assert "-0.030" in plot
    assert "+0.11" in plot
    assert "not available" in plot


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
@example(0.0, 5e-324)
@example(1e-300, 0.0)
def test_any_difference_lies_inside_the_plot(value: float, half: float) -> None:
    row = ForestRow("a", value, value - half, value + half)
    plot = forest_of_differences([row], title="t")
    ElementTree.fromstring(plot)
    (at,) = circles(plot)
    assert 300 <= at <= 960 - 178
    assert plot.count('class="grid zero"') == 1


def test_long_texts_take_room_from_the_axis() -> None:
    short, long = (
        forest_of_differences([ForestRow("m", v, v - h, v + h)], title="t")
        for v, h in ((0.1, 0.2), (0.13612, 0.0519))
    )
    starts = [float(x) for plot in (short, long) for x in re.findall(r'"value" x="([\d.]+)"', plot)]
    texts = re.findall(r'"value"[^>]*>([^<]+)<tspan[^>]*>([^<]+)', short + long)
    assert texts[1][1].count(".") == 2
    assert len(texts[0][1]) < len(texts[1][1])
    assert starts[1] < starts[0]
    # In the widest of the page's fonts a character of these sizes is 9.3 and 7.6 wide.
    for start, (value, span) in zip(starts, texts, strict=True):
        assert start + 9.3 * len(value) + 8 + 7.6 * len(span) <= 960
