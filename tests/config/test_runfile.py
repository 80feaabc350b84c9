"""Run files: native keys, precedence, expansion of variables, batches."""

from __future__ import annotations

import os

import pytest

from lmms.config.runfile import compile_file
from lmms.errors import ConfigError, UnknownNameError


def _one(path, *words):
    (run,) = compile_file(path, words)
    return run


def test_native_keys(write_run):
    config = _one(
        write_run(
            "model: {name: dummy, batch_size: 3, kwargs: {answer: B}}\n"
            "experiment: longvideo\n"
            "generation: greedy\n"
            "media: {num_frames: 4}\n"
            "env: hub\n"
            "limit: 5\nseed: 7\n"
            "output: {dir: /out}\n"
            "tasks: {longvideobench_val_v: {num_fewshot: 0}}\n"
        )
    ).config
    assert (config.model.name, config.model.batch_size) == ("dummy", 3)
    assert config.model.kwargs == {"answer": "B"}
    assert list(config.tasks) == ["longvideobench_val_v"]
    assert config.tasks["longvideobench_val_v"].num_fewshot == 0
    assert config.generation.temperature == 0.0
    assert config.media.num_frames == 4
    assert config.env.name == "hub"
    assert (config.limit, config.seed, config.fewshot_seed) == (5, 7, 1234)
    assert config.output.dir == "/out"


def test_tasks_mapping_chooses_its_tasks(write_run):
    config = _one(write_run("model: dummy\ntasks: {gsm8k: {limit: 2}, hellaswag: }\n")).config
    assert list(config.tasks) == ["gsm8k", "hellaswag"]
    assert config.tasks["gsm8k"].limit == 2


def test_tasks_mapping_may_name_a_task_twice(write_run):
    text = "model: dummy\ntasks: {a: {name: gsm8k}, b: {name: gsm8k, num_fewshot: 0}}\n"
    config = _one(write_run(text)).config
    assert {k: v.name for k, v in config.tasks.items()} == {"a": "gsm8k", "b": "gsm8k"}


def test_defaults_below_file_below_command_line(write_run):
    path = write_run("model: dummy\ntask: gsm8k\nlimit: 5\ngeneration: {temperature: 0.3}\n")
    assert _one(path).config.limit == 5
    assert _one(path, "limit=6").config.limit == 6
    # A value that equals the default wins as well.
    assert _one(path, "limit=null", "generation.temperature=null").config.limit is None
    assert _one(path, "generation.temperature=null").config.generation.temperature is None
    assert _one(path, "model=replay").config.model.name == "replay"
    assert list(_one(path, "task=hellaswag").config.tasks) == ["hellaswag"]


def test_a_file_wins_over_its_experiment(write_run):
    assert _one(write_run("experiment: quick\nlimit: 9\nmodel: dummy\n")).config.limit == 9


def test_command_line_tasks_replace_those_of_a_mapping(write_run):
    path = write_run("model: dummy\ntasks: {gsm8k: {limit: 2}, hellaswag: {limit: 3}}\n")
    run = _one(path, "task=hellaswag")
    assert list(run.config.tasks) == ["hellaswag"]
    assert run.config.tasks["hellaswag"].limit == 3
    assert any("gsm8k" in note for note in run.notes)


def test_variables_are_expanded_before_anything_else(write_run, monkeypatch):
    monkeypatch.setenv("LAB", "/lab")
    monkeypatch.delenv("LAB_LIMIT", raising=False)
    run = _one(
        write_run(
            "env:\n  DATA: ${LAB}/data\n  DEEP: ${DATA}/x\n  PLAIN: $LAB/y\n"
            "  NUMBER: 3\n  YES_NO: true\n"
            "model: dummy\ntask: gsm8k\n"
            "output: {dir: '${DEEP}/${LAB_NAME:-none}'}\n"
        )
    )
    assert run.config.output.dir == "/lab/data/x/none"
    assert run.config.env.variables == {
        "DATA": "/lab/data",
        "DEEP": "/lab/data/x",
        "PLAIN": "/lab/y",
        "NUMBER": "3",
        "YES_NO": "true",
    }
    assert "DATA" not in os.environ


def test_an_unset_variable_is_named(write_run):
    path = write_run("model: dummy\ntask: gsm8k\noutput: {dir: '${LMMS_UNSET}'}\n")
    with pytest.raises(ConfigError, match="LMMS_UNSET is not set") as caught:
        compile_file(path)
    assert str(path) in str(caught.value.origin)
    assert "output.dir" in str(caught.value.origin)


