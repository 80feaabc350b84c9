"""What words compose to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmms.config.compose import compile_run
from lmms.config.schema import RunConfig


def test_main_job(compiled):
    config = compiled("+experiment=longvideo", "model=qwen3_vl")
    assert list(config.tasks) == ["longvideobench_val_v"]
    assert config.model.backend == "hf"
    assert config.model.embedded == "canary-qwen3vl"
    assert config.model.hub == "Qwen/Qwen3-VL-8B-Instruct"
    assert (config.env.weights, config.env.data, config.env.offline) == (
        "embedded",
        "embedded",
        True,
    )


def test_experiment_works_with_and_without_plus(compiled):
    assert compiled("experiment=longvideo") == compiled("+experiment=longvideo")


def test_command_line_wins_over_experiment(compiled):
    config = compiled("+experiment=quick", "limit=2", "task=gsm8k", "model=dummy")
    assert (list(config.tasks), config.limit) == (["gsm8k"], 2)


def test_the_last_of_two_options_wins(compiled):
    assert compiled("task=gsm8k", "model=hf", "model=dummy").model.name == "dummy"


def test_several_tasks_keep_their_order_and_settings(compiled):
    config = compiled("task=[hellaswag,gsm8k]", "tasks.gsm8k.limit=3", "tasks.gsm8k.num_fewshot=0")
    assert list(config.tasks) == ["hellaswag", "gsm8k"]
    assert config.tasks["gsm8k"].limit == 3
    assert config.tasks["gsm8k"].num_fewshot == 0
    assert config.tasks["hellaswag"].limit is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("task=longvideobench*", ["longvideobench_val_i", "longvideobench_val_v"]),
        ("task=[hella*,gsm8k]", ["hellaswag", "gsm8k"]),
        ("task=longvideobench", ["longvideobench_val_i", "longvideobench_val_v"]),
        ("task=[gsm8k,gsm?k]", ["gsm8k"]),
    ],
)
def test_globs_and_groups(compiled, word, expected):
    assert list(compiled(word).tasks) == expected


def test_same_task_twice(compiled):
    config = compiled("task=gsm8k", "+task@tasks.again=gsm8k", "tasks.again.num_fewshot=0")
    assert {k: v.name for k, v in config.tasks.items()} == {"gsm8k": "gsm8k", "again": "gsm8k"}
    assert config.tasks["again"].num_fewshot == 0


def test_open_mappings_need_no_plus(compiled):
    config = compiled(
        "task=gsm8k",
        "model.kwargs.rope=1",
        "+model.kwargs.name=abc",
        "generation.extra.best_of=2",
        "env.variables.HF_HOME=/x",
        "env.variables.WORKERS=4",
        "tasks.gsm8k.generation.extra.a=b",
    )
    assert config.model.kwargs == {"rope": 1, "name": "abc"}
    assert config.generation.extra == {"best_of": 2}
    assert config.env.variables == {"HF_HOME": "/x", "WORKERS": "4"}
    assert config.tasks["gsm8k"].generation.extra == {"a": "b"}


def test_a_value_equal_to_the_default_is_still_a_value(compiled):
    config = compiled("+experiment=quick", "limit=null")
    assert config.limit is None


def test_group_options_and_values(compiled):
    config = compiled("task=gsm8k", "generation=sample", "generation.top_p=0.5", "media=fps_1")
    assert (config.generation.temperature, config.generation.top_p) == (0.7, 0.5)
    assert (config.media.fps, config.media.max_frames) == (1.0, 128)


@pytest.mark.parametrize(
    ("word", "key", "expected"),
    [
        ("env.cache_dir=~/x", "cache_dir", str(Path.home() / "x")),
        ("env.cache_dir=/a b;c&d", "cache_dir", "/a b;c&d"),
        ("env.cache_dir='/a, b'", "cache_dir", "/a, b"),
        ("env.data_roots=[/a,~/b]", "data_roots", ["/a", str(Path.home() / "b")]),
        ("env.data_roots=/a", "data_roots", ["/a"]),
    ],
)
def test_paths_are_taken_as_they_are_typed(compiled, word, key, expected):
    assert getattr(compiled("task=gsm8k", word).env, key) == expected


def test_interpolation_from_the_environment(compiled, monkeypatch):
    monkeypatch.setenv("LMMS_TEST_LIMIT", "5")
    config = compiled("task=gsm8k", "limit=${oc.decode:${oc.env:LMMS_TEST_LIMIT}}")
    assert config.limit == 5
    assert compiled("task=gsm8k", "output.dir=${oc.env:LMMS_NOT_SET,/out}").output.dir == "/out"


def test_removing(compiled):
    config = compiled("+experiment=quick", "~tasks.mme", "~tasks.mmmu_val")
    assert "mme" not in config.tasks
    assert "gsm8k" in config.tasks
    assert compiled("+experiment=quick", "~limit").limit is None


def test_stubs_of_replaced_tasks_are_dropped_with_a_note(tmp_path):
    experiment = tmp_path / "experiment" / "mine.yaml"
    experiment.parent.mkdir()
    experiment.write_text(
        "# @package _global_\ndefaults:\n  - override /task: [hellaswag]\n"
        "tasks: {hellaswag: {limit: 7}}\n"
    )
    kept = compile_run(["+experiment=mine"], config_dir=[str(tmp_path)])
    assert kept.config.tasks["hellaswag"].limit == 7
    assert kept.notes == ()
    replaced = compile_run(["+experiment=mine", "task=gsm8k"], config_dir=[str(tmp_path)])
    assert list(replaced.config.tasks) == ["gsm8k"]
    assert len(replaced.notes) == 1
    assert "hellaswag" in replaced.notes[0]


def test_own_folders_add_and_hide_options(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\nbackend: dummy\nbatch_size: 3\n")
    (tmp_path / "model" / "dummy.yaml").write_text("name: dummy\nbackend: dummy\nbatch_size: 5\n")
    folders = [str(tmp_path)]
    assert (
        compile_run(["model=mine", "task=gsm8k"], config_dir=folders).config.model.batch_size == 3
    )
    assert (
        compile_run(["model=dummy", "task=gsm8k"], config_dir=folders).config.model.batch_size == 5
    )


def test_tasks_of_own_folders(tmp_path, repository):
    source = (
        (repository / "tasks/gsm8k/gsm8k.yaml").read_text().replace("task: gsm8k", "task: mine")
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text(source)
    config = compile_run(["task=mine", f"env.task_paths=[{tmp_path}]", "model=dummy"]).config
    assert config.tasks["mine"].name == "mine"
    assert config.env.task_paths == [str(tmp_path)]


def test_task_paths_of_a_chosen_env_are_known_before_composition(tmp_path, repository):
    source = (
        (repository / "tasks/gsm8k/gsm8k.yaml").read_text().replace("task: gsm8k", "task: mine")
    )
    (tmp_path / "tasks" / "mine").mkdir(parents=True)
    (tmp_path / "tasks" / "mine" / "mine.yaml").write_text(source)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "lab.yaml").write_text(
        f"name: lab\nweights: hub\ndata: hub\ntask_paths: [{tmp_path}/tasks]\n"
    )
    config = compile_run(["task=mine", "env=lab"], config_dir=[str(tmp_path)]).config
    assert list(config.tasks) == ["mine"]


def test_every_shipped_option_is_valid(compiled, repository):
    for group in ("model", "generation", "media", "env", "executor"):
        options = sorted((repository / "conf" / group).glob("*.yaml"))
        assert options
        for file in options:
            config = compiled("task=gsm8k", f"{group}={file.stem}")
            named = getattr(config, group)
            assert getattr(named, "name", file.stem) == file.stem


def test_every_shipped_experiment_is_valid(compiled, repository):
    for file in sorted((repository / "conf" / "experiment").glob("*.yaml")):
        assert compiled(f"+experiment={file.stem}").tasks


def test_the_result_is_plain_frozen_data(compiled):
    config = compiled("task=gsm8k")
    assert isinstance(config, RunConfig)
    with pytest.raises(ValueError, match="frozen"):
        config.limit = 3
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
