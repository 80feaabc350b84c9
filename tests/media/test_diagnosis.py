"""What is said of a medium that is no video: what it is, or what was cut off."""

import io
import wave

import numpy as np
import pytest

from lmms.media import MediaDecodeError, encode_image, probe, probe_audio
from lmms.media.audio import AudioInfo
from lmms.media.diagnosis import explained, lacking_index, still_or_sound


def tone():
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(1600))
    return file.getvalue()


def said(path, read=probe):
    with pytest.raises(MediaDecodeError) as caught:
        read(path)
    return explained(caught.value, path)


@pytest.fixture
def cut(clips, tmp_path):
    """A whole mp4 with its index last, without a part of it."""
    data = clips["b_frames"].read_bytes()
    index = data.index(b"moov") - 4
    assert index > data.index(b"mdat")

    def make(end):
        path = tmp_path / "cut.mp4"
        path.write_bytes(data[: index + end])
        return path

    return make


def test_a_copy_that_was_cut_off_lacks_its_index(cut):
    for end, words in ((-100, "cut off after"), (0, "cut off, or"), (100, "(moov) is cut off")):
        path = cut(end)
        error = said(path)
        assert isinstance(error, MediaDecodeError)
        assert str(path) in error.message
        assert words in error.message
        assert error.hint is not None
        assert "(moov)" in said(path, probe_audio).message
        assert lacking_index(path.read_bytes()) == lacking_index(str(path))
        assert lacking_index((str(path), 0, path.stat().st_size)) == lacking_index(str(path))


def test_a_whole_file_has_its_index(clips):
    for name in ("b_frames", "mkv", "rotated_90"):
        assert lacking_index(str(clips[name])) is None


def test_what_is_no_iso_file_lacks_none():
    for content in (b"", b"abc", bytes(100), tone(), b"\0\0\0\1" + b"free" + bytes(8)):
        assert lacking_index(content) is None


def test_pictures_and_sound_are_told(tmp_path):
    picture, sound = tmp_path / "photo.jpg", tmp_path / "tone.wav"
    picture.write_bytes(encode_image(np.zeros((20, 30, 3), np.uint8), format="JPEG"))
    sound.write_bytes(tone())
    assert said(str(picture)).message == f"{picture}: a still image of 30x20, and no video"
    assert said(str(sound)).message == f"{sound}: it has sound (pcm_s16le, 8000 Hz) but no video"
    assert still_or_sound(picture.read_bytes()) == (20, 30)
    assert isinstance(still_or_sound(tone()), AudioInfo)


def test_other_errors_stay_as_they_are(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(MediaDecodeError) as caught:
        probe(text)
    assert explained(caught.value, str(text)) is caught.value
    missing = MediaDecodeError("another one")
    assert explained(missing, str(text)) is missing
