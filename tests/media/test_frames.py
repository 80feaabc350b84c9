"""Every frame of every kind of clip is byte for byte FFmpeg's own."""

import json
import random
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from lmms.media import MediaRangeError, MediaTooLargeError, decode, frame_times, probe, read_frames
from lmms.types import FramePolicy

#: name -> frames that carry the numbers 0, 1, 2, … (None: a cut, numbers start elsewhere).
WHOLE = {
    "b_frames": 75,
    "one_key": 75,
    "intra": 30,
    "open_gop": 75,
    "open_gop_ts": 75,
    "mkv": 75,
    "vfr": 75,
    "vfr_mkv": 75,
    "ten_bit": 75,
    "odd_444": 75,
    "odd_vp9": 75,
    "vp8_hidden": 75,
    "full_range": 75,
    "bt709": 75,
    "avi_mpeg4": 75,
    "hevc": 75,
    "hevc_layers": 75,
    "av1": 40,
    "interlaced": 75,
    "fragmented": 75,
    "faststart": 75,
    "bt2020": 75,
    "mpeg2_ts": 75,
    "mpeg2_ps": 75,
    "mpeg1_ps": 75,
    "raw_mpeg2": 75,
    "raw_h264": 75,
    "raw_hevc": 75,
    "mjpeg_avi": 75,
    "prores_mov": 75,
    "h264_mov": 75,
    "gif": 40,
    "vp9_alpha": 75,
    "late_mkv": 75,
    "late_ts": 75,
    "early_mkv": 75,
}
CUT = ("edit_list", "cut_mkv", "early_mp4")
ROTATED = ("rotated_90", "rotated_180", "rotated_270", "rotated_vp9", "rotated_mov")


@pytest.mark.parametrize("name", [*WHOLE, *CUT, *ROTATED])
def test_all_frames_equal_ffmpeg(clips, reference, name):
    path = clips[name]
    info = probe(path)
    expected = reference(path, (info.height, info.width))
    frames = read_frames(path, range(info.num_frames))
    assert frames.shape == expected.shape
    different = [i for i in range(len(expected)) if not np.array_equal(frames[i], expected[i])]
    assert different == []


@pytest.mark.parametrize("name", WHOLE)
def test_frames_are_the_asked_ones(clips, counter, name):
    path = clips[name]
    assert probe(path).num_frames == WHOLE[name]
    numbers = [counter(frame) for frame in read_frames(path, range(WHOLE[name]))]
    assert numbers == list(range(WHOLE[name]))


@pytest.mark.parametrize("name", [*WHOLE, *CUT])
def test_few_frames_are_those_of_a_full_decode(clips, name):
    path = clips[name]
    total = probe(path).num_frames
    every = read_frames(path, range(total))
    generator = random.Random(name)
    for count in (1, 2, 5, 9):
        # Unsorted and with repeats.
        wanted = generator.choices(range(total), k=count)
        assert np.array_equal(read_frames(path, wanted), every[wanted]), wanted


def test_a_stream_copy_cut_starts_where_players_start(clips, counter):
    first = counter(read_frames(clips["edit_list"], [0])[0])
    assert 20 < first <= 33  # The cut was made at 1.3 s of 25 frames per second.


def test_rotation_can_be_left_out(clips, reference):
    path = clips["rotated_90"]
    assert (probe(path).width, probe(path).height) == (64, 96)
    stored = read_frames(path, [0, 40], rotate=False)
    assert np.array_equal(stored, reference(path, (64, 96), rotate=False)[[0, 40]])
    batch = decode(path, FramePolicy(num_frames=3, rotate=False))
    assert batch.frames.shape == (3, 64, 96, 3)


def test_unequal_chroma_sampling_is_turned_after_conversion(clips):
    path = clips["rotated_422_90"]
    upright = read_frames(path, [5], rotate=False)[0]
    turned = read_frames(path, [5])[0]
    assert np.array_equal(turned, np.rot90(upright, 1)) or np.array_equal(
        turned, np.rot90(upright, -1)
    )


