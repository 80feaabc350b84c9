"""Names that must agree with each other across the repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import lmms


def _project(repository: Path) -> dict[str, object]:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def test_the_version_is_one(repository: Path) -> None:
    assert _project(repository)["version"] == lmms.__version__


def test_every_extra_named_in_an_error_exists(repository: Path) -> None:
    extras = _project(repository)["optional-dependencies"]
    named: set[str] = set()
    for path in (repository / "lmms").rglob("*.py"):
        text = path.read_text()
        named |= set(re.findall(r"""extra=["']([a-z]+)["']""", text))
        named |= set(re.findall(r"lmms\[([a-z]+)\]", text))
    named -= {"forbid"}  # pydantic's own `extra`
    assert named
    assert named <= set(extras)


def test_the_changelog_has_an_unreleased_section(repository: Path) -> None:
    assert "## Unreleased" in (repository / "CHANGELOG.md").read_text()
