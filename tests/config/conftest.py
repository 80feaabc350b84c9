"""Helpers for the compiler's tests: everything in this process, on the shipped groups and tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmms.config.compose import compile_run
from lmms.config.schema import RunConfig


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """Compiling exports variables; no test may see another one's."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def compiled() -> Callable[..., RunConfig]:
    """Compiles words to a run."""

    def compile_words(*words: str, **options: Any) -> RunConfig:
        return compile_run(words, **options).config

    return compile_words


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a run file."""

    def write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
