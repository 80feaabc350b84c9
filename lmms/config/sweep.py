"""The points of a sweep, known before the first one starts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from lmms.config import diagnose
from lmms.config.compose import CompiledRun, RunSource, compile_source
from lmms.config.words import Word, read_word
from lmms.errors import ConfigError, LmmsError

_BASIC = "basic"


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a sweep."""

    words: tuple[Word, ...]
    varied: tuple[str, ...]
    """The words that differ between points, e.g. `("model=dummy", "task=mme")`."""


def sweep_points(words: Sequence[Word]) -> list[Point]:
    """Returns every combination of the words' values, in the order in which Hydra runs them.

    Args:
        words: Prepared words; those of Hydra itself are left out of the points.

    Raises:
        ConfigError: A word cannot be read, or its values cannot be listed.
    """
    from hydra.errors import HydraException

    from lmms.config.loader import parse_override

    axes: list[list[Word]] = []
    for word in words:
        if word.is_hydra:
            continue
        try:
            override = parse_override(word.text)
        except HydraException as error:
            raise diagnose.parse_error(word, error) from error
        if not override.is_sweep_override():
            axes.append([word])
            continue
        if not override.is_discrete_sweep():
            raise ConfigError(
                f"{word.value!r} has no list of values",
                origin=word.origin,
                allowed="a,b  range(0,10)  choice(a,b)  glob(*)",
                hint="intervals need a search: hydra/sweeper=…",
            )
        key = override.get_key_element()
        values = [f"{key}={value}" for value in override.sweep_string_iterator()]
        axes.append([read_word(v, origin=f"{word.origin} ({_plain(v)})") for v in values])
    varying = [i for i, axis in enumerate(axes) if len(axis) > 1]
    return [
        Point(words=point, varied=tuple(_plain(point[i].text) for i in varying))
        for point in itertools.product(*axes)
    ]


def uses_basic_sweeper(words: Sequence[Word]) -> bool:
    """Whether Hydra's own sweeper runs, whose points are known in advance."""
    chosen = [w.value for w in words if w.key == "hydra/sweeper"]
    return not chosen or chosen[-1] == _BASIC


def compile_points(points: Sequence[Point], source: RunSource) -> list[CompiledRun]:
    """Compiles every point.

    Args:
        points: From `sweep_points`.
        source: The sweep's source, whose words each point replaces.

    Raises:
        ConfigError: Points cannot run; one message names each of them.
    """
    from dataclasses import replace

    compiled: list[CompiledRun] = []
    bad: dict[str, tuple[LmmsError, list[str]]] = {}
    for point in points:
        try:
            compiled.append(compile_source(replace(source, words=point.words)))
        except LmmsError as error:
            bad.setdefault(str(error), (error, []))[1].append(" ".join(point.varied))
    if bad:
        raise bad_points(bad, len(points))
    return compiled


def bad_points(bad: dict[str, tuple[LmmsError, list[str]]], total: int) -> LmmsError:
    """Returns one error over the points that cannot run.

    Args:
        bad: Message to the error and the points that have it.
        total: Number of points.
    """
    if len(bad) == 1 and total == 1:
        return next(iter(bad.values()))[0]
    count = sum(len(points) for _, points in bad.values())
    blocks = []
    for text, (_, points) in bad.items():
        shown = "; ".join(points[:4]) + (f"; and {len(points) - 4} more" if len(points) > 4 else "")
        blocks.append(f"  at {shown}:\n" + "\n".join(f"    {line}" for line in text.splitlines()))
    return ConfigError(
        f"{count} of {total} runs of the sweep cannot start, so none was started\n"
        + "\n".join(blocks)
    )


def _plain(text: str) -> str:
    return text.lstrip("+")
