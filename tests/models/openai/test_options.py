"""`model.kwargs`, the address, the identity."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ConfigError, UnknownNameError
from lmms.models.base import Model
from lmms.models.openai import create
from lmms.models.openai.options import call_url, read_base_url, read_options


def config(**changes: Any) -> ModelConfig:
    return ModelConfig(name="openai", backend="openai", **({"pretrained": "org/m"} | changes))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "https://api.openai.com/v1"),
        ("http://h:8000/v1/", "http://h:8000/v1"),
        ("http://h:8000/v1/chat/completions", "http://h:8000/v1"),
        ("http://h:8000/v1/completions", "http://h:8000/v1"),
        ("https://h/x?api-version=1", "https://h/x?api-version=1"),
    ],
)
def test_addresses(given: str | None, expected: str) -> None:
    assert read_base_url(given) == expected


def test_a_query_stays_at_the_end() -> None:
    assert call_url("https://h/x?v=1", "models") == "https://h/x/models?v=1"


@pytest.mark.parametrize("given", ["localhost:8000", "ftp://h/v1", "http://", "http://h:port/v1"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(ConfigError, match="is not an address") as caught:
        read_base_url(given)
    assert caught.value.exit_code == 2


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="api_key_env") as caught:
        read_base_url("https://user:hunter2@h/v1")
    assert "hunter2" not in str(caught.value)


def test_unknown_option() -> None:
    with pytest.raises(UnknownNameError) as caught:
        read_options({"image_fromat": "png"})
    assert caught.value.suggestions[0] == "image_format"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"stream": "yes"},
        {"image_format": "gif"},
        {"image_quality": 0},
        {"image_quality": "90"},
        {"omit": "temperature"},
        {"max_image_side": -1},
    ],
)
def test_wrong_values(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(kwargs))) as caught:
        read_options(kwargs)
    assert "model.kwargs" in str(caught.value)


def test_the_model_needs_a_name() -> None:
    with pytest.raises(ConfigError, match=r"model\.pretrained"):
        create(config(pretrained=None), env=EnvConfig())


def test_follows_the_protocol() -> None:
    model = create(config(), env=EnvConfig())
    assert isinstance(model, Model)
    assert (model.identity.name, model.identity.reference) == ("m", "org/m")


@pytest.mark.parametrize(
    "changes",
    [
        {"pretrained": "org/n"},
        {"base_url": "http://h/v1"},
        {"kwargs": {"frame_stamps": True}},
        {"kwargs": {"image_format": "png"}},
        {"kwargs": {"extra_body": {"reasoning_effort": "low"}}},
        {"kwargs": {"omit": ["stop"]}},
        {"kwargs": {"reasoning_text": "tags"}},
    ],
)
def test_what_changes_answers_changes_the_identity(changes: dict[str, Any]) -> None:
    assert identity(**changes) != identity()


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": 2},
        {"timeout_seconds": 3.0},
        {"api_key_env": "SOME_KEY"},
        {"base_url": "https://api.openai.com/v1/chat/completions"},
        {"kwargs": {"stream": False}},
        {"kwargs": {"stream_usage": False}},
        {"kwargs": {"api_key_header": "api-key"}},
        {"kwargs": {"startup_wait_seconds": 1}},
        {"kwargs": {"image_quality": 90}},
    ],
)
def test_how_answers_travel_does_not(changes: dict[str, Any]) -> None:
    assert identity(**changes) == identity()


def identity(**changes: Any) -> str:
    return create(config(**changes), env=EnvConfig()).identity.digest


def test_pictures_are_shrunk_only_on_request() -> None:
    assert create(config(), env=EnvConfig()).media_size(3000, 4000, 1, "image") == (3000, 4000)
    model = create(config(kwargs={"max_image_side": 1000}), env=EnvConfig())
    assert model.media_size(3000, 4000, 1, "image") == (750, 1000)
    assert model.media_size(10, 20, 8, "video") == (10, 20)
    assert model.media_size(1, 40_000, 1, "image") == (1, 1000)


def test_making_it_imports_no_client() -> None:
    code = (
        "import sys\n"
        "from lmms.config.schema import EnvConfig, ModelConfig\n"
        "from lmms.models.openai import create\n"
        "create(ModelConfig(name='o', backend='openai', pretrained='m'), env=EnvConfig())\n"
        "print([m for m in ('httpx', 'numpy', 'lmms._media', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
