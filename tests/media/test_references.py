"""From references to files."""

import os
import zipfile

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
from lmms.media.references import LancePlace, MediaPlaces


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
    assert "roots, and archives in them: /data/videos" in text
    assert "set MY_ROOT or LMMS_EVAL_MEDIA_ROOT" in text
    with pytest.raises(MediaUnsupportedError, match="no video reference"):
        resolve("  ")


def test_zero_bytes_and_unknown_users_are_just_not_found(hub):
    for reference in ("a\0b", "~no_such_user_here/a.mp4"):
        assert resolve_media_reference(reference) == reference


def test_names_to_try_are_remembered_within_bounds(hub, monkeypatch):
    resolver = references.ReferenceResolver()
    assert resolver._roots.cache_info().maxsize == 256
    assert resolver._names.cache_info().maxsize == 4096
    for _ in range(2):
        assert resolver.find("again", "video", MediaPlaces()) is None
    counts = resolver.statistics
    assert (counts.not_found, counts.root_misses) == (2, 1)
    assert counts.root_hits > 0
    assert counts.name_hits > 0
    monkeypatch.setenv("LMMS_RESOLVER_ROOTS", "3")
    monkeypatch.setenv("LMMS_RESOLVER_NAMES", "5")
    small = references.default_resolver.__wrapped__()
    assert small._roots.cache_info().maxsize == 3
    assert small._names.cache_info().maxsize == 5
    for number in range(20):
        small.find(f"clip{number}.mp4", "video", MediaPlaces())
    assert small._names.cache_info().currsize == 5


