"""Where the config groups are: the shipped `conf/`, and folders that the user adds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lmms.errors import ConfigError

CONFIG_DIRS_VARIABLE = "LMMS_CONFIG_PATH"
"""Folders with further group options, separated as in PATH."""


CACHE_DIR_VARIABLE = "LMMS_CACHE_DIR"
"""Folder of our own cache where `env.cache_dir` does not name one."""


def cache_folder(configured: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder of our own cache: task index, document counts, digests of weights.

    Args:
        configured: `env.cache_dir`; None: `$LMMS_CACHE_DIR`, else `$XDG_CACHE_HOME/lmms`, else
            `~/.cache/lmms`.
    """
    chosen = configured or os.environ.get(CACHE_DIR_VARIABLE)
    if not chosen:
        chosen = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "lmms"
    return Path(chosen).expanduser()


def shipped_conf() -> Path:
    """Returns the folder of the shipped groups."""
    import lmms

    return Path(lmms.__file__).parent / "_data" / "conf"


def config_dirs(extra: Sequence[str] = ()) -> tuple[Path, ...]:
    """Returns the folders in which options are looked up, first match wins.

    Args:
        extra: Folders given on the command line by `--config-dir`.

    Raises:
        ConfigError: A given folder does not exist.
    """
    named = [(d, "--config-dir") for d in extra]
    from_environment = os.environ.get(CONFIG_DIRS_VARIABLE, "")
    named += [(d, CONFIG_DIRS_VARIABLE) for d in from_environment.split(os.pathsep) if d]
    folders = []
    for name, origin in named:
        folder = Path(name).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError(f"configuration folder {name!r} does not exist", origin=origin)
        folders.append(folder)
    return (*folders, shipped_conf())


@lru_cache(maxsize=64)
def group_options(group: str, folders: tuple[Path, ...]) -> dict[str, Path]:
    """Returns the options of a group and their files; an earlier folder hides a later one."""
    options: dict[str, Path] = {}
    for folder in reversed(folders):
        for file in sorted((folder / group).glob("*.yaml")):
            options[file.stem] = file
    return dict(sorted(options.items()))


def describe_option(file: Path) -> str:
    """Returns the first comment of an option's file that is not a directive of Hydra."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                return ""
            text = line.lstrip("#").strip()
            if text and not text.startswith("@"):
                return text
    return ""
