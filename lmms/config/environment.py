"""`env.variables` into the process environment, before hub libraries read it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lmms.config import secrets
from lmms.config.schema import EnvConfig


def export_variables(env: EnvConfig) -> None:
    """Sets the variables of `env` for this process and the workers that it starts.

    Raises:
        ConfigError: A value refers to a variable that is not set.
    """
    for name, value in env.variables.items():
        os.environ[name] = secrets.reveal(value, origin=f"env.variables.{name}")


@contextmanager
def environment(overlay: Mapping[str, str]) -> Iterator[None]:
    """Sets the variables of `overlay`, and afterwards puts them back as they were.

    Runs of one batch follow each other in one process; what one of them sets must not reach the
    next.
    """
    before = {name: os.environ.get(name) for name in overlay}
    os.environ.update(overlay)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
