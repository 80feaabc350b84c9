"""Run files in the peers' keys, as their users have them."""

from __future__ import annotations

import pytest

from lmms.config.peers import MODEL_NAMES, pairs, typed
from lmms.config.runfile import compile_file
from lmms.errors import ConfigError


def _one(path, *words):
    (run,) = compile_file(path, words)
    return run


LOCAL = """\
env:
  HF_HOME: ${HF_HOME:-/data/hf}
  HF_TOKEN: ${HF_TOKEN:-none}
model: qwen2_5_vl
model_args: "pretrained=org/My-VL-3B,max_pixels=12845056,attn_implementation=sdpa,interleave=False"
tasks: "gsm8k,hellaswag"
batch_size: 4
limit: 10
num_fewshot: 2
gen_kwargs: "temperature=0.2,max_gen_toks=99,until=STOP,best_of=2"
seed: "1,2,3,4"
log_samples: true
output_path: "./results"
verbosity: INFO
"""


def test_a_peers_file_verbatim(write_run, monkeypatch):
    monkeypatch.delenv("HF_HOME", raising=False)
    run = _one(write_run(LOCAL))
    config = run.config
    assert config.model.name == "qwen2_5_vl"
    assert config.model.pretrained == "org/My-VL-3B"
    assert config.model.attn_implementation == "sdpa"
    assert config.model.kwargs == {"interleave": False}
    assert config.model.batch_size == 4
    assert config.media.max_pixels == 12845056
    assert list(config.tasks) == ["gsm8k", "hellaswag"]
    assert (config.limit, config.num_fewshot) == (10, 2)
    assert config.generation.temperature == 0.2
    assert config.generation.max_new_tokens == 99
    assert config.generation.until == ["STOP"]
    assert config.generation.extra == {"best_of": 2}
    assert (config.seed, config.fewshot_seed) == (1, 4)
    assert (config.output.log_samples, config.output.dir) == (True, "./results")
    assert config.env.name == "hub"
    assert config.env.variables["HF_HOME"] == "/data/hf"
    assert any("env=hub" in n for n in run.notes)
    assert any("verbosity" in n for n in run.notes)


def test_mappings_instead_of_texts(write_run):
    config = _one(
        write_run(
            "model: hf\nmodel_args: {pretrained: org/name, dtype: bfloat16, load_in_4bit: true}\n"
            "tasks: [gsm8k]\ngen_kwargs: {top_p: 0.9}\nseed: 42\n"
        )
    ).config
    assert (config.model.pretrained, config.model.dtype) == ("org/name", "bfloat16")
    assert config.model.quantization == "4bit"
    assert config.generation.top_p == 0.9
    assert (config.seed, config.fewshot_seed) == (42, 42)


def test_an_api_model(write_run):
    config = _one(
        write_run(
            "model: local-chat-completions\n"
            'model_args: "model=my-model,base_url=http://h:1/v1/chat/completions,num_concurrent=4"\n'
            "tasks: gsm8k\nbatch_size: auto\n"
        )
    ).config
    assert (config.model.name, config.model.pretrained) == ("openai", "my-model")
    assert (config.model.base_url, config.model.concurrency) == ("http://h:1/v1", 4)
    assert config.env.name == "embedded"


def test_command_line_wins(write_run):
    path = write_run(LOCAL)
    config = _one(path, "limit=null", "env=embedded", "model=dummy", "task=gsm8k").config
    assert (config.limit, config.env.name, config.model.name) == (None, "embedded", "dummy")
    assert list(config.tasks) == ["gsm8k"]


def test_every_peer_name_is_an_option(repository):
    options = {f.stem for f in (repository / "conf" / "model").glob("*.yaml")}
    assert set(MODEL_NAMES.values()) <= options


@pytest.mark.parametrize("seed", ["42", 42, "42,42,42,42", [42, 42, 42, 42], "42, 42, 42"])
def test_seeds(write_run, seed):
    config = _one(write_run(f"model: dummy\ntasks: gsm8k\nseed: {seed!r}\n")).config
    assert config.seed == 42


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("limt: 3", ["unknown key 'limt'", "limit"]),
        ("seed: '1,x'", ["seed", "four"]),
        ("seed: '1,2'", ["seed"]),
        ("limit: 0.5", ["share", "whole number"]),
        ("gen_kwargs: 'temperature'", ["'temperature' is not key=value", "gen_kwargs"]),
        ("model_args: 3", ["model_args"]),
        ("gen_kwargs: 'temperature=hot'", ['generation.temperature cannot be "hot"']),
    ],
)
def test_wrong_values(write_run, line, parts):
    path = write_run(f"model: dummy\ntasks: gsm8k\nbatch_size: 1\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        compile_file(path)
    for part in [*parts, str(path)]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("1.5", 1.5),
        ("1e5", 100000.0),
        ("True", True),
        ("none", None),
        ("abc", "abc"),
        ("'1'", "1"),
        ("[1,2]", [1, 2]),
        ("v1.2", "v1.2"),
    ],
)
def test_typed(text, value):
    assert typed(text) == value
    assert type(typed(text)) is type(value)


def test_pairs_split_outside_brackets_and_quotes():
    assert pairs("a=[1,2],b='x,y',c={k: 1, l: 2}", "x") == {
        "a": [1, 2],
        "b": "x,y",
        "c": {"k": 1, "l": 2},
    }
    assert pairs("url=http://h/v1?a=b", "x") == {"url": "http://h/v1?a=b"}
    assert pairs(None, "x") == pairs("", "x") == {}
