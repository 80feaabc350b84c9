"""Secrets reach the library that needs them, and nothing else."""

from __future__ import annotations

import os

import pytest

from lmms.config import secrets
from lmms.config.compose import compile_run
from lmms.config.environment import export_variables
from lmms.config.runfile import compile_file
from lmms.errors import ConfigError

SECRET = "s3cr3t-value-42"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("HF_TOKEN", True),
        ("OPENAI_API_KEY", True),
        ("DB_PASSWORD", True),
        ("AWS_SECRET_ID", True),
        ("HF_HOME", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("CUDA_VISIBLE_DEVICES", False),
    ],
)
def test_secret_variables(name, secret):
    assert secrets.is_secret_variable(name) is secret


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("api_key", True),
        ("apikey", True),
        ("token", True),
        ("hf_token", True),
        ("password", True),
        ("pad_token", False),
        ("max_new_tokens", False),
        ("tokenizer", False),
        ("keys", False),
    ],
)
def test_secret_keys(key, secret):
    assert secrets.is_secret_key(key) is secret


def _everything(compiled) -> str:
    return repr(compiled) + compiled.config.model_dump_json() + str(compiled.words)


@pytest.mark.parametrize(
    "word",
    [
        f"env.variables.HF_TOKEN={SECRET}",
        f"+env.variables.MY_PASSWORD='{SECRET}'",
        f"model.kwargs.api_key={SECRET}",
        f"generation.extra.token={SECRET}",
        f"tasks.gsm8k.generation.extra.secret={SECRET}",
    ],
)
def test_a_secret_written_out_stays_in_the_environment(word):
    compiled = compile_run(["task=gsm8k", word])
    assert SECRET not in _everything(compiled)
    held = [name for name, value in os.environ.items() if value == SECRET]
    assert len(held) == 1
    assert secrets.reference(held[0]) in compiled.config.model_dump_json()


@pytest.mark.parametrize(
    "word",
    [
        "env.variables.HF_TOKEN=${oc.env:LAB_TOKEN}",
        "model.kwargs.auth=${oc.env:LAB_TOKEN}",
        "model.kwargs.header='Bearer ${oc.env:LAB_TOKEN}'",
        "output.dir=${oc.env:LAB_TOKEN,x}",
    ],
)
def test_a_secret_of_the_environment_is_referred_to(word, monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    compiled = compile_run(["task=gsm8k", word])
    assert SECRET not in _everything(compiled)
    assert "${LAB_TOKEN}" in compiled.config.model_dump_json()


def test_the_reference_does_not_depend_on_the_value():
    first = compile_run(["task=gsm8k", "model.kwargs.api_key=one"]).config
    second = compile_run(["task=gsm8k", "model.kwargs.api_key=two"]).config
    assert first == second


def test_variables_are_exported_with_their_values(monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    config = compile_run(
        ["task=gsm8k", "env.variables.HF_TOKEN=${oc.env:LAB_TOKEN}", "env.variables.HF_HOME=/x"]
    ).config
    export_variables(config.env)
    assert (os.environ["HF_TOKEN"], os.environ["HF_HOME"]) == (SECRET, "/x")
    assert secrets.reveal(config.env.variables, origin="env.variables")["HF_TOKEN"] == SECRET


def test_a_missing_secret_is_named():
    config = compile_run(["task=gsm8k", "env.variables.HF_TOKEN=${oc.env:NO_SUCH_TOKEN}"]).config
    with pytest.raises(ConfigError, match="NO_SUCH_TOKEN is not set"):
        export_variables(config.env)


def test_a_run_file_keeps_its_secrets(write_run, monkeypatch):
    monkeypatch.setenv("LAB_KEY", SECRET)
    path = write_run(
        "model: openai\ntask: gsm8k\n"
        "env:\n  HF_TOKEN: hf_abcdefghijklmnopqrstuvwx\n  OTHER_KEY: ${LAB_KEY}\n  HF_HOME: /x\n"
        "generation: {extra: {auth: '${LAB_KEY}', api_key: written-out-1}}\n"
    )
    (run,) = compile_file(path)
    for value in (SECRET, "hf_abcdefghijklmnopqrstuvwx", "written-out-1"):
        assert value not in _everything(run)
    assert run.config.env.variables == {
        "HF_TOKEN": "${HF_TOKEN}",
        "OTHER_KEY": "${OTHER_KEY}",
        "HF_HOME": "/x",
    }
    assert run.config.generation.extra["auth"] == "${LAB_KEY}"
    assert run.overlay["OTHER_KEY"] == SECRET
    assert "OTHER_KEY" not in os.environ


def test_error_texts_are_masked(monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    error = ConfigError(f"refused {SECRET}", origin=f"https://me:{SECRET}@host", hint=SECRET)
    secrets.mask_error(error)
    assert SECRET not in str(error)
    assert SECRET not in repr(error.to_dict())


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefghijklmnopqrstuvwx",
        "sk-abcdefghijklmnopqrstu",
        "Authorization: Bearer abcdefghij",
        "https://name:password123@host/x",
    ],
)
def test_tokens_are_masked_by_their_shape(text):
    masked = secrets.mask(f"see {text} there")
    assert secrets.MASK in masked
    assert text not in masked
    assert masked.startswith("see ")
    assert masked.endswith(" there")


@pytest.mark.parametrize("key", ["model.kwarg.api_key", "env.variable.HF_TOKEN", "env.HF_TOKEN"])
def test_a_secret_below_a_mistyped_key_is_not_shown(key):
    with pytest.raises(ConfigError, match="unknown configuration key") as caught:
        compile_run(["task=gsm8k", f"{key}={SECRET}"])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "word", ["generation.max_new_token=64", "generation.max_new_token=many", "max_new_token=64"]
)
def test_a_mistyped_harmless_key_is_shown(word):
    with pytest.raises(ConfigError, match="unknown configuration key") as caught:
        compile_run(["task=gsm8k", word])
    assert secrets.MASK not in str(caught.value)
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "secret"),
    [
        ("generation.extra.thinking_token", "64", False),
        ("model.kwargs.api_key", "64", True),
        ("model.kwargs.password", "123456", True),
        ("model.kwargs.token", "1234567890123456", True),
        ("model.kwargs.hf_token", "abc", True),
        ("model.api_key", "abc", True),
        ("env.HF_TOKEN", "abc", True),
        ("generation.max_new_token", "abc", False),
    ],
)
def test_what_is_a_secret_at_a_key(key, value, secret):
    assert secrets.names_secret(key, value) is secret


def test_a_number_at_a_key_that_ends_in_token_stays_a_number():
    config = compile_run(["task=gsm8k", "generation.extra.thinking_token=64"]).config
    assert config.generation.extra == {"thinking_token": 64}
