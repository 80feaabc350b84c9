"""Curves, dots and bars where their numbers are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from lmms.report.xy_plots import Axis, Series, xy_plot

X, Y = Axis("x", 0.0, 10.0), Axis("y", 0.0, 1.0)


def points(plot: str) -> list[tuple[float, float]]:
    (path,) = re.findall(r'class="line" d="([^"]+)"', plot)
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


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
    low, high = re.search(r'class="ci"[^>]*y1="([\d.]+)" y2="([\d.]+)"', plot).groups()  # type: ignore[union-attr]
    (at,) = re.findall(r'class="dot"[^>]*cy="([\d.]+)"', plot)
    assert abs((float(low) + float(high)) / 2 - float(at)) < 0.11


def test_axes_end_at_round_numbers() -> None:
    plot = xy_plot([Series("", [1, 9.3], [12, 87])], title="t", x=Axis("x"), y=Axis("y"))
    texts = re.findall(r'class="tick[^"]*"[^>]*>([^<]+)', plot)
    assert texts == ["0", "20", "40", "60", "80", "100", "0", "2", "4", "6", "8", "10"]


def test_text_is_escaped_and_a_legend_names_several() -> None:
    series = [Series("<a>", [0, 1], [0, 1]), Series("b", [0, 1], [1, 0], color=2)]
    plot = xy_plot(series, title='"&', x=Axis("<x>"), y=Y)
    assert "<a>" not in plot
    assert 'class="key"' in plot
    assert 'class="key"' not in xy_plot(series[:1], title="t", x=X, y=Y)


numbers = st.one_of(st.none(), st.floats(-1e9, 1e9), st.just(float("nan")))


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), numbers), max_size=6),
    st.sampled_from(["line", "dots", "steps", "bars"]),
)
def test_every_plot_is_well_formed(data: list[tuple[float, float | None]], kind: str) -> None:
    xs, ys = [x for x, _ in data], [y for _, y in data]
    if kind == "bars":
        ys = [None if y is None or y != y else abs(y) for y in ys]
    plot = xy_plot([Series("s", xs, ys, kind)], title="t", x=Axis("x"), y=Axis("y"))  # type: ignore[arg-type]
    ElementTree.fromstring(plot)
    assert not re.search(r"\b(nan|inf)\b", plot)
