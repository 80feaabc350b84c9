"""Sound, compared with what FFmpeg's own tool writes, byte for byte."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from lmms.media import (
    MediaDecodeError,
    MediaNotFoundError,
    MediaRangeError,
    MediaTooLargeError,
    MediaUnreadableError,
    probe,
    probe_audio,
    read_audio,
)

SECONDS = 1.7
#: Two tones that differ between the channels and never repeat at a packet's length.
STEREO = "sin(2*PI*(220+90*t)*t)*0.6|sin(2*PI*(330+70*t)*t)*0.5"
SIX = "|".join(f"sin(2*PI*{100 + 77 * i}*t)*0.3" for i in range(6))


def tone(expression: str, layout: str, rate: int, seconds: float = SECONDS) -> list[str]:
    return ["-f", "lavfi", "-i", f"aevalsrc={expression}:c={layout}:s={rate}:d={seconds}"]


CD = tone(STEREO, "stereo", 44100)
STUDIO = tone(STEREO, "stereo", 48000)
SPEECH = tone("sin(2*PI*(220+90*t)*t)*0.6", "mono", 16000)

#: name: (input, encoder options)
SOUNDS: dict[str, tuple[list[str], list[str]]] = {
    "cd.wav": (CD, ["-c:a", "pcm_s16le"]),
    "speech.wav": (SPEECH, ["-c:a", "pcm_s16le"]),
    "bytes.wav": (tone(STEREO, "stereo", 11025), ["-c:a", "pcm_u8"]),
    "deep.wav": (tone(STEREO, "stereo", 96000), ["-c:a", "pcm_s24le"]),
    "floats.wav": (CD, ["-c:a", "pcm_f32le"]),
    "surround.wav": (tone(SIX, "5.1", 48000), ["-c:a", "pcm_s16le"]),
    "delay.mp3": (CD, ["-c:a", "libmp3lame", "-b:a", "96k"]),
    "mono.mp3": (SPEECH, ["-c:a", "libmp3lame"]),
    "priming.m4a": (CD, ["-c:a", "aac", "-b:a", "96k"]),
    "surround.m4a": (tone(SIX, "5.1", 48000), ["-c:a", "aac"]),
    "lossless.flac": (CD, ["-c:a", "flac"]),
    "vorbis.ogg": (CD, ["-c:a", "libvorbis"]),
    "preskip.opus": (STUDIO, ["-c:a", "libopus"]),
    "opus.webm": (STUDIO, ["-c:a", "libopus"]),
    "layer2.mp2": (STUDIO, ["-c:a", "mp2"]),
    "raw.aac": (CD, ["-c:a", "aac", "-f", "adts"]),
    "dolby.ac3": (tone(SIX, "5.1", 48000), ["-c:a", "ac3"]),
    "apple.aiff": (CD, ["-c:a", "pcm_s16be"]),
}


class Sounds:
    """Makes files when first asked for."""

    def __init__(self, folder: Path, video: Path) -> None:
        self.folder = folder
        self.video = video

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            source, options = SOUNDS.get(name, (STUDIO, ["-c:a", "aac"]))
            if name.startswith("film"):
                source = ["-i", str(self.video), *source]
                options = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", *options]
            make(source, options, path)
        return path


def make(source: list[str], options: list[str], path: Path) -> None:
    command = ["ffmpeg", "-v", "error", "-y", *source, *options, str(path)]
    subprocess.run(command, check=True, capture_output=True)


def reference(path: Path, *options: str, channels: int = 1) -> np.ndarray:
    """The samples as FFmpeg's own tool writes them."""
    command = ["ffmpeg", "-v", "quiet", "-i", str(path), "-map", "a:0", *options]
    raw = subprocess.run([*command, "-f", "f32le", "-"], capture_output=True, check=False).stdout
    samples = np.frombuffer(raw, np.float32)
    return samples if channels == 1 else samples.reshape(-1, channels).T


@pytest.fixture(scope="module")
def sounds(tmp_path_factory, clips) -> Sounds:
    return Sounds(tmp_path_factory.mktemp("sounds"), clips["b_frames"])


@pytest.mark.parametrize("name", [*SOUNDS, "film.mp4", "film.mkv", "film.ts"])
def test_speech_models_get_what_ffmpeg_gives(sounds, name):
    path = sounds[name]
    clip = read_audio(path)
    expected = reference(path, "-ac", "1", "-ar", "16000")
    assert clip.samples.dtype == np.float32
    assert clip.sample_rate == 16000
    assert clip.warnings == ()
    assert np.array_equal(clip.samples, expected)
    assert abs(clip.duration_seconds - SECONDS) < 0.1
    assert np.abs(clip.samples).max() > 0.1


@pytest.mark.parametrize("name", ["cd.wav", "speech.wav", "surround.wav"])
@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_stereo_at_other_rates(sounds, name, rate):
    path = sounds[name]
    clip = read_audio(path, sample_rate=rate, channels=2)
    expected = reference(path, "-ac", "2", "-ar", str(rate), channels=2)
    assert np.array_equal(clip.samples, expected)


@pytest.mark.parametrize(
    ("name", "channels"), [("cd.wav", 2), ("speech.wav", 1), ("surround.m4a", 6), ("deep.wav", 2)]
)
def test_as_it_is_stored(sounds, name, channels):
    path = sounds[name]
    clip = read_audio(path, sample_rate=None, channels=None)
    assert clip.sample_rate == probe_audio(path).sample_rate
    assert np.array_equal(clip.samples, reference(path, channels=channels))


