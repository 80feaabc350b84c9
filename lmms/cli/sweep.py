"""`lmms -m`: a Hydra multirun, all of whose points are known to be possible before it starts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lmms.cli import console, outcome, targets
from lmms.cli.arguments import Arguments
from lmms.cli.run import print_outcomes
from lmms.config.compose import RUN_FILE_WORD
from lmms.errors import ConfigError, LmmsError, RunInterruptedError


def run_sweep(arguments: Arguments) -> int:
    """Checks every point, runs them through Hydra's launcher, and prints one table.

    Raises:
        LmmsError: A point cannot run; none was started.
    """
    sweep = targets.sweep(arguments)
    if len(sweep.targets) == 1:
        console.print_note("the sweep has one point")
    folder = _sweep_folder(sweep)
    outcomes = _launch(sweep, folder, quiet=arguments.has("--quiet"), json=arguments.has("--json"))
    print_outcomes(outcomes, as_json=arguments.has("--json"), folder=folder)
    return outcome.worst([o.exit_code for o in outcomes])


def _sweep_folder(sweep: targets.Sweep) -> Path:
    """Returns the folder of the sweep's summary, below the output folder of its first point."""
    output = sweep.targets[0].plan.config.output.dir if sweep.targets else "outputs"
    return Path(output) / f"sweep-{time.strftime('%Y%m%d-%H%M%S')}"


def _launch(
    sweep: targets.Sweep, folder: Path, *, quiet: bool, json: bool
) -> list[outcome.Outcome]:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.hydra import Hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    from lmms.config.loader import CONFIG_NAME, search_path
    from lmms.config.words import quoted

    source = sweep.source
    body = None if source.body is None else dict(source.body)
    path = search_path(source.folders, source.catalogue, source.task_paths, body)
    overrides = [w.text for w in sweep.words]
    if body is not None:
        overrides.append(RUN_FILE_WORD)
    overrides += [
        f"hydra.sweep.dir={quoted(str(folder))}",
        "hydra.sweep.subdir=.",
        "hydra/job_logging=disabled",
        "hydra/hydra_logging=disabled",
    ]
    GlobalHydra.instance().clear()
    hydra = Hydra(task_name="lmms", config_loader=ConfigLoaderImpl(path))
    GlobalHydra.instance().initialize(hydra)
    try:
        job = SweepJob(_constant_keys(sweep), catalogue=source.catalogue, quiet=quiet, json=json)
        returned = hydra.multirun(
            CONFIG_NAME, job, overrides=overrides, with_log_configuration=False
        )
    except HydraException as error:
        raise ConfigError(f"the sweep cannot run: {error}", origin="hydra") from error
    finally:
        GlobalHydra.instance().clear()
    return [_outcome_of(r.return_value) for r in _flat(returned)]


class SweepJob:
    """What a launcher calls per point, in this process or another one.

    Args:
        constant: Keys that are the same at every point; they are left out of its name.
        catalogue: `module:function` that opens the task catalogue.
        quiet: No progress.
        json: Nothing on stdout.
    """

    __name__ = "lmms"

    def __init__(
        self, constant: frozenset[str], *, catalogue: str, quiet: bool, json: bool
    ) -> None:
        self._constant = constant
        self._catalogue = catalogue
        self._quiet = quiet
        self._json = json

    def __call__(self, config: Any) -> dict[str, Any]:
        """Plans and runs a composed point; returns plain data that any launcher can send."""
        words = [w.lstrip("+") for w in config.hydra.overrides.task if w != RUN_FILE_WORD]
        name = " ".join(w for w in words if w.partition("=")[0] not in self._constant)
        try:
            target = targets.Target(plan=self._plan(config), name=name)
        except LmmsError as error:
            console.print_error(f"{name}: {error}")
            return {"name": name, "exit_code": error.exit_code, "error": str(error), "path": None}
        console.print_note(f"run: {name}")
        try:
            ended = outcome.start_caught(target, quiet=self._quiet, json=self._json)
        except RunInterruptedError as error:
            # Only this ends Hydra's loop over the points.
            raise KeyboardInterrupt(str(error)) from error
        path = ended.result.path if ended.result else None
        return {"name": name, "exit_code": ended.exit_code, "error": ended.error, "path": path}

    def _plan(self, config: Any) -> Any:
        from lmms.config.compose import compile_composed
        from lmms.planning import build_plan

        compiled = compile_composed(config, catalogue=self._catalogue)
        return build_plan(compiled.config, command=compiled.words, notes=compiled.notes)


def _constant_keys(sweep: targets.Sweep) -> frozenset[str]:
    from lmms.config.loader import parse_override

    return frozenset(
        w.key for w in sweep.words if not parse_override(w.text).is_sweep_override()
    )


def _outcome_of(returned: dict[str, Any]) -> outcome.Outcome:
    from lmms.api import load_run

    result = load_run(returned["path"]) if returned["path"] else None
    return outcome.Outcome(
        name=returned["name"],
        exit_code=returned["exit_code"],
        result=result,
        error=returned["error"],
    )


def _flat(returned: Any) -> Iterable[Any]:
    """Returns the jobs of all batches; sweepers nest them differently."""
    if isinstance(returned, Sequence) and not isinstance(returned, str):
        for item in returned:
            yield from _flat(item)
    elif returned is not None and hasattr(returned, "return_value"):
        yield returned
