"""The flags that choose frames, shared by the media commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lmms.cli.arguments import Arguments
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from lmms.config.plan import RunPlan
    from lmms.types import FramePolicy

FLAGS: Final[Mapping[str, str]] = {
    "--num-frames": "N",
    "--fps": "RATE",
    "--max-frames": "N",
    "--indices": "I,J,…",
    "--times": "SECONDS,…",
    "--task": "TASK",
}
#: Stands for a task where the compiler wants one and none is looked at.
_ANY_TASK: Final = "longvideobench_val_v"
_CHOICES = ("--num-frames", "--fps", "--indices", "--times", "--task")


def is_override(word: str) -> bool:
    """Whether a word sets something, and names no file or locator."""
    return "=" in word and "::" not in word and not Path(word).exists()


def read_policy(arguments: Arguments, overrides: Sequence[str]) -> FramePolicy:
    """Returns the frame policy that the flags, words of the group `media`, or a task name.

    Flags win over words.

    Raises:
        ConfigError: Flags that contradict each other, other words without a task, a bad number.
    """
    chosen = [flag for flag in _CHOICES if arguments.value(flag) is not None]
    if len(chosen) > 1:
        raise ConfigError(
            f"{' and '.join(chosen)} both choose frames", origin="command line", allowed=_CHOICES
        )
    task = arguments.value("--task")
    if task is not None:
        return _policy_of_task(task, overrides)
    return _with_flags(_policy_of_words(overrides), arguments)


def _policy_of_words(overrides: Sequence[str]) -> FramePolicy:
    """Composes words like `media=qwen_vl` as a run does."""
    from lmms.types import FramePolicy

    if not overrides:
        return FramePolicy()
    from lmms.config.compose import compile_run
    from lmms.planning import clip_policy

    # The compiler wants a task, whose own frames do not enter here.
    config = compile_run(("model=dummy", f"task={_ANY_TASK}", *overrides)).config
    others = [word for word in overrides if not word.lstrip("+~").startswith(("media=", "media."))]
    if others:
        raise ConfigError(
            f"{others[0]!r} changes a run, and no task is named",
            origin="command line",
            allowed="media=OPTION and media.KEY=VALUE",
            hint="other words go with --task",
        )
    if config.media.control is not None:
        raise ConfigError(
            f"media.control={config.media.control} changes what a model is shown, not the clip",
            origin="command line",
            hint="leave it out",
        )
    return clip_policy(config)


def _with_flags(policy: FramePolicy, arguments: Arguments) -> FramePolicy:
    given: dict[str, Any] = {
        "num_frames": number(arguments, "--num-frames"),
        "fps": _one(arguments, "--fps", float),
        "max_frames": number(arguments, "--max-frames"),
        "indices": _several(arguments, "--indices", int),
        "times": _several(arguments, "--times", float),
    }
    given = {k: v for k, v in given.items() if v is not None}
    for name, at_least in (("indices", "0"), ("times", "0 s")):
        # Where they end only the clip tells.
        wrong = [v for v in given.get(name, ()) if not 0 <= v < float("inf")]
        if wrong:
            flag = f"--{name}"
            raise ConfigError(f"{flag} {wrong[0]}", origin=flag, allowed=f"{at_least} and above")
    if "max_frames" in given and "fps" not in given:
        raise ConfigError("--max-frames bounds --fps, which is not given", origin="command line")
    if "num_frames" in given:
        given |= {"fps": None, "max_frames": None, "min_frames": None, "sampling": None}
    elif "fps" in given:
        if not 0 < given["fps"] < float("inf"):
            raise ConfigError(f"--fps {given['fps']:g}", origin="--fps", allowed="above 0")
        given = {"max_frames": None, "min_frames": None, "sampling": None} | given
        given["num_frames"] = None
    return replace(policy, **given)


def plan_of_task(task: str, overrides: Sequence[str]) -> RunPlan:
    """Returns the plan of a task (or of several) for a model that needs no weights.

    Raises:
        LmmsError: As for `lmms plan`.
    """
    from lmms.cli import targets

    words = (f"task={task}", *overrides)
    if not any(word.startswith("model=") for word in overrides):
        words = ("model=dummy", *words)
    return targets.single_or_batch(Arguments(words=words))[0].plan


def _policy_of_task(task: str, overrides: Sequence[str]) -> FramePolicy:
    planned = plan_of_task(task, overrides).tasks
    if len(planned) != 1:
        raise ConfigError(
            f"--task takes one task, and {task!r} is {len(planned)}",
            origin="--task",
            suggestions=[t.label for t in planned][:3],
        )
    return planned[0].frame_policy


def number(arguments: Arguments, flag: str) -> int | None:
    """Returns a flag's count of things.

    Raises:
        ConfigError: It is no whole number above zero.
    """
    value: int | None = _one(arguments, flag, int)
    if value is not None and value < 1:
        raise ConfigError(f"{flag} {value}", origin=flag, allowed="1 and above")
    return value


def _one(arguments: Arguments, flag: str, kind: Callable[[str], Any]) -> Any:
    text = arguments.value(flag)
    return None if text is None else _parsed(text, flag, kind)


def _several(arguments: Arguments, flag: str, kind: Callable[[str], Any]) -> Any:
    text = arguments.value(flag)
    if text is None:
        return None
    values = tuple(_parsed(part, flag, kind) for part in text.split(",") if part.strip())
    if not values:
        raise ConfigError(f"{flag} names nothing", origin=flag, allowed=FLAGS[flag])
    return values


def _parsed(text: str, flag: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise ConfigError(f"{flag}: {text!r} is no {what}", origin=flag) from None
