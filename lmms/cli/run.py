"""`lmms WORDS`: run what the words, the run file or the sweep describe."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmms.cli import console, outcome, targets
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.errors import RunInterruptedError

if TYPE_CHECKING:
    from lmms.types import RunResult

_FLAGS = {**targets.FLAGS, "--quiet": SWITCH}


def main(words: Sequence[str]) -> int:
    """Runs; returns the worst exit code of the runs."""
    arguments = read_arguments(words, _FLAGS, command="")
    if arguments.has("--multirun"):
        from lmms.cli.sweep import run_sweep

        return run_sweep(arguments)
    found = targets.single_or_batch(arguments)
    targets.check_ready(found)
    quiet, as_json = arguments.has("--quiet"), arguments.has("--json")
    outcome.say_banner((t.plan for t in found), as_json=as_json)
    if len(found) == 1:
        ended = outcome.start(found[0], quiet=quiet)
        assert ended.result is not None
        if as_json:
            console.print_json(ended.to_json())
        else:
            outcome.print_result(ended.result)
        return ended.exit_code
    return _run_batch(found, arguments)


def _run_batch(found: Sequence[targets.Target], arguments: Arguments) -> int:
    """Runs the runs of a file one after the other; a failed one does not stop the next."""
    quiet, as_json = arguments.has("--quiet"), arguments.has("--json")
    outcomes: list[outcome.Outcome] = []
    for number, target in enumerate(found, 1):
        console.print_note(f"run {number} of {len(found)}: {target.name}")
        try:
            ended = outcome.start_caught(target, quiet=quiet)
        except RunInterruptedError as error:
            print_outcomes(outcomes, as_json=as_json)
            if as_json:
                error.printed = True
            raise
        outcomes.append(ended)
    print_outcomes(outcomes, as_json=as_json)
    return outcome.worst([o.exit_code for o in outcomes])


def print_outcomes(
    outcomes: Sequence[outcome.Outcome], *, as_json: bool, folder: Path | None = None
) -> None:
    """Prints one table over several runs, and writes it to `folder` if one is given."""
    from lmms.report.tables import render_summary

    results: list[RunResult] = [o.result for o in outcomes if o.result is not None]
    document = {"runs": [o.to_json() for o in outcomes]}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
        if results:
            table = render_summary(results, "md")
            (folder / "summary.md").write_text(table + "\n", encoding="utf-8")
    if as_json:
        console.print_json(document)
        return
    if results:
        print(render_summary(results))
    failed = [o for o in outcomes if o.exit_code]
    for ended in failed:
        status = f"status {ended.result.status}" if ended.result else "failed"
        reason = (ended.error or status).splitlines()[0]
        print(f"exit code {ended.exit_code}: {ended.name}: {reason}", file=sys.stderr)
    if folder is not None:
        print(console.fields({"summary": str(folder / "summary.md")}))
