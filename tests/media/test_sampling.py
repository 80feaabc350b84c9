"""The sampling rules, against NumPy, published examples, and their own properties."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.errors import ConfigError
from lmms.media import (
    MediaRangeError,
    decode,
    fps_indices,
    frame_indices,
    probe,
    read_video,
    uniform_indices,
)
from lmms.media.sampling import pixel_bounds, time_indices
from lmms.media.video import bounded_size
from lmms.types import FramePolicy


def test_uniform_indices_are_numpys_truncated_linspace():
    for total in (*range(1, 80), 997, 1650, 18_002, 107_892):
        for count in (1, 2, 3, 5, 8, 16, 31, 32, 64, 100, 768):
            k = min(total, count)
            expected = np.linspace(0, total - 1, k, dtype=int).tolist()
            assert list(uniform_indices(total, count)) == expected, (total, count)


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (50, 8, (0, 7, 14, 21, 28, 35, 42, 49)),
        (50, 100, tuple(range(50))),
        (50, 1, (0,)),
        (1, 8, (0,)),
    ],
)
def test_uniform_golden(total, count, expected):
    assert uniform_indices(total, count) == expected


def test_the_last_frame_can_be_forced():
    assert uniform_indices(50, 1, force_include_last_frame=True) == (49,)
    assert uniform_indices(50, 8, force_include_last_frame=True) == uniform_indices(50, 8)


@pytest.mark.parametrize(
    ("fps", "cap", "expected"),
    [
        (1, 8, (0, 12, 24, 36, 49)),
        (1, 3, (0, 24, 49)),
        (0.1, 8, (0,)),
        (100, None, tuple(range(50))),
    ],
)
def test_fps_golden(fps, cap, expected):
    """50 frames at 10 frames per second."""
    assert fps_indices(50, Fraction(10), fps, max_frames=cap) == expected


def test_fps_count_is_exact_for_a_rational_rate():
    # 300 frames at 30000/1001 last 10.01 s; in floating point 299 / (29.97…) * 29.97… may truncate.
    assert len(fps_indices(300, Fraction(30_000, 1001), 1)) == 10
    assert len(fps_indices(1001, Fraction(1001, 100), 3)) == 300


def test_a_single_picture_has_no_rate():
    assert fps_indices(1, Fraction(0), 2.0) == (0,)


@given(st.integers(1, 10**6), st.integers(1, 2000), st.booleans())
def test_uniform_properties(total, count, last):
    found = uniform_indices(total, count, force_include_last_frame=last)
    assert len(found) == min(total, count)
    assert list(found) == sorted(set(found))
    assert found[0] >= 0
    assert found[-1] < total
    if len(found) > 1:
        assert (found[0], found[-1]) == (0, total - 1)
        steps = np.diff(found)
        assert steps.max() - steps.min() <= 1 + (total - 1) * 1e-12
    if last:
        assert found[-1] == total - 1


@given(
    st.integers(1, 10**5),
    st.fractions(Fraction(1, 10), 240),
    st.floats(0.01, 120),
    st.integers(1, 500),
)
def test_fps_properties(total, rate, fps, cap):
    found = fps_indices(total, rate, fps, max_frames=cap)
    assert 1 <= len(found) <= min(total, cap)
    assert len(found) <= max(1, float(total / rate) * fps + 1)


@given(st.lists(st.floats(0.001, 5), min_size=1, max_size=50), st.data())
def test_a_time_names_the_frame_on_screen(steps, data):
    times = [0.0, *np.cumsum(steps).tolist()]
    wanted = data.draw(st.floats(0, times[-1] + 10))
    (found,) = time_indices(times, [wanted])
    assert times[found] <= wanted + 1e-6
    assert found == len(times) - 1 or wanted < times[found + 1]


def test_a_frames_own_time_names_it_even_when_rounded():
    times = [n * 1001 / 30_000 for n in range(100)]
    assert time_indices(times, [round(t, 6) for t in times]) == tuple(range(100))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strategy": "keyframe"}, "did you mean: keyframes"),
        ({"control": "blak"}, "did you mean: black"),
        ({"count": "x"}, "allowed: declared, indexed"),
        ({"count": None}, "unknown count 'None'"),
        ({"sampling": "qwen"}, "did you mean: qwen_vl"),
        ({"backend": "foo"}, "unknown backend 'foo'"),
        ({"times": (1.0,), "indices": (1,)}, "indices and times both"),
        ({"num_frames": 0}, "num_frames=0"),
        ({"num_frames": 2.5}, "num_frames=2.5"),
        ({"max_frames": -1}, "max_frames=-1"),
        ({"fps": 0}, "fps=0"),
        ({"fps": float("nan")}, "fps=nan"),
        ({"fps": "1"}, "fps='1'"),
        ({"total_pixels": 0}, "total_pixels=0"),
        ({"indices": (1.5,)}, r"indices=\(1.5,\)"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_not_made(wrong, said):
    with pytest.raises(ValueError, match=said) as caught:
        FramePolicy(**wrong)
    assert isinstance(caught.value, ConfigError)


def test_the_same_words_choose_the_same_frames_as_in_a_run():
    from lmms.requests import resolve_media
    from lmms.tasks import load_spec

    spec = load_spec("longvideobench_val_v")
    for words in ({}, {"fps": 1.0}, {"sampling": "qwen_vl"}, {"fps": 1.0, "max_frames": 9}):
        taken = [
            frame_indices(policy, total=200, rate=Fraction(10), times=())
            for policy in (FramePolicy(**words), resolve_media(spec, words))
        ]
        assert taken[0] == taken[1], words
    assert len(frame_indices(FramePolicy(fps=1), total=200, rate=Fraction(10), times=())) == 20


def test_the_policy_decides_in_order():
    times = [n / 10 for n in range(50)]

    def choose(**policy):
        return frame_indices(FramePolicy(**policy), total=50, rate=Fraction(10), times=times)

    assert choose(indices=[3, 1], fps=1.0) == (3, 1)
    assert choose(times=(1.04, 0.0), fps=1.0) == (10, 0)
    assert choose(fps=1.0) == (0, 12, 24, 36, 49)
    assert choose(fps=2.0, num_frames=8) == uniform_indices(50, 8)  # Its cap, next to fps.
    assert len(choose(fps=2.0, max_frames=20)) == 10
    assert len(choose(fps=2.0)) == 10
    assert choose(num_frames=2) == (0, 49)
    assert choose() == choose(max_pixels=9) == uniform_indices(50, 8)
    assert choose(max_frames=4) == choose(num_frames=16, max_frames=4) == uniform_indices(50, 4)
    assert len(choose(sampling="longvideobench", num_frames=5, max_frames=3)) == 3
    with pytest.raises(ValueError, match="'uniform' needs num_frames"):
        choose(sampling="uniform")
    with pytest.raises(MediaRangeError, match="frame 50 was asked for, but there are 50 frames"):
        choose(indices=(0, 50))
    with pytest.raises(MediaRangeError, match=r"-0\.5 s"):
        choose(times=(-0.5,))


@pytest.mark.parametrize(("total", "count"), [(0, 8), (5, 0), (-1, 1)])
def test_numbers_below_one_are_refused(total, count):
    with pytest.raises(ValueError, match="at least one frame"):
        uniform_indices(total, count)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 10**6), st.integers(1, 10**6))
def test_bounded_sizes(height, width, low, high):
    low, high = min(low, high), max(low, high)
    bounded_height, bounded_width = bounded_size(height, width, low, high)
    if height * width > high:
        assert bounded_height * bounded_width <= max(high, bounded_height, bounded_width)
    elif height * width < low:
        assert bounded_height * bounded_width >= low
    else:
        assert (bounded_height, bounded_width) == (height, width)


# ----------------------------------------------------------------------------- read_video, decode


@pytest.mark.parametrize("name", ["b_frames", "mkv", "odd_vp9", "avi_mpeg4", "open_gop_ts"])
def test_read_video_has_one_rule_for_all_containers(clips, counter, name):
    def numbers(**options):
        return [counter(frame) for frame in read_video(clips[name], **options)]

    assert numbers() == [0, 10, 21, 31, 42, 52, 63, 74]
    assert numbers(num_frm=4) == [0, 24, 49, 74]
    assert numbers(fps=1) == [0, 37, 74]
    assert numbers(fps=0.01) == [0]
    assert numbers(num_frm=1, force_include_last_frame=True) == [74]
    assert len(numbers(num_frm=1000)) == 75


def test_read_video_arguments(clips):
    path = clips["b_frames"]
    frames = read_video(path, num_frm=2)
    assert frames.shape == (2, 64, 96, 3)
    assert frames.dtype == np.uint8
    assert np.array_equal(read_video([path], num_frm=2), frames)
    assert np.array_equal(read_video(path, num_frm=2, format="bgr24"), frames[..., ::-1])
    for wrong in ({"backend": "opencv"}, {"format": "gray"}, {"num_frm": 0}, {"fps": 0.0}):
        with pytest.raises(ValueError, match=r"unknown|at least 1|above zero"):
            read_video(path, **wrong)


def test_decode_gives_true_times_and_the_wanted_size(clips, counter):
    asked = []

    def rule(count, height, width):
        asked.append((count, height, width))
        return 32, 64

    batch = decode(clips["vfr"], FramePolicy(num_frames=5), size=rule)
    assert asked == [(5, 64, 96)]
    assert batch.frames.shape == (5, 32, 64, 3)
    assert batch.indices == (0, 18, 37, 55, 74)
    expected = [(n + n // 7 * 3 + n % 3 * 0.4) / 25 for n in batch.indices]
    np.testing.assert_allclose(batch.times, expected, atol=1e-4)
    assert (batch.total_frames, batch.height, batch.width) == (75, 64, 96)
    assert batch.warnings == ()
    native = decode(clips["vfr"], FramePolicy(times=batch.times))
    assert [counter(frame) for frame in native.frames] == list(batch.indices)


def test_decode_keeps_the_pixel_bounds_of_the_policy(clips):
    batch = decode(clips["b_frames"], FramePolicy(num_frames=1, max_pixels=1536))
    assert batch.frames.shape == (1, 32, 48, 3)
    batch = decode(clips["b_frames"], FramePolicy(num_frames=1, min_pixels=4 * 64 * 96))
    assert batch.frames.shape == (1, 128, 192, 3)


def test_a_time_after_the_end_is_told(clips, counter):
    batch = decode(clips["b_frames"], FramePolicy(times=(1.0, 99.0)))
    assert [counter(frame) for frame in batch.frames] == [25, 74]
    assert [warning.code for warning in batch.warnings] == ["time_past_end"]


def test_a_declared_count_can_be_followed(clips, counter):
    """The cut keeps lead-in packets that are not shown; the container counts them."""
    info = probe(clips["edit_list"])
    assert info.declared_frames is not None
    assert info.declared_frames > info.num_frames
    batch = decode(clips["edit_list"], FramePolicy(num_frames=4, count="declared"))
    expected = np.linspace(0, info.declared_frames - 1, 4, dtype=int).clip(max=info.num_frames - 1)
    assert list(batch.indices) == expected.tolist()
    assert [w.code for w in batch.warnings] == ["declared_count"]
    assert str(info.declared_frames) in batch.warnings[0].message
    shown = decode(clips["edit_list"], FramePolicy(num_frames=4))
    assert shown.indices == uniform_indices(info.num_frames, 4)
    assert shown.warnings == ()


def test_a_count_that_is_not_declared_or_right(clips):
    assert probe(clips["mkv"]).declared_frames is None
    batch = decode(clips["mkv"], FramePolicy(num_frames=4, count="declared"))
    assert batch.indices == uniform_indices(75, 4)
    assert [w.code for w in batch.warnings] == ["declared_count"]
    assert probe(clips["b_frames"]).declared_frames == 75
    assert decode(clips["b_frames"], FramePolicy(num_frames=4, count="declared")).warnings == ()


def test_a_budget_for_the_whole_clip():
    policy = FramePolicy(total_pixels=100_000, max_pixels=60_000, min_pixels=9_000)
    assert pixel_bounds(policy, 2) == (9_000, 60_000)
    assert pixel_bounds(policy, 8) == (9_000, 25_000)
    assert pixel_bounds(policy, 1000) == (9_000, 9_450)
    assert pixel_bounds(FramePolicy(max_pixels=5), 8) == (None, 5)


def test_a_budget_for_the_whole_clip_is_kept(clips):
    batch = decode(clips["b_frames"], FramePolicy(num_frames=8, total_pixels=8 * 768))
    assert batch.frames.shape == (8, 32, 48, 3)
