"""Where data lie is not in the fingerprint; other data are another run all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lmms
from lmms.errors import ConfigError, DataError, PlanError
from lmms.types import RunResult

TASK = """
task: rows
version: "1.0"
dataset: {path: rows.jsonl, split: test}
prompt: {text: "{{question}}"}
target: "{{answer}}"
generation: {max_new_tokens: 4}
scorer: exact_match
metrics: [{name: exact_match}]
"""


@pytest.fixture
def run(tmp_path: Path):
    """Runs the task of one folder; its rows are the words given."""

    def run(folder: str, words: str, *overrides: str) -> RunResult:
        task = tmp_path / folder / "rows"
        task.mkdir(parents=True, exist_ok=True)
        (task / "rows.yaml").write_text(TASK)
        rows = [json.dumps({"question": word, "answer": "x"}) + "\n" for word in words.split()]
        (task / "rows.jsonl").write_text("".join(rows))
        return lmms.run(
            ["model=dummy", "task=rows", f"env.task_paths=[{task.parent}]", "run.progress=none",
             f"output.dir={tmp_path / 'out'}", "output.html=false", *overrides]
        )  # fmt: skip

    return run


def test_data_of_another_folder_do_not_continue_a_run(run) -> None:
    failing = ("model.kwargs.fail_share=1.0",)
    first = run("a", "one two", *failing)
    assert first.status == "incomplete"
    second = run("b", "three", *failing)
    assert second.path != first.path
    assert first["rows"].n_effective == 2
    again = run("a", "one two", *failing)
    assert again.path == first.path


def test_data_without_rows_are_an_error(run) -> None:
    with pytest.raises(DataError, match="have no rows"):
        run("a", "")


def test_a_pixel_budget_that_nothing_meets_is_refused_by_the_plan() -> None:
    with pytest.raises(PlanError, match="min_pixels=1000 is above max_pixels=10"):
        lmms.plan(["model=dummy", "task=longvideobench_val_v", "media.min_pixels=1000",
                   "media.max_pixels=10"])  # fmt: skip


@pytest.mark.parametrize("word", ["media.fps=inf", "generation.temperature=inf", "output.dir="])
def test_values_without_meaning_are_refused(word: str) -> None:
    with pytest.raises(ConfigError):
        lmms.plan(["model=dummy", "task=gsm8k", word])
