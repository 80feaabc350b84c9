"""From references to files."""

import pytest

from lmms.media import (
    MediaNotFoundError,
    MediaUnsupportedError,
    hash_bytes,
    hash_file,
    references,
    resolve,
    resolve_media_reference,
)
from lmms.media.errors import MediaUnreadableError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty $HF_HOME, and an empty working directory."""
    home = tmp_path / "hub"
    home.mkdir()
    monkeypatch.setenv("HF_HOME", str(home))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return home


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return str(path)


def test_an_existing_path_is_taken_as_it_is(hub, tmp_path, monkeypatch):
    path = put(tmp_path / "a clip.mp4")
    assert resolve(path) == path
    put(hub.parent / "work" / "here.mp4")
    assert resolve("here.mp4") == "here.mp4"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/a clip.mp4") == path


@pytest.mark.parametrize("reference", [None, 5, "", "  ", "http://x.org/a.mp4", "HTTPS://x.org/a"])
def test_what_is_no_local_reference_passes_through(hub, reference):
    assert resolve_media_reference(reference) == reference


@pytest.mark.parametrize(
    "place",
    [
        "egotempo",
        "datasets/egotempo",
        "egotempo/video",
        "egotempo/videos",
        "egotempo/clips",
        "datasets/egotempo/video",
        "datasets/egotempo/videos",
        ".",
    ],
)
def test_every_cache_folder_is_searched(hub, place):
    path = put(hub / place / "clip7.mp4")
    assert resolve("clip7.mp4", cache_dir="egotempo") == path
    assert resolve("clip7", cache_dir="egotempo") == path
    # Only the name is looked for where the folders of the reference do not exist.
    assert resolve("train/part/clip7.mp4", cache_dir="egotempo") == path


def test_roots_are_searched_in_order(hub, tmp_path, monkeypatch):
    paths = [put(tmp_path / name / "c.mp4") for name in ("first", "second", "media", "hub")]
    monkeypatch.setenv("MY_FIRST", str(tmp_path / "first"))
    monkeypatch.setenv("MY_SECOND", str(tmp_path / "second"))
    monkeypatch.setenv("LMMS_EVAL_MEDIA_ROOT", str(tmp_path / "media"))
    for path in paths:
        assert resolve("c.mp4", env_vars=("MY_FIRST", "MY_SECOND")) == path
        (tmp_path / path).unlink()


def test_sub_folders_and_suffixes(hub):
    sub = put(hub / "part" / "x.webm")
    assert resolve("x", extra_subdirs=("part",)) == sub
    upper = put(hub / "y.MP4")
    assert resolve("y.mp4") == resolve("y") == upper
    sound = put(hub / "z.flac")
    assert resolve("z", "audio") == sound
    assert resolve_media_reference("z") == "z"
    # A dot in a bare id counts as a suffix, as the layouts that exist expect.
    put(hub / "clip-4.5.mp4")
    assert resolve_media_reference("clip-4.5") == "clip-4.5"


def test_a_file_created_after_a_miss_is_found(hub):
    assert resolve_media_reference("late") == "late"
    path = put(hub / "late.mp4")
    assert resolve_media_reference("late") == path
    (hub / "late.mp4").unlink()
    assert resolve_media_reference("late") == "late"


def test_changed_roots_are_noticed(hub, tmp_path, monkeypatch):
    path = put(tmp_path / "elsewhere" / "c.mp4")
    assert resolve_media_reference("c.mp4") == "c.mp4"
    monkeypatch.setenv("LMMS_EVAL_MEDIA_ROOT", str(tmp_path / "elsewhere"))
    assert resolve_media_reference("c.mp4") == path


@pytest.mark.parametrize("reference", ["../secret.mp4", "a/../../secret.mp4", ".."])
def test_climbing_out_of_a_root_is_refused(hub, tmp_path, monkeypatch, reference):
    put(tmp_path / "secret.mp4")
    monkeypatch.setenv("LMMS_EVAL_MEDIA_ROOT", str(hub))
    assert resolve_media_reference(reference) == reference
    with pytest.raises(MediaUnsupportedError, match="climbs out"):
        resolve(reference)


def test_an_unresolved_reference_says_where_it_was_looked_for(hub, monkeypatch):
    monkeypatch.setenv("MY_ROOT", "/data/videos")
    with pytest.raises(MediaNotFoundError) as caught:
        resolve("nothing.mp4", cache_dir="set", env_vars=("MY_ROOT",))
    text = str(caught.value)
    assert "video 'nothing.mp4' was not found" in text
    assert "/data/videos/nothing.mp4" in text
    assert "roots: /data/videos" in text
    assert "set MY_ROOT or LMMS_EVAL_MEDIA_ROOT" in text
    with pytest.raises(MediaUnsupportedError, match="no local video reference"):
        resolve("https://x.org/a.mp4")


def test_zero_bytes_and_unknown_users_are_just_not_found(hub):
    for reference in ("a\0b", "~no_such_user_here/a.mp4"):
        assert resolve_media_reference(reference) == reference


def test_names_to_try_are_remembered_within_bounds(hub):
    assert references._roots.cache_info().maxsize == 256
    assert references._variants.cache_info().maxsize == 4096
    before = references._variants.cache_info().hits
    resolve_media_reference("again")
    resolve_media_reference("again")
    assert references._variants.cache_info().hits > before


# ------------------------------------------------------------------------------------ hashing


def test_digests_are_sha256_and_follow_the_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(path) == hash_file(str(path)) == hash_bytes(b"abc") == known
    path.write_bytes(b"abcd")
    assert hash_file(path) == hash_bytes(b"abcd")
    with pytest.raises(MediaNotFoundError):
        hash_file(tmp_path / "none")
    with pytest.raises(MediaUnreadableError):
        hash_file(tmp_path)


def test_an_unchanged_file_is_read_once(tmp_path, monkeypatch):
    import hashlib

    path = tmp_path / "file"
    path.write_bytes(b"content")
    digest = hash_file(path)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert hash_file(path) == digest
