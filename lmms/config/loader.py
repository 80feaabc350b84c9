"""Hydra's composition for one run, without what only its own runner needs.

Composing one run through `hydra.compose` also composes Hydra's own configuration (launcher,
sweeper, logging, help), which costs five times as much as ours. A single run does not use it, so
the loader leaves it out; sweeps go through Hydra's runner and have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from omegaconf import OmegaConf

from lmms.config.composition import Composition
from lmms.config.sources import RunFileSource, TaskReferenceSource, register_sources

CONFIG_NAME = "config"
_HYDRA_BASE = "1.3"
"""Behaviour of Hydra that the config files are written for."""


def search_path(
    folders: Sequence[Path],
    catalogue: str,
    task_paths: Sequence[str],
    cache_dir: str | None,
    run_file: dict[str, Any] | None,
) -> ConfigSearchPathImpl:
    """Returns Hydra's search path: shipped groups, the user's, the tasks, the run file."""
    setup_globals()
    version.setbase(_HYDRA_BASE)
    register_sources()
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    *added, shipped = folders
    for folder in added:
        path.append("added", f"file://{folder}")
    path.append("main", f"file://{shipped}")
    path.append("tasks", TaskReferenceSource.url(catalogue, task_paths, cache_dir))
    if run_file is not None:
        path.append("run_file", RunFileSource.url(run_file))
    path.append("schema", "structured://")
    return path


class RunLoader(ConfigLoaderImpl):  # type: ignore[misc]
    """Composes single runs."""

    def compose(self, overrides: Sequence[Override]) -> Composition:
        """Composes the run that the parsed overrides describe.

        Raises:
            HydraException: As Hydra raises it; `lmms.config.diagnose` words it.
        """
        from hydra._internal.config_repository import CachingConfigRepository

        repository = CachingConfigRepository(self.repository)
        defaults = create_defaults_list(
            repo=repository,
            config_name=CONFIG_NAME,
            overrides_list=list(overrides),
            prepend_hydra=False,
            skip_missing=False,
        )
        config = self._compose_config_from_defaults_list(defaults.defaults, repository)
        config.pop("hydra", None)
        self._apply_overrides_to_config(defaults.config_overrides, config)
        values: Any = OmegaConf.to_container(config, resolve=False)
        return Composition(values=values, choices=dict(defaults.overrides.known_choices))


def parse_override(text: str) -> Override:
    """Parses one override in Hydra's grammar.

    Raises:
        OverrideParseException: The text is not in the grammar.
    """
    return OverridesParser.create().parse_overrides([text])[0]
