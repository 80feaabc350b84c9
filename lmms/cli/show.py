"""`lmms show`: a finished or running run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lmms.cli import console, outcome
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.cli.values import whole_number
from lmms.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from lmms.types import Sample

_FLAGS = {
    "--samples": "TASK",
    "--status": "STATUS",
    "--limit": "N",
    "--yaml": SWITCH,
    "--output-dir": "DIR",
}
_WIDTH = 2000
"""Characters of a prompt or answer that are printed."""


def main(words: Sequence[str]) -> int:
    """Shows a run, its samples, or the run file that makes it again."""
    arguments = read_arguments(words, _FLAGS, command="show")
    if len(arguments.words) != 1:
        raise ConfigError(
            "lmms show takes one run", origin="command line", hint="lmms show outputs/latest"
        )
    run = arguments.words[0]
    output = arguments.value("--output-dir") or "outputs"
    if arguments.has("--yaml"):
        return _show_run_file(run, output, as_json=arguments.has("--json"))
    if arguments.value("--samples") is not None:
        return _show_samples(run, output, arguments)
    from lmms.report import load_run

    result = load_run(run, output_dir=output)
    if arguments.has("--json"):
        shown = {"path": result.path, "status": result.status, "model": result.model}
        console.print_json(shown | dict(result.raw))
    else:
        print(console.fields(_heading(result)))
        print()
        outcome.print_result(result)
    return 0


def _heading(result: Any) -> dict[str, str]:
    from lmms.report.media import media_line

    heading = {"run": Path(result.path).name, "model": result.model, "status": result.status}
    media = media_line(result)
    return heading | ({"media": media} if media else {})


def _show_run_file(run: str, output: str, *, as_json: bool) -> int:
    from lmms.config.plan import RunPlan
    from lmms.config.reproduce import run_file, run_file_text
    from lmms.report.runs import find_run

    plan_file = find_run(run, output_dir=output) / "plan.json"
    try:
        plan = RunPlan.model_validate_json(plan_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        from lmms.errors import PlanError

        reason = str(error).splitlines()[0]
        raise PlanError(f"cannot read the plan: {reason}", origin=str(plan_file)) from error
    if as_json:
        console.print_json(run_file(plan.config))
    else:
        print(run_file_text([plan.config]), end="")
    return 0


def _show_samples(run: str, output: str, arguments: Arguments) -> int:
    from lmms.report import show_samples
    from lmms.types import ScoreStatus

    status = arguments.value("--status")
    if status is not None and status not in get_args(ScoreStatus):
        raise UnknownNameError("status", status, get_args(ScoreStatus), origin="--status")
    label = arguments.value("--samples") or ""
    samples = show_samples(
        run,
        label,
        status=status,  # type: ignore[arg-type]
        limit=whole_number(arguments, "--limit"),
        output_dir=output,
    )
    if arguments.has("--json"):
        console.print_json([_sample_json(s) for s in samples])
        return 0
    for number, sample in enumerate(samples):
        print("" if number == 0 else "\n", end="")
        print(_sample_text(sample))
    return 0


def _sample_json(sample: Sample) -> dict[str, Any]:
    from dataclasses import asdict

    shown: dict[str, Any] = json.loads(json.dumps(asdict(sample), default=str))
    return shown


def _sample_text(sample: Sample) -> str:
    scores = ", ".join(f"{k} {_number(s.value)}" for k, s in sample.scores.items())
    lines = {
        "document": f"{sample.document_id} (row {sample.doc_id}), {sample.status}",
        "prompt": _cut(sample.input),
        "answer": _cut(" | ".join(str(r) for r in (sample.resps or sample.filtered_resps))),
        "target": _cut(sample.target),
        "score": scores or "-",
    }
    for number, medium in enumerate(sample.media, start=1):
        lines[f"medium {number}"] = _medium(medium)
    if sample.failure is not None:
        lines["failure"] = f"{sample.failure.kind}: {sample.failure.message}"
    return "\n".join(f"{console.bold(k)}  {v}" for k, v in lines.items())


def _medium(shown: Mapping[str, Any]) -> str:
    from lmms.report.problems import medium_name

    parts = [medium_name(shown)]
    times = shown.get("times") or ()
    for position, index in enumerate(shown.get("indices") or ()):
        when = f" ({times[position]:.2f} s)" if position < len(times) else ""
        parts.append(f"{'frames ' if position == 0 else ''}{index}{when}")
    parts += [f"warning: {text}" for text in shown.get("warnings", ())]
    return _cut(", ".join(parts))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}… ({len(text)} characters)"
