"""A run file that makes the same run again."""

from __future__ import annotations

import pytest
import yaml

from lmms.config.compose import compile_run
from lmms.config.reproduce import run_file, run_file_text
from lmms.config.runfile import compile_file

RUNS = [
    ["+experiment=longvideo"],
    ["task=gsm8k", "model=dummy"],
    ["task=[video,gsm8k]", "groups.mine=[gsm8k,longvideobench_val_v]"],
    ["task=[gsm8k,hellaswag]", "tasks.gsm8k.limit=3", "tasks.gsm8k.generation.temperature=0.5"],
    ["task=gsm8k", "+task@tasks.again=gsm8k", "tasks.again.num_fewshot=0"],
    ["task=gsm8k", "model.profile=null", "model.batch_size=1", "model.embedded=null"],
    ["task=gsm8k", "generation=sample", "media=fps_1", "env=hub", "limit=4", "seed=3"],
    [
        "task=gsm8k",
        "env.variables.HF_HOME=/x",
        "env.variables.HF_TOKEN=abcdefgh",
        "env.offline=false",
    ],
    ["task=gsm8k", "model.kwargs={a: 1, b: [1, 2], c: {d: e}}", "generation.until=[x,'y, z']"],
    [
        "task=gsm8k",
        "tasks.gsm8k.reasoning.strip=false",
        "run.resume=never",
        "statistics.confidence=0.9",
    ],
    ["task=gsm8k", "model.name=elsewhere", "model.backend=dummy"],
    [
        "task=gsm8k",
        "output.dir='/a b/${oc.env:HOME}'",
        "model.system_prompt='say {{x}} or ${oc.env:USER,x}'",
    ],
]


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_round_trip(words, tmp_path):
    config = compile_run(words).config
    path = tmp_path / "run.yaml"
    path.write_text(run_file_text([config]), encoding="utf-8")
    (again,) = compile_file(path)
    assert again.config == config


def test_only_what_differs_is_listed():
    content = run_file(compile_run(["task=gsm8k", "model=dummy", "limit=3"]).config)
    assert content == {
        "model": "dummy",
        "tasks": {"gsm8k": {"name": "gsm8k"}},
        "env": "embedded",
        "executor": "local",
        "limit": 3,
    }


def test_several_runs_make_a_batch(tmp_path):
    configs = [compile_run([f"task={t}", "model=dummy"]).config for t in ("gsm8k", "hellaswag")]
    text = run_file_text(configs)
    assert isinstance(yaml.safe_load(text), list)
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    assert [r.config for r in compile_file(path)] == configs


def test_text_that_looks_like_an_interpolation_survives(tmp_path):
    config = compile_run(["task=gsm8k", r"model.system_prompt='say \${x} twice'"]).config
    assert config.model.system_prompt == "say ${x} twice"
    path = tmp_path / "run.yaml"
    path.write_text(run_file_text([config]), encoding="utf-8")
    assert compile_file(path)[0].config == config
