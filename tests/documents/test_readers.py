from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
import pytest

from lmms.documents.readers import LateReader, open_files
from lmms.errors import DataError

ROWS = [{"n": i, "text": f"row {i}\nü", "tags": ["a", str(i)]} for i in range(300)]
FLAT = [{"n": r["n"], "text": r["text"]} for r in ROWS]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(rows)
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=70)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(r) for r in rows) + "\n\n")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix in (".csv", ".tsv"):
        delimiter = "\t" if path.suffix == ".tsv" else ","
        csv.write_csv(table, path, csv.WriteOptions(delimiter=delimiter))
    elif path.stem == "stream":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=90)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=90)
    return path


KINDS = ["a.parquet", "a.jsonl", "a.json", "a.csv", "a.tsv", "stream.arrow", "file.arrow"]


@pytest.mark.parametrize("name", KINDS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    rows = FLAT if name.endswith("sv") else ROWS
    reader = open_files([write(tmp_path / name, rows)])
    assert reader.count() == 300
    assert list(reader.rows(0, 300)) == rows
    assert list(reader.rows(65, 211)) == rows[65:211]
    assert list(reader.rows(299, 300)) == rows[299:]
    assert list(reader.rows(5, 5)) == []
    for index in (0, 69, 70, 150, 299, 1):
        assert reader.row(index) == rows[index]


@pytest.mark.parametrize("name", KINDS)
def test_several_files_follow_each_other(tmp_path: Path, name: str) -> None:
    rows = FLAT if name.endswith("sv") else ROWS
    stem, _, suffix = name.partition(".")
    (tmp_path / "2").mkdir()
    files = [
        write(tmp_path / f"{stem}.{suffix}", rows[:101]),
        write(tmp_path / "2" / f"{stem}.{suffix}", rows[101:]),
    ]
    reader = open_files(files)
    assert reader.count() == 300
    assert list(reader.rows(90, 120)) == rows[90:120]
    assert [reader.row(i)["n"] for i in (100, 101, 299)] == [100, 101, 299]


def test_damaged_and_unknown_files_are_clear_errors(tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    bad.write_text("not parquet")
    with pytest.raises(DataError, match="cannot be read"):
        open_files([bad])
    with pytest.raises(DataError, match="no data file"):
        open_files([tmp_path / "absent.jsonl"])
    other = tmp_path / "x.xlsx"
    other.touch()
    with pytest.raises(DataError, match=r"kind '\.xlsx'"):
        open_files([other])
    lines = tmp_path / "bad.jsonl"
    lines.write_text('{"a": 1}\n{"a": \n[1]\n')
    reader = open_files([lines])
    assert reader.row(0) == {"a": 1}
    with pytest.raises(DataError, match="row 1 is not JSON"):
        reader.row(1)
    with pytest.raises(DataError, match="row 2 is not an object"):
        reader.row(2)
    whole = tmp_path / "bad.json"
    whole.write_text("3")
    with pytest.raises(DataError, match="one list of objects"):
        open_files([whole])


def test_a_wrapped_list_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 1, "data": [{"a": 1}]}))
    assert list(open_files([path]).rows(0, 9)) == [{"a": 1}]


def test_a_late_reader_opens_when_first_asked(tmp_path: Path) -> None:
    opened = []

    def opener() -> Any:
        opened.append(1)
        return open_files([write(tmp_path / "a.jsonl", ROWS)])

    reader = LateReader(opener)
    assert not opened
    assert reader.count() == 300
    assert reader.row(3)["n"] == 3
    assert next(reader.rows(4, 5))["n"] == 4
    assert opened == [1]


MEASURE = """
import resource, sys
from pathlib import Path
from lmms.documents.readers import open_files
reader = open_files([Path(sys.argv[1])])
for row in reader.rows(0, 200): pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for row in reader.rows(0, reader.count()): pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_memory_stays_bounded_over_many_rows(tmp_path: Path, suffix: str) -> None:
    # 30 MB of text in one row group; only a small part of it may be held at once.
    table = pa.table(
        {
            "id": list(range(30_000)),
            "text": [f"{i:06d}" + "lorem ipsum " * 83 for i in range(30_000)],
        }
    )
    path = tmp_path / f"big.{suffix}"
    if suffix == "parquet":
        parquet.write_table(
            table, path, row_group_size=30_000, compression="none", use_dictionary=False
        )
    else:
        with path.open("w") as out:
            for batch in table.to_batches(1000):
                out.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
    shown = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    assert int(shown.stdout) < 12_000  # KiB
