"""`results.json`: the numbers of a run in the shape that readers of the field know.

The blocks `results`, `configs`, `versions`, `n-shot`, `higher_is_better`, `n-samples`, `config` …
keep the names and shapes of lm-evaluation-harness and LMMs-Eval. What these have no place for
(intervals, unparsed and failed counts, breakdowns) is in `tasks`, complete and typed.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.errors import PlanError
from lmms.report.environment import describe_environment
from lmms.report.facts import RunFacts, seconds_between, utc_text
from lmms.report.jsonable import jsonable
from lmms.report.media import media_facts
from lmms.report.secrets import mask_text, masked
from lmms.scoring.group_results import GroupResult, group_subtasks
from lmms.types import MetricResult, RunResult, TaskResult

if TYPE_CHECKING:
    from lmms.config.plan import PlannedTask, RunPlan

RESULTS_SCHEMA = "lmms-results/1"
NOT_AVAILABLE = "N/A"
"""What the peers write for a statistic that there is none of."""

# What two equal runs may differ in: when they ran, how they are called, how they went.
_VOLATILE = (
    "run_id",
    "date",
    "start_time",
    "end_time",
    "total_evaluation_time_seconds",
    "efficiency",
    "media",
    "execution",
)
_MAY_HOLD_SECRETS = (
    "configs",
    "config",
    "model",
    "notes",
    "environment",
    "pretty_env_info",
    "system_instruction",
    "execution",
)
_VOLATILE_SETTINGS = (("output", "dir"), ("run", "resume"), ("run", "progress"))


def build_results(
    folder: Path,
    plan: RunPlan,
    results: Mapping[str, TaskResult],
    facts: RunFacts,
    groups: Sequence[GroupResult] = (),
) -> dict[str, Any]:
    """Returns the content of `results.json`; plain JSON values, secrets masked.

    Args:
        folder: The run's folder; its name is the run's id.
        plan: What ran.
        results: Result per label of `plan.config.tasks`; labels without one are left out.
        facts: How it went.
        groups: What can be said of the plan's groups of tasks.

    Raises:
        ValueError: A label that the plan does not have.
    """
    if strangers := set(results) - {t.label for t in plan.tasks}:
        raise ValueError(f"results of tasks that are not in the plan: {sorted(strangers)}")
    shown = {t.label: results[t.label].label for t in plan.tasks if t.label in results}
    planned = {t.label: t for t in plan.tasks if t.label in results}
    by_name = {shown[label]: results[label] for label in shown}
    environment = describe_environment(facts.get("environment"))
    content: dict[str, Any] = {
        "schema": RESULTS_SCHEMA,
        "status": facts.get("status") or _status(by_name),
        "run_id": facts.get("run_id") or folder.name,
        "model_name": plan.model.shown_as,
        "embedded": _embedded(plan),
        "results": {name: _peer_row(result) for name, result in by_name.items()},
        "groups": {g.label: _peer_group(g) for g in groups if g.metrics},
        "group_subtasks": {name: [] for name in by_name} | group_subtasks(plan),
        "group_results": {g.label: asdict(g) for g in groups},
        "tasks": {shown[label]: _task_block(label, results[label]) for label in shown},
        "configs": {shown[label]: _task_config(planned[label]) for label in shown},
        "versions": {name: result.version for name, result in by_name.items()},
        "n-shot": {name: result.num_fewshot for name, result in by_name.items()},
        "higher_is_better": {
            name: {m.name: m.higher_is_better for m in result.metrics}
            for name, result in by_name.items()
        },
        "n-samples": {
            name: {"original": result.n_original, "effective": result.n_effective}
            for name, result in by_name.items()
        },
        "config": _run_config(plan),
        "model": plan.model.model_dump(mode="json"),
        "plan_fingerprint": plan.fingerprint,
        "manifest": facts.get("manifest"),
        "task_hashes": {shown[label]: planned[label].digest for label in shown},
        "notes": list(plan.notes),
        "environment": environment,
        "efficiency": {
            "overall": dict(facts.get("efficiency") or {}),
            "by_task": {name: dict(result.efficiency) for name, result in by_name.items()},
        },
    }
    content["media"] = media_facts(plan.config.media, facts.get("efficiency") or {})
    content |= _peer_facts(plan, environment) | _execution(folder, plan, facts)
    shown_content: dict[str, Any] = jsonable(content)
    # Only what people typed or libraries said can hold secrets; a category may be called "token".
    return shown_content | {name: masked(shown_content[name]) for name in _MAY_HOLD_SECRETS}


def comparable(results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of a results mapping that is equal for equal runs.

    Drops the times, the run's name, how it went (sittings, speed), and in the resolved settings
    where the run was written and how it was resumed and shown. Everything else stays.
    """
    kept = {k: copy.deepcopy(v) for k, v in results.items() if k not in _VOLATILE}
    settings = kept.get("config", {}).get("resolved_cli_args", {})
    for section, key in _VOLATILE_SETTINGS:
        settings.get(section, {}).pop(key, None)
    return kept


def read_results(raw: Mapping[str, Any], *, path: str) -> RunResult:
    """Returns the run that `build_results` described.

    Args:
        raw: Content of a `results.json`.
        path: The run's folder.

    Raises:
        PlanError: Another schema, or a file of another tool.
    """
    schema = raw.get("schema")
    if schema != RESULTS_SCHEMA:
        raise PlanError(
            f"results.json has the schema {schema!r}"
            if schema
            else "results.json was not written by lmms",
            origin=path,
            allowed=RESULTS_SCHEMA,
        )
    efficiency = raw.get("efficiency", {}).get("by_task", {})
    tasks = {
        block["label"]: _read_task(name, block, efficiency.get(name, {}))
        for name, block in raw["tasks"].items()
    }
    return RunResult(path=path, status=raw["status"], model=raw["model_name"], tasks=tasks, raw=raw)


