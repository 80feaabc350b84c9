"""Building Lance tables: from folders and lists, resumed, checked, and read back."""

import json
import shutil
from pathlib import Path

import pytest

lance = pytest.importorskip("lance", reason="pylance is not installed (extra `lance`)")
pa = pytest.importorskip("pyarrow")

import pyarrow.parquet as pq  # noqa: E402

from lmms import media  # noqa: E402
from lmms.media import lance_build  # noqa: E402
from lmms.media.errors import (  # noqa: E402
    MediaDecodeError,
    MediaNotFoundError,
    MediaRequestError,
    MediaUnsupportedError,
)
from lmms.media.lance_build import build_lance, list_videos  # noqa: E402
from lmms.media.lance_source import LanceVideoSource  # noqa: E402
from lmms.media.references import LancePlace, MediaPlaces  # noqa: E402
from lmms.media.suffixes import kind_of  # noqa: E402


@pytest.fixture
def folder(clips, tmp_path):
    """Three videos, a file that only looks like one, and something else."""
    folder = tmp_path / "in"
    (folder / "part").mkdir(parents=True)
    shutil.copy(clips["b_frames"], folder / "a.mp4")
    shutil.copy(clips["mkv"], folder / "part" / "b ä.MKV")
    shutil.copy(clips["intra"], folder / "c.mp4")
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").write_text("text")
    (folder / ".hidden.mp4").write_text("text")
    return folder


def test_a_folder_becomes_a_table_that_gives_its_videos(folder, tmp_path):
    seen = []
    uri = tmp_path / "out" / "v.lance"
    report = build_lance(folder, uri, progress=lambda *step: seen.append(step))
    assert (report.written, report.present, report.verified) == (3, 0, 3)
    assert [video.video_id for video in report.refused] == ["broken"]
    assert report.refused[0].reason
    assert report.skipped == report.to_json()["skipped"] == 2  # notes.txt, .hidden.mp4
    assert seen == [(1, 4, "a"), (2, 4, "broken"), (3, 4, "c"), (4, 4, "part/b ä")]
    assert json.loads(json.dumps(report.to_json()))["refused"][0]["video_id"] == "broken"
    schema = lance.dataset(str(uri)).schema
    assert schema.names == list(
        ("video_id", "youtube_url", "video_ext", "video_size_bytes", "video_blob")
    )
    assert schema.field("video_blob").metadata == {b"lance-encoding:blob": b"true"}
    rows = lance.dataset(str(uri)).to_table(columns=["video_id", "video_ext", "video_size_bytes"])
    sizes = [(folder / name).stat().st_size for name in ("a.mp4", "c.mp4", "part/b ä.MKV")]
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        ("a", "mp4", sizes[0]),
        ("c", "mp4", sizes[1]),
        ("part/b ä", "mkv", sizes[2]),
    ]
    assert report.bytes_written == sum(sizes)
    places = MediaPlaces(lance=LancePlace(uri=str(uri)))
    for name, file in (("a.mp4", "a.mp4"), ("part/b ä.mkv", "part/b ä.MKV"), ("c", "c.mp4")):
        found = media.resolve(name, places=places)
        assert found.startswith("lance://")
        assert media.hash_file(found) == media.hash_file(folder / file)


@pytest.mark.parametrize("suffix", ["mpg", "mpeg", "3gp", "m2ts", "vob", "MTS"])
def test_videos_of_every_suffix_are_taken(clips, tmp_path, suffix):
    """What the doctor examines in a folder is what a table is built from."""
    (tmp_path / "in").mkdir()
    shutil.copy(clips["b_frames"], tmp_path / "in" / f"old.{suffix}")
    assert [row.video_id for row in list_videos(tmp_path / "in")] == ["old"]
    assert kind_of(f"old.{suffix}") == "video"


def test_a_file_is_no_place_for_a_table(folder, tmp_path):
    for target in (folder / "notes.txt", folder / "notes.txt" / "below.lance"):
        with pytest.raises(MediaRequestError, match=r"notes\.txt: is a file, and a Lance table"):
            build_lance(folder, target)
    assert (folder / "notes.txt").read_text() == "text"


def test_an_interrupted_build_goes_on(folder, tmp_path, monkeypatch):
    uri = tmp_path / "v.lance"

    def interrupt(done, total, video_id):
        if video_id == "c":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_lance(folder, uri, batch_bytes=1, progress=interrupt)
    assert LanceVideoSource(uri).video_ids == ("a",)
    read = []
    real = lance_build.probe
    monkeypatch.setattr(
        lance_build, "probe", lambda path: read.append(Path(path).name) or real(path)
    )
    report = build_lance(folder, uri, batch_bytes=1)
    assert (report.written, report.present, report.verified) == (2, 1, 3)
    assert "a.mp4" not in read
    again = build_lance(folder, uri)
    assert (again.written, again.present, again.verified) == (0, 3, 3)
    assert sorted(LanceVideoSource(uri).video_ids) == ["a", "c", "part/b ä"]
    with pytest.raises(MediaUnsupportedError, match="there already"):
        build_lance(folder, uri, resume=False)


