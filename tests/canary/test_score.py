"""The main job with the embedded model: it scores, and it stops scoring when it is blinded.

Each control damages one thing and must cost exactly the questions that need it. The skills are told
apart by LongVideoBench's question categories; which is which stands in the data's index.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import lmms
from lmms.types import RunResult

pytestmark = pytest.mark.canary

pytest.importorskip("torch", reason="needs lmms[hf]")

CHANCE = 0.25
# Four standard errors of a guesser on 112 questions; a pipeline that shows the clip scores > 0.85.
AT_CHANCE = (0.08, 0.42)
CATEGORIES = {"order": "O3O", "colour": "S2A", "shape": "S2O", "when": "T2O"}


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory):
    """Runs the main job with some overrides, once per process."""
    output = tmp_path_factory.mktemp("canary")

    @cache
    def run(*overrides: str) -> RunResult:
        return lmms.run(
            ["+experiment=longvideo", "model=qwen3_vl", f"output.dir={output}", "run.progress=none",
             "output.html=false", *overrides]
        )  # fmt: skip

    return run


def _skills(result: RunResult) -> dict[str, float]:
    right: dict[str, list[float]] = defaultdict(list)
    (samples,) = Path(result.path).glob("samples_*.jsonl")
    for line in samples.read_text().splitlines():
        sample = json.loads(line)
        groups = sample["scores"]["lvb_acc"]["record"]["groups"]
        right[groups["question_category"]].append(sample["lvb_acc"])
    return {skill: sum(v) / len(v) for skill, c in CATEGORIES.items() for v in [right[c]]}


def _accuracy(result: RunResult) -> float:
    value = result["longvideobench_val_v"].metrics[0].value
    assert value is not None
    return value


def test_it_reads_the_clips(evaluate) -> None:
    result = evaluate()
    metric = result["longvideobench_val_v"].metrics[0]
    assert result.status == "complete"
    assert metric.n >= 60
    assert metric.value >= 0.85
    assert metric.ci_low > 2 * CHANCE
    assert metric.n_unparsed == metric.n_failed == 0
    assert metric.clusters >= 12
    assert min(_skills(result).values()) >= 0.75


def test_everything_says_that_it_is_embedded(evaluate) -> None:
    result = evaluate()
    assert result.model == "canary-qwen3vl"
    assert result["longvideobench_val_v"].label == "longvideobench_val_v@embedded"
    assert list(result.raw["results"]) == ["longvideobench_val_v@embedded"]
    assert [p.name for p in Path(result.path).glob("samples_*")] == [
        "samples_longvideobench_val_v@embedded.jsonl"
    ]


@pytest.mark.parametrize("control", ["black", "other_clip", "text_only"])
def test_without_its_clip_it_guesses(evaluate, control: str) -> None:
    low, high = AT_CHANCE
    result = evaluate(f"media.control={control}")
    assert low < _accuracy(result) < high
    assert control in result["longvideobench_val_v"].label


def test_shuffled_frames_cost_the_order(evaluate) -> None:
    skills = _skills(evaluate("media.control=shuffle_frames"))
    assert skills["order"] < 0.45
    assert skills["colour"] > skills["order"] + 0.2


def test_wrong_times_cost_the_when_questions(evaluate) -> None:
    skills = _skills(evaluate("media.control=wrong_times"))
    assert skills["when"] < 0.45
    assert skills["colour"] > 0.8


def test_exchanged_red_and_blue_cost_the_colours(evaluate) -> None:
    skills = _skills(evaluate("media.control=swap_red_blue"))
    assert skills["colour"] < 0.15


def test_the_batch_size_changes_nothing(evaluate) -> None:
    def answers(result: RunResult) -> list[str]:
        (path,) = Path(result.path).glob("samples_*.jsonl")
        return [json.loads(line)["filtered_resps"] for line in path.read_text().splitlines()]

    alone = evaluate("model.batch_size=1", "limit=16", "run.resume=never")
    together = evaluate("model.batch_size=8", "limit=16", "run.resume=never")
    assert answers(alone) == answers(together)


def test_the_reasoning_stays_in_resps_and_leaves_what_is_scored(evaluate) -> None:
    (path,) = Path(evaluate().path).glob("samples_*.jsonl")
    sample = json.loads(path.read_text().splitlines()[0])
    assert sample["resps"][0].startswith("<think>")
    assert sample["filtered_resps"][0] in "ABCD"
    assert len(sample["media"][0]["times"]) == len(sample["media"][0]["indices"]) == 12
