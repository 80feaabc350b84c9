"""Videos out of a real Lance table."""

import inspect
import os
import threading

import pytest

lance = pytest.importorskip("lance", reason="pylance is not installed (extra `lance`)")
pa = pytest.importorskip("pyarrow")

from lmms.media import lance_source  # noqa: E402
from lmms.media.errors import (  # noqa: E402
    MediaNotFoundError,
    MediaUnreadableError,
    MediaUnsupportedError,
)
from lmms.media.hashing import hash_bytes, hash_file  # noqa: E402
from lmms.media.lance_source import BlobReader, LanceVideoSource, fetch_table  # noqa: E402
from lmms.media.source import open_source  # noqa: E402

BLOB = {"lance-encoding:blob": "true"}


def table(videos, *, id_column="video_id", blob_column="video_blob", metadata=BLOB):
    names = list(videos)
    fields = [
        pa.field(id_column, pa.string()),
        pa.field("youtube_url", pa.string()),
        pa.field("video_ext", pa.string()),
        pa.field("video_size_bytes", pa.int64()),
        pa.field(blob_column, pa.large_binary(), metadata=metadata),
    ]
    columns = [
        pa.array(names),
        pa.array([f"https://www.youtube.com/watch?v={name}" for name in names]),
        pa.array(["mp4"] * len(names)),
        pa.array([None if videos[name] is None else len(videos[name]) for name in names]),
        pa.array(list(videos.values()), pa.large_binary()),
    ]
    return pa.table(columns, schema=pa.schema(fields))


@pytest.fixture
def videos():
    return {f"v{number}": os.urandom(1000 * number) for number in range(1, 6)}


@pytest.fixture(params=["2.0", "2.1", "2.2"])
def uri(request, tmp_path, videos):
    """A table of five rows in two fragments, in every file format with blobs."""
    path = str(tmp_path / "videos.lance")
    whole = table(videos)
    lance.write_dataset(whole.slice(0, 3), path, data_storage_version=request.param)
    lance.write_dataset(whole.slice(3), path, mode="append")
    return path


def test_videos_are_found_by_id_and_read_as_they_are(uri, videos):
    source = LanceVideoSource(uri)
    assert source.video_ids == tuple(videos)
    assert len(source) == 5
    assert "v3" in source
    assert "v9" not in source
    order = ["v5", "v1", "v5", "v3"]
    assert source.open(order) == [videos[name] for name in order]
    for name, data in videos.items():
        row = open_source(source.locator(name))
        assert row.native() == row.read() == data
        assert row.digest() == hash_file(row.name) == hash_bytes(data)


def test_large_videos_are_read_in_pieces(uri, videos, monkeypatch):
    monkeypatch.setattr(lance_source, "WHOLE_BYTES", 2500)
    source = LanceVideoSource(uri)
    small, large = source.open(["v2", "v5"])
    assert small == videos["v2"]
    assert isinstance(large, BlobReader)
    data = videos["v5"]
    assert large.size == 5000
    assert large.name == f"lance://v5::{uri}"
    assert large.read_at(0, 5000) == data
    assert large.read_at(10, 20) == data[10:30]
    assert large.read_at(4990, 100) == data[4990:]
    assert large.read_at(5000, 10) == large.read_at(9000, 1) == b""
    assert hash_file(large.name) == hash_bytes(data)


def test_readers_without_ranges_read_under_a_lock(uri, videos, monkeypatch):
    """Versions of pylance before ranges: several threads share one cursor."""
    monkeypatch.setattr(lance_source, "WHOLE_BYTES", 0)
    (reader,) = LanceVideoSource(uri).open(["v5"])
    reader._read_range = None
    wrong = []

    def read(start):
        for offset in range(start, 5000, 7):
            if reader.read_at(offset, 50) != videos["v5"][offset : offset + 50]:
                wrong.append(offset)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_new_version_is_noticed(uri, videos):
    name = f"lance://v1::{uri}"
    before = open_source(name).identity()
    assert open_source(name).identity() == before
    lance.dataset(uri).delete("video_id = 'v1'")
    lance.write_dataset(table({"v1": b"other"}), uri, mode="append")
    assert open_source(name).identity() != before
    assert hash_file(name) == hash_bytes(b"other")


def test_other_columns_travel_in_the_locator(tmp_path):
    path = str(tmp_path / "o.lance")
    data = table({"a": b"xyz"}, id_column="key", blob_column="bytes")
    lance.write_dataset(data, path, data_storage_version="2.1")
    source = LanceVideoSource(path, "key", "bytes")
    name = source.locator("a")
    assert name == f"lance://a::{path}#key,bytes"
    assert open_source(name).read() == b"xyz"
    with pytest.raises(MediaUnsupportedError, match="names no two columns"):
        open_source(f"lance://a::{path}#key").read()
    with pytest.raises(MediaUnsupportedError, match=r"no column 'video_id'[\s\S]*key"):
        LanceVideoSource(path)


