"""One medium from every kind of source: a file, memory, a part of a file, something to read."""

import io
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lmms import _media
from lmms.media import (
    MediaDecodeError,
    MediaUnreadableError,
    decode,
    encode_image,
    frame_times,
    image_size,
    load_image,
    probe,
    read_frames,
    read_video,
)
from lmms.types import FramePolicy

#: moov at the end, moov at the front, Matroska, a transport stream, one numbered by decoding.
NAMES = ("b_frames", "faststart", "mkv", "open_gop_ts", "avi_mpeg4", "fragmented")


class Blob:
    """Content that is read piece by piece."""

    name = "lance://clip"

    def __init__(self, content: bytes, *, at_most: int | None = None, size: int | None = None):
        self.content = content
        self.at_most = at_most
        self.size = len(content) if size is None else size
        self.reads = 0
        self.threads: set[int] = set()

    def read_at(self, offset: int, size: int) -> bytes:
        self.reads += 1
        self.threads.add(threading.get_ident())
        return self.content[offset : offset + min(size, self.at_most or size)]


class Failing(Blob):
    """Fails at a number of reads."""

    def __init__(self, content: bytes, *, good: int, at_most: int | None = None):
        super().__init__(content, at_most=at_most)
        self.good = good

    def read_at(self, offset: int, size: int) -> bytes:
        if self.reads >= self.good:
            raise ConnectionResetError(f"lost at {offset}")
        return super().read_at(offset, size)


