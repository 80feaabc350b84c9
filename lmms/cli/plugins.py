"""Whether Hydra has the launcher and the sweeper that a sweep names, before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lmms.config.locations import group_options
from lmms.errors import MissingExtraError, UnknownNameError

if TYPE_CHECKING:
    from lmms.config.words import Word

_GROUPS: Final = ("hydra/launcher", "hydra/sweeper")
_BASIC: Final = "basic"
_OF_EXTRA: Final = {
    "hydra/launcher=joblib": "hydra_joblib_launcher",
    "hydra/launcher=submitit_local": "hydra_submitit_launcher",
    "hydra/launcher=submitit_slurm": "hydra_submitit_launcher",
}
"""What the extra `sweep` installs, and the plugin that has it."""


def check_plugins(words: Sequence[Word], folders: Sequence[Path]) -> None:
    """Makes sure that the launcher and the sweeper of a sweep are there.

    Args:
        words: Prepared words of the sweep.
        folders: Where the user may have options of his own.

    Raises:
        MissingExtraError: The package of one is not installed.
        UnknownNameError: Neither Hydra nor a plugin has it.
    """
    for group in _GROUPS:
        chosen = [word for word in words if word.key == group]
        if chosen:
            _check(group, (chosen[-1].value or "").strip(), chosen[-1].origin, folders)


def _check(group: str, name: str, origin: str, folders: Sequence[Path]) -> None:
    if name == _BASIC:
        return
    plugin = _OF_EXTRA.get(f"{group}={name}")
    if plugin is not None:
        if not _is_installed(f"hydra_plugins.{plugin}"):
            raise MissingExtraError(f"{group}={name}", extra="sweep", module=plugin)
        return
    prefix = f"{group}="
    known = {k.removeprefix(prefix) for k in _OF_EXTRA if k.startswith(prefix)}
    known |= {*_stored(group), *group_options(group, tuple(folders))}
    if name not in known:
        raise UnknownNameError(group, name, known, origin=origin, list_all=True)


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _stored(group: str) -> list[str]:
    """Returns the options that Hydra and the installed plugins have."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # finding the plugins stores their options
    return [name.removesuffix(".yaml") for name in ConfigStore.instance().list(group)]
