"""The run's folder: which one to continue, or a new one; and the `latest` link.

`run.resume=auto` continues the newest unfinished run of the same fingerprint, data and limits
below `output.dir`. How many documents are run is not in the fingerprint: a run of the same plan
with other limits is left as it is, and the new run starts with a copy of its journal, so that
raising a limit asks only for the new documents and no number is overwritten. If everything asked
for is in a finished run already, a new run starts from nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms.config.plan import RunPlan
from lmms.errors import JournalError, PlanError
from lmms.responses.atomic import replace_link, write_text
from lmms.responses.reader import JournalReader
from lmms.responses.store import JOURNAL_NAME, copy_journal

PLAN_NAME = "plan.json"
LATEST_NAME = "latest"
_MAX_SHOWN_DIFFERENCES = 6


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run lives."""

    path: Path
    fingerprint: str
    """Fingerprint that its journal has now."""
    resumed: bool = False
    sequence: int = 1
    """Runs of one plan are counted, since clocks can go back."""


def choose_folder(plan: RunPlan) -> RunFolder:
    """Finds the run to continue, or makes the folder of a new one.

    Raises:
        PlanError: `run.resume` names a folder that is no run, or a run of another plan.
        JournalError: A run to continue cannot be read, or no folder can be made.
    """
    resume = plan.config.run.resume
    if resume not in ("auto", "never"):
        return _named(Path(resume).expanduser(), plan)
    root = Path(plan.config.output.dir).expanduser()
    earlier = sorted(_earlier(root, plan), key=lambda run: run.sequence, reverse=True)
    if resume == "auto":
        wanted = wanted_limits(plan)
        for run in earlier:
            if run.status != "complete" and run.limits == wanted:
                return RunFolder(run.path, plan.fingerprint, True, run.sequence)
        if earlier and all(run.limits != wanted for run in earlier):
            return _continued(root, plan, earlier[0])
    return _new(root, plan, 1 + max((run.sequence for run in earlier), default=0))


def wanted_limits(plan: RunPlan) -> dict[str, Any]:
    """Returns how many documents of each task are asked for; None: all.

    Of an adaptive run, also where it stops.
    """
    config = plan.config
    limits: dict[str, Any] = {
        label: ref.limit if ref.limit is not None else config.limit
        for label, ref in config.tasks.items()
    }
    if config.selector.kind == "adaptive":
        stop = config.selector.model_dump(include={"max_items", "min_items", "se"})
        return {label: (limit, stop) for label, limit in limits.items()}
    return limits


@dataclass(frozen=True, slots=True)
class _Earlier:
    path: Path
    status: str
    sequence: int
    limits: Mapping[str, Any]


def _earlier(root: Path, plan: RunPlan) -> Iterator[_Earlier]:
    for path in sorted(root.glob(f"*-{plan.run_id[:8]}*")):
        # A folder without a plan belongs to a run that was killed before it began.
        if not (path / PLAN_NAME).is_file() or path.is_symlink() or _is_empty(path):
            continue
        with JournalReader(path) as journal:
            if journal.meta("fingerprint") != plan.fingerprint:
                continue
            earlier = _plan_of(path)
            # Where data lie is not in the fingerprint, but other data are another run.
            if earlier is None or _data_of(earlier) != _data_of(plan):
                continue
            sequence = journal.meta("sequence", 0)
            yield _Earlier(
                path,
                str(journal.meta("status", "running")),
                sequence if isinstance(sequence, int) else 0,
                wanted_limits(earlier),
            )


def _plan_of(path: Path) -> RunPlan | None:
    """The plan of an earlier run; None where it cannot be read."""
    try:
        return RunPlan.model_validate_json((path / PLAN_NAME).read_bytes())
    except (OSError, ValueError):
        return None


def _data_of(plan: RunPlan) -> dict[str, tuple[str, str]]:
    return {task.label: (task.dataset, task.split) for task in plan.tasks}


def _is_empty(path: Path) -> bool:
    """Whether a run has nothing to continue: its journal is gone or was emptied."""
    try:
        return (path / JOURNAL_NAME).stat().st_size == 0
    except OSError:
        return True


def _continued(root: Path, plan: RunPlan, earlier: _Earlier) -> RunFolder:
    """A new folder that starts with the answers of an earlier run of other limits."""
    folder = _new(root, plan, earlier.sequence + 1)
    try:
        copy_journal(earlier.path, folder.path)
    except OSError as error:
        raise JournalError(
            f"the journal of an earlier run cannot be copied: {error.strerror or error}",
            origin=str(earlier.path),
            hint="run.resume=never starts a run of its own",
        ) from error
    return RunFolder(folder.path, plan.fingerprint, True, folder.sequence)


def _new(root: Path, plan: RunPlan, sequence: int) -> RunFolder:
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", plan.model.shown_as).strip("-.") or "model"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{model}-{plan.run_id[:8]}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = root / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                continue
            return RunFolder(path, plan.fingerprint, False, sequence)
    except OSError as error:
        raise JournalError(
            f"no run folder can be made: {error.strerror}",
            origin=f"output.dir={plan.config.output.dir}",
            hint="choose another place with output.dir=PATH",
        ) from error


def _named(path: Path, plan: RunPlan) -> RunFolder:
    if not (path / JOURNAL_NAME).is_file():
        raise PlanError(
            f"{str(path)!r} is not the folder of a run",
            origin="run.resume",
            allowed="auto, never, latest, or a run's folder",
        )
    path = path.resolve()
    with JournalReader(path) as journal:
        held = str(journal.meta("fingerprint"))
        sequence = journal.meta("sequence", 1)
    if held != plan.fingerprint:
        _check_only_scoring_differs(path, plan)
    return RunFolder(path, held, True, sequence if isinstance(sequence, int) else 1)


def _check_only_scoring_differs(path: Path, plan: RunPlan) -> None:
    """Allows a changed task definition: what is asked otherwise has another key anyway."""
    try:
        old = RunPlan.model_validate_json((path / PLAN_NAME).read_bytes()).identity()
    except (OSError, ValueError) as error:
        raise PlanError(
            f"{PLAN_NAME} of the run to continue cannot be read", origin=str(path)
        ) from error
    differing = sorted(_differences(old, plan.identity()))
    others = [name for name in differing if not re.fullmatch(r"tasks\..+\.digest", name)]
    if others:
        shown = ", ".join(others[:_MAX_SHOWN_DIFFERENCES])
        raise PlanError(
            f"the run to continue belongs to another plan; these differ: {shown}",
            origin=f"run.resume={path}",
            hint="run.resume=never starts a run of its own",
        )


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {*old, *new}:
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield name


def write_plan(folder: Path, plan: RunPlan) -> None:
    """Writes `plan.json`; on resume it is rewritten, since the limit may be another.

    Raises:
        JournalError: The folder cannot be written to.
    """
    try:
        write_text(folder / PLAN_NAME, plan.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise JournalError(
            f"the run folder cannot be written to: {error.strerror}",
            origin=str(folder),
            hint="free some space or choose another place with output.dir=PATH",
        ) from error


def link_latest(folder: Path) -> str | None:
    """Points `latest` beside the folder at it; returns why that was not possible, if it was not."""
    try:
        replace_link(folder.parent / LATEST_NAME, folder.name)
    except OSError as error:
        return f"no link {LATEST_NAME!r} was made: {error.strerror or error}"
    return None