def _status(results: Mapping[str, TaskResult]) -> str:
    failed = any(result.status_counts.get("failed") for result in results.values())
    return "incomplete" if failed else "complete"


def _embedded(plan: RunPlan) -> dict[str, bool]:
    # Tasks over someone's own files run under env=embedded too; their names do not say "@embedded".
    return {
        "weights": plan.model.embedded,
        "data": any("@embedded" in task.shown_as for task in plan.tasks),
    }


def _peer_row(result: TaskResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": result.task,
        "alias": result.label,
        "sample_len": result.n_effective,
    }
    for metric in result.metrics:
        row[f"{metric.name},{metric.filter}"] = metric.value
        row[f"{metric.name}_stderr,{metric.filter}"] = (
            NOT_AVAILABLE if metric.stderr is None else metric.stderr
        )
    return row


def _peer_group(group: GroupResult) -> dict[str, Any]:
    # The peers' own default weighs by samples.
    row: dict[str, Any] = {"name": group.group, "alias": group.label}
    for metric in group.metrics:
        mean = metric.micro
        row[f"{metric.name},{metric.filter}"] = mean.value
        row[f"{metric.name}_stderr,{metric.filter}"] = (
            NOT_AVAILABLE if mean.stderr is None else mean.stderr
        )
    return row


def _task_block(label: str, result: TaskResult) -> dict[str, Any]:
    # The block is filed under the name as shown; `label` is the key in the configuration.
    block = asdict(result) | {"label": label}
    del block["efficiency"]
    block["warnings"] = [mask_text(warning) for warning in result.warnings]
    block["failure_reasons"] = [
        {**reason, "reason": mask_text(reason["reason"])} for reason in result.failure_reasons
    ]
    if result.adaptive is None:
        del block["adaptive"]
    block["metrics"] = [metric.to_json() for metric in result.metrics]
    return block


def _read_task(name: str, block: Mapping[str, Any], efficiency: Mapping[str, Any]) -> TaskResult:
    known = {f.name for f in fields(TaskResult)}
    values = {k: v for k, v in block.items() if k in known}
    names = {f.name for f in fields(MetricResult)}
    metrics = tuple(
        MetricResult(**{k: v for k, v in metric.items() if k in names})
        for metric in block["metrics"]
    )
    values |= {"label": name, "metrics": metrics, "efficiency": efficiency}
    values["warnings"] = tuple(block.get("warnings", ()))
    values["failure_reasons"] = tuple(block.get("failure_reasons", ()))
    return TaskResult(**values)


def _task_config(task: PlannedTask) -> dict[str, Any]:
    return {
        "task": task.name,
        "task_alias": task.shown_as,
        "dataset_path": task.dataset,
        "test_split": task.split,
        "output_type": task.output_type,
        "num_fewshot": task.num_fewshot,
        "repeats": task.repeats,
        "generation_kwargs": task.generation,
        "media": task.media,
        "digest": task.digest,
        "metadata": {"version": task.version},
    }


def _run_config(plan: RunPlan) -> dict[str, Any]:
    config = plan.config
    return {
        "model": config.model.backend,
        "model_args": config.model.model_dump(mode="json", exclude_defaults=True),
        "model_revision": plan.model.identity.get("revision"),
        "model_dtype": plan.model.identity.get("dtype"),
        "batch_size": config.model.batch_size,
        "batch_sizes": [],
        "device": config.model.device,
        "use_cache": None,
        "limit": config.limit,
        "bootstrap_iters": config.statistics.bootstrap_samples,
        "gen_kwargs": config.generation.model_dump(mode="json", exclude_defaults=True),
        "random_seed": config.seed,
        "numpy_seed": config.seed,
        "torch_seed": config.seed,
        "fewshot_seed": config.fewshot_seed,
        "resolved_cli_args": config.model_dump(mode="json"),
    }


def _peer_facts(plan: RunPlan, environment: Mapping[str, Any]) -> dict[str, Any]:
    system = plan.config.model.system_prompt
    return {
        "model_source": plan.model.backend,
        "model_name_sanitized": re.sub(r'[\s"<>:/|\\?*\[\]]+', "__", plan.model.shown_as),
        "lmms_version": environment["lmms"],
        "git_hash": environment["git_commit"],
        "transformers_version": environment["packages"].get("transformers"),
        "pretty_env_info": _environment_text(environment),
        "system_instruction": system,
        "system_instruction_sha": hashlib.sha256(system.encode()).hexdigest() if system else None,
        "fewshot_as_multiturn": None,
        "chat_template": plan.config.model.chat_template,
        "chat_template_sha": plan.model.identity.get("chat_template_digest"),
    }


def _environment_text(environment: Mapping[str, Any]) -> str:
    packages = environment.get("packages", {})
    lines = [f"{k}: {v}" for k, v in environment.items() if k != "packages" and v]
    return "\n".join([*lines, *(f"{name}=={version}" for name, version in packages.items())])


def _execution(folder: Path, plan: RunPlan, facts: RunFacts) -> dict[str, Any]:
    start, end = facts.get("start_time"), facts.get("end_time")
    seconds = facts.get("seconds")
    if seconds is None:
        seconds = seconds_between(start, end)
    return {
        "date": utc_text(end if end is not None else start),
        "start_time": utc_text(start),
        "end_time": utc_text(end),
        "total_evaluation_time_seconds": None if seconds is None else f"{seconds:.3f}",
        "execution": {
            "folder": str(folder),
            "command": list(plan.command),
            "resumed": facts.get("resumed", 0),
            "warnings": list(facts.get("warnings", ())),
        },
    }
