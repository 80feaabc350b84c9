"""Secrets stay in the environment: the configuration, and so the plan, holds references to them.

A reference is the text `${NAME}`. It is what a plan, a log and a result show; `reveal` puts the
value in at the last moment, in the code that hands it to a library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from lmms.errors import ConfigError

MASK = "********"
_MIN_VALUE_LENGTH = 6
"""Values shorter than this are not searched for in texts: they would hide ordinary words."""

_VARIABLE = re.compile(r"KEY|TOKEN(?!IZER)|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_KEY = re.compile(r"(?:^|_)(?:api_?key|key|token|secret|password|passwd)$", re.IGNORECASE)
_VOCABULARY = re.compile(
    r"(?:^|_)(?:pad|eos|bos|unk|mask|sep|cls|image|video|audio|vision|start|end|stop|special)_token$",
    re.IGNORECASE,
)
_NUMERIC_KEY = re.compile(r"(?:^|_)(?:key|token)$(?<!api_key)", re.IGNORECASE)
"""Names below which a number is a count, an index or a limit. A password may be a number."""
_NUMBER = re.compile(r"[+-]?\d{1,8}(?:\.\d{0,8})?")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHAPES = (
    re.compile(r"\bhf_[A-Za-z0-9]{16,}\b"),
    re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"),
    re.compile(r"(?<=Bearer )\S{8,}"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable of this name holds a secret: *KEY*, *TOKEN*, *SECRET*, …"""
    return _VARIABLE.search(name) is not None


def is_secret_key(key: str) -> bool:
    """Whether a key of an open mapping (`model.kwargs`, `generation.extra`) names a secret.

    `api_key` and `token` do; `pad_token` and `max_tokens` are words of a vocabulary or a number.
    """
    return _KEY.search(key) is not None and _VOCABULARY.search(key) is None


def names_secret(key: str, value: str = "") -> bool:
    """Whether a value written at a key, maybe a mistyped one, is a secret.

    A short number below a name such as `…_token` is a setting (`max_new_token=64`), and so is
    whatever stands at a key that is, but for a letter or so, one of the schema.

    Args:
        key: Dotted key, flag or variable.
        value: What stands there, as text.
    """
    last = key.rpartition(".")[2].replace("-", "_")
    if last.isupper() and is_secret_variable(last):
        return True
    if not is_secret_key(last):
        return False
    if _NUMERIC_KEY.search(last) and _NUMBER.fullmatch(value.strip()):
        return False
    from lmms.config.keys import is_almost_known

    return not is_almost_known(last)


def reference(name: str) -> str:
    """Returns the text that stands for the value of environment variable `name`."""
    return "${" + name + "}"


def reveal(value: Any, *, origin: str) -> Any:
    """Returns `value` with every `${NAME}` in its strings replaced from the environment.

    Args:
        value: A string, or a mapping or list that may hold strings at any depth.
        origin: The configuration key, for the error message.

    Raises:
        ConfigError: A referenced variable is not set.
    """
    if isinstance(value, Mapping):
        return {k: reveal(v, origin=f"{origin}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(reveal(v, origin=origin) for v in value)
    if not isinstance(value, str):
        return value

    def from_environment(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigError(
                f"environment variable {name} is not set",
                origin=origin,
                hint=f"set it before the run: export {name}=…",
            )
        return os.environ[name]

    return _REFERENCE.sub(from_environment, value)


def mask(text: str) -> str:
    """Returns `text` without secrets: values of secret variables, and what looks like a token."""
    values = {
        value
        for name, value in os.environ.items()
        if is_secret_variable(name) and len(value) >= _MIN_VALUE_LENGTH
    }
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    for shape in _SHAPES:
        text = shape.sub(MASK, text)
    return text


def mask_error(error: BaseException) -> None:
    """Masks the texts of an `LmmsError` in place, before it is shown."""
    for name in ("message", "origin", "hint"):
        value = getattr(error, name, None)
        if isinstance(value, str):
            setattr(error, name, mask(value))
    allowed = getattr(error, "allowed", None)
    if isinstance(allowed, str):
        error.allowed = mask(allowed)  # type: ignore[attr-defined]
    error.args = tuple(mask(a) if isinstance(a, str) else a for a in error.args)
