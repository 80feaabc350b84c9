"""From the words of `run` and `plan` to plans: one run, a run file, or a sweep."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmms.cli.arguments import SWITCH, Arguments
from lmms.config.environment import environment
from lmms.errors import ConfigError, LmmsError

if TYPE_CHECKING:
    from lmms.config.compose import CompiledRun, RunSource
    from lmms.config.plan import RunPlan
    from lmms.config.words import Word

FLAGS: Mapping[str, str] = {
    "--config": "FILE",
    "--config-dir": "DIR",
    "--multirun": SWITCH,
}


@dataclass(frozen=True, slots=True)
class Target:
    """One run to plan or start."""

    plan: RunPlan
    name: str = ""
    """What tells it from the others: the varied words, or its place in the file."""
    overlay: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables that a run file sets; never shown."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep: what Hydra is given, and the plans of its points as far as they are known."""

    source: RunSource
    words: tuple[Word, ...]
    targets: tuple[Target, ...]


def single_or_batch(arguments: Arguments, *, render: bool = False) -> list[Target]:
    """Compiles and plans the runs that the words and the run file describe.

    Raises:
        LmmsError: A run cannot be compiled or planned; nothing has started.
    """
    from lmms.config.compose import compile_run
    from lmms.config.runfile import compile_file

    folders = arguments.values.get("--config-dir", ())
    file = arguments.value("--config")
    if file is None:
        compiled = [compile_run(arguments.words, config_dir=folders)]
    else:
        compiled = compile_file(file, arguments.words, config_dir=folders)
    several = len(compiled) > 1
    targets = []
    for number, run in enumerate(compiled, 1):
        name = f"{file} run {number}" if several else ""
        try:
            targets.append(_plan(run, name, render))
        except LmmsError as error:
            if several and not error.origin:
                error.origin = f"file {name}"
            raise
    return targets


def check_ready(targets: Sequence[Target]) -> None:
    """Makes sure that every run has what it needs of this machine before the first one starts.

    Raises:
        ConfigError: A run has not.
    """
    from lmms.planning import check_ready as check

    for target in targets:
        try:
            with environment(target.overlay):
                check(target.plan)
        except LmmsError as error:
            if len(targets) > 1:
                error.origin = f"{error.origin} ({target.name})"
            raise


def _plan(run: CompiledRun, name: str, render: bool) -> Target:
    from lmms.planning import build_plan

    if not run.overlay:
        # Outside of a batch the variables stay set: the run itself needs them.
        plan = build_plan(run.config, command=run.words, notes=run.notes, render=render)
        return Target(plan=plan, name=name)
    with environment(run.overlay):
        plan = build_plan(run.config, command=run.words, notes=run.notes, render=render)
    return Target(plan=plan, name=name, overlay=run.overlay)


def sweep(arguments: Arguments, *, render: bool = False) -> Sweep:
    """Compiles and plans every point of a sweep before the first one starts.

    Points that a searching sweeper invents while it runs are checked when they start.

    Raises:
        LmmsError: A point cannot run; the message names each.
    """
    from lmms.config.compose import read_source
    from lmms.config.sweep import sweep_points, uses_basic_sweeper
    from lmms.config.words import read_word

    folders = arguments.values.get("--config-dir", ())
    words = [read_word(w) for w in arguments.words]
    file = arguments.value("--config")
    if file is None:
        source = read_source(words, config_dir=folders)
    else:
        source = _file_source(file, words, folders)
    if not uses_basic_sweeper(source.words):
        return Sweep(source=source, words=source.words, targets=())
    points = sweep_points(source.words)
    return Sweep(source=source, words=source.words, targets=_plan_points(points, source, render))


def _file_source(file: str, words: Sequence[Word], folders: Sequence[str]) -> RunSource:
    from lmms.config.runfile import entry_source, file_runs

    runs = file_runs(file)
    if len(runs) != 1:
        raise ConfigError(
            f"{file!r} holds {len(runs)} runs, and a sweep varies one",
            origin="--config with -m",
        )
    os.environ.update(runs[0].overlay)
    return entry_source(runs[0], words, config_dir=folders)


def _plan_points(points: Sequence, source: RunSource, render: bool) -> tuple[Target, ...]:  # type: ignore[type-arg]
    from lmms.config.sweep import bad_points, compile_points

    bad: dict[str, tuple[LmmsError, list[str]]] = {}
    targets = []
    for point, run in zip(points, compile_points(points, source), strict=True):
        name = " ".join(point.varied)
        try:
            targets.append(replace(_plan(run, name, render)))
        except LmmsError as error:
            bad.setdefault(str(error), (error, []))[1].append(name)
    if bad:
        raise bad_points(bad, len(points))
    return tuple(targets)
