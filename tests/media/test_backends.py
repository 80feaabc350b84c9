"""Other libraries behind `read_video` and `decode`: they agree where they are installed."""

from __future__ import annotations

import importlib.util
import sys
import zipfile

import numpy as np
import pytest

from lmms.errors import ConfigError
from lmms.media import (
    MediaDecodeError,
    MediaTooLargeError,
    MediaUnsupportedError,
    backends,
    decode,
    probe,
    read_frames,
    read_video,
    read_video_pyav,
)
from lmms.media.backends import backend_named, check_installed, distribution_of
from lmms.types import FramePolicy


def _installed(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _needs(name):
    module = backends._LIBRARIES[name].module
    reason = f"{module} is not installed"
    return pytest.param(name, marks=pytest.mark.skipif(not _installed(module), reason=reason))


INSTALLED = [_needs(name) for name in ("pyav", "torchcodec", "decord")]
CLIPS = ["b_frames", "vfr", "mkv", "rotated_90", "rotated_180", "rotated_270", "hevc"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("DECODE_BACKEND", "TORCHCODEC_THREADS", "TORCHCODEC_DEVICE", "DECORD_THREADS"):
        monkeypatch.delenv(f"LMMS_VIDEO_{name}", raising=False)
    for name in ("DEVICE", "DEVICE_ID", "THREADS"):
        monkeypatch.delenv(f"LMMS_VIDEO_DALI_{name}", raising=False)


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("name", CLIPS)
def test_they_give_the_same_frames(clips, backend, name):
    """The libraries bring their own FFmpeg, whose conversion may differ by a step or two."""
    ours = read_video(clips[name], num_frm=5)
    theirs = read_video(clips[name], num_frm=5, backend=backend)
    assert theirs.dtype == np.uint8
    assert theirs.shape == ours.shape
    assert theirs.flags.c_contiguous
    assert np.abs(theirs.astype(int) - ours).mean() < 0.5


@pytest.mark.parametrize("backend", INSTALLED)
def test_any_order_and_repeats(clips, backend, counter):
    batch = decode(clips["b_frames"], FramePolicy(indices=(74, 3, 3, 40), backend=backend))
    assert [counter(frame) for frame in batch.frames] == [74, 3, 3, 40]


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("name", ["rotated_90", "rotated_180"])
def test_rotation_can_be_left_out(clips, backend, name):
    policy = FramePolicy(num_frames=2, rotate=False)
    ours = decode(clips[name], policy).frames
    theirs = decode(clips[name], FramePolicy(num_frames=2, rotate=False, backend=backend)).frames
    assert theirs.shape == ours.shape == (2, 64, 96, 3)
    assert np.abs(theirs.astype(int) - ours).mean() < 0.5


@pytest.mark.parametrize("backend", INSTALLED)
def test_decode_resizes(clips, backend):
    policy = FramePolicy(num_frames=3, max_pixels=1536)
    ours = decode(clips["b_frames"], policy)
    theirs = decode(clips["b_frames"], FramePolicy(num_frames=3, max_pixels=1536, backend=backend))
    assert theirs.frames.shape == ours.frames.shape == (3, 32, 48, 3)
    assert theirs.times == ours.times
    assert np.abs(theirs.frames.astype(int) - ours.frames).mean() < 1


@pytest.mark.parametrize("backend", INSTALLED)
def test_content_that_is_no_file(clips, backend, tmp_path, counter):
    path = clips["b_frames"]
    archive = tmp_path / "clips.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(path, "a.mp4")
    content = path.read_bytes()
    (tmp_path / "blob").write_bytes(b"xyz" + content + b"tail")
    media = (content, f"zip://a.mp4::{archive}", (str(tmp_path / "blob"), 3, len(content)))
    for medium in media:
        frames = read_video(medium, num_frm=2, backend=backend)
        assert [counter(frame) for frame in frames] == [0, 74]


@pytest.mark.parametrize("backend", INSTALLED)
def test_what_a_library_cannot_read_is_an_error(clips, backend):
    info = probe(clips["b_frames"])
    with pytest.raises(MediaDecodeError, match=f"{backend} cannot decode it: "):
        backends.read_with(backend, b"no video at all", [0], info, max_bytes=10**6)


def test_which_back_end(monkeypatch):
    assert backend_named(None) == "rust"
    assert backend_named("native") == "rust"
    assert backend_named(" PyAV ") == "pyav"
    monkeypatch.setenv("LMMS_VIDEO_DECODE_BACKEND", "decord")
    assert backend_named(None) == "decord"
    assert backend_named("rust") == "rust"
    monkeypatch.setenv("LMMS_VIDEO_DECODE_BACKEND", "pyva")
    with pytest.raises(ValueError, match="unknown video back end 'pyva'") as caught:
        backend_named(None)
    assert "did you mean: pyav" in str(caught.value)
    assert "LMMS_VIDEO_DECODE_BACKEND" in str(caught.value)


def test_the_variable_chooses_the_library(clips, monkeypatch):
    asked = []

    def read(content, indices):
        asked.append((content, list(indices)))
        return np.zeros((len(indices), 64, 96, 3), np.uint8)

    fake = backends._Library("json", "json", rotates=False, read=read)
    monkeypatch.setitem(backends._LIBRARIES, "pyav", fake)
    monkeypatch.setenv("LMMS_VIDEO_DECODE_BACKEND", "pyav")
    frames = read_video_pyav(clips["b_frames"], num_frm=3)
    assert frames.shape == (3, 64, 96, 3)
    assert asked == [(str(clips["b_frames"]), [0, 37, 74])]
    assert read_video(clips["b_frames"], num_frm=3, backend="rust").any()
    assert len(asked) == 1


@pytest.mark.parametrize("backend", ["torchcodec", "decord"])
def test_threads_and_device_come_from_the_environment(clips, monkeypatch, backend):
    """The real libraries are in the tests above; here it is what they are told."""
    told = {}

    class Frames:
        def __init__(self, count):
            self.count = count
            self.data = self

        def cpu(self):
            return self

        def numpy(self):
            return np.zeros((self.count, 64, 96, 3), np.uint8)

        asnumpy = numpy

    class Reader:
        def __init__(self, content, **options):
            told.update(options)

        def get_frames_at(self, indices):
            return Frames(len(indices))

        get_batch = get_frames_at

    class Module:
        VideoDecoder = VideoReader = Reader

        @staticmethod
        def cpu(number):
            return f"cpu {number}"

    module = "decord" if backend == "decord" else "torchcodec.decoders"
    monkeypatch.setitem(sys.modules, module, Module)
    monkeypatch.setattr(backends, "check_installed", lambda name: None)

    def options():
        told.clear()
        read_video(clips["b_frames"], num_frm=2, backend=backend)
        return dict(told)

    if backend == "decord":
        assert options() == {"ctx": "cpu 0", "num_threads": 2}
        monkeypatch.setenv("LMMS_VIDEO_DECORD_THREADS", "5")
        assert options()["num_threads"] == 5
        monkeypatch.setenv("LMMS_VIDEO_DECORD_THREADS", "many")
        with pytest.raises(ConfigError, match="LMMS_VIDEO_DECORD_THREADS='many'"):
            options()
        return
    assert options() == {"dimension_order": "NHWC", "device": "cpu"}
    monkeypatch.setenv("LMMS_VIDEO_TORCHCODEC_THREADS", "3")
    monkeypatch.setenv("LMMS_VIDEO_TORCHCODEC_DEVICE", "cuda:1")
    assert options()["num_ffmpeg_threads"] == 3
    assert told["device"] == "cuda:1"


@pytest.mark.skipif(not _installed("nvidia.dali"), reason="nvidia.dali is not installed")
@pytest.mark.parametrize("name", ["odd_vp9", "vp8_hidden"])
def test_dali_on_the_cpu(clips, monkeypatch, name, counter):
    """Without a GPU it decodes VP8 and VP9 only; its colours are further away than others'."""
    monkeypatch.setenv("LMMS_VIDEO_DALI_DEVICE", "cpu")
    ours = read_video(clips[name], num_frm=5)
    theirs = read_video(clips[name], num_frm=5, backend="dali")
    assert theirs.shape == ours.shape
    assert [counter(frame) for frame in theirs] == [counter(frame) for frame in ours]
    assert np.abs(theirs.astype(int) - ours).mean() < 6


def test_a_missing_library_is_named(clips, monkeypatch):
    gone = backends._Library("no_such_module.at_all", "no-such-package", False, lambda c, i: None)
    monkeypatch.setitem(backends._LIBRARIES, "decord", gone)
    with pytest.raises(MediaUnsupportedError, match="no-such-package") as caught:
        read_video(clips["b_frames"], backend="decord")
    assert "pip install no-such-package" in str(caught.value)
    with pytest.raises(MediaUnsupportedError, match="no-such-package"):
        check_installed("decord")
    check_installed("rust")
    assert distribution_of("rust") is None
    assert distribution_of("decord") == ("no_such_module.at_all", "no-such-package")


@pytest.mark.parametrize("given", [(1, 64, 96, 3), (2, 64, 96), (2, 64, 96, 4)])
def test_frames_that_were_not_asked_for_are_refused(clips, monkeypatch, given):
    wrong = backends._Library("json", "json", False, lambda c, i: np.zeros(given, np.uint8))
    monkeypatch.setitem(backends._LIBRARIES, "pyav", wrong)
    with pytest.raises(MediaDecodeError, match="2 frames were asked for"):
        read_video(clips["b_frames"], num_frm=2, backend="pyav")


def test_a_library_that_fails_is_one_sentence(clips, monkeypatch):
    def fail(content, indices):
        raise RuntimeError("\n  it broke\nstack\nstack")

    broken = backends._Library("json", "json", False, fail)
    monkeypatch.setitem(backends._LIBRARIES, "pyav", broken)
    with pytest.raises(MediaDecodeError, match=r"pyav cannot decode it: it broke\n"):
        read_video(clips["b_frames"], backend="pyav")
    with pytest.raises(MediaTooLargeError, match="the limit is 10"):
        decode(clips["b_frames"], FramePolicy(num_frames=1, backend="pyav"), max_bytes=10)


def test_frames_are_those_of_our_decoder_by_default(clips):
    expected = read_frames(clips["b_frames"], [0, 74])
    assert np.array_equal(read_video(clips["b_frames"], num_frm=2), expected)