def kinds(path: Path, folder: Path) -> dict[str, object]:
    """The content of a file as every kind of source."""
    content = path.read_bytes()
    packed = folder / "packed.bin"
    packed.write_bytes(b"before" * 7 + content + b"after")
    return {
        "text": str(path),
        "path": path,
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "range": (packed, 42, len(content)),
        "object": Blob(content),
        "trickle": Blob(content, at_most=777),
        "held": _media.Source(content, "clip", None),
        "held_object": _media.Source(Blob(content), None, f"key of {path}"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_source_gives_the_frames_of_the_file(clips, tmp_path, name):
    path = clips[name]
    facts, times = probe(path), frame_times(path)
    wanted = [0, facts.num_frames - 1, facts.num_frames // 2, 7, 7]
    frames = read_frames(path, wanted)
    for kind, medium in kinds(path, tmp_path).items():
        told = probe(medium)
        assert (told.num_frames, told.frame_rate) == (facts.num_frames, facts.frame_rate), kind
        assert told.warnings == facts.warnings == (), kind
        assert np.array_equal(frame_times(medium), times), kind
        assert np.array_equal(read_frames(medium, wanted), frames), kind


def test_all_front_doors_take_bytes(clips):
    content = clips["b_frames"].read_bytes()
    policy = FramePolicy(num_frames=4)
    batch = decode(content, policy)
    assert batch.info.path == f"{len(content)} bytes in memory"
    assert batch.info.frame_rate == Fraction(25)
    assert np.array_equal(batch.frames, decode(clips["b_frames"], policy).frames)
    assert np.array_equal(read_video(content, num_frm=4), batch.frames)
    whole = (clips["b_frames"], 0, len(content))
    assert np.array_equal(read_video(whole, num_frm=4), batch.frames)
    assert np.array_equal(read_video([content], num_frm=4), batch.frames)


def test_one_call_indexes_an_object_once(clips):
    """A decode looks at the index three times; only the first reads the object for it."""
    blob = Blob(clips["mkv"].read_bytes())
    probe(blob)
    once = blob.reads
    blob.reads = 0
    decode(blob, FramePolicy(num_frames=1))
    # The index, and opening it once more for the frame.
    assert blob.reads < 2 * once + 8


def test_a_key_is_remembered_across_objects(clips):
    content = clips["mkv"].read_bytes()
    probe(_media.Source(Blob(content), None, "the same clip"))
    again = Blob(content)
    probe(_media.Source(again, None, "the same clip"))
    assert again.reads == 0
    probe(_media.Source(again, None, None))
    assert again.reads > 0


def test_two_media_without_a_name_are_two(clips):
    first, second = (_media.Source(clips[n].read_bytes(), None, None) for n in ("mkv", "intra"))
    for _ in range(2):
        assert probe(first).num_frames == 75
        assert probe(second).num_frames == 30


@pytest.mark.parametrize("kind", ["bytes", "object"])
def test_threads_share_a_source(clips, kind):
    content = clips["open_gop"].read_bytes()
    blob = Blob(content, at_most=4096)
    medium = _media.Source(content if kind == "bytes" else blob, None, None)
    frames = read_frames(clips["open_gop"], range(75))

    def read(start: int) -> bool:
        wanted = range(start, 75, 8)
        return np.array_equal(read_frames(medium, wanted), frames[start::8])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(8)))
    assert kind == "bytes" or len(blob.threads) > 1


def test_stored_members_of_archives_are_ranges(clips, tmp_path):
    path = clips["faststart"]
    frames = read_frames(path, [3, 40])
    packed = tmp_path / "clips.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("note.txt", "first")
        archive.write(path, "a/clip.mp4")
        header = archive.getinfo("a/clip.mp4").header_offset
    raw = packed.read_bytes()
    name_length = int.from_bytes(raw[header + 26 : header + 28], "little")
    extra_length = int.from_bytes(raw[header + 28 : header + 30], "little")
    start = header + 30 + name_length + extra_length
    assert np.array_equal(read_frames((packed, start, path.stat().st_size), [3, 40]), frames)

    taped = tmp_path / "clips.tar"
    with tarfile.open(taped, "w") as tape:
        tape.addfile(tarfile.TarInfo("empty"), io.BytesIO())
        tape.add(path, "clip.mp4")
    with tarfile.open(taped) as tape:
        member = tape.getmember("clip.mp4")
    assert np.array_equal(read_frames((taped, member.offset_data, member.size), [3, 40]), frames)


def test_images_from_every_source(tmp_path, painted):
    picture = painted(1)[0]
    for form in ("PNG", "JPEG"):
        path = tmp_path / f"picture.{form.lower()}"
        path.write_bytes(encode_image(picture, format=form))
        expected = load_image(path)
        for kind, medium in kinds(path, tmp_path).items():
            assert image_size(medium) == expected.shape[:2], kind
            assert np.array_equal(load_image(medium), expected), kind


@pytest.mark.parametrize("good", [0, 1, 3])
def test_what_read_at_raises_is_the_cause(clips, good):
    """Also in the middle, where FFmpeg alone would take it for the end of the file."""
    content = clips["mkv"].read_bytes()
    with pytest.raises(MediaUnreadableError, match="lost at") as caught:
        read_frames(Failing(content, good=good, at_most=4096), range(75))
    assert str(caught.value).startswith("lance://clip: cannot be read: read_at raised")
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_every_read_may_be_the_one_that_fails(clips):
    content = clips["open_gop_ts"].read_bytes()
    counted = Blob(content, at_most=16384)
    frames = read_frames(counted, [70])
    for good in range(0, counted.reads, max(1, counted.reads // 12)):
        failing = Failing(content, good=good, at_most=16384)
        with pytest.raises(MediaUnreadableError, match="lost at"):
            read_frames(failing, [70])
    assert np.array_equal(read_frames(content, [70]), frames)


def test_an_image_that_cannot_be_read_is_not_called_damaged(painted):
    content = encode_image(painted(1)[0])
    with pytest.raises(MediaUnreadableError, match="lost at") as caught:
        load_image(Failing(content, good=0))
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_sizes_that_are_not_true(clips):
    content = clips["mkv"].read_bytes()
    with pytest.raises(MediaUnreadableError, match="nothing came at byte"):
        read_frames(Blob(content, size=len(content) + 1000), range(75))
    # Less than there is: the rest is not looked at, and the loss is told.
    assert probe(Blob(content, size=len(content) // 2)).warnings[0].code == "truncated"

    class Generous(Blob):
        def read_at(self, offset: int, size: int) -> bytes:
            return super().read_at(offset, size) + b"more"

    with pytest.raises(MediaUnreadableError, match="bytes came at byte 0 where"):
        probe(Generous(content))


@pytest.mark.parametrize(
    ("cut", "reason"),
    [((0, 0), "empty"), ((5, 10**9), "but the file has"), ((10**9, 1), "but the file has")],
)
def test_ranges_lie_within_their_file(clips, cut, reason):
    path = clips["mkv"]
    with pytest.raises(MediaDecodeError, match=reason) as caught:
        probe((path, *cut))
    assert str(caught.value).startswith(f"bytes://{cut[0]}-{cut[1]}::{path}: ")


def test_what_is_no_medium_says_what_is(clips):
    with pytest.raises(TypeError, match="a medium is a path, a locator, bytes, "):
        probe(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a byte range is "):
        probe((clips["mkv"], -1, 5))
    with pytest.raises(AttributeError, match="size"):
        probe(type("Half", (), {"read_at": Blob.read_at, "name": "half"})())


def test_bytes_cannot_name_other_files(clips, tmp_path, monkeypatch):
    """Playlists and references in memory lead nowhere, whatever name the medium goes by."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.ts").write_bytes(clips["open_gop_ts"].read_bytes())
    playlists = {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "list.ffconcat": "ffconcat version 1.0\nfile secret.ts\n",
        "clip.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
        "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        "frame%d.jpg": "secret",
        "http://127.0.0.1:9/clip.mp4": "secret",
    }
    for name, text in playlists.items():
        with pytest.raises(MediaDecodeError, match="not a readable video file"):
            probe(_media.Source(text.encode() * 50, name, None))
