"""`strategy="keyframes"`: the nearest keyframe in place of each chosen frame, and said so."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmms.media import (
    MediaLoader,
    MediaRangeError,
    decode,
    frame_times,
    nearest_key_frames,
    probe,
    read_frames,
    uniform_indices,
)
from lmms.types import FramePolicy, MediaRef


def keys_by_ffprobe(path):
    """Positions of keyframes in presentation order, as FFmpeg's decoder marks them."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries"]
    command += ["frame=key_frame", "-of", "csv=p=0", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [number for number, line in enumerate(lines) if line.strip(",") == "1"]


@pytest.mark.parametrize("name", ["b_frames", "vfr", "mkv", "odd_vp9", "hevc", "vp8_hidden"])
def test_the_nearest_keyframe_in_time(clips, name):
    path = clips[name]
    keys, times = keys_by_ffprobe(path), frame_times(path)
    assert keys
    found = nearest_key_frames(path, range(len(times)))
    for position, key in enumerate(found):
        assert key == min(keys, key=lambda k: (round(abs(times[k] - times[position]), 6), k))


def test_one_keyframe_and_only_keyframes(clips):
    assert nearest_key_frames(clips["one_key"], [0, 40, 74]) == (0, 0, 0)
    assert nearest_key_frames(clips["intra"], [29, 3, 3]) == (29, 3, 3)
    assert nearest_key_frames(clips["intra"], []) == ()
    with pytest.raises(MediaRangeError, match="75"):
        nearest_key_frames(clips["b_frames"], [75])


@pytest.mark.parametrize("name", ["avi_mpeg4", "open_gop_ts", "edit_list", "cut_mkv"])
def test_awkward_files_give_frames_that_exist(clips, name):
    total = probe(clips[name]).num_frames
    found = nearest_key_frames(clips[name], range(total))
    assert found[0] in (0, *found[1:])
    assert list(found) == sorted(found)
    assert all(found[key] == key for key in found)


def test_a_batch_says_what_was_asked(clips, counter):
    policy = FramePolicy(num_frames=4, strategy="keyframes")
    batch = decode(clips["b_frames"], policy)
    asked = uniform_indices(75, 4)
    assert batch.asked_indices == asked
    assert batch.indices == nearest_key_frames(clips["b_frames"], asked)
    assert batch.indices != asked
    assert [counter(frame) for frame in batch.frames] == list(batch.indices)
    times = frame_times(clips["b_frames"])
    assert batch.times == tuple(times[list(batch.indices)])
    assert np.array_equal(batch.frames, read_frames(clips["b_frames"], batch.indices))
    assert decode(clips["b_frames"], FramePolicy(num_frames=4)).asked_indices is None


def test_a_loaded_medium_says_what_was_asked(clips):
    policy = FramePolicy(num_frames=4, strategy="keyframes")
    with MediaLoader(max_workers=1) as loader:
        ref = MediaRef(kind="video", path=str(clips["b_frames"]), policy=policy)
        record = loader.submit(ref).result().to_json()
    assert record["policy"]["strategy"] == "keyframes"
    assert record["source"]["asked_indices"] == list(uniform_indices(75, 4))
    assert record["indices"] == list(nearest_key_frames(clips["b_frames"], uniform_indices(75, 4)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 74), max_size=20))
def test_properties(clips, positions):
    path = clips["b_frames"]
    found = nearest_key_frames(path, positions)
    assert len(found) == len(positions)
    assert nearest_key_frames(path, found) == found