def test_plain_binary_columns_are_read_too(tmp_path):
    path = str(tmp_path / "p.lance")
    lance.write_dataset(table({"a": b"xyz", "b": b"uvw"}, metadata=None), path)
    assert LanceVideoSource(path).open(["b", "a"]) == [b"uvw", b"xyz"]


def test_what_is_missing_or_ambiguous_is_told(tmp_path, videos):
    path = str(tmp_path / "m.lance")
    lance.write_dataset(table(videos | {"none": None}), path, data_storage_version="2.1")
    lance.write_dataset(table({"v2": b"again"}), path, mode="append")
    with pytest.raises(MediaNotFoundError, match="'v11'") as caught:
        open_source(f"lance://v11::{path}").native()
    assert "v1" in str(caught.value)
    with pytest.raises(MediaNotFoundError, match="holds no video"):
        open_source(f"lance://none::{path}").native()
    with pytest.raises(MediaUnsupportedError, match="several rows"):
        open_source(f"lance://v2::{path}").native()
    with pytest.raises(MediaNotFoundError, match="no such Lance table"):
        LanceVideoSource(tmp_path / "nothing.lance")
    (tmp_path / "folder.lance").mkdir()
    with pytest.raises(MediaUnreadableError, match="Lance cannot read it"):
        LanceVideoSource(tmp_path / "folder.lance")


def test_tables_of_the_hub_come_from_the_cache(tmp_path, videos):
    address = "hf://datasets/owner/set/tables/v.lance"
    with pytest.raises(MediaNotFoundError, match=r"env\.offline"):
        fetch_table(address, cache_dir=tmp_path, offline=True)
    folder = tmp_path / "owner--set" / "main"
    lance.write_dataset(table(videos), str(folder / "tables" / "v.lance"))
    # Half a table is none: the mark is set once everything has arrived.
    with pytest.raises(MediaNotFoundError):
        fetch_table(address, cache_dir=tmp_path, offline=True)
    (folder / ".tables--v.lance.complete").touch()
    local = fetch_table(address, cache_dir=tmp_path, offline=True)
    assert LanceVideoSource(local).open(["v1"]) == [videos["v1"]]
    assert fetch_table("/a/b.lance", cache_dir=tmp_path, offline=True) == "/a/b.lance"
    for wrong in ("hf://owner/set/v.lance", "hf://datasets/o/n", "hf://datasets/o/n/../v"):
        with pytest.raises(MediaUnsupportedError, match="names no table"):
            fetch_table(wrong, cache_dir=tmp_path, offline=True)


def test_a_table_of_the_hub_is_fetched_once(tmp_path, videos, monkeypatch):
    """The hub's client is replaced; that it takes these arguments is checked against it."""
    hub = pytest.importorskip("huggingface_hub")
    takes = inspect.signature(hub.snapshot_download)
    asked = []

    def snapshot(*words, **named):
        arguments = takes.bind(*words, **named).arguments
        asked.append(arguments)
        if len(asked) == 1:
            raise hub.errors.LocalEntryNotFoundError("no connection")
        path = arguments["local_dir"] / "tables" / "v.lance"
        lance.write_dataset(table(videos), str(path), data_storage_version="2.1")
        return str(arguments["local_dir"])

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    address = "hf://datasets/owner/set@v1/tables/v.lance"
    # What cannot be fetched is not asked for again by the next sample at once.
    for _ in range(3):
        with pytest.raises(MediaNotFoundError, match="cannot be fetched: no connection"):
            fetch_table(address, cache_dir=tmp_path, offline=False)
    assert len(asked) == 1
    monkeypatch.setattr(lance_source, "_failures", lance_source.Remembered(4))
    for _ in range(2):
        local = fetch_table(address, cache_dir=tmp_path, offline=False)
    assert len(asked) == 2
    assert asked[1]["repo_id"] == "owner/set"
    assert (asked[1]["repo_type"], asked[1]["revision"]) == ("dataset", "v1")
    assert asked[1]["allow_patterns"] == ["tables/v.lance/**"]
    assert LanceVideoSource(local).open(["v2"]) == [videos["v2"]]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lance", None)
    with pytest.raises(MediaUnsupportedError, match=r"lmms\[lance\]"):
        LanceVideoSource("/x.lance")
