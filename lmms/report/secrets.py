"""Masking of secrets at any depth of what is written. The rules are those of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmms.config.secrets import MASK, mask, names_secret

# `--api_key=…`, `model.kwargs.token=…`, `HF_TOKEN=…` inside a command or a message.
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)(?P<sep>\s*[=:]\s*)(?P<value>[^\s,;&'\"})\]]+)")


def mask_text(text: str) -> str:
    """Returns `text` without secrets: known values, tokens of known shape, `name=value`."""
    return _ASSIGNED.sub(_masked_assignment, mask(text))


def _masked_assignment(match: re.Match[str]) -> str:
    # `${NAME}` stands for a variable; it does not hold its value.
    if not names_secret(match["name"], match["value"]) or match["value"].startswith("${"):
        return match[0]
    return f"{match['name']}{match['sep']}{MASK}"


def masked(value: Any) -> Any:
    """Returns a copy of a JSON-like value without secrets.

    A text below a secret name is replaced whole, unless it is a `${NAME}` reference; numbers,
    booleans and null are kept (a token is none of these, a limit on tokens is).
    """
    if isinstance(value, Mapping):
        return {k: _masked_entry(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [masked(v) for v in value]
    return mask_text(value) if isinstance(value, str) else value


def _masked_entry(name: str, value: Any) -> Any:
    if isinstance(value, str) and names_secret(name, value):
        return value if not value or value.startswith("${") else MASK
    if isinstance(value, list | tuple):
        return [_masked_entry(name, v) for v in value]
    return masked(value)