def test_env_holds_our_keys_and_variables(write_run, tmp_path):
    run = _one(
        write_run(
            f"model: dummy\ntask: gsm8k\nenv: {{name: hub, cache_dir: {tmp_path}, HF_HOME: /h}}\n"
        )
    )
    assert (run.config.env.name, run.config.env.cache_dir) == ("hub", str(tmp_path))
    assert run.config.env.variables == {"HF_HOME": "/h"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("modle: dummy\ntask: gsm8k\n", ["unknown key 'modle'", "model", "allowed"]),
        ("model: dummy\ntask: gsm8k\ngeneration: {temprature: 1}\n", ["generation.temperature"]),
        ("model: dummy\ntask: gsm8k\nlimit: many\n", ['limit cannot be "many"', "key limit"]),
        ("model: dumy\ntask: gsm8k\n", ["unknown model 'dumy'", "dummy", "key model"]),
        ("model: dummy\ntask: gsm8q\n", ["unknown task 'gsm8q'", "gsm8k", "key task"]),
        ("model: dummy\ntask: gsm8k\nenv: {cachedir: x}\n", ["env.cachedir", "env.cache_dir"]),
        ("model: 3\ntask: gsm8k\n", ["model must be"]),
        ("- model: dummy\n- 3\n", ["a run must be a mapping", "run 2"]),
        ("model: [\n", ["is not YAML"]),
        ("[]\n", ["holds no run"]),
        ("model: dummy\nexperiment: text\ntasks: {mme: {limit: 3}}\n", ["'mme' is not part"]),
    ],
)
def test_wrong_files(write_run, text, parts):
    path = write_run(text)
    with pytest.raises(ConfigError) as caught:
        compile_file(path)
    shown = str(caught.value)
    assert str(path) in shown
    for part in parts:
        assert part in shown


def test_missing_file(tmp_path):
    (tmp_path / "local.yaml").write_text("model: dummy\n")
    with pytest.raises(ConfigError, match="there is no run file") as caught:
        compile_file(tmp_path / "locl.yaml")
    assert caught.value.suggestions == ("local.yaml",)


def test_a_batch_is_a_list(write_run):
    runs = compile_file(
        write_run(
            "- {model: dummy, task: gsm8k, env: {A_B: '1'}}\n"
            "- {model: replay, task: hellaswag, limit: 2, env: {A_B: '2'}}\n"
        ),
        ["seed=3"],
    )
    assert [r.config.model.name for r in runs] == ["dummy", "replay"]
    assert [r.config.seed for r in runs] == [3, 3]
    # Each run has its own environment.
    assert [r.overlay for r in runs] == [{"A_B": "1"}, {"A_B": "2"}]


def test_shipped_examples(repository, monkeypatch):
    folder = repository / "conf" / "runs"
    assert sorted(f.name for f in folder.iterdir()) == ["api.yaml", "batch.yaml", "local.yaml"]
    local = _one(folder / "local.yaml").config
    assert (local.model.name, local.limit) == ("qwen3_vl", 8)
    assert list(local.tasks) == ["longvideobench_val_v"]
    monkeypatch.setenv("LMMS_API_BASE", "http://127.0.0.1:9/v1")
    api = _one(folder / "api.yaml").config
    assert (api.model.backend, api.model.base_url) == ("openai", "http://127.0.0.1:9/v1")
    assert (api.model.concurrency, api.generation.max_new_tokens, api.seed) == (8, 128, 42)
    batch = compile_file(folder / "batch.yaml")
    assert [r.config.model.name for r in batch] == ["qwen3_vl", "dummy"]


def test_unknown_task_pattern(write_run):
    with pytest.raises(UnknownNameError):
        compile_file(write_run("model: dummy\ntask: zz*\n"))


@pytest.mark.parametrize("tasks", ['"gsm8k,hellaswag"', "[gsm8k]"])
def test_two_choices_of_tasks_are_refused(write_run, tasks):
    path = write_run(f"model: dummy\ntask: mme\nlimit: 1\ntasks: {tasks}\n")
    with pytest.raises(ConfigError, match=r"'task' \(line 2\) and 'tasks' \(line 4\)"):
        compile_file(path)


def test_settings_of_tasks_stand_beside_task(write_run):
    path = write_run("model: dummy\ntask: [mme, gsm8k]\ntasks: {gsm8k: {limit: 2}}\n")
    config = _one(path).config
    assert {k: v.limit for k, v in config.tasks.items()} == {"mme": None, "gsm8k": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limit: 1\ntask: gsm8k\nlimit: 5\n", "'limit' stands twice, in lines 1 and 3"),
        ("- task: mme\n  media:\n    fps: 1\n    fps: 2\n", "'fps' stands twice, in lines 3 and 4"),
    ],
)
def test_a_key_that_stands_twice_is_refused(write_run, text, said):
    path = write_run(text)
    with pytest.raises(ConfigError, match=said) as caught:
        compile_file(path)
    assert str(path) in str(caught.value)


def test_a_merged_key_may_be_set_again(write_run):
    path = write_run(
        "- &a\n  model: dummy\n  task: gsm8k\n  limit: 1\n- &b\n  <<: *a\n  limit: 2\n- <<: *b\n"
    )
    assert [run.config.limit for run in compile_file(path)] == [1, 2, 2]