def test_the_order_of_places(hub, tmp_path, monkeypatch):
    """Own roots, variables, the media root, cache folders, the hub's home, data set caches."""
    own = tmp_path / "own"
    for name in ("MY_ROOT", "LMMS_EVAL_MEDIA_ROOT", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("LMMS_EVAL_DATASETS_CACHE", str(tmp_path / "OTHER"))
    expected = [
        own / "c.mp4",
        own / "videos" / "c.mp4",
        tmp_path / "MY_ROOT" / "c.mp4",
        tmp_path / "LMMS_EVAL_MEDIA_ROOT" / "c.mp4",
        hub / "set" / "c.mp4",
        hub / "set" / "clips" / "c.mp4",
        hub / "datasets" / "set" / "videos" / "c.mp4",
        tmp_path / "HF_DATASETS_CACHE" / "set" / "c.mp4",
        tmp_path / "OTHER" / "set" / "video" / "c.mp4",
        hub / "c.mp4",
        tmp_path / "HF_DATASETS_CACHE" / "c.mp4",
        tmp_path / "OTHER" / "c.mp4",
    ]
    places = MediaPlaces(roots=(str(own),), env_vars=("MY_ROOT",), cache_dir="set")
    for path in expected:
        put(path)
    for path in expected:
        assert resolve("c.mp4", places=places) == str(path)
        path.unlink()
    with pytest.raises(MediaNotFoundError):
        resolve("c.mp4", places=places)


def test_a_path_in_a_late_root_comes_before_a_bare_name_in_an_early_one(hub, tmp_path):
    put(tmp_path / "a" / "c.mp4")
    right = put(tmp_path / "b" / "part" / "c.mp4")
    places = MediaPlaces(roots=(str(tmp_path / "a"), str(tmp_path / "b")))
    assert resolve("part/c.mp4", places=places) == right


def test_a_blank_name_is_no_folder(hub):
    resolver = references.default_resolver()
    for name in ("", "  "):
        assert resolver.find(name, "video", MediaPlaces(roots=(str(hub),))) is None
        assert resolver.find_irregular(name, "video", MediaPlaces(roots=(str(hub),))) is None


def test_a_folder_is_no_medium(hub):
    (hub / "clip.mp4").mkdir()
    assert resolve_media_reference("clip.mp4") == "clip.mp4"
    with pytest.raises(MediaUnreadableError, match="no regular file"):
        resolve("clip.mp4")
    os.mkfifo(hub / "pipe.mp4")
    with pytest.raises(MediaUnreadableError, match="no regular file"):
        resolve("pipe")
    right = put(hub / "datasets" / "set" / "clip.mp4")
    assert resolve("clip.mp4", cache_dir="set") == right


@pytest.mark.parametrize("name", ["a b.mp4", "ä漢.mp4", "-dash.mp4", "new\nline.mp4", "x#?%41.mp4"])
def test_names_of_every_kind(hub, name):
    path = put(hub / name)
    assert resolve(name) == path


def test_names_that_are_too_long_are_not_found(hub):
    assert resolve_media_reference("x" * 5000) == "x" * 5000


def test_urls_are_left_to_the_back_end(hub):
    assert resolve("https://x.org/../a.mp4") == "https://x.org/../a.mp4"
    counts = references.ReferenceResolver()
    assert counts.find("http://x.org/a.mp4", "video", MediaPlaces()) == "http://x.org/a.mp4"
    assert counts.statistics.urls == 1


# ------------------------------------------------------------------------------------ archives


def pack(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def test_members_of_archives_in_the_roots_are_found(hub, tmp_path):
    first = pack(hub / "set" / "videos_chunked_01.zip", {"data/a.mp4": b"a", "data/b.MP4": b"b"})
    second = pack(hub / "set" / "videos" / "videos_chunked_02.zip", {"data/c.webm": b"c"})
    assert resolve("data/a.mp4", cache_dir="set") == f"zip://data/a.mp4::{first}"
    assert resolve("other/a.mp4", cache_dir="set") == f"zip://data/a.mp4::{first}"
    assert resolve("b", cache_dir="set") == f"zip://data/b.MP4::{first}"
    found = resolve("c", cache_dir="set")
    assert found == f"zip://data/c.webm::{second}"
    assert resolve(found) == found
    assert hash_file(found) == hash_bytes(b"c")
    # A file comes before what is in an archive.
    path = put(hub / "data" / "a.mp4")
    assert resolve("data/a.mp4", cache_dir="set") == path
    with pytest.raises(MediaNotFoundError):
        resolve("d.mp4", cache_dir="set")


def test_archives_that_come_and_go_are_noticed(hub):
    with pytest.raises(MediaNotFoundError):
        resolve("a.mp4")
    archive = pack(hub / "x.zip", {"a.mp4": b"a"})
    assert resolve("a.mp4") == f"zip://a.mp4::{archive}"
    pack(archive, {"other.mp4": b"a longer member"})
    with pytest.raises(MediaNotFoundError):
        resolve("a.mp4")
    archive.unlink()
    with pytest.raises(MediaNotFoundError):
        resolve("other.mp4")


def test_namesakes_are_an_error_and_copies_are_not(hub):
    pack(hub / "x.zip", {"one/a.mp4": b"first", "one/same.mp4": b"copy"})
    pack(hub / "y.zip", {"two/a.mp4": b"second", "two/same.mp4": b"copy"})
    with pytest.raises(MediaUnsupportedError, match=r"could be zip://one/a.mp4::.* or zip://two/a"):
        resolve("a.mp4")
    assert resolve("two/a.mp4") == f"zip://two/a.mp4::{hub / 'y.zip'}"
    assert resolve("same.mp4") == f"zip://one/same.mp4::{hub / 'x.zip'}"


def test_a_damaged_archive_is_passed_over(hub):
    (hub / "a.zip").write_text("no archive")
    good = pack(hub / "b.zip", {"c.mp4": b"c"})
    assert resolve("c.mp4") == f"zip://c.mp4::{good}"


# --------------------------------------------------------------------------------------- Lance


def test_lance_comes_after_files_and_archives(hub, tmp_path):
    lance = pytest.importorskip("lance", reason="pylance is not installed (extra `lance`)")
    pa = pytest.importorskip("pyarrow")
    uri = str(tmp_path / "v.lance")
    rows = pa.table({"key": ["v1", "dQw4w9WgXcQ"], "blob": pa.array([b"one", b"two"], pa.binary())})
    lance.write_dataset(rows, uri)
    place = LancePlace(uri=uri, id_column="key", blob_column="blob")
    places = MediaPlaces(cache_dir="set", lance=place)
    for reference in ("v1", "v1.mp4", "videos/v1.webm"):
        found = resolve(reference, places=places)
        assert found == f"lance://v1::{uri}#key,blob"
    assert hash_file(found) == hash_bytes(b"one")
    # A video of YouTube that the table has is not fetched.
    assert hash_file(resolve("https://youtu.be/dQw4w9WgXcQ", places=places)) == hash_bytes(b"two")
    with pytest.raises(MediaNotFoundError, match=r"Lance table: .*v\.lance"):
        resolve("v2", places=places)
    assert resolve("https://youtu.be/aaaaaaaaaaa", places=places).startswith("https")
    archive = pack(hub / "set" / "a.zip", {"v1.mp4": b"packed"})
    assert resolve("v1", places=places) == f"zip://v1.mp4::{archive}"
    path = put(hub / "set" / "v1.mp4")
    assert resolve("v1", places=places) == path


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
    monkeypatch.setattr(hashlib, "sha256", None)
    assert hash_file(path) == digest
