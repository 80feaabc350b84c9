"""Curves, dots and bars where their numbers are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.report.xy_plots import Axis, Mark, Series, legend_key, xy_plot

X, Y = Axis("x", 0.0, 10.0), Axis("y", 0.0, 1.0)


def points(plot: str) -> list[tuple[float, float]]:
    (path,) = re.findall(r'class="line" d="([^"]+)"', plot)
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def circles(plot: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r' cx="([\d.]+)" cy="([\d.]+)"', plot)]


def texts(plot: str, kind: str = "count|tick") -> list[str]:
    return re.findall(rf'class="(?:{kind})"[^>]*>([^<]+)', plot)


def joined(*values: tuple[float, float], low: float | None = None) -> Series:
    xs, ys = [x for x, _ in values], [y for _, y in values]
    edges = (None, None) if low is None else ([low] * len(xs), [2 * y - low for y in ys])
    return Series("curve", xs, ys, "joined", low=edges[0], high=edges[1])


def log_plot(*series: Series) -> str:
    ticks = sorted({x for one in series for x in one.x})
    x = Axis("items", log=True, ticks=ticks)
    return xy_plot(series, title="t", x=x, y=Axis(""), legend=False)


def test_a_curve_follows_its_numbers() -> None:
    drawn = points(xy_plot([Series("", [0, 5, 10], [0, 0.5, 1])], title="t", x=X, y=Y))
    (x0, y0), (x1, y1), (x2, y2) = drawn
    assert x1 == (x0 + x2) / 2
    assert y1 == (y0 + y2) / 2
    assert x0 < x2
    assert y0 > y2  # up is a smaller y


def test_gaps_interrupt_a_curve() -> None:
    series = Series("", [0, 1, 2, 3, 4], [0.1, 0.2, None, float("nan"), 0.3])
    plot = xy_plot([series], title="t", x=X, y=Y)
    assert len(re.findall(r'class="line"', plot)) == 2
    assert "nan" not in plot


def test_bands_dots_and_bars() -> None:
    band = Series("", [0, 10], [0.5, 0.5], low=[0.4, 0.4], high=[0.6, 0.6])
    dots = Series("", [5], [0.5], "dots", low=[0.2], high=[0.8])
    bars = Series("", [2, 4], [0.5, 0.25], "bars")
    plot = xy_plot([bars, band, dots], title="t", x=X, y=Y)
    assert 'class="band"' in plot
    first, second = (float(h) for h in re.findall(r'<rect [^>]*height="([\d.]+)"', plot))
    assert abs(first - 2 * second) < 0.11
    low, high = re.search(r'class="whisker" d="M\S+ ([\d.]+)V([\d.]+)', plot).groups()  # type: ignore[union-attr]
    ((_, at),) = circles(plot)
    assert abs((float(low) + float(high)) / 2 - at) < 0.11


def test_bars_touch_whatever_their_axis_begins_with() -> None:
    bars = Series("", [-3, -1, 1, 3], [0.5] * 4, "bars")
    plot = xy_plot([bars], title="t", x=Axis("x", -4.0, 4.0), y=Y)
    places = re.findall(r'<rect x="([\d.]+)" [^>]*width="([\d.]+)"', plot)
    ends = [float(x) + float(width) for x, width in places]
    assert all(0.9 < float(x) - end < 1.1 for end, (x, _) in zip(ends, places[1:], strict=False))


def test_a_band_waits_until_two_intervals_are_known() -> None:
    def band(*low: float | None) -> str | None:
        series = Series("", [0, 1, 2], [0.5] * 3, low=low, high=[v and v + 0.3 for v in low])
        found = re.search(r'class="band" d="([^"]*)"', xy_plot([series], title="t", x=X, y=Y))
        return found and found[1]

    assert band(None, None, 0.3) is None
    drawn = band(None, 0.3, 0.4)
    assert drawn is not None
    assert len(re.findall(r"[ML]", drawn)) == 4


def test_what_is_beyond_a_given_end_stands_at_it() -> None:
    dots = Series("", [5, 5, 12], [3.0, -3.0, 0.5], "dots")
    above, below, right = circles(xy_plot([dots], title="t", x=X, y=Y))
    grid = re.findall(
        r'class="grid" x1="\S+" x2="(\S+)" y1="(\S+)"', xy_plot([], title="t", x=X, y=Y)
    )
    assert (above[1], below[1]) == (float(grid[-1][1]), float(grid[0][1]))
    assert right[0] == float(grid[0][0])


def test_axes_end_at_round_numbers() -> None:
    plot = xy_plot([Series("", [1, 9.3], [12, 87])], title="t", x=Axis("x"), y=Axis("y"))
    assert texts(plot) == ["0", "20", "40", "60", "80", "100", "0", "2", "4", "6", "8", "10"]


def test_an_axis_need_not_begin_at_nothing() -> None:
    shown = texts(log_plot(joined((1, 0.80), (9, 0.95))), "count")
    assert shown[0] == "0.80"


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors() -> None:
    plot = log_plot(joined((10, 0.5), (100, 0.5), (1000, 0.5)))
    (x0, _), (x1, _), (x2, _) = circles(plot)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert texts(plot, "tick") == ["10", "100", "1,000"]


def test_close_ticks_leave_room_for_each_other() -> None:
    shown = texts(
        log_plot(joined(*((n, n) for n in (*range(1, 10), *range(10, 100, 10), 100, 500))))
    )
    assert "1" in shown
    assert "90" not in shown


@pytest.mark.parametrize("value", [0.0, 0.5, -2.0, 1e-9, 3e6])
def test_a_single_value_has_an_axis(value: float) -> None:
    ((_, y),) = circles(log_plot(joined((7, value))))
    assert 0 <= y <= 300


def test_joined_marks_have_a_line_and_whiskers_where_intervals_are_known() -> None:
    plot = log_plot(joined((10, 0.4), (100, 0.2), low=0.1), joined((10, 1.0)))
    assert len(circles(plot)) == 3
    assert plot.count('class="whisker"') == 2
    assert plot.count('class="line"') == 2


def test_levels_are_dashed_lines_within_the_axis() -> None:
    plot = log_plot(joined((10, 0.4), (100, 0.2)), Series("all", (), [1.7], "level"))
    (level,) = re.findall(r'class="level" d="M\S+ ([\d.]+)H', plot)
    assert 0 < float(level) < min(y for _, y in circles(plot))


def test_marks_are_told_apart_without_colour() -> None:
    marks: list[Mark] = ["circle", "square", "triangle"]
    assert len({legend_key("joined", "blue", mark) for mark in marks}) == 3


def test_separate_marks_say_what_they_are() -> None:
    dots = Series("", [1, 2], [0.5, 0.5], "dots", titles=["<one>", "two"])
    root = ElementTree.fromstring(xy_plot([dots], title="t", x=X, y=Y))
    assert [title.text for title in root.iter("title")] == ["<one>", "two"]


def test_text_is_escaped_and_a_legend_names_several() -> None:
    series = [Series("<a>", [0, 1], [0, 1]), Series("b", [0, 1], [1, 0], color="red")]
    plot = xy_plot(series, title='"&', x=Axis("<x>"), y=Y)
    assert "<a>" not in plot
    assert texts(plot, "name") == ["&lt;a&gt;", "b"]
    assert not texts(xy_plot(series[:1], title="t", x=X, y=Y), "name")
    assert not texts(xy_plot(series, title="t", x=X, y=Y, legend=False), "name")


numbers = st.one_of(st.none(), st.floats(-1e9, 1e9), st.just(float("nan")))


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), numbers), max_size=6),
    st.sampled_from(["line", "dots", "steps", "bars", "joined", "level"]),
    st.sampled_from(["circle", "square", "triangle"]),
)
def test_every_plot_is_well_formed(
    data: list[tuple[float, float | None]], kind: str, mark: Mark
) -> None:
    xs, ys = [x for x, _ in data], [y for _, y in data]
    if kind == "bars":
        ys = [None if y is None or y != y else abs(y) for y in ys]
    series = Series("s", xs, ys, kind, low=ys, high=ys, mark=mark)  # type: ignore[arg-type]
    plot = xy_plot([series], title="t", x=Axis("x"), y=Axis("y"))
    ElementTree.fromstring(plot)
    assert not re.search(r"\b(nan|inf)\b", plot)
    assert not re.search(r"<(script|style|image)|style=|href", plot)
