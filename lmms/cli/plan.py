"""`lmms plan`: what would run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmms.cli import console, targets
from lmms.cli.arguments import SWITCH, read_arguments
from lmms.errors import PlanError

if TYPE_CHECKING:
    from lmms.config.plan import Estimate, PlannedTask, RunPlan
    from lmms.config.schema import RunConfig

_FLAGS = {**targets.FLAGS, "--render": SWITCH, "--yaml": SWITCH, "--quiet": SWITCH}


def main(words: Sequence[str]) -> int:
    """Prints plans: as text, JSON, or the run file that makes them; quietly, it only checks them.

    Returns:
        2 if rendering found documents that cannot be asked, else 0.
    """
    arguments = read_arguments(words, _FLAGS, command="plan")
    render = arguments.has("--render")
    if arguments.has("--multirun"):
        found = list(targets.sweep(arguments, render=render).targets)
    else:
        found = targets.single_or_batch(arguments, render=render)
    plans = [t.plan for t in found]
    if arguments.has("--json"):
        shown = [p.model_dump(mode="json") | {"fingerprint": p.fingerprint} for p in plans]
        console.print_json(shown if len(shown) > 1 else shown[0])
    elif arguments.has("--yaml"):
        from lmms.config.reproduce import run_file_text

        print(run_file_text([p.config for p in plans]), end="")
    elif not arguments.has("--quiet"):
        for number, target in enumerate(found):
            if number:
                print()
            print(plan_text(target.plan, name=target.name))
    problems = [problem for plan in plans for problem in _render_problems(plan)]
    for problem in dict.fromkeys(problems):
        console.print_error(problem)
    return PlanError.exit_code if problems else 0


def _render_problems(plan: RunPlan) -> list[str]:
    """Returns a line per task some of whose documents cannot be rendered."""
    from lmms.planning.render import UNRENDERED

    lines = []
    for task in plan.tasks:
        found = task.rendered.get(UNRENDERED)
        if found:
            document, reason = next(iter(found.items()))
            lines.append(
                f"task {task.label}: {len(found)} of {task.documents.value} documents cannot be "
                f"rendered; {document}: {' '.join(reason.split())}"
            )
    return lines


def plan_text(plan: RunPlan, *, name: str = "") -> str:
    """Returns a plan for people."""
    blocks = [_heading(plan, name), _tasks(plan)]
    basis = _basis(plan)
    if basis:
        blocks.append(basis)
    blocks.append("\n".join(console.dim(f"note: {note}") for note in plan.notes))
    return "\n\n".join(b for b in blocks if b)


def _heading(plan: RunPlan, name: str) -> str:
    model = plan.model
    reference = f" ({model.reference})" if model.reference != model.shown_as else ""
    config = plan.config
    fields = {"run": name} if name else {}
    fields |= {
        "model": f"{model.shown_as}{reference}",
        "back end": _backend(plan),
        "env": f"{config.env.name}: weights {config.env.weights}, data {config.env.data}"
        + (", offline" if config.env.offline else ""),
        **_groups(plan),
        **_media_work(config),
        **_selection(plan),
        "output": config.output.dir,
        "plan": plan.fingerprint[:12],
    }
    return console.fields(fields)


def _groups(plan: RunPlan) -> dict[str, str]:
    """Returns the tasks of each group whose mean the results give."""
    shown = {task.label: task.shown_as for task in plan.tasks}
    return {
        f"group {group}": ", ".join(shown[label] for label in labels)
        for group, labels in plan.config.groups.items()
    }


def _selection(plan: RunPlan) -> dict[str, str]:
    """Returns how documents are chosen, where not all of them are asked."""
    if plan.selector is None:
        return {}
    given = plan.config.selector
    stop = f"at most {given.max_items} documents"
    if given.se is not None:
        stop += f", or ability ± {given.se:g}"
        stop += f" after at least {given.min_items}" if given.min_items > 1 else ""
    at_once = plan.selector.batch_size
    how = f"{given.estimation}, {at_once} at once" if at_once > 1 else given.estimation
    shown = {"selector": f"{given.name}: {stop} ({how})"}
    banks = list(plan.selector.banks.items())
    for label, bank in banks:
        right = "" if bank.right_from is None else f" from {bank.right_from:g} on"
        name = "item bank" if len(banks) == 1 else f"item bank, {label}"
        about = f"{bank.items:,} items"
        if bank.subjects is not None:
            about += f" from {console.some(bank.subjects, 'subject')}"
        shown[name] = f"{bank.path} ({about}, {bank.digest[:12]}); right by {bank.metric}{right}"
    return shown


def _media_work(config: RunConfig) -> dict[str, str]:
    """Returns how media work is run, where somebody asked for something else than the default."""
    media = config.media
    if media.isolation == "auto" and not media.frame_store:
        return {}
    parts = [f"isolation {media.isolation}"]
    if media.frame_store:
        where = "in the cache" if media.frame_store is True else media.frame_store
        parts.append(f"frame store {where}")
    return {"media work": ", ".join(parts)}


def _backend(plan: RunPlan) -> str:
    identity = plan.model.identity
    parts = [plan.model.backend, identity.get("backend_version"), identity.get("dtype")]
    parts.append(f"batch {plan.config.model.batch_size}")
    return ", ".join(str(p) for p in parts if p)


_HEADER = ("task", "version", "shots", "documents", "requests", "frames", "output tokens", "asks")
_RIGHT = frozenset({2, 3, 4, 5, 6})


def _tasks(plan: RunPlan) -> str:
    rows: list[tuple[str, ...]] = [
        (
            task.shown_as,
            task.version,
            str(task.num_fewshot),
            console.counted(task.documents.value),
            console.counted(task.requests.value),
            console.counted(task.frames.value),
            _tokens(task),
            _asks(task),
        )
        for task in plan.tasks
    ]
    if len(rows) > 1:
        rows.append(("total", "", "", *(_total(plan, f) for f in _SUMMED), ""))
    return console.table(_HEADER, rows, right=_RIGHT)


_SUMMED = ("documents", "requests", "frames", "output_tokens")


def _total(plan: RunPlan, field: str) -> str:
    values = [getattr(task, field).value for task in plan.tasks]
    known = [v for v in values if v is not None]
    text = console.counted(sum(known))
    if field == "output_tokens" and sum(known):
        text = f"≤ {text}"
    return text if len(known) == len(values) else f"{text} + ?"


def _tokens(task: PlannedTask) -> str:
    value = task.output_tokens.value
    return f"≤ {console.counted(value)}" if value else console.counted(value)


def _asks(task: PlannedTask) -> str:
    """Returns what decides the answers, in few words."""
    parts = [task.output_type]
    if task.output_type == "generate_until":
        generation = task.generation
        if generation.get("do_sample"):
            parts.append(f"temperature {generation.get('temperature', 1.0):g}")
        else:
            parts.append("greedy")
    parts += _frames(task.media)
    if task.repeats > 1:
        parts.append(f"{task.repeats} repeats")
    return ", ".join(parts)


def _frames(media: Mapping[str, Any]) -> list[str]:
    """Returns how frames are chosen; nothing is said of defaults."""
    parts = []
    if media.get("sampling"):
        parts.append(f"sampling {media['sampling']}")
    if media.get("fps"):
        parts.append(f"{media['fps']:g} fps")
    elif media.get("num_frames"):
        parts.append(f"{media['num_frames']} frames")
    if media.get("count"):
        parts.append(f"{media['count']} count")
    if media.get("strategy"):
        parts.append(f"nearest {media['strategy']}")
    if media.get("backend"):
        parts.append(f"decoded by {media['backend']}")
    if media.get("control"):
        parts.append(f"control {media['control']}")
    return parts


def _basis(plan: RunPlan) -> str:
    lines = []
    for task in plan.tasks:
        named = {
            "documents": task.documents,
            "requests": task.requests,
            "frames": task.frames,
            "output tokens": task.output_tokens,
        }
        shown = [f"{k}: {e.basis}" for k, e in named.items() if _worth_saying(e)]
        lines.append(f"  {task.shown_as}: " + "; ".join(shown))
        lines += [f"    {k}: {_counted(v)}" for k, v in task.rendered.items()]
    return console.bold("where the numbers come from") + "\n" + "\n".join(lines)


def _counted(value: Any) -> str:
    """Returns a number, lines, or how many things have a problem and what the first one's is."""
    if isinstance(value, list):
        return "".join(f"\n      {line}" for line in value)
    if not isinstance(value, Mapping):
        return str(value)
    thing, problem = next(iter(value.items()))
    return f"{len(value)} ({thing}: {' '.join(str(problem).split())})"


def _worth_saying(estimate: Estimate) -> bool:
    return estimate.value != 0
