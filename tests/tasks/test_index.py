from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmms.errors import ConfigError, UnknownNameError
from lmms.tasks import task_index

SHIPPED = {
    "gsm8k",
    "hellaswag",
    "irt_items",
    "longvideobench_val_i",
    "longvideobench_val_v",
    "mme",
    "mmmu_val",
}
MINIMAL = """
task: {name}
version: "1"
dataset: {{path: rows.jsonl}}
prompt: {{text: "{{{{q}}}}"}}
metrics: [exact_match]
"""


def write(folder: Path, name: str, text: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(MINIMAL.format(name=name) if text is None else text)
    return path


def test_shipped_tasks(tmp_path: Path) -> None:
    index = task_index(cache_dir=tmp_path)
    assert set(index.names()) == SHIPPED
    assert index.broken == {}
    entry = index.get("longvideobench_val_v")
    assert entry.embedded
    assert entry.metrics == ("lvb_acc", "lvb_acc_strict")
    assert entry.modalities == ("text", "video")
    assert index.get("longvideobench_val_i").file == entry.file
    assert index.groups()["longvideobench"] == ["longvideobench_val_i", "longvideobench_val_v"]
    for name in SHIPPED:
        assert index.get(name).description
        assert index.get(name).version


def test_names_globs_and_groups_expand_in_order_without_repeats() -> None:
    index = task_index()
    assert index.expand(["mme", "mm*", "longvideobench", "gsm8k", "mme"]) == [
        "mme",
        "mmmu_val",
        "longvideobench_val_i",
        "longvideobench_val_v",
        "gsm8k",
    ]


@pytest.mark.parametrize("pattern", ["mmmu_vall", "x*", "longvideobenh"])
def test_unknown_names_suggest_the_nearest(pattern: str) -> None:
    with pytest.raises(UnknownNameError, match=pattern.replace("*", r"\*")) as caught:
        task_index().expand([pattern], origin="command line")
    assert caught.value.origin == "command line"
    if pattern != "x*":
        assert caught.value.suggestions


def test_the_cache_follows_every_change(tmp_path: Path) -> None:
    tasks, cache = tmp_path / "tasks", tmp_path / "cache"
    first = write(tasks / "a", "one")

    def names() -> set[str]:
        return set(task_index([str(tasks)], cache_dir=cache).names()) - SHIPPED

    assert names() == {"one"}
    (file,) = cache.glob("tasks-*.json")
    content = json.loads(file.read_text())
    content["entries"].append(dict(content["entries"][-1], name="from_the_cache"))
    file.write_text(json.dumps(content))
    assert names() == {"one", "from_the_cache"}  # it is read, not rebuilt
    write(tasks / "a", "two")
    assert names() == {"one", "two"}
    first.write_text(MINIMAL.format(name="renamed"))
    assert names() == {"renamed", "two"}
    first.unlink()
    assert names() == {"two"}
    file.write_text("{ damaged")
    assert names() == {"two"}


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert set(task_index(cache_dir=tmp_path / "file" / "below").names()) == SHIPPED


def test_one_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path, "good")
    write(tmp_path, "bad", "task: [")
    index = task_index([str(tmp_path)])
    assert "good" in index.names()
    assert len(index.broken) == 1
    with pytest.raises(ConfigError, match=r"'bad' cannot be read.*not YAML"):
        index.get("bad")


def test_duplicate_names_and_missing_folders_are_errors(tmp_path: Path) -> None:
    write(tmp_path, "mine", MINIMAL.format(name="mme"))
    with pytest.raises(ConfigError, match="'mme' is defined twice"):
        task_index([str(tmp_path)])
    with pytest.raises(ConfigError, match="no task folder"):
        task_index([str(tmp_path / "absent")])


def test_reading_a_fresh_index_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, time; from lmms.tasks import task_index; index = task_index();"
        "heavy = {'yaml', 'jinja2', 'pydantic', 'numpy', 'pyarrow', 'torch', 'hydra', 'omegaconf'};"
        "print(sorted(heavy & set(sys.modules)), len(index.names()), time.process_time())"
    )
    environment = os.environ | {"LMMS_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        shown = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    modules, _, rest = shown.partition("]")
    assert modules == "["
    count, seconds = rest.split()
    assert int(count) == len(SHIPPED)
    assert float(seconds) < 0.3


def test_a_mistyped_key_of_a_task_file_gets_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "mine", MINIMAL.format(name="mine").replace("metrics:", "metrix:"))
    for _ in range(2):  # built, and from the cache
        with pytest.raises(ConfigError, match=r"'mine' cannot be read.*'metrix'") as caught:
            task_index([str(tmp_path)], cache_dir=tmp_path / "cache").get("mine")
        assert caught.value.suggestions[0] == "metrics"
        assert "metrics" in str(caught.value.allowed)
