"""Versions of what can change an answer, found without importing it."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import lmms

_LIBRARIES = {"hf": ("torch", "transformers")}
"""Back end to the distributions that compute its answers."""


def versions_for(backend: str) -> dict[str, str]:
    """Returns the versions that enter a plan's fingerprint."""
    versions = {"lmms": lmms.__version__}
    for name in _LIBRARIES.get(backend, ()):
        version = installed_version(name)
        if version is not None:
            versions[name] = version
    return versions


@lru_cache(maxsize=16)
def installed_version(name: str) -> str | None:
    """Returns the version of an installed package from the name of its metadata folder.

    Ten times cheaper than `importlib.metadata`, which parses the folder's files with the e-mail
    package; that is the fallback where no such folder lies beside the package.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None
    site = Path(spec.origin).parent.parent
    pattern = re.compile(rf"{re.escape(name)}-(?P<version>[^-]+)\.dist-info", re.IGNORECASE)
    for folder in site.glob(f"{name}-*.dist-info"):
        match = pattern.fullmatch(folder.name)
        if match:
            return match["version"]
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
