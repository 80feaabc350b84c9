"""The front doors give the same pixels wherever the bytes are."""

import tarfile
import zipfile

import numpy as np
import pytest

from lmms import media
from lmms.media import lance_source
from lmms.types import FramePolicy, MediaRef

INDICES = [0, 40, 7, 74]


@pytest.fixture(scope="module")
def clip(clips):
    return clips["b_frames"]


def in_zip(clip, folder, method):
    path = folder / "c.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("before.txt", "x" * 777)
        archive.write(clip, "videos/clip ä.mp4")
    return f"zip://videos/clip ä.mp4::{path}"


def in_tar(clip, folder, mode="w"):
    path = folder / "c.tar"
    with tarfile.open(path, mode) as archive:
        archive.add(clip, "videos/clip.mp4")
    return f"tar://videos/clip.mp4::{path}"


def in_range(clip, folder):
    path = folder / "pack.bin"
    path.write_bytes(b"y" * 333 + clip.read_bytes() + b"z" * 99)
    return f"bytes://333-{clip.stat().st_size}::{path}"


def in_lance(clip, folder):
    lance = pytest.importorskip("lance", reason="pylance is not installed (extra `lance`)")
    pa = pytest.importorskip("pyarrow")
    field = pa.field("video_blob", pa.large_binary(), metadata={"lance-encoding:blob": "true"})
    rows = pa.table(
        [pa.array(["other", "clip"]), pa.array([b"x", clip.read_bytes()], pa.large_binary())],
        schema=pa.schema([pa.field("video_id", pa.string()), field]),
    )
    lance.write_dataset(rows, str(folder / "v.lance"), data_storage_version="2.1")
    return f"lance://clip::{folder / 'v.lance'}"


PLACES = {
    "stored zip": lambda clip, folder: in_zip(clip, folder, zipfile.ZIP_STORED),
    "packed zip": lambda clip, folder: in_zip(clip, folder, zipfile.ZIP_DEFLATED),
    "tar": in_tar,
    "tar.gz": lambda clip, folder: in_tar(clip, folder, "w:gz"),
    "byte range": in_range,
    "lance": in_lance,
    "lance in pieces": in_lance,
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_gives_the_same_frames(clip, tmp_path, monkeypatch, place):
    if place == "lance in pieces":
        monkeypatch.setattr(lance_source, "WHOLE_BYTES", 0)
    name = PLACES[place](clip, tmp_path)
    expected = media.read_frames(clip, INDICES)
    assert np.array_equal(media.read_frames(name, INDICES), expected)
    there, here = media.probe(name), media.probe(clip)
    assert (there.num_frames, there.duration_seconds) == (here.num_frames, here.duration_seconds)
    assert there.path == name
    assert np.array_equal(media.frame_times(name), media.frame_times(clip))
    policy = FramePolicy(indices=tuple(INDICES))
    assert np.array_equal(media.decode(name, policy).frames, expected)
    assert media.hash_file(name) == media.hash_file(clip)
    with media.MediaLoader() as loader:
        loaded = loader.submit(MediaRef(kind="video", path=name, policy=policy)).result(30)
    assert np.array_equal(loaded.frames, expected)
    assert loaded.digest == media.hash_file(clip)


def test_pictures_are_read_from_archives_too(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p.png", media.encode_image(pixels, format="PNG"))
    name = f"zip://p.png::{path}"
    assert np.array_equal(media.load_image(name), pixels)
    assert media.image_size(name) == (20, 30)


def test_what_is_missing_costs_one_error_that_names_it(tmp_path, clip):
    name = in_tar(clip, tmp_path).replace("clip.mp4", "clap.mp4")
    for door in (media.probe, media.frame_times, media.load_image, media.hash_file):
        with pytest.raises(media.MediaNotFoundError, match=r"clap\.mp4"):
            door(name)
        with pytest.raises(media.MediaUnsupportedError, match="URLs are not decoded"):
            door("https://x.org/a.mp4")
