from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmms.errors import LmmsError, PlanError
from lmms.report import comparable, load_run, write_run
from lmms.report.results import RESULTS_SCHEMA, build_results, read_results
from lmms.report.wording import embedded_notice
from tests.report import synthetic_run
from tests.report.conftest import fake_pictures
from tests.report.synthetic_run import VIDEO

GOLDEN = json.loads(
    (Path(__file__).parent / "golden" / "lm_eval_output_files.json").read_text("utf-8")
)
# What a reader of the peers' files does not ask for, or what only their back ends know.
NOT_OURS = {
    "eot_token_id",
    "lm_eval_version",
    "max_length",
    "tokenizer_bos_token",
    "tokenizer_eos_token",
    "tokenizer_pad_token",
    "upper_git_hash",
}
NOT_OUR_CONFIG = {"model_num_parameters", "model_sha"}
LMMS_EVAL_KEYS = {
    "results",
    "group_subtasks",
    "configs",
    "versions",
    "n-shot",
    "higher_is_better",
    "n-samples",
    "config",
    "git_hash",
    "date",
    "efficiency",
    "task_hashes",
    "model_source",
    "model_name",
    "model_name_sanitized",
    "system_instruction",
    "chat_template",
    "start_time",
    "end_time",
    "total_evaluation_time_seconds",
}


def content(folder: Path, **facts: Any) -> dict[str, Any]:
    return build_results(
        folder,
        synthetic_run.make_plan(),
        synthetic_run.make_results(),
        {**synthetic_run.FACTS, **facts},
    )


def test_keys_that_readers_of_the_peers_know(tmp_path: Path) -> None:
    shown = content(tmp_path)
    assert set(GOLDEN["result_keys"]) - set(shown) == NOT_OURS
    assert set(GOLDEN["config_keys"]) - set(shown["config"]) == NOT_OUR_CONFIG
    assert set(shown) >= LMMS_EVAL_KEYS
    assert "resolved_cli_args" in shown["config"]


def test_rows_have_the_peers_shape(tmp_path: Path) -> None:
    shown = content(tmp_path)
    row = shown["results"]["gsm8k@embedded"]
    golden = GOLDEN["results_row"]
    assert [k for k in golden if "," not in k] == [k for k in row if "," not in k]
    assert row["exact_match,flexible-extract"] == 0.0
    assert row["exact_match_stderr,flexible-extract"] == 0.0
    mme = shown["results"]["mme@embedded"]
    assert mme["mme_cognition_score,none"] is None
    assert mme["mme_cognition_score_stderr,none"] == "N/A"
    assert shown["n-samples"][f"{VIDEO}@embedded"] == {"original": 64, "effective": 61}
    assert shown["higher_is_better"]["mme@embedded"]["mme_perception_score"] is True
    assert shown["n-shot"]["gsm8k@embedded"] == 5
    assert shown["schema"] == RESULTS_SCHEMA


def test_every_task_name_says_embedded(tmp_path: Path) -> None:
    shown = content(tmp_path)
    for block in ("results", "tasks", "configs", "versions", "n-samples", "task_hashes"):
        assert all(name.endswith("@embedded") for name in shown[block]), block
    assert shown["model_name"] == "canary-qwen3vl"
    assert shown["embedded"] == {"weights": True, "data": True}


def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    shown = json.loads(json.dumps(content(tmp_path)))
    run = read_results(shown, path=str(tmp_path))
    assert dict(run.tasks) == synthetic_run.make_results()
    assert run["gsm8k"].metrics[1].filter == "flexible-extract"
    assert (run.model, run.status, run.path) == ("canary-qwen3vl", "incomplete", str(tmp_path))


def test_environment_names_what_can_change_a_number(tmp_path: Path) -> None:
    environment = content(tmp_path, environment={"gpu": ["H100"]})["environment"]
    assert environment["gpu"] == ["H100"]
    assert environment["cpu"]
    assert {"lmms", "git_commit", "python", "platform", "ffmpeg"} <= set(environment)
    assert {"numpy", "pydantic", "jinja2"} <= set(environment["packages"])


def test_comparable_drops_times_and_names_and_nothing_else(tmp_path: Path) -> None:
    one = content(tmp_path / "a")
    other = content(
        tmp_path / "b",
        run_id="another",
        start_time="2026-10-03T10:00:00+00:00",
        end_time="2026-10-03T11:00:00+00:00",
        resumed=3,
        efficiency={"wall_seconds": 1.0},
        warnings=[],
    )
    other["config"]["resolved_cli_args"]["output"]["dir"] = "elsewhere"
    other["config"]["resolved_cli_args"]["run"]["resume"] = "elsewhere/run"
    assert one != other
    assert comparable(one) == comparable(other)
    kept = comparable(one)
    dropped = {"run_id", "date", "start_time", "end_time", "efficiency", "media", "execution"}
    assert set(one) - set(kept) == dropped | {"total_evaluation_time_seconds"}
    assert kept["config"]["resolved_cli_args"]["output"]["log_samples"] is True
    changed = json.loads(json.dumps(one))
    changed["tasks"][f"{VIDEO}@embedded"]["metrics"][0]["n_failed"] += 1
    assert comparable(changed) != kept
    assert one["config"]["resolved_cli_args"]["output"]["dir"] == "outputs"  # not touched