def test_another_video_under_a_known_id_is_never_taken_for_it(folder, tmp_path):
    uri = tmp_path / "v.lance"
    build_lance(folder, uri)
    shutil.copy(folder / "c.mp4", folder / "a.mp4")
    with pytest.raises(MediaUnsupportedError, match="has 'a' with"):
        build_lance(folder, uri)
    # The same size and other bytes: reading back tells.
    data = LanceVideoSource(uri).open(["a"])[0]
    (folder / "a.mp4").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(MediaDecodeError, match="differs"):
        build_lance(folder, uri)
    assert build_lance(folder, uri, verify=False).present == 3


def test_strict_makes_a_bad_video_an_error(folder, tmp_path):
    with pytest.raises(MediaDecodeError, match=r"broken\.mp4"):
        build_lance(folder, tmp_path / "v.lance", strict=True)


def test_memory_is_bounded_by_the_batch(folder, tmp_path, monkeypatch):
    batches = []
    real = lance_build._Builder._write

    def write(self, table):
        batches.append(table.column("video_blob").nbytes)
        real(self, table)

    monkeypatch.setattr(lance_build._Builder, "_write", write)
    sizes = sorted(path.stat().st_size for path in folder.rglob("[abc]*") if path.suffix != ".txt")
    build_lance(folder, tmp_path / "v.lance", batch_bytes=max(sizes) + 10)
    assert len(batches) >= 2
    assert max(batches) < max(sizes) + 1000


ENTRIES = [
    {"key": "k1", "file": "a.mp4", "url": "https://youtu.be/aaaaaaaaaaa", "n": 1},
    {"key": "k2", "file": "part/b ä.MKV", "url": "", "n": 2},
    {"key": "k1", "file": "a.mp4", "url": "https://youtu.be/aaaaaaaaaaa", "n": 3},
]


def write_list(path, entries=ENTRIES):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(entries), path)
    elif path.suffix in (".csv", ".tsv"):
        mark = "," if path.suffix == ".csv" else "\t"
        lines = [list(entries[0]), *(map(str, entry.values()) for entry in entries)]
        path.write_text("".join(mark.join(line) + "\n" for line in lines))
    elif path.suffix == ".json":
        path.write_text(json.dumps(entries))
    else:
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_a_list_names_videos_once(folder, tmp_path, suffix):
    path = write_list(folder / f"list.{suffix}")
    rows = list_videos(path)
    assert [(row.video_id, row.path) for row in rows] == [
        ("k1", str(folder / "a.mp4")),
        ("k2", str(folder / "part" / "b ä.MKV")),
    ]
    assert rows[0].youtube_url == "https://youtu.be/aaaaaaaaaaa"
    assert [row.video_id for row in list_videos(path, id_column="file")] == [
        "a.mp4",
        "part/b ä.MKV",
    ]


def test_a_list_becomes_a_table(folder, tmp_path):
    entries = [*ENTRIES, {"key": "k3", "file": "gone.mp4", "url": "", "n": 4}]
    report = build_lance(write_list(folder / "list.csv", entries), tmp_path / "v.lance")
    assert (report.written, report.verified) == (2, 2)
    assert [(video.video_id, "no such file" in video.reason) for video in report.refused] == [
        ("k3", True)
    ]
    rows = lance.dataset(str(tmp_path / "v.lance")).to_table(columns=["video_id", "youtube_url"])
    assert rows.to_pylist() == [
        {"video_id": "k1", "youtube_url": "https://youtu.be/aaaaaaaaaaa"},
        {"video_id": "k2", "youtube_url": None},
    ]


def test_bad_sources_are_told(folder, tmp_path):
    with pytest.raises(MediaNotFoundError):
        list_videos(tmp_path / "none")
    with pytest.raises(MediaUnsupportedError, match="neither a folder nor a list"):
        list_videos(folder / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaUnsupportedError, match="names no videos"):
        list_videos(tmp_path / "empty")
    path = write_list(folder / "list.jsonl")
    with pytest.raises(MediaRequestError, match=r"no column 'fil'[\s\S]*file"):
        list_videos(path, path_column="fil")
    path.write_text('{"question": "?"}\n')
    with pytest.raises(MediaRequestError, match="no column holds"):
        list_videos(path)
    path.write_text("{broken")
    with pytest.raises(MediaDecodeError, match="cannot be read as a list"):
        list_videos(path)
    path.write_text("5\n")
    with pytest.raises(MediaDecodeError, match="no list of objects"):
        list_videos(path)
    write_list(path, [{"id": "x", "path": "a.mp4"}, {"id": "x", "path": "c.mp4"}])
    with pytest.raises(MediaRequestError, match="the id 'x' stands for"):
        list_videos(path)
    write_list(path, [{"id": "", "path": "a.mp4"}])
    with pytest.raises(MediaRequestError, match="row 1 names no"):
        list_videos(path)


def test_what_is_no_such_table_is_not_written_to(folder, tmp_path):
    with pytest.raises(MediaUnsupportedError, match="something else in it"):
        build_lance(folder, folder)
    uri = str(tmp_path / "o.lance")
    lance.write_dataset(pa.table({"video_id": ["a"], "video_blob": [b"x"]}), uri)
    with pytest.raises(MediaUnsupportedError, match="no column youtube_url"):
        build_lance(folder, uri)
