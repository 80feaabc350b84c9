"""Python that a task brings along: functions in a file beside its YAML.

Reached only through a `TaskSpec`, and `load_spec` refuses a spec whose code is neither shipped
nor allowed by `env.trust_task_code`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from lmms.errors import ConfigError, UnknownNameError
from lmms.tasks.spec import TaskSpec

_LOCK = threading.Lock()


def is_code(reference: str) -> bool:
    """Whether `reference` names a function in a file (`scorer.py:score`)."""
    return ".py:" in reference


def load_function(spec: TaskSpec, reference: str) -> Callable[..., Any]:
    """Returns the function `file.py:name` from the folder of the task file.

    The module is registered in `sys.modules`, so that dataclasses and pickling work in it.

    Raises:
        ConfigError: The file is missing, raises while it is loaded, or lacks the function.
    """
    file, _, name = reference.partition(":")
    path = (Path(spec.origin).parent / file).resolve()
    module = _load_module(path, spec)
    function = getattr(module, name, None)
    if not callable(function):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UnknownNameError("function", name, public, origin=f"{path}, named by {spec.name}")
    return function  # type: ignore[no-any-return]


def _load_module(path: Path, spec: TaskSpec) -> ModuleType:
    name = f"lmms_task_code.{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    with _LOCK:
        if name in sys.modules:
            return sys.modules[name]
        source = importlib.util.spec_from_file_location(name, path)
        if source is None or source.loader is None or not path.is_file():
            raise ConfigError(f"task {spec.name!r} names {path}, which is no Python file")
        module = importlib.util.module_from_spec(source)
        sys.modules[name] = module
        try:
            source.loader.exec_module(module)
        except Exception as error:  # whatever a task file raises is its fault
            del sys.modules[name]
            raise ConfigError(
                f"the code of task {spec.name!r} cannot be loaded: {type(error).__name__}: {error}",
                origin=str(path),
            ) from error
        return module
