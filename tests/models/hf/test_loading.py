"""Wrong folders, devices and packages: one clear error each."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import (
    ConfigError,
    HubError,
    LmmsError,
    MissingExtraError,
    ModelError,
    UnknownNameError,
)
from lmms.models.hf import create
from lmms.models.hf.loading import resolve_device

HUB = EnvConfig(name="hub", weights="hub", data="hub", offline=True)


def _config(**fields: Any) -> ModelConfig:
    return ModelConfig(**({"name": "tiny", "backend": "hf", "device": "cpu"} | fields))


def _start(config: ModelConfig) -> None:
    model = create(config, env=HUB)
    try:
        asyncio.run(model.start())
    finally:
        asyncio.run(model.close())


@pytest.fixture
def copy(tiny_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama, tmp_path / "checkpoint"))


def test_missing_folder() -> None:
    with pytest.raises(ModelError, match=r"'/no/such/model' does not exist") as caught:
        create(_config(pretrained="/no/such/model"), env=HUB)
    assert caught.value.exit_code == 5


def test_folder_without_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights") as caught:
        create(_config(pretrained=str(copy)), env=HUB)
    assert str(copy) in str(caught.value)
    assert "*.safetensors" in str(caught.value)


def test_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        create(_config(pretrained=str(tmp_path)), env=HUB)


def test_missing_shard(copy: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks 1 weight files .* model-00002\.safetensors"):
        create(_config(pretrained=str(copy)), env=HUB)


def test_broken_config(copy: Path) -> None:
    (copy / "config.json").write_text("{not json")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        create(_config(pretrained=str(copy)), env=HUB)


def test_weights_of_another_architecture(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    settings["num_hidden_layers"] += 1
    (copy / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"lacks \d+ weights of its own architecture"):
        _start(_config(pretrained=str(copy)))


@pytest.mark.parametrize("content", [b"", b"not a safetensors file at all, but text"])
def test_unreadable_weights(copy: Path, content: bytes) -> None:
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="checkpoint cannot be loaded"):
        _start(_config(pretrained=str(copy)))


def test_unknown_architecture(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    settings["model_type"] = "llama_of_2031"
    (copy / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="does not know the architecture 'llama_of_2031'"):
        _start(_config(pretrained=str(copy)))


def test_architecture_that_generates_no_text(copy: Path) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(ModelError, match="'clip' cannot generate text"):
        _start(_config(pretrained=str(copy)))


def test_unknown_constructor_argument(tiny_llama: Path) -> None:
    with pytest.raises(ModelError, match="no_such_argument"):
        _start(_config(pretrained=str(tiny_llama), kwargs={"no_such_argument": 1}))


def test_own_weights_under_embedded(tiny_llama: Path) -> None:
    config = _config(pretrained=str(tiny_llama), embedded="canary-qwen3vl")
    with pytest.raises(ConfigError, match="env=embedded runs the embedded weights") as caught:
        create(config, env=EnvConfig())
    assert "env=hub" in str(caught.value)
    assert caught.value.exit_code == 2


def test_no_embedded_weights() -> None:
    with pytest.raises(ConfigError, match="has no embedded weights"):
        create(_config(), env=EnvConfig())
    with pytest.raises(UnknownNameError, match="canary-qwen3v"):
        create(_config(embedded="canary-qwen3v"), env=EnvConfig())


def test_no_weights_named() -> None:
    with pytest.raises(ConfigError, match="names no weights"):
        create(_config(), env=HUB)


def test_hub_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(HubError, match="not on this machine and downloads are off") as caught:
        create(_config(pretrained="no-such-owner/no-such-model"), env=HUB)
    assert caught.value.exit_code == 5
    assert "env=embedded" in str(caught.value)
    assert "HF_HOME" in str(caught.value)


UNREACHABLE = """
import os, sys
os.environ.update(HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=sys.argv[1])
os.environ.pop("HF_HUB_OFFLINE", None)
from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import HubError
from lmms.models.hf import create
env = EnvConfig(name="hub", weights="hub", data="hub", offline=False)
try:
    create(ModelConfig(name="m", backend="hf", pretrained="owner/name"), env=env)
except HubError as error:
    print(error)
    print("torch" in sys.modules)
"""


def test_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert "are not on this machine and the hub cannot be reached\n" in done.stdout
    assert "env=embedded" in done.stdout
    assert "env=hub_offline with a filled cache (HF_HOME)" in done.stdout
    assert "env.offline=false" not in done.stdout
    assert done.stdout.strip().endswith("False")


CACHED = """
import os, sys
os.environ.update(HF_HOME=sys.argv[1], HF_HUB_OFFLINE="1")
import asyncio
from lmms.config.schema import EnvConfig, ModelConfig
from lmms.models.hf import create
env = EnvConfig(name="hub", weights="hub", data="hub", offline=True)
config = ModelConfig(name="m", backend="hf", pretrained="owner/name", device="cpu")
model = create(config, env=env)
print(model.identity.name, model.identity.reference, model.identity.revision)
asyncio.run(model.start())
print(model._loaded.max_length)
"""


def test_hub_model_from_the_cache(tiny_llama: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = tmp_path / "hub" / "models--owner--name"
    shutil.copytree(tiny_llama, root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    done = subprocess.run(
        [sys.executable, "-c", CACHED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.split() == ["name", "owner/name", commit, "96"]


def test_absent_device() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match="device 'cuda' was asked for"):
        resolve_device(torch, "cuda")
    with pytest.raises(ConfigError, match="unknown device 'gpu'"):
        resolve_device(torch, "gpu")
    assert str(resolve_device(torch, "cpu")) == "cpu"


def test_missing_packages(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lmms.models.hf.identity as identity

    found = identity.find_spec
    monkeypatch.setattr(identity, "find_spec", lambda n: None if n == "torch" else found(n))
    with pytest.raises(MissingExtraError, match="'torch', which is not installed") as caught:
        create(_config(pretrained=str(tiny_llama)), env=HUB)
    assert "lmms[hf]" in str(caught.value)


def test_quantisation_needs_its_package(tiny_llama: Path) -> None:
    pytest.importorskip("torch")
    from importlib.util import find_spec

    if find_spec("bitsandbytes") is not None:
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(MissingExtraError, match="bitsandbytes"):
        _start(_config(pretrained=str(tiny_llama), quantization="4bit"))


def test_chat_template_that_is_neither(tiny_llama: Path) -> None:
    with pytest.raises(ConfigError, match="neither Jinja text nor an existing file"):
        create(_config(pretrained=str(tiny_llama), chat_template="/no/file"), env=HUB)


def test_asking_before_start(tiny_llama: Path, make: Any) -> None:
    model = create(_config(pretrained=str(tiny_llama)), env=HUB)
    with pytest.raises(LmmsError, match="was not started"):
        asyncio.run(model.respond([make.ask("Hi")]))


def test_adapter(tiny_llama: Path, make: Any, start: Any, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForCausalLM

    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        _start(_config(pretrained=str(tiny_llama), adapter=str(tiny_llama)))
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    torch.manual_seed(0)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(model, settings).save_pretrained(tmp_path)
    request = make.ask("Question: What?\nAnswer:", continuation=" river", chat=False)
    plain = start(tiny_llama)
    adapted = start(tiny_llama, adapter=str(tmp_path))
    assert adapted(request)[0].loglikelihood != plain(request)[0].loglikelihood
    assert adapted.model.identity.digest != plain.model.identity.digest
