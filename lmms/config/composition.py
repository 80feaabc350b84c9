"""What composing the words of one run gives, whoever composed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Composition:
    """Plain values, before interpolations are resolved and the schema is asked."""

    values: dict[str, Any]
    choices: dict[str, Any]
    """Group to the option that was chosen; a list for `task`."""