def test_times_of_a_variable_rate(clips):
    expected = [(n + n // 7 * 3 + n % 3 * 0.4) / 25 for n in range(75)]
    np.testing.assert_allclose(frame_times(clips["vfr"]), expected, atol=1e-4)
    np.testing.assert_allclose(frame_times(clips["vfr_mkv"]), expected, atol=1.01e-3)
    assert probe(clips["vfr"]).is_vfr
    assert probe(clips["vfr_mkv"]).is_vfr


@pytest.mark.parametrize("name", ["b_frames", "mkv", "open_gop_ts", "avi_mpeg4", "odd_vp9"])
def test_times_of_a_constant_rate_start_at_zero(clips, name):
    times = frame_times(clips[name])
    np.testing.assert_allclose(times, np.arange(75) / 25, atol=1e-3)
    assert times[0] == 0
    info = probe(clips[name])
    assert not info.is_vfr
    assert info.duration_seconds == pytest.approx(3.0, abs=1e-3)
    assert info.average_fps == pytest.approx(25)


def test_facts(clips):
    info = probe(clips["b_frames"])
    assert (info.codec, info.pixel_format) == ("h264", "yuv420p")
    assert info.key_frames == 3
    assert info.warnings == ()
    assert probe(clips["ten_bit"]).pixel_format == "yuv420p10le"
    assert probe(clips["hevc"]).codec == "hevc"


def test_frames_outside_the_video_are_refused(clips):
    with pytest.raises(MediaRangeError, match="frame 75 was asked for, but there are 75 frames"):
        read_frames(clips["b_frames"], [0, 75])
    with pytest.raises(MediaRangeError, match="frame -1"):
        read_frames(clips["b_frames"], [-1])


def test_no_frames_of_a_video(clips):
    assert read_frames(clips["b_frames"], []).shape == (0, 64, 96, 3)


def test_more_bytes_than_allowed_are_refused_before_decoding(clips):
    with pytest.raises(MediaTooLargeError, match="184320 bytes; the limit is 184319"):
        read_frames(clips["b_frames"], range(10), max_bytes=184_319)
    assert read_frames(clips["b_frames"], range(10), max_bytes=184_320).nbytes == 184_320


def test_resized_frames_are_resized_full_frames(clips):
    from lmms.media import resize_image

    native = read_frames(clips["b_frames"], [3, 60])
    small = read_frames(clips["b_frames"], [3, 60], size=(40, 50))
    assert small.shape == (2, 40, 50, 3)
    assert np.array_equal(small[1], resize_image(native[1], (40, 50)))


def test_an_index_follows_the_file(clips, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips["b_frames"].read_bytes())
    assert probe(path).num_frames == 75
    path.write_bytes(clips["intra"].read_bytes())
    assert probe(path).num_frames == 30


def test_best_stream_is_counted_and_decoded_alike(clips, tmp_path):
    path = tmp_path / "two.mkv"
    command = ["ffmpeg", "-v", "error", "-y", "-i", clips["intra"], "-i", clips["b_frames"]]
    subprocess.run([*command, "-map", "0", "-map", "1", "-c", "copy", path], check=True)
    info = probe(path)
    assert len(frame_times(path)) == info.num_frames
    assert len(read_frames(path, range(info.num_frames))) == info.num_frames


def test_frames_go_to_the_callers_array(clips):
    path = clips["b_frames"]
    out = np.zeros((3, 64, 96, 3), np.uint8)
    assert read_frames(path, [4, 70, 4], out=out) is out
    assert np.array_equal(out, read_frames(path, [4, 70, 4]))
    # A part of a larger array.
    many = np.zeros((8, 64, 96, 3), np.uint8)
    read_frames(path, [9, 8], out=many[3:5])
    assert np.array_equal(many[3:5], read_frames(path, [9, 8]))
    assert not many[:3].any()
    assert not many[5:].any()


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((2, 64, 96, 3), np.uint8),
        np.zeros((3, 64, 96, 3), np.int8),
        np.zeros((3, 64, 96, 3), np.uint8, order="F"),
        np.zeros((3, 64, 192, 3), np.uint8)[:, :, ::2],
        np.broadcast_to(np.zeros((64, 96, 3), np.uint8), (3, 64, 96, 3)),
        [0] * 3,
    ],
    ids=["shape", "type", "order", "strides", "read-only", "list"],
)
def test_an_array_that_does_not_fit_is_refused(clips, out):
    with pytest.raises(ValueError, match=r"out must be .* shape \[3, 64, 96, 3\]; got"):
        read_frames(clips["b_frames"], [0, 1, 2], out=out)


def test_an_array_is_written_by_one_call_at_a_time(clips):
    many = np.zeros((5, 64, 96, 3), np.uint8)
    told = []

    class Reader:
        """Asks for frames into an overlapping array whenever it is read."""

        name = "reader"
        data = clips["b_frames"].read_bytes()
        size = len(data)

        def read_at(self, offset: int, size: int) -> bytes:
            try:
                read_frames(clips["intra"], [0, 1, 2], out=many[2:])
            except ValueError as error:
                told.append(str(error))
            return self.data[offset : offset + size]

    frames = read_frames(Reader(), [4, 5, 6], out=many[:3])
    assert "another call is writing to out, or a part of it" in told
    assert np.array_equal(frames, read_frames(clips["b_frames"], [4, 5, 6]))


def ffprobe(path):
    """Facts and presentation times of the best video stream, as FFmpeg's own tool sees them."""
    command = ["ffprobe", "-v", "quiet", "-of", "json", "-select_streams", "v:0"]
    entries = "stream=codec_name,width,height,pix_fmt,avg_frame_rate:packet=pts,flags"
    done = subprocess.run(
        [*command, "-show_entries", entries, path], capture_output=True, check=True
    )
    told = json.loads(done.stdout)
    shown = [packet for packet in told["packets"] if "D" not in packet["flags"]]
    return told["streams"][0], shown


@pytest.mark.parametrize("name", [*WHOLE, "edit_list", *ROTATED])
def test_what_is_indexed_without_probing_is_what_probing_finds(clips, name):
    """Headers and tables stand in for reading the file where they can; nothing may differ."""
    stream, packets = ffprobe(clips[name])
    info = probe(clips[name])
    assert (info.stored_width, info.stored_height) == (stream["width"], stream["height"])
    assert (info.codec, info.pixel_format) == (stream["codec_name"], stream["pix_fmt"])
    assert info.num_frames == (75 if name == "vp8_hidden" else len(packets))
    assert info.frame_rate == Fraction(stream["avg_frame_rate"])
    if info.num_frames == len(packets) and all("pts" in packet for packet in packets):
        keys = sum("K" in packet["flags"] for packet in packets)
        assert info.key_frames == keys
        pts = np.sort([packet["pts"] for packet in packets])
        steps = np.diff(frame_times(clips[name]))
        unit = steps.min() / np.diff(pts).min()
        np.testing.assert_allclose(steps, np.diff(pts) * unit, rtol=1e-6)
