"""Names to implementations: lazy targets, a type check, third-party entry points, freezing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, overload

from lmms.errors import ConfigError, UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of named implementations, resolved when first asked for.

    Args:
        kind: What the entries are, for messages ("model back end", "metric").
        group: Entry-point group in which other distributions may add entries.
        hint: The command that lists the names.
    """

    def __init__(self, kind: str, *, group: str | None = None, hint: str | None = None) -> None:
        self.kind = kind
        self._group = group
        self._hint = hint
        self._targets: dict[str, str | T] = {}
        self._frozen = False
        self._plugins_read = False

    @overload
    def register(self, name: str, target: str) -> None: ...
    @overload
    def register(self, name: str) -> Callable[[T], T]: ...

    def register(self, name: str, target: str | None = None) -> Callable[[T], T] | None:
        """Adds `name`; either with a lazy target `"package.module:attribute"` or as a decorator.

        Raises:
            ConfigError: The name is taken, or the registry is frozen.
        """
        if self._frozen:
            raise ConfigError(f"{self.kind} {name!r} was registered after the plan was built")
        if name in self._targets:
            raise ConfigError(f"{self.kind} {name!r} is registered twice")
        if target is not None:
            self._targets[name] = target
            return None

        def add(implementation: T) -> T:
            self._targets[name] = implementation
            return implementation

        return add

    def get(self, name: str, *, origin: str | None = None) -> T:
        """Returns the implementation called `name`, importing it if it has not been yet.

        Raises:
            UnknownNameError: Nothing has that name; the nearest names are in the message.
        """
        if name not in self._targets:
            self._read_plugins()
        if name not in self._targets:
            raise UnknownNameError(
                self.kind, name, self._targets, origin=origin, hint=self._hint, list_all=True
            )
        target = self._targets[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            loaded: Any = getattr(importlib.import_module(module), attribute)
            self._targets[name] = loaded
            return loaded  # type: ignore[no-any-return]
        return target

    def freeze(self) -> None:
        """Refuses further registrations: what a plan names must stay what it was."""
        self._frozen = True

    def __contains__(self, name: str) -> bool:
        if name not in self._targets:
            self._read_plugins()
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        self._read_plugins()
        return iter(sorted(self._targets))

    def _read_plugins(self) -> None:
        if self._group is None or self._plugins_read:
            return
        self._plugins_read = True
        from importlib.metadata import entry_points

        for entry in entry_points(group=self._group):
            self._targets.setdefault(entry.name, entry.value)