def test_times_are_utc_iso(tmp_path: Path) -> None:
    shown = content(tmp_path)
    assert shown["start_time"] == "2026-09-21T14:13:20Z"
    assert shown["end_time"] == shown["date"] == "2026-09-21T14:14:07Z"
    assert shown["total_evaluation_time_seconds"] == "47.500"
    zoned = content(tmp_path, start_time="2026-10-03T12:00:00+02:00", end_time=None)
    assert (zoned["start_time"], zoned["end_time"]) == ("2026-10-03T10:00:00Z", None)
    assert zoned["total_evaluation_time_seconds"] is None


def test_status_follows_failed_samples_where_the_runner_does_not_say(tmp_path: Path) -> None:
    results = synthetic_run.make_results()
    plan = synthetic_run.make_plan()
    assert build_results(tmp_path, plan, results, {})["status"] == "incomplete"
    del results[VIDEO]
    assert build_results(tmp_path, plan, results, {})["status"] == "complete"


def test_a_result_of_no_planned_task_is_an_error(tmp_path: Path) -> None:
    results = {"nonsense": synthetic_run.make_results()["mme"]}
    with pytest.raises(ValueError, match="nonsense"):
        build_results(tmp_path, synthetic_run.make_plan(), results, {})


def test_no_secret_in_any_file(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in run_folder.iterdir():
        if file.name == "plan.json":  # written by the runner, from the masked configuration
            continue
        text = file.read_text("utf-8")
        assert "hf_aaaa" not in text, file.name
        assert "not-to-be-seen" not in text, file.name


def test_not_a_number_becomes_null(tmp_path: Path) -> None:
    results = synthetic_run.make_results()
    efficiency = {"ttft_seconds": float("nan"), "wall_seconds": float("inf")}
    facts = {"efficiency": efficiency}
    shown = build_results(tmp_path, synthetic_run.make_plan(), results, facts)
    assert shown["efficiency"]["overall"] == {"ttft_seconds": None, "wall_seconds": None}
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize("raw", [{"results": {}}, {"schema": "lmms-results/9"}])
def test_files_of_others_are_refused_by_name(raw: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"results\.json") as caught:
        read_results(raw, path=str(tmp_path))
    assert caught.value.allowed == RESULTS_SCHEMA


def test_writing_twice_gives_the_same_bytes(run_folder: Path) -> None:
    before = {f.name: f.read_bytes() for f in run_folder.iterdir()}
    write_run(
        run_folder,
        synthetic_run.make_plan(),
        synthetic_run.make_results(),
        synthetic_run.make_samples,
        synthetic_run.FACTS,
        pictures=fake_pictures,
    )
    assert {f.name: f.read_bytes() for f in run_folder.iterdir()} == before


def test_a_folder_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LmmsError, match=r"cannot write results\.json") as caught:
        write_run(
            tmp_path / "gone",
            synthetic_run.make_plan(),
            synthetic_run.make_results(),
            synthetic_run.make_samples,
        )
    assert "answers are kept" in str(caught.value)


def test_results_are_on_disk_before_samples_are_read(tmp_path: Path) -> None:
    seen: list[bool] = []

    def samples(label: str) -> Any:
        seen.append((tmp_path / "results.json").exists() and (tmp_path / "report.md").exists())
        return synthetic_run.make_samples(label)

    plan, results = synthetic_run.make_plan(), synthetic_run.make_results()
    write_run(tmp_path, plan, results, samples, pictures=fake_pictures)
    assert seen == [True] * 4  # each task's samples are read once
    assert load_run(tmp_path)["mme"].n_effective == 8


def test_output_settings_decide_which_files_there_are(tmp_path: Path) -> None:
    plan = synthetic_run.make_plan()
    output = plan.config.output.model_copy(update={"log_samples": False, "html": False})
    quiet = plan.model_copy(update={"config": plan.config.model_copy(update={"output": output})})

    def never(label: str) -> Any:
        raise AssertionError("nobody needs the samples")

    write_run(tmp_path, quiet, synthetic_run.make_results(), never)
    assert {f.name for f in tmp_path.iterdir()} == {"results.json", "report.md"}


@pytest.mark.parametrize(
    ("weights", "own", "said"),
    [
        (True, ("gsm8k", "mme"), "The model is a small trained stand-in shipped with lmms. The n"),
        (False, ("mme",), "The data of the tasks named …@embedded are small sets"),
        (False, (), "The data are small sets"),
        (True, (), "The model is a small trained stand-in and the data are"),
        (False, ("gsm8k", "mme"), ""),
    ],
)
def test_own_files_are_not_called_embedded(weights: bool, own: tuple[str, ...], said: str) -> None:
    plan = synthetic_run.make_plan()
    kept = [task for task in plan.tasks if task.label in ("gsm8k", "mme")]
    tasks = tuple(
        task.model_copy(update={"shown_as": task.label}) if task.label in own else task
        for task in kept
    )
    model = plan.model.model_copy(update={"embedded": weights})
    plan = plan.model_copy(update={"tasks": tasks, "model": model})
    made = synthetic_run.make_results()
    results = {task.label: replace(made[task.label], label=task.shown_as) for task in tasks}
    shown = build_results(Path("/runs/one"), plan, results, {})
    assert plan.config.env.data == "embedded"
    assert shown["embedded"] == {"weights": weights, "data": len(own) < 2}
    notice = embedded_notice(read_results(shown, path="/runs/one"))
    assert notice.startswith(said)
    assert bool(notice) == bool(said)
