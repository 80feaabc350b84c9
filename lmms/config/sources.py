"""What Hydra reads besides the files of `conf/`: the task group, and the body of a run file.

Both are `ConfigSource`s, found by their scheme, so that a worker process of a sweep finds them too.
Task bodies never pass through here: an option of group `task` is `{name: …}` below `tasks.<name>`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from lmms.config.catalogue import TaskCatalogue, group_members, label_of, open_catalogue
from lmms.errors import UnknownNameError

_GROUP = "task"


class _VirtualSource(ConfigSource):  # type: ignore[misc]
    """A source whose configs are made, not read."""

    def available(self) -> bool:
        """Whether the source can be read: always."""
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> Sequence[str]:
        """Names of what a group holds; there are no groups below a group."""
        if results_filter is ObjectType.GROUP:
            return []
        return sorted(self._options(config_path))

    def _options(self, config_path: str) -> Sequence[str]:
        raise NotImplementedError

    def _result(self, config_path: str, package: str, body: Any) -> ConfigResult:
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://",
            config=OmegaConf.create(body),
            header={"package": package},
        )


class TaskReferenceSource(_VirtualSource):
    """Group `task`: one option per task, group and glob of the task index."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider=provider, path=path)
        target, task_paths, cache_dir = json.loads(self.path)
        self._target: str = target
        self._task_paths: Sequence[str] = task_paths
        self._cache_dir: str | None = cache_dir

    @staticmethod
    def scheme() -> str:
        """Scheme of the search path entry."""
        return "lmms-tasks"

    @staticmethod
    def url(target: str, task_paths: Sequence[str], cache_dir: str | None) -> str:
        """Returns the search path entry for a catalogue.

        Args:
            target: `module:function` that opens the catalogue.
            task_paths: Folders with further tasks.
            cache_dir: Folder of our own cache; None: the default.
        """
        given = json.dumps([target, [*task_paths], cache_dir])
        return f"{TaskReferenceSource.scheme()}://{given}"

    @cached_property
    def _catalogue(self) -> TaskCatalogue:
        return open_catalogue(self._target, tuple(self._task_paths), self._cache_dir)

    def is_group(self, config_path: str) -> bool:
        """Whether options lie below `config_path`."""
        return config_path in ("", _GROUP)

    def is_config(self, config_path: str) -> bool:
        """Whether `config_path` is an option."""
        return self._members(config_path) is not None

    def load_config(self, config_path: str) -> ConfigResult:
        """Makes the config of an option."""
        members = self._members(config_path)
        if members is None:
            raise ConfigLoadError(f"no such task: {config_path}")
        name = _option_of(config_path) or ""
        if members == [name]:
            return self._result(config_path, f"tasks.{label_of(name)}", {"name": name})
        body: dict[str, Any] = {"tasks": {label_of(m): {"name": m} for m in members}}
        if group_members(self._catalogue, name) is not None:
            body["groups"] = {name: [label_of(m) for m in members]}
        return self._result(config_path, "_global_", body)

    def _members(self, config_path: str) -> Sequence[str] | None:
        option = _option_of(config_path)
        if option is None:
            return None
        try:
            return self._catalogue.expand([option]) or None
        except UnknownNameError:
            return None

    def _options(self, config_path: str) -> Sequence[str]:
        return self._catalogue.names() if config_path == _GROUP else []


class RunFileSource(_VirtualSource):
    """The values of a run file: one config below the command line and above everything else."""

    @staticmethod
    def scheme() -> str:
        """Scheme of the search path entry."""
        return "lmms-run"

    @staticmethod
    def url(body: dict[str, Any]) -> str:
        """Returns the search path entry that holds `body`."""
        return f"{RunFileSource.scheme()}://{json.dumps(body)}"

    def is_group(self, config_path: str) -> bool:
        """Whether options lie below `config_path`."""
        return config_path in ("", "run_file")

    def is_config(self, config_path: str) -> bool:
        """Whether `config_path` is an option."""
        return config_path.removesuffix(".yaml") == "run_file/body"

    def load_config(self, config_path: str) -> ConfigResult:
        """Makes the config of an option."""
        return self._result(config_path, "_global_", json.loads(self.path))

    def _options(self, config_path: str) -> Sequence[str]:
        return ["body"] if config_path == "run_file" else []


def _option_of(config_path: str) -> str | None:
    prefix, _, option = config_path.removesuffix(".yaml").partition("/")
    return option if prefix == _GROUP and option else None


def register_sources() -> None:
    """Makes both schemes known to Hydra; harmless when repeated."""
    plugins = Plugins.instance()
    plugins.register(TaskReferenceSource)
    plugins.register(RunFileSource)
