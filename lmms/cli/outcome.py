"""Starting one run, and what is said about it: banner, progress, table, exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmms.cli import console
from lmms.cli.targets import Target
from lmms.config import secrets
from lmms.config.environment import environment
from lmms.errors import IncompleteRunError, LmmsError, RunInterruptedError

if TYPE_CHECKING:
    from lmms.config.plan import RunPlan
    from lmms.types import RunResult

_INTERNAL_ERROR = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended."""

    name: str
    exit_code: int
    result: RunResult | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints of the run."""
        shown: dict[str, Any] = {"name": self.name, "exit_code": self.exit_code}
        if self.result is not None:
            shown |= {"path": self.result.path, "status": self.result.status}
            shown["results"] = dict(self.result.raw.get("results", {}))
            if groups := self.result.raw.get("groups"):
                shown["groups"] = dict(groups)
        if self.error is not None:
            shown["error"] = self.error
        return shown


def banner(plan: RunPlan) -> str | None:
    """Returns the line that says what is shipped rather than real; None if nothing is."""
    parts = []
    if plan.model.embedded:
        parts.append(f"weights: {plan.model.shown_as}, a small model trained on synthetic clips")
    if any(t.shown_as.endswith("@embedded") for t in plan.tasks):
        parts.append("data: a few made-up documents per task (…@embedded)")
    if not parts:
        return None
    return (
        f"env={plan.config.env.name} | {'; '.join(parts)}. "
        "No benchmark result. Real weights and data: env=hub"
    )


def say_banner(plans: Iterable[RunPlan], *, as_json: bool) -> None:
    """Prints each different banner of the plans once, before anything else is said."""
    texts = dict.fromkeys(text for text in map(banner, plans) if text is not None)
    for text in texts:
        print(console.bold(text), file=sys.stderr if as_json else sys.stdout, flush=True)


def start(target: Target, *, quiet: bool) -> Outcome:
    """Runs a plan to its end.

    Raises:
        LmmsError: The run could not be finished.
    """
    from lmms.cli.progress import make_observer
    from lmms.runner import execute

    plan = target.plan
    for note in plan.notes:
        console.print_note(note)
    mode = "none" if quiet else plan.config.run.progress
    with environment(target.overlay):
        result = execute(plan, observer=make_observer(mode, sys.stderr))
    return Outcome(name=target.name, exit_code=exit_code_of(result), result=result)


def start_caught(target: Target, *, quiet: bool) -> Outcome:
    """Like `start`, but a failed run is an outcome: the next run of a batch still starts.

    Raises:
        RunInterruptedError: The user stopped it; nothing else starts.
    """
    try:
        return start(target, quiet=quiet)
    except RunInterruptedError:
        raise
    except LmmsError as error:
        secrets.mask_error(error)
        console.print_error(f"{target.name}: {error}" if target.name else str(error))
        return Outcome(name=target.name, exit_code=error.exit_code, error=str(error))
    except Exception as error:  # noqa: BLE001 - one run's defect must not lose the others
        text = secrets.mask(f"internal error: {type(error).__name__}: {error}")
        console.print_error(f"{target.name}: {text}")
        return Outcome(name=target.name, exit_code=_INTERNAL_ERROR, error=text)


def exit_code_of(result: RunResult) -> int:
    """Returns the exit code for the state in which a run ended."""
    codes = {
        "complete": 0,
        "incomplete": IncompleteRunError.exit_code,
        "interrupted": RunInterruptedError.exit_code,
    }
    return codes.get(result.status, _INTERNAL_ERROR)


def worst(codes: Sequence[int]) -> int:
    """Returns the exit code of several runs: an interruption, else the worst error, else 0."""
    if RunInterruptedError.exit_code in codes:
        return RunInterruptedError.exit_code
    errors = [c for c in codes if c]
    others = [c for c in errors if c != IncompleteRunError.exit_code]
    return max(others or errors, default=0)


def print_result(result: RunResult) -> None:
    """Prints the table of a run and where its files are."""
    from pathlib import Path

    from lmms.report.adaptive import adaptive_lines
    from lmms.report.groups import group_lines, groups_table
    from lmms.report.repeats import repeats_table
    from lmms.report.tables import render_table, rendered

    print(render_table(result))
    groups = groups_table(result)
    if groups is not None:
        print()
        print(rendered(groups, "table"))
    said = list(group_lines(result))
    if said:
        print("\n" + "\n".join(said))
    repeats = repeats_table(result)
    if repeats is not None:
        print()
        print(rendered(repeats, "table"))
    lines = adaptive_lines(result)
    if lines:
        print("\n" + "\n".join(lines))
    # What limits a predicted score is read beside it, not only in the report.
    for task in result.tasks.values():
        for warning in task.warnings if task.adaptive else ():
            if warning not in result.raw.get("notes", ()):
                console.print_note(f"warning: {task.label}: {warning}")
    folder = Path(result.path)
    files = {n: folder / n for n in ("report.html", "results.json") if (folder / n).exists()}
    if files:
        print()
        print(console.fields({k: _shown(v) for k, v in files.items()}))


def _shown(path: Any) -> str:
    from pathlib import Path

    path = Path(path)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
