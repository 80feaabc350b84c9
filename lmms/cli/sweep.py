"""`lmms -m`: a Hydra multirun, all of whose points are known to be possible before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.cli import console, outcome, targets
from lmms.cli.arguments import Arguments
from lmms.cli.ledger import SweepLedger, point_key
from lmms.cli.plugins import check_plugins
from lmms.cli.run import print_outcomes
from lmms.config import secrets
from lmms.config.compose import RUN_FILE_WORD
from lmms.errors import ConfigError, LmmsError, RunInterruptedError

if TYPE_CHECKING:
    from lmms.config.plan import RunPlan


def run_sweep(arguments: Arguments) -> int:
    """Checks every point, runs them through Hydra's launcher, and prints one table.

    Raises:
        LmmsError: A point cannot run; none was started.
    """
    sweep = targets.sweep(arguments)
    check_plugins(sweep.words, sweep.source.folders)
    targets.check_ready(sweep.targets)
    if len(sweep.targets) == 1:
        console.print_note("the sweep has one point")
    as_json = arguments.has("--json")
    outcome.say_banner((t.plan for t in sweep.targets), as_json=as_json)
    ledger = SweepLedger.open(_output_dir(sweep), [t.plan for t in sweep.targets])
    try:
        outcomes = _launch(sweep, ledger, quiet=arguments.has("--quiet"))
    except KeyboardInterrupt:
        done = [_outcome_of(r) for r in ledger.finished().values()]
        print_outcomes(done, as_json=as_json, folder=ledger.folder)
        count = "1 run of the sweep is" if len(done) == 1 else f"{len(done)} runs of the sweep are"
        console.print_note(f"{count} complete; the same words go on")
        return RunInterruptedError.exit_code
    print_outcomes(outcomes, as_json=as_json, folder=ledger.folder)
    code = outcome.worst([o.exit_code for o in outcomes])
    if code == 0:
        ledger.close()
    return code


def _output_dir(sweep: targets.Sweep) -> Path:
    """Returns the output folder of the sweep's first point; the sweep's own lies below it."""
    return Path(sweep.targets[0].plan.config.output.dir if sweep.targets else "outputs")


def _launch(sweep: targets.Sweep, ledger: SweepLedger, *, quiet: bool) -> list[outcome.Outcome]:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.hydra import Hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    from lmms.config.loader import CONFIG_NAME, search_path
    from lmms.config.words import quoted

    source = sweep.source
    body = None if source.body is None else dict(source.body)
    path = search_path(source.folders, source.catalogue, source.task_paths, source.cache_dir, body)
    overrides = [w.text for w in sweep.words]
    if body is not None:
        overrides.append(RUN_FILE_WORD)
    overrides += [
        f"hydra.sweep.dir={quoted(str(ledger.folder))}",
        "hydra.sweep.subdir=.",
        "hydra/job_logging=disabled",
        "hydra/hydra_logging=disabled",
    ]
    GlobalHydra.instance().clear()
    hydra = Hydra(task_name="lmms", config_loader=ConfigLoaderImpl(path))
    GlobalHydra.instance().initialize(hydra)
    try:
        job = SweepJob(_constant_keys(sweep), ledger, catalogue=source.catalogue, quiet=quiet)
        returned = hydra.multirun(
            CONFIG_NAME, job, overrides=overrides, with_log_configuration=False
        )
    except HydraException as error:
        ledger.discard()
        reason = " ".join(str(error).split())
        raise ConfigError(f"the sweep cannot run: {reason}", origin="hydra") from error
    finally:
        GlobalHydra.instance().clear()
        (ledger.folder / "multirun.yaml").unlink(missing_ok=True)
    return [_outcome_of(r.return_value) for r in _flat(returned)]


class SweepJob:
    """What a launcher calls per point, in this process or another one.

    Args:
        constant: Keys that are the same at every point; they are left out of its name.
        ledger: Knows what is done already, and is told what gets done.
        catalogue: `module:function` that opens the task catalogue.
        quiet: No progress.
    """

    __name__ = "lmms"

    def __init__(
        self, constant: frozenset[str], ledger: SweepLedger, *, catalogue: str, quiet: bool
    ) -> None:
        self._constant = constant
        self._ledger = ledger
        self._catalogue = catalogue
        self._quiet = quiet

    def __call__(self, config: Any) -> dict[str, Any]:
        """Plans and runs a composed point; returns plain data that any launcher can send."""
        from hydra.core.hydra_config import HydraConfig

        settings = HydraConfig.get()
        words = list(settings.overrides.task)
        shown = [secrets.mask(w.lstrip("+")) for w in words if w != RUN_FILE_WORD]
        name = " ".join(w for w in shown if w.partition("=")[0] not in self._constant)
        try:
            plan = self._plan(config, words, dict(settings.runtime.choices))
        except LmmsError as error:
            secrets.mask_error(error)
            console.print_error(f"{name}: {error}")
            return {"name": name, "exit_code": error.exit_code, "error": str(error), "path": None}
        done = self._ledger.finished().get(point_key(plan))
        if done is not None and (Path(done["path"]) / "results.json").exists():
            console.print_note(f"done before: {name}")
            return done
        console.print_note(f"run: {name}")
        return self._run(plan, name)

    def _run(self, plan: RunPlan, name: str) -> dict[str, Any]:
        try:
            ended = outcome.start_caught(targets.Target(plan=plan, name=name), quiet=self._quiet)
        except RunInterruptedError as error:
            console.print_error(f"{name}: {error}")
            # Only this ends Hydra's loop over the points.
            raise KeyboardInterrupt from error
        path = ended.result.path if ended.result else None
        returned = {
            "name": name,
            "exit_code": ended.exit_code,
            "error": ended.error,
            "path": path,
        }
        self._ledger.record(plan, returned)
        return returned

    def _plan(self, config: Any, words: list[str], choices: dict[str, Any]) -> RunPlan:
        from lmms.config.compose import compile_composed
        from lmms.planning import build_plan

        compiled = compile_composed(
            config, overrides=words, choices=choices, catalogue=self._catalogue
        )
        return build_plan(compiled.config, command=compiled.words, notes=compiled.notes)


def _constant_keys(sweep: targets.Sweep) -> frozenset[str]:
    from lmms.config.loader import parse_override

    return frozenset(w.key for w in sweep.words if not parse_override(w.text).is_sweep_override())


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
