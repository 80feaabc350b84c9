"""Masking of secrets at any depth of what is written. The rules are those of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmms.config.secrets import MASK, mask, names_secret

# `--api_key=…`, `model.kwargs.token=…`, `HF_TOKEN=…` inside a command or a message.
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)\s*[=:]\s*")
_VALUE = re.compile(r"[^\s,;&'\"})\]]+")
# The rest of a path, up to a name at its end: what follows `…/etc/passwd:` is no secret.
_PATH_BEFORE = re.compile(r"/[\w.~-]*\Z")
_LONGEST_FILE_NAME = 255


def mask_text(text: str) -> str:
    """Returns `text` without secrets: known values, tokens of known shape, `name=value`."""
    text = mask(text)
    parts, kept, position = [], 0, 0
    while match := _ASSIGNED.search(text, position):
        # What stands at a harmless name may hold a key: `https://host/x?token=…`, `from: token=…`.
        position = match.end()
        if not names_secret(match["name"]):
            continue
        value = _VALUE.match(text, position)
        if value is None or not _is_secret_assignment(match, value[0]):
            continue
        parts += [text[kept:position], MASK]
        kept = position = value.end()
    return "".join([*parts, text[kept:]])


def _is_secret_assignment(match: re.Match[str], value: str) -> bool:
    # `${NAME}` stands for a variable; it does not hold its value.
    if not names_secret(match["name"], value) or value.startswith("${"):
        return False
    start = match.start()
    return not _PATH_BEFORE.search(match.string, max(0, start - _LONGEST_FILE_NAME), start)


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
