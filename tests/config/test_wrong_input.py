"""Every wrong word gets one message: received, origin, allowed, nearest names."""

from __future__ import annotations

import pytest

from lmms.config.compose import compile_run
from lmms.errors import ConfigError, LmmsError, UnknownNameError

CASES = [
    # words, class, parts of the message
    (["modle=dummy"], ConfigError, ["'modle'", "override modle=dummy", "mean: model ?"]),
    (
        ["model=qwen3vl"],
        UnknownNameError,
        ["unknown model 'qwen3vl'", "qwen3_vl", "lmms ls models"],
    ),
    (["model="], ConfigError, ["'model='", "allowed: dummy"]),
    (["~model"], ConfigError, ["'~model'", "allowed: dummy"]),
    (["task=gsm8q"], UnknownNameError, ["unknown task 'gsm8q'", "override task=gsm8q", "gsm8k"]),
    (["task=[gsm8k,nope]"], UnknownNameError, ["unknown task 'nope'", "task=[gsm8k,nope]"]),
    (["task=zz*"], UnknownNameError, ["'zz*'"]),
    (["+experiment=longvido"], UnknownNameError, ["'longvido'", "mean: longvideo"]),
    (["env=hubb"], UnknownNameError, ["'hubb'", "mean: hub"]),
    (["generation.temprature=1"], ConfigError, ["temprature", "generation.temperature", "top_p"]),
    (["+generation.temprature=1"], ConfigError, ["generation.temperature"]),
    (["++generation.temprature=1"], ConfigError, ["generation.temperature"]),
    (["generation.temprature=1"], ConfigError, ["mean: generation.temperature ?"]),
    (["temprature=1"], ConfigError, ["mean: generation.temperature ?"]),
    (["generation.batchsize=1"], ConfigError, ["mean: model.batch_size ?"]),
    (
        ["tasks.gsm8k.generation.temprature=1"],
        ConfigError,
        ["tasks.gsm8k.generation.temperature ?"],
    ),
    (["temperature=1"], ConfigError, ["mean: generation.temperature ?"]),
    (["batch_size=1"], ConfigError, ["mean: model.batch_size ?"]),
    (["tasks.gsm8k.limti=1"], ConfigError, ["tasks.gsm8k.limit", "num_fewshot"]),
    (["tasks.gsm8k.limit=abc"], ConfigError, ['"abc"', "override tasks.gsm8k", "a whole number"]),
    (["limit=2.5"], ConfigError, ["limit cannot be 2.5", "a whole number"]),
    (["limit=true"], ConfigError, ["limit cannot be true", "a whole number"]),
    (["limit='3'"], ConfigError, ['limit cannot be "3"', "a whole number"]),
    (["limit=-1"], ConfigError, ["limit cannot be -1", "greater than or equal to 0"]),
    (["limit=[1]"], ConfigError, ["limit cannot be [1]"]),
    (["output.html=maybe"], ConfigError, ['"maybe"', "true or false"]),
    (["model.dtype=float8"], ConfigError, ['"float8"', "'bfloat16'"]),
    (["media.control=blak"], ConfigError, ["'black'", "'swap_red_blue'"]),
    (["model.pretrained=123"], ConfigError, ["model.pretrained cannot be 123", "quote it"]),
    (["model.kwargs=3"], ConfigError, ["a mapping"]),
    (["limit=-1", "seed=x"], ConfigError, ["limit cannot be -1", 'seed cannot be "x"']),
    (["limit=[1"], ConfigError, ["cannot read 'limit=[1'", "quote text"]),
    (["limit"], ConfigError, ["'limit' is not an override", "key=value"]),
    (["=3"], ConfigError, ["is not an override"]),
    (["limit=1,2"], ConfigError, ["asks for several runs", "lmms -m limit=1,2"]),
    (["task=gsm8k,hellaswag"], ConfigError, ["'task=[gsm8k,hellaswag]'", "lmms -m"]),
    (["tasks=gsm8k"], ConfigError, ["task=gsm8k"]),
    (
        ["tasks.hellaswag.limit=3"],
        ConfigError,
        ["'hellaswag' is not part", "task=[gsm8k,hellaswag]"],
    ),
    (["~generation.top_k"], ConfigError, ["nothing to remove", "override ~generation.top_k"]),
    (["hydra/launcher=joblib"], ConfigError, ["sweeps only", "-m"]),
    (["output.dir=${oc.env:LMMS_UNSET_VARIABLE}"], ConfigError, ["LMMS_UNSET_VARIABLE is not set"]),
    (["env.task_paths=[/nowhere/at/all]"], ConfigError, ["/nowhere/at/all"]),
]


@pytest.mark.parametrize(("words", "kind", "parts"), CASES, ids=[" ".join(c[0]) for c in CASES])
def test_wrong_word(words, kind, parts):
    chosen = [] if any(w.startswith("task=") for w in words) else ["task=gsm8k"]
    with pytest.raises(LmmsError) as caught:
        compile_run([*chosen, *words])
    error = caught.value
    text = str(error)
    assert type(error) is kind, text
    assert error.exit_code == 2
    assert error.origin, text
    for part in parts:
        assert part in text, text
    assert "Traceback" not in text
    assert "hydra.cc" not in text
    assert "++" not in text or any("++" in w for w in words), text


def test_no_task():
    with pytest.raises(ConfigError, match="no task was chosen"):
        compile_run(["model=dummy"])


def test_origin_is_the_file_of_an_experiment(tmp_path):
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\ndefaults:\n  - override /task: [gsm8k]\nlimit: many\n")
    with pytest.raises(ConfigError) as caught:
        compile_run(["+experiment=mine"], config_dir=[str(tmp_path)])
    assert caught.value.origin == f"{file} key limit"
    file.write_text("# @package _global_\ndefaults:\n  - override /task: [gsm8q]\n")
    with pytest.raises(UnknownNameError) as unknown:
        compile_run(["+experiment=mine"], config_dir=[str(tmp_path)])
    assert "mine" in str(unknown.value.origin)
    assert unknown.value.suggestions[0] == "gsm8k"


def test_origin_is_the_file_of_an_option(tmp_path):
    (tmp_path / "generation").mkdir()
    file = tmp_path / "generation" / "mine.yaml"
    file.write_text("temperature: hot\n")
    with pytest.raises(ConfigError) as caught:
        compile_run(["task=gsm8k", "generation=mine"], config_dir=[str(tmp_path)])
    assert caught.value.origin == f"{file} key generation.temperature"
    file.write_text("temprature: 1\n")
    with pytest.raises(ConfigError) as unknown:
        compile_run(["task=gsm8k", "generation=mine"], config_dir=[str(tmp_path)])
    assert unknown.value.suggestions[0] == "generation.temperature"
    assert str(file) in str(unknown.value.origin)


def test_broken_option_file(tmp_path):
    (tmp_path / "generation").mkdir()
    (tmp_path / "generation" / "mine.yaml").write_text("temperature: [1\n")
    with pytest.raises(ConfigError):
        compile_run(["task=gsm8k", "generation=mine"], config_dir=[str(tmp_path)])


def test_missing_config_folder():
    with pytest.raises(ConfigError, match="does not exist"):
        compile_run(["task=gsm8k"], config_dir=["/nowhere/at/all"])
