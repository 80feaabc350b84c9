"""One set of generation arguments and one frame policy from many layers.

Layers, weakest first: built-in defaults < task < model card < group (`generation`, `media`) < task
entry (`tasks.NAME.generation`). A layer is a mapping or a section of the config; None says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_args

from lmms.config.schema import FrameConfig, MediaConfig
from lmms.errors import ConfigError, UnknownNameError
from lmms.frame_policy import (
    DEFAULT_NUM_FRAMES,
    FrameCount,
    FramePolicyError,
    FrameSampling,
    FrameStrategy,
    VideoBackend,
)
from lmms.tasks.spec import TaskSpec
from lmms.types import FramePolicy, GenerationArgs

_GENERATION = tuple(f.name for f in fields(GenerationArgs))
_MEDIA = tuple(f.name for f in fields(FramePolicy))
_NOT_POLICY = frozenset(MediaConfig.model_fields) - frozenset(FrameConfig.model_fields)
_NUMBERS = ("num_frames", "fps", "indices", "times")
_DECIDING = (*_NUMBERS, "sampling")
_GOES_BY = {
    "uniform": ("num_frames",),
    "longvideobench": ("num_frames",),
    "fps": ("num_frames", "fps"),
    "stride": ("num_frames", "fps"),
}
"""Rule to the numbers of weaker layers that it goes by; Qwen-VL's have their own."""
_BY_NUMBER = ("uniform", "longvideobench")
_OPTIONS = {
    "sampling": get_args(FrameSampling),
    "count": get_args(FrameCount),
    "strategy": get_args(FrameStrategy),
    "backend": get_args(VideoBackend),
}
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
    origin = f"task {spec.name}"
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    set_by: dict[str, int] = {}
    for number, layer in enumerate((spec.generation, *layers)):
        for name, value in _said(layer, _GENERATION, "generation argument", origin).items():
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

    What decides about frames (`num_frames`, `fps`, `indices`, `times`, `sampling`) in a stronger
    layer takes the place of all of them in weaker layers; a number next to `fps` in one layer is
    its cap. A layer that names nothing but the rule leaves the numbers that this rule goes by.
    `max_frames` stays until a stronger layer sets it, and bounds `num_frames` too.

    Raises:
        UnknownNameError: A layer holds an unknown field, or an unknown option of one.
        FramePolicyError: A number is out of its range.
    """
    return resolve_frames(spec.media, *layers, origin=f"task {spec.name}")


def resolve_frames(*layers: Any, origin: str) -> FramePolicy:
    """Returns the frame policy of the given layers alone, as `resolve_media` does with a task's.

    Args:
        layers: Mappings or config sections, weakest first.
        origin: Whose they are, for messages.

    Raises:
        UnknownNameError: As `resolve_media`.
        FramePolicyError: As `resolve_media`.
    """
    values: dict[str, Any] = {"num_frames": DEFAULT_NUM_FRAMES}
    for layer in layers:
        said = _said(layer, _MEDIA, "media field", origin)
        if any(name in said for name in _DECIDING):
            values = _replaced(values, said)
        values |= {name: _plain(name, value) for name, value in said.items()}
    for name, allowed in _OPTIONS.items():
        if name in values and values[name] not in allowed:
            kind = f"media.{name}"
            raise UnknownNameError(kind, str(values[name]), allowed, origin=origin, list_all=True)
    try:
        policy = FramePolicy(**values)
    except FramePolicyError as error:
        error.origin = f"media settings of {origin}"
        raise
    if policy.rule in _BY_NUMBER and policy.num_frames is not None:
        # So that plans, tables and estimates show the number that is taken.
        return replace(policy, num_frames=policy.frames_wanted)
    return policy


def _replaced(values: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what stays of weaker layers under one that decides about frames."""
    kept: tuple[str, ...] = ()
    if not any(name in said for name in _NUMBERS):
        kept = _GOES_BY.get(said["sampling"], ())
    left = {k: v for k, v in values.items() if k not in _DECIDING or k in kept}
    if "num_frames" not in said and "num_frames" not in kept:
        left["num_frames"] = None
    return left


def _said(layer: Any, allowed: tuple[str, ...], kind: str, origin: str) -> dict[str, Any]:
    if layer is None:
        return {}
    if hasattr(layer, "model_dump"):
        layer = layer.model_dump()
    if not isinstance(layer, Mapping):
        raise TypeError(f"a layer must be a mapping or a config section, not {type(layer)}")
    for name in layer:
        if name not in allowed and name not in _NOT_POLICY:
            raise UnknownNameError(kind, str(name), allowed, origin=origin, list_all=True)
    return {k: v for k, v in layer.items() if v is not None and k in allowed}


def _plain(name: str, value: Any) -> Any:
    if name not in _TUPLES:
        return value
    return (value,) if isinstance(value, str) else tuple(value)
