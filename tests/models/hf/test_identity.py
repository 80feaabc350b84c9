"""Every field of the identity changes when what it stands for changes, and only then."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.models.hf import create
from lmms.models.hf.identity import model_card

HUB = EnvConfig(name="hub", weights="hub", data="hub", offline=True)


@pytest.fixture
def copy(qwen3_vl: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(qwen3_vl, tmp_path / "checkpoint"))


def _identity(folder: Path, **fields: Any) -> Any:
    config = ModelConfig(
        **({"name": "m", "backend": "hf", "pretrained": str(folder), "device": "cpu"} | fields)
    )
    return create(config, env=HUB).identity


def test_fields(copy: Path) -> None:
    identity = _identity(copy)
    assert identity.name == "checkpoint"
    assert identity.backend == "hf"
    assert identity.backend_version.startswith("transformers 5.")
    assert identity.revision.startswith("sha256:")
    assert identity.dtype == "float32"
    assert len(identity.chat_template_digest) == len(identity.processor_digest) == 64


def test_same_files_elsewhere_are_the_same_model(copy: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(copy, tmp_path / "other" / "name")
    assert _identity(Path(moved)).digest == _identity(copy).digest
    for harmless in ({"batch_size": 8}, {"name": "x"}, {"device": "auto", "dtype": "float32"}):
        assert _identity(copy, **harmless).digest == _identity(copy).digest


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": "bfloat16"},
        {"attn_implementation": "eager"},
        {"quantization": "8bit"},
        {"kwargs": {"max_length": 99}},
        {"chat_template": "{{ messages }}"},
    ],
)
def test_settings_change_it(copy: Path, fields: dict[str, Any]) -> None:
    assert _identity(copy, **fields).digest != _identity(copy).digest


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ],
)
def test_files_change_it(copy: Path, name: str) -> None:
    before = _identity(copy).digest
    path = copy / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert _identity(copy).digest != before


def test_dtype_follows_the_checkpoint_on_an_accelerator(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    settings["dtype"] = "bfloat16"
    (copy / "config.json").write_text(json.dumps(settings))
    assert _identity(copy, device="cuda").dtype == "bfloat16"
    assert _identity(copy, device="cpu").dtype == "float32"


def test_weights_are_hashed_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lmms.models.hf.identity as module

    expected = _identity(copy)
    hashed: list[str] = []
    original = module._file_digest
    monkeypatch.setattr(module, "_file_digest", lambda p: hashed.append(p.name) or original(p))
    assert _identity(copy) == expected
    assert "model.safetensors" not in hashed


def test_card(copy: Path) -> None:
    config = ModelConfig(name="m", backend="hf", pretrained=str(copy))
    assert model_card(config, HUB) == {}
    card = {"name": "x", "reasoning_budget": 160, "media": {"num_frames": 12}}
    (copy / "lmms.json").write_text(json.dumps(card))
    assert model_card(config, HUB) == card


def test_abilities(copy: Path, tiny_llama: Path) -> None:
    def supports(folder: Path) -> frozenset[str]:
        config = ModelConfig(name="m", backend="hf", pretrained=str(folder))
        return create(config, env=HUB).supports

    assert supports(copy) == {"generate_until", "loglikelihood", "image", "video"}
    assert supports(tiny_llama) == {"generate_until", "loglikelihood"}


def test_create_imports_nothing_heavy(tiny_llama: Path) -> None:
    code = (
        "import sys\n"
        "from lmms.config.schema import EnvConfig, ModelConfig\n"
        "from lmms.models.hf import create\n"
        "env = EnvConfig(name='hub', weights='hub', data='hub')\n"
        f"config = ModelConfig(name='m', backend='hf', pretrained={str(tiny_llama)!r})\n"
        "model = create(config, env=env)\n"
        "assert model.identity.digest and model.media_size(64, 64, 1, 'image')\n"
        "print([m for m in ('torch', 'transformers', 'numpy', 'PIL') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
