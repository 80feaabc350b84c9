from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmms.config.schema import EnvConfig
from lmms.documents import count_hint, open_source
from lmms.documents.counts import is_local
from lmms.documents.files import split_files
from lmms.errors import DataError
from lmms.tasks import load_spec, task_index
from lmms.tasks.spec import DatasetSpec
from lmms.types import digest_of


def local(tmp_path: Path, **changes: Any) -> DatasetSpec:
    values: dict[str, Any] = {"path": "data", "base": str(tmp_path), "split": "test"}
    return DatasetSpec(**(values | changes))


def jsonl(path: Path, count: int, first: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"n": i}) + "\n" for i in range(first, first + count)))
    return path


STAND_INS = [n for n in task_index().names() if not is_local(load_spec(n).dataset)]


@pytest.mark.parametrize("name", STAND_INS)
def test_embedded_data_of_every_shipped_task(name: str) -> None:
    dataset = load_spec(name).dataset
    source = open_source(dataset, EnvConfig())
    assert source.reference == f"{dataset.embedded}@embedded"
    documents = list(source.iterate())
    assert len(documents) == len(source) >= 6
    assert [d.index for d in documents] == list(range(len(source)))
    assert len({d.id for d in documents}) == len(documents)
    assert list(source.ids()) == [d.id for d in documents]
    assert list(source.ids(2)) == [d.id for d in documents[:2]]
    assert documents[2].digest == digest_of(documents[2].fields) == source.get(2).digest
    assert count_hint(dataset, EnvConfig()) == (len(source), "index")


def test_stable_ids_and_the_range() -> None:
    video = open_source(load_spec("longvideobench_val_v").dataset, EnvConfig())
    assert video.get(0).id == video.get(0).fields["id"]
    math = open_source(load_spec("gsm8k").dataset, EnvConfig())
    assert [d.id for d in math.iterate(2, 4)] == ["2", "3"]
    with pytest.raises(IndexError):
        math.get(len(math))


def test_the_pool_of_examples() -> None:
    dataset = load_spec("gsm8k").dataset
    source = open_source(dataset, EnvConfig())
    pool = source.fewshot_pool()
    assert not source.pool_is_split
    assert pool[0].fields["question"] != source.get(0).fields["question"]
    assert [d.index for d in pool[1:3]] == [1, 2]
    assert pool[-1].index == len(pool) - 1
    own = open_source(replace(dataset, fewshot_split=None), EnvConfig())
    assert own.pool_is_split
    assert own.fewshot_pool()[1].digest == own.get(1).digest


def test_no_embedded_data_names_the_way_out() -> None:
    dataset = DatasetSpec(path="org/name", base="/nowhere")
    with pytest.raises(DataError, match="no data of 'org/name' is embedded") as caught:
        open_source(dataset, EnvConfig())
    assert "env=hub" in str(caught.value)


def test_a_local_file_serves_its_split(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", 3)
    dataset = local(tmp_path, path="rows.jsonl")
    for env in (EnvConfig(), EnvConfig(data="hub")):
        source = open_source(dataset, env)
        assert [d.fields["n"] for d in source.iterate()] == [0, 1, 2]
        assert str(tmp_path) in source.media_roots


def test_a_local_folder_has_splits(tmp_path: Path) -> None:
    jsonl(tmp_path / "data" / "test-00000-of-00002.jsonl", 2)
    jsonl(tmp_path / "data" / "test-00001-of-00002.jsonl", 2, first=2)
    jsonl(tmp_path / "data" / "train.jsonl", 5)
    source = open_source(local(tmp_path, fewshot_split="train"), EnvConfig())
    assert [d.fields["n"] for d in source.iterate()] == [0, 1, 2, 3]
    assert len(source.fewshot_pool()) == 5
    with pytest.raises(DataError, match="no split 'tset'") as caught:
        open_source(local(tmp_path, split="tset"), EnvConfig())
    assert caught.value.allowed == ["test", "train"]
    assert caught.value.suggestions == ("test",)


def test_an_id_column_must_exist(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", 1)
    source = open_source(local(tmp_path, path="rows.jsonl", id_field="key"), EnvConfig())
    with pytest.raises(DataError, match="no column 'key'"):
        source.get(0)


def test_counts_are_remembered(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", 3)
    dataset = local(tmp_path, path="rows.jsonl")
    env = EnvConfig(cache_dir=str(tmp_path / "cache"))
    assert count_hint(dataset, env) == (None, "unknown until the data is read")
    open_source(dataset, env)
    assert count_hint(dataset, env) == (3, "last load")
    (tmp_path / "cache" / "document-counts.json").write_text("[")
    assert count_hint(dataset, env)[0] is None


def test_counts_from_file_headers(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    (tmp_path / "data").mkdir()
    parquet.write_table(pa.table({"a": [1, 2]}), tmp_path / "data" / "test.parquet")
    env = EnvConfig(cache_dir=str(tmp_path / "cache"))
    assert count_hint(local(tmp_path), env) == (2, "file header")


CARD = """---
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: [main/test-0*, main/test-1*]
- config_name: socratic
  data_files: socratic/all.parquet
---
# A card
"""
HUB = ["README.md", "main/train-0.parquet", "main/test-0.parquet", "main/test-1.parquet"]


@pytest.mark.parametrize(
    ("names", "split", "config", "card", "expected"),
    [
        (HUB, "test", "main", CARD, ["main/test-0.parquet", "main/test-1.parquet"]),
        (HUB, "test", None, CARD, ["main/test-0.parquet", "main/test-1.parquet"]),
        (HUB, "test", "main", None, ["main/test-0.parquet", "main/test-1.parquet"]),
        (HUB, "train", "main", "---\n: [\n---", ["main/train-0.parquet"]),
        (["dev.jsonl", "test.jsonl"], "validation", None, None, ["dev.jsonl"]),
        (["val/a.parquet", "train/a.parquet"], "validation", None, None, ["val/a.parquet"]),
        (["c/test.csv", "d/test.csv"], "test", "d", None, ["d/test.csv"]),
        (["test.parquet", "test.jsonl"], "test", None, None, ["test.parquet"]),
        (["latest-test_v2.json"], "test", None, None, ["latest-test_v2.json"]),
    ],
)
def test_which_files_hold_a_split(
    names: list[str], split: str, config: str | None, card: str | None, expected: list[str]
) -> None:
    assert split_files(names, split, config=config, card=card, origin="t") == expected


def test_explicit_patterns_come_first() -> None:
    chosen = split_files(
        ["x/1.json", "x/2.json"], "test", config=None, patterns={"test": "x/2*"}, origin="t"
    )
    assert chosen == ["x/2.json"]
    with pytest.raises(DataError, match="no data file matches y"):
        split_files(["x.json"], "test", config=None, patterns={"test": "y*"}, origin="t")
    with pytest.raises(DataError, match="no split 'test'"):
        split_files(["x.json"], "test", config=None, patterns={"dev": "y*"}, origin="t")


def test_unknown_configurations_and_splits_list_what_there_is() -> None:
    with pytest.raises(DataError, match="no configuration 'mian'") as caught:
        split_files(HUB, "test", config="mian", card=CARD, origin="hub data set x")
    assert caught.value.allowed == ["main", "socratic"]
    with pytest.raises(DataError, match="no split 'validation'") as caught:
        split_files(HUB, "validation", config="main", card=CARD, origin="hub data set x")
    assert caught.value.allowed == ["test", "train"]
