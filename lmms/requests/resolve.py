"""One set of generation arguments and one frame policy from many layers.

Layers, weakest first: built-in defaults < task < model card < group (`generation`, `media`) < task
entry (`tasks.NAME.generation`). A layer is a mapping or a section of the config; None says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lmms.config.schema import FrameConfig, MediaConfig
from lmms.errors import ConfigError, UnknownNameError
from lmms.tasks.spec import TaskSpec
from lmms.types import FramePolicy, GenerationArgs

_GENERATION = tuple(f.name for f in fields(GenerationArgs))
_MEDIA = tuple(f.name for f in fields(FramePolicy))
_NOT_POLICY = frozenset(MediaConfig.model_fields) - frozenset(FrameConfig.model_fields)
_TUPLES = {"until", "indices", "times"}


def resolve_generation(spec: TaskSpec, *layers: Any) -> GenerationArgs:
    """Returns the generation arguments of a task under the given layers, weakest first.

    Sampling follows the temperature: a layer that sets `temperature` above 0 turns sampling on
    even if a weaker layer said `do_sample: false`, unless the same or a stronger layer sets
    `do_sample` itself. Without sampling the temperature is 0.

    Raises:
        UnknownNameError: A layer holds an unknown argument.
        ConfigError: The arguments contradict each other.
    """
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    set_by: dict[str, int] = {}
    for number, layer in enumerate((spec.generation, *layers)):
        for name, value in _said(layer, _GENERATION, "generation argument", spec.name).items():
            if name == "extra":
                extra |= value
                continue
            values[name] = _plain(name, value)
            set_by[name] = number
    temperature = float(values.get("temperature", 0.0))
    if "do_sample" not in values or set_by["do_sample"] < set_by.get("temperature", -1):
        values["do_sample"] = temperature > 0
    if values["do_sample"] and temperature == 0:
        if "temperature" in values and set_by["temperature"] >= set_by["do_sample"]:
            raise ConfigError(
                "do_sample=true with temperature=0 is a contradiction",
                origin=f"generation of task {spec.name}",
                hint="set a temperature above 0, or leave do_sample out",
            )
        temperature = 1.0
    values["temperature"] = temperature if values["do_sample"] else 0.0
    return GenerationArgs(**values, extra=extra)


def resolve_media(spec: TaskSpec, *layers: Any) -> FramePolicy:
    """Returns the frame policy of a task under the given layers, weakest first.

    What decides about frames (`num_frames`, `fps`, `indices`, `times`) in a stronger layer takes
    the place of all of them in weaker layers; a number next to `fps` in one layer is its cap.

    Raises:
        UnknownNameError: A layer holds an unknown field.
    """
    values: dict[str, Any] = {}
    deciding = ("num_frames", "fps", "indices", "times")
    for layer in (spec.media, *layers):
        said = _said(layer, _MEDIA, "media field", spec.name)
        if any(name in said for name in deciding):
            for name in deciding:
                values.pop(name, None)
            if "num_frames" not in said:
                values["num_frames"] = None
        values |= {name: _plain(name, value) for name, value in said.items()}
    return FramePolicy(**values)


def _said(layer: Any, allowed: tuple[str, ...], kind: str, task: str) -> dict[str, Any]:
    if layer is None:
        return {}
    if hasattr(layer, "model_dump"):
        layer = layer.model_dump()
    if not isinstance(layer, Mapping):
        raise TypeError(f"a layer must be a mapping or a config section, not {type(layer)}")
    for name in layer:
        if name not in allowed and name not in _NOT_POLICY:
            raise UnknownNameError(kind, str(name), allowed, origin=f"task {task}", list_all=True)
    return {k: v for k, v in layer.items() if v is not None and k in allowed}


def _plain(name: str, value: Any) -> Any:
    if name not in _TUPLES:
        return value
    return (value,) if isinstance(value, str) else tuple(value)
