"""`iter_frames`: the frames of `read_frames`, a chunk at a time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.media import (
    MediaDamageWarning,
    MediaRangeError,
    frame_times,
    iter_frames,
    key_frames,
    probe,
    read_frames,
)
from lmms.media.chunks import MAX_STRETCH, chunk_ends

KINDS = ["b_frames", "open_gop", "one_key", "intra", "mkv", "avi_mpeg4", "vp8_hidden", "edit_list"]


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("name", KINDS)
def test_all_chunks_together_are_all_frames(clips, name, chunk):
    path = clips[name]
    total = probe(path).num_frames
    chunks = list(iter_frames(path, chunk=chunk))
    assert [i for part in chunks for i in part.indices] == list(range(total))
    assert np.array_equal(np.concatenate([part.times for part in chunks]), frame_times(path))
    frames = np.concatenate([part.frames for part in chunks])
    assert np.array_equal(frames, read_frames(path, range(total)))
    assert max(len(part.indices) for part in chunks) <= MAX_STRETCH * chunk


def test_chunks_end_where_groups_do(clips):
    keys = key_frames(clips["b_frames"])
    assert keys == (0, 30, 60)
    starts = [part.indices[0] for part in iter_frames(clips["b_frames"], chunk=20)]
    assert starts == list(keys)
    assert [len(part.indices) for part in iter_frames(clips["b_frames"], chunk=31)] == [60, 15]


def test_long_groups_are_split(clips):
    lengths = [len(part.indices) for part in iter_frames(clips["one_key"], chunk=10)]
    assert lengths == [10] * 7 + [5]


def test_some_frames(clips):
    path = clips["b_frames"]
    wanted = [0, 3, 29, 30, 44, 59, 60, 61, 74]
    parts = list(iter_frames(path, wanted, chunk=2, size=(32, 48)))
    assert [part.indices for part in parts] == [(0, 3, 29), (30, 44, 59), (60, 61, 74)]
    frames = np.concatenate([part.frames for part in parts])
    assert np.array_equal(frames, read_frames(path, wanted, size=(32, 48)))
    shuffled = [70, 2, 2, 33]
    frames = np.concatenate([part.frames for part in iter_frames(path, shuffled, chunk=1)])
    assert np.array_equal(frames, read_frames(path, shuffled))
    assert list(iter_frames(path, [])) == []


@pytest.mark.parametrize("name", ["one_key", "avi_mpeg4"])
def test_frames_left_out_and_asked_again(clips, name):
    """What goes straight through skips frames, and begins anew for those that are behind it."""
    path = clips[name]
    wanted = [5, 6, 30, 31, 70, 2, 3, 40]
    frames = np.concatenate([part.frames for part in iter_frames(path, wanted, chunk=1)])
    assert np.array_equal(frames, read_frames(path, wanted))


def test_rotation_can_be_left_out(clips):
    part = next(iter_frames(clips["rotated_90"], chunk=3, rotate=False))
    assert np.array_equal(part.frames, read_frames(clips["rotated_90"], part.indices, rotate=False))


def test_chunks_in_the_callers_array(clips):
    path = clips["b_frames"]
    out = np.zeros((40, 64, 96, 3), np.uint8)
    seen = []
    for part in iter_frames(path, chunk=30, out=out):
        assert np.shares_memory(part.frames, out)
        assert np.array_equal(part.frames, read_frames(path, part.indices))
        seen.extend(part.indices)
    assert seen == list(range(75))
    assert not out[30:].any()
    with pytest.raises(ValueError, match="the longest chunk has 30 frames"):
        iter_frames(path, chunk=30, out=out[:29])
    with pytest.raises(ValueError, match="out must be"):
        next(iter_frames(path, chunk=30, out=out.astype(np.int8)))


def test_what_cannot_be_asked_is_refused_at_once(clips):
    with pytest.raises(MediaRangeError, match="frame 75 was asked for, but there are 75 frames"):
        iter_frames(clips["b_frames"], [3, 75])
    with pytest.raises(MediaRangeError, match="frame -1"):
        iter_frames(clips["b_frames"], [-1])
    with pytest.raises(ValueError, match="chunk"):
        iter_frames(clips["b_frames"], chunk=0)
    with pytest.raises(ValueError, match="size"):
        iter_frames(clips["b_frames"], size=(0, 5))


def test_damage_is_told_once(clips, damaged):
    path = damaged(clips["faststart"], 0.5)
    total = probe(path).num_frames
    with pytest.warns(MediaDamageWarning) as told:
        frames = np.concatenate([part.frames for part in iter_frames(path, chunk=5)])
    codes = [str(warning.message).split(": ")[1] for warning in told]
    assert "truncated" in codes
    assert len(codes) == len(set(codes))
    with pytest.warns(MediaDamageWarning):
        assert np.array_equal(frames, read_frames(path, range(total)))


def test_content_without_a_file(clips):
    data = clips["mkv"].read_bytes()
    frames = np.concatenate([part.frames for part in iter_frames(data, chunk=25)])
    assert np.array_equal(frames, read_frames(clips["mkv"], range(75)))


@pytest.mark.parametrize("name", ["intra", "one_key"])
def test_memory_is_that_of_two_chunks(clips, name):
    """Frames of 1500x1500 take 200 MB and more, two chunks of two 27 MB."""
    code = f"""
import resource
from lmms.media import iter_frames
peaks, count = [], 0
for part in iter_frames({str(clips[name])!r}, chunk=2, size=(1500, 1500)):
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    count += len(part.frames)
assert count in (30, 75)
print(peaks[-1] - peaks[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60_000


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
    st.integers(1, 30),
    st.randoms(use_true_random=False),
    st.floats(0.05, 1),
)
def test_chunks_divide_what_was_asked(lengths, chunk, generator, share):
    keys = np.cumsum([0, *lengths])[:-1].tolist()
    indices = [i for i in range(sum(lengths)) if generator.random() < share]
    ends, is_split = chunk_ends(indices, keys, chunk)
    starts = [0, *ends[:-1]]
    assert list(ends) == sorted(set(ends))
    assert (ends[-1] if ends else 0) == len(indices)
    sizes = [end - start for start, end in zip(starts, ends, strict=True)] if ends else []
    assert all(0 < size <= MAX_STRETCH * chunk for size in sizes)
    group = np.searchsorted(keys, indices, side="right").tolist()
    if is_split:
        assert max(np.bincount(group)) > MAX_STRETCH * chunk
        assert sizes[:-1] == [chunk] * (len(sizes) - 1)
        return
    for number, end in enumerate(ends[:-1]):
        assert group[end - 1] != group[end]
        following = group.count(group[end])
        assert sizes[number] >= chunk or sizes[number] + following > MAX_STRETCH * chunk