@pytest.mark.parametrize("name", ["cd.wav", "delay.mp3", "priming.m4a", "preskip.opus"])
@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 0.5), (0.3, 1.1), (0.70001, 0.70009), (1.5, None), (None, 0.25)]
)
def test_a_part_is_that_part_of_the_whole(sounds, name, start, end):
    whole = read_audio(sounds[name], channels=2).samples
    part = read_audio(sounds[name], channels=2, start=start, end=end)
    first = round((start or 0) * 16000)
    last = None if end is None else round(end * 16000)
    assert np.array_equal(part.samples, whole[:, first:last])
    assert part.start == first / 16000


def test_the_end_may_lie_past_the_end_and_the_start_may_not(sounds):
    path = sounds["cd.wav"]
    whole = read_audio(path).samples
    assert np.array_equal(read_audio(path, end=99).samples, whole)
    with pytest.raises(MediaRangeError, match=r"from 2 s on .*\n.*ends at 1\.7 s"):
        read_audio(path, start=2)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels", "samples"),
    [
        ("cd.wav", "pcm_s16le", 44100, 2, round(SECONDS * 44100)),
        ("lossless.flac", "flac", 44100, 2, round(SECONDS * 44100)),
        ("apple.aiff", "pcm_s16be", 44100, 2, round(SECONDS * 44100)),
        ("priming.m4a", "aac", 44100, 2, None),
        ("surround.m4a", "aac", 48000, 6, None),
        ("delay.mp3", "mp3", 44100, 2, None),
        ("preskip.opus", "opus", 48000, 2, None),
    ],
)
def test_what_the_header_says(sounds, name, codec, rate, channels, samples):
    told = probe_audio(sounds[name])
    assert (told.codec, told.sample_rate, told.channels) == (codec, rate, channels)
    assert told.num_samples == samples
    assert told.duration_seconds == pytest.approx(SECONDS, abs=0.1)
    assert told.path == str(sounds[name])
    assert told.start_seconds == pytest.approx(0, abs=0.05)


def test_sound_that_begins_after_the_pictures(sounds, tmp_path, clips):
    path = tmp_path / "late.mkv"
    late = ["-i", str(clips["b_frames"]), "-itsoffset", "0.5", *STUDIO]
    make(late, ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "flac"], path)
    assert probe_audio(path).start_seconds == pytest.approx(0.5, abs=0.05)
    assert np.array_equal(read_audio(path).samples, reference(path, "-ac", "1", "-ar", "16000"))


def test_every_kind_of_source(sounds, tmp_path):
    path = sounds["priming.m4a"]
    content = path.read_bytes()
    packed = tmp_path / "packed"
    packed.write_bytes(b"xyz" + content + b"after")
    expected = read_audio(path).samples
    for medium in (
        str(path),
        content,
        (packed, 3, len(content)),
        f"bytes://3-{len(content)}::{packed}",
    ):
        assert np.array_equal(read_audio(medium).samples, expected)


@pytest.mark.parametrize("name", ["cd.wav", "priming.m4a", "delay.mp3", "lossless.flac"])
def test_of_a_cut_file_the_rest_is_read(sounds, damaged, name):
    # The index of an m4a lies at its end unless it is moved.
    path = sounds[name]
    if name.endswith("m4a"):
        path = sounds.folder / "front.m4a"
        make(["-i", str(sounds[name])], ["-c", "copy", "-movflags", "faststart"], path)
    whole = read_audio(path).samples
    cut = damaged(path, 0.6)
    clip = read_audio(cut)
    assert 0.3 < len(clip.samples) / len(whole) < 0.75
    assert np.array_equal(clip.samples, reference(cut, "-ac", "1", "-ar", "16000"))
    # An mp3 stream says nowhere how long it is.
    assert name == "delay.mp3" or [w.code for w in clip.warnings]


def test_damage_in_the_middle_is_told(sounds, tmp_path):
    content = bytearray(sounds["lossless.flac"].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path = tmp_path / "holes.flac"
    path.write_bytes(content)
    clip = read_audio(path)
    assert [warning.code for warning in clip.warnings] == ["decode_errors"]
    assert np.array_equal(clip.samples, reference(path, "-ac", "1", "-ar", "16000"))


def test_what_is_no_sound_says_why(sounds, clips, tmp_path):
    text = tmp_path / "text.wav"
    text.write_text("plain text " * 1000)
    silent = tmp_path / "silent.wav"
    silent.write_bytes(sounds["cd.wav"].read_bytes()[:44])
    with pytest.raises(MediaDecodeError, match="not a readable audio file"):
        read_audio(text)
    with pytest.raises(MediaDecodeError, match="no audio stream"):
        probe_audio(clips["b_frames"])
    with pytest.raises(MediaDecodeError):
        read_audio(silent)
    with pytest.raises(MediaNotFoundError):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(MediaUnreadableError, match="folder"):
        read_audio(tmp_path)
    with pytest.raises(MediaDecodeError, match=r"not a readable video file|no video stream"):
        probe(sounds["cd.wav"])


def test_memory_is_bounded(sounds):
    path = sounds["cd.wav"]
    needed = read_audio(path).samples.nbytes
    with pytest.raises(MediaTooLargeError, match="takes more than 50000 bytes as 1 channels of"):
        read_audio(path, max_bytes=50_000)
    # A short part of a long file needs room for the part.
    assert read_audio(path, end=0.1, max_bytes=50_000).samples.nbytes == 6400
    assert read_audio(path, max_bytes=needed + 8192).samples.nbytes == needed


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 0},
        {"channels": 3},
        {"start": -1.0},
        {"end": float("nan")},
        {"start": 2.0, "end": 2.0},
    ],
)
def test_arguments_out_of_their_range(sounds, wrong):
    with pytest.raises(ValueError, match="|".join(wrong)):
        read_audio(sounds["speech.wav"], **wrong)
