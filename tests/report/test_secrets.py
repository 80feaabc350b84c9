from __future__ import annotations

import pytest

from lmms.config.secrets import MASK, names_secret
from lmms.report.secrets import mask_text, masked


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "model.kwargs.api-key",
        "token",
        "hf_token",
        "HF_TOKEN",
        "DB_PASSWORD",
        "MYKEY",
        "client_secret",
        "AWS_SECRET_ACCESS_KEY_ID",
    ],
)
def test_secret_names(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_new_tokens",
        "tokenizer",
        "pad_token",
        "eos_token",
        "output_tokens",
        "keyboard",
        "monkey",
        "request_keys",
        "api_key_env",
    ],
)
def test_harmless_names(name: str) -> None:
    assert not names_secret(name)


def test_masking_at_any_depth_keeps_numbers_and_references() -> None:
    shown = masked(
        {
            "a": [{"token": "abc", "api_key": "${OPENAI_API_KEY}", "password": ["x", 3, None]}],
            "max_new_tokens": 32,
            "token": 7,
            "url": "https://user:pw123456@host/x",
            "text": "used hf_" + "Z" * 34,
        }
    )
    entry = shown["a"][0]
    assert entry["token"] == MASK
    assert entry["api_key"] == "${OPENAI_API_KEY}"
    assert entry["password"] == [MASK, 3, None]
    assert shown["max_new_tokens"] == 32
    assert shown["token"] == 7
    assert "pw123456" not in shown["url"]
    assert "ZZZ" not in shown["text"]


def test_values_of_secret_variables_are_found_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "plain-looking-words")
    assert mask_text("refused: plain-looking-words") == f"refused: {MASK}"


def test_assignments_in_commands() -> None:
    assert mask_text("lmms model.kwargs.api_key=abc limit=3") == (
        f"lmms model.kwargs.api_key={MASK} limit=3"
    )
    assert mask_text("api_key=${KEY} top_k=5") == "api_key=${KEY} top_k=5"


def test_numbers_and_mistyped_keys_in_commands_are_shown() -> None:
    for text in ("lmms generation.max_new_token=64", "lmms generation.extra.stop_at_token=7"):
        assert mask_text(text) == text


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd: is not a readable video file", "no such file: ../my.token: gone", "a/b-key=x"],
)
def test_the_end_of_a_path_is_no_key(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "from: token=hunter2",
        "--token=hunter2",
        "https://host/x?api_key=hunter2",
        "/a/b token=hunter2",
    ],
)
def test_a_key_of_its_own_is_masked(text: str) -> None:
    assert mask_text(text) == text.replace("hunter2", MASK)
