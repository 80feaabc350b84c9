"""The rules of other tools, against what their own code gave (golden/sampling.json)."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.media import MediaRangeError, MediaUnsupportedError, fps_indices, uniform_indices
from lmms.media.qwen_vl import (
    qwen3_vl_indices,
    qwen_vl_indices,
    smart_frame_count,
    smart_resize,
    video_frame_size,
    video_pixel_bounds,
)
from lmms.media.sampling import (
    NEEDED,
    frame_indices,
    longvideobench_indices,
    missing_settings,
    stride_indices,
)
from lmms.types import FramePolicy

GOLDEN = json.loads((Path(__file__).parent / "golden/sampling.json").read_text())


def same(found, expected):
    """Long lists are kept as their length and their ends."""
    found = list(found)
    if isinstance(expected, list):
        return found == expected
    half = expected["n"] // 2
    return (
        len(found) == expected["n"]
        and found[:24] == expected["head"]
        and found[half - 8 : half + 8] == expected["middle"]
        and found[-24:] == expected["tail"]
    )


def policy_of(keys, rule):
    """Keyword arguments of the peers as a policy."""
    keys = {"num_frames": None} | keys
    if "nframes" in keys:
        keys["num_frames"] = keys.pop("nframes")
    return FramePolicy(sampling=rule, **keys)


@pytest.mark.parametrize("rule", ["qwen_vl", "qwen3_vl"])
def test_qwen_vl(rule):
    assert len(GOLDEN[rule]) > 100
    for total, rate, keys, expected in GOLDEN[rule]:
        found = frame_indices(policy_of(keys, rule), total=total, rate=Fraction(*rate), times=())
        assert same(found, expected), (total, rate, keys)


def test_stride():
    for total, rate, fps, most, expected in GOLDEN["stride"]:
        found = stride_indices(total, Fraction(*rate), fps, max_frames=most)
        assert list(found) == expected, (total, rate, fps, most)


def test_longvideobench():
    for duration, rate, most, expected in GOLDEN["longvideobench"]:
        found = longvideobench_indices(duration, rate[0] / rate[1], most)
        assert list(found) == expected, (duration, rate, most)


def test_read_video():
    for total, count, fps, last, expected in GOLDEN["read_video"]:
        if fps is None:
            found = uniform_indices(total, count, force_include_last_frame=last)
        else:
            found = fps_indices(
                total, Fraction(25), fps, max_frames=count, force_include_last_frame=last
            )
        assert list(found) == expected, (total, count, fps, last)


def test_smart_resize():
    for height, width, factor, bounds, expected in GOLDEN["smart_resize"]:
        if 0 in expected:
            expected = [max(factor, side) for side in expected]
        assert list(smart_resize(height, width, factor, **bounds)) == expected


def test_video_frame_size():
    for frames, height, width, factor, keys, expected in GOLDEN["video_frame_size"]:
        found = video_frame_size(frames, height, width, factor=factor, **keys)
        assert list(found) == expected, (frames, height, width, factor, keys)


# ------------------------------------------------------------------------------------ properties

TOTALS = st.integers(1, 200_000)
RATES = st.fractions(Fraction(1, 2), 240)


@given(TOTALS, RATES, st.floats(0.05, 60), st.integers(1, 64), st.integers(1, 768))
def test_qwen_vl_numbers_are_even_and_within_bounds(total, rate, fps, least, most):
    count = smart_frame_count(total, rate, fps=fps, min_frames=least, max_frames=most)
    assert 1 <= count <= total
    assert count % 2 == 0 or total == 1
    assert count <= max(2, most)
    fixed = smart_frame_count(total, rate, num_frames=most)
    assert fixed % 2 == 0 or total == 1
    assert fixed <= max(2, min(total, most + 1))


@given(TOTALS, st.data())
def test_qwen_vl_positions(total, data):
    count = data.draw(st.integers(1, min(total, 768)))
    found = qwen_vl_indices(total, count)
    assert len(found) == count
    assert list(found) == sorted(set(found))
    assert found[0] == 0
    assert count == 1 or found[-1] == total - 1
    exact = [i * (total - 1) / max(1, count - 1) for i in range(count)]
    assert max(abs(a - b) for a, b in zip(found, exact, strict=True)) <= 1
    double = qwen3_vl_indices(total, 25, num_frames=count)
    assert double == tuple(np.linspace(0, total - 1, count).round().astype(int).tolist())


@given(TOTALS, RATES, st.floats(0.05, 60), st.integers(1, 500))
def test_stride_properties(total, rate, fps, most):
    found = stride_indices(total, rate, fps, max_frames=most)
    assert list(found) == sorted(set(found))
    assert (found[0], found[-1]) == (0, total - 1)
    assert len(found) <= max(most, 2)


@given(TOTALS, RATES, st.integers(1, 500))
def test_longvideobench_takes_the_starts_of_equal_pieces(total, rate, most):
    found = longvideobench_indices(total / rate, rate, most)
    assert 1 <= len(found) <= most
    assert found[0] == 0
    assert found[-1] < total
    assert len(set(np.diff(found))) <= 1


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.sampled_from([28, 32]),
    st.integers(1, 2000),
    st.integers(1, 2000),
)
def test_smart_resize_keeps_the_grid_and_the_budget(height, width, factor, low, high):
    low, high = min(low, high) * factor**2, max(low, high) * factor**2
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(MediaUnsupportedError, match="too elongated"):
            smart_resize(height, width, factor, min_pixels=low, max_pixels=high)
        return
    rows, columns = smart_resize(height, width, factor, min_pixels=low, max_pixels=high)
    assert rows % factor == columns % factor == 0
    assert rows >= factor
    assert columns >= factor
    assert rows * columns <= high or min(rows, columns) == factor or rows * columns <= 4 * low


@given(st.integers(1, 1000), st.sampled_from([28, 32]), st.integers(10_000, 10**8))
def test_the_budget_of_a_frame_shrinks_with_their_number(frames, factor, total):
    least, most = video_pixel_bounds(frames, factor, total_pixels=total)
    _, more = video_pixel_bounds(frames + 1, factor, total_pixels=total)
    assert least <= more <= most <= 768 * factor**2


# --------------------------------------------------------------------------------- the policy


def choose(total=50, rate=10, declared=None, **policy):
    return frame_indices(
        FramePolicy(**policy), total=total, rate=Fraction(rate), times=(), declared=declared
    )


def test_what_a_rule_needs_is_told():
    for rule, needed in NEEDED.items():
        policy = FramePolicy(sampling=rule, num_frames=None)
        assert missing_settings(policy) == needed
        if needed:
            with pytest.raises(ValueError, match=f"{rule!r} needs {needed[0]}"):
                choose(sampling=rule, num_frames=None)
        assert missing_settings(FramePolicy(sampling=rule, num_frames=None, times=(1.0,))) == ()


def test_rules_through_the_policy():
    assert choose(sampling="uniform", num_frames=2, fps=3.0) == (0, 49)
    assert choose(sampling="stride", fps=1.0) == (0, 10, 20, 30, 40, 49)
    assert choose(sampling="stride", fps=1.0, max_frames=2) == (0, 49)
    assert choose(sampling="longvideobench", num_frames=16) == (0, 10, 20, 30, 40)
    assert choose(sampling="qwen_vl", num_frames=None) == (0, 5, 11, 16, 22, 27, 33, 38, 44, 49)
    assert len(choose(sampling="qwen_vl", num_frames=5)) == 4
    assert len(choose(sampling="qwen_vl", num_frames=6, fps=2.0)) == 6  # Next to fps: a cap.
    assert len(choose(sampling="qwen_vl", num_frames=None, fps=0.1, min_frames=7)) == 8
    assert len(choose(sampling="qwen3_vl", num_frames=None, fps=0.1, min_frames=7)) == 7
    for rule in NEEDED:
        assert choose(total=1, rate=0, sampling=rule, num_frames=4, fps=1.0) == (0,)


def test_a_declared_count_is_followed_and_clamped():
    assert choose(num_frames=3, count="declared", declared=101) == (0, 49, 49)
    assert choose(num_frames=3, count="declared", declared=41) == (0, 20, 40)
    for nothing in (None, 0):
        assert choose(num_frames=3, count="declared", declared=nothing) == (0, 24, 49)
    assert choose(num_frames=3, declared=101) == (0, 24, 49)
    with pytest.raises(MediaRangeError):
        choose(indices=(60,), count="declared", declared=101)


@pytest.mark.parametrize(
    "call",
    [
        lambda: smart_frame_count(0, 25),
        lambda: smart_frame_count(9, 25, fps=0),
        lambda: qwen_vl_indices(4, 5),
        lambda: qwen3_vl_indices(4, 25, fps=-1),
        lambda: stride_indices(4, 25, 0),
        lambda: longvideobench_indices(4, 25, 0),
        lambda: smart_resize(0, 5, 28),
        lambda: smart_resize(50, 50, 28, min_pixels=9, max_pixels=8),
    ],
)
def test_numbers_out_of_range(call):
    with pytest.raises(ValueError, match=r"need frames|above zero|cannot|out of range|above"):
        call()
