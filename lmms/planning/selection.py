"""Which documents an adaptive run may ask: its item banks, read and checked before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lmms.config.plan import PlannedBank, PlannedSelector, PlannedTask
from lmms.config.schema import RunConfig, SelectorConfig
from lmms.errors import ConfigError, PlanError, UnknownNameError, nearest
from lmms.models.base import Model
from lmms.tasks import TaskSpec
from lmms.tasks.spec import MetricSpec

BANK_SUFFIX: Final = ".irt.csv"
"""A task's own bank lies beside its definition: `mmmu_val.irt.csv`."""

# Choosing many documents at one ability gives away what their answers would have told.
_LARGEST_BATCH = 8
_HALF = 0.5


def plan_selector(
    config: RunConfig,
    specs: Mapping[str, TaskSpec],
    planned: Mapping[str, PlannedTask],
    model: Model,
) -> PlannedSelector | None:
    """Resolves the group `selector`; None where every document is asked.

    Args:
        config: The run.
        specs: Definitions by label.
        planned: Planned tasks by label.
        model: The back end; says how many requests it takes at once.

    Raises:
        ConfigError: Keys of adaptive runs without `selector=adaptive`, or a metric is not there.
        PlanError: There is no bank for a task, or its scores cannot be right or wrong.
        DataError: A bank cannot be read.
    """
    selector = config.selector
    if selector.kind != "adaptive":
        _check_nothing_set(selector)
        return None
    from lmms.adaptive.bank import read_bank

    if isinstance(selector.irt, dict):
        _check_labels(selector.irt, specs)
    banks = {}
    for label, spec in specs.items():
        path = _bank_path(selector, label, spec)
        key = _score_of(selector, spec, planned[label].repeats)
        bank = read_bank(path)
        banks[label] = PlannedBank(
            path=str(path),
            digest=bank.digest,
            items=len(bank),
            subjects=bank.median_subjects,
            metric=key,
            right_from=selector.threshold,
        )
    at_once = min(_LARGEST_BATCH, model.batch_size * model.concurrency)
    return PlannedSelector(batch_size=selector.batch_size or max(1, at_once), banks=banks)


def selection_notes(planned: PlannedSelector | None) -> list[str]:
    """Returns what speaks against the banks of a run, a note each."""
    if planned is None:
        return []
    from lmms.adaptive.bank import doubt_of

    found = (doubt_of(bank.subjects) for bank in planned.banks.values())
    return list(dict.fromkeys(note for note in found if note))


def _check_nothing_set(selector: SelectorConfig) -> None:
    given = selector.model_dump(exclude={"name", "kind"})
    default = SelectorConfig().model_dump(exclude={"name", "kind"})
    changed = [key for key, value in given.items() if value != default[key]]
    if changed:
        raise ConfigError(
            f"selector.{changed[0]} changes nothing where every document is asked",
            origin=f"selector={selector.name}",
            hint="add selector=adaptive",
        )


def _check_labels(banks: Mapping[str, str], specs: Mapping[str, TaskSpec]) -> None:
    for label in banks:
        if label not in specs:
            raise ConfigError(
                f"selector.irt names {label!r}, which is no task of this run",
                origin="selector.irt",
                allowed=sorted(specs),
                suggestions=nearest(label, specs),
            )


def _bank_path(selector: SelectorConfig, label: str, spec: TaskSpec) -> Path:
    given = selector.irt.get(label) if isinstance(selector.irt, dict) else selector.irt
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise PlanError(
                f"there is no item bank {given!r}",
                origin=f"selector.irt, task {label}",
                allowed="a CSV file with the columns item_id, a, b",
                hint="lmms adaptive fit makes one from the answers of several models",
            )
        return path
    own = Path(spec.origin).with_name(f"{spec.name}{BANK_SUFFIX}") if spec.origin else None
    if own is None or not own.is_file():
        raise PlanError(
            f"there is no item bank for task {label!r}",
            origin=f"selector={selector.name}",
            allowed="selector.irt=FILE, or selector.irt.LABEL=FILE for each of several tasks: CSV "
            "with the columns item_id, a, b",
            hint="lmms adaptive fit makes one from the answers of several models",
        )
    return own


def _score_of(selector: SelectorConfig, spec: TaskSpec, repeats: int) -> str:
    """Returns the key of the score that says whether an answer is right."""
    from lmms.scoring.scorer import DEFAULT_FILTER, score_key

    chains = [chain.name for chain in spec.filters] or [DEFAULT_FILTER]
    keys = {score_key(m.name, chain): m for m in spec.metrics for chain in chains}
    if not keys:
        raise PlanError(
            f"task {spec.name!r} has no metric, so nothing says whether an answer is right",
            origin=f"selector={selector.name}",
        )
    wanted = selector.metric
    found = [k for k, m in keys.items() if wanted in (None, k, m.name)]
    if not found:
        raise UnknownNameError(
            f"metric of task {spec.name}",
            wanted or "",
            list(keys),
            origin="selector.metric",
            list_all=True,
        )
    if not keys[found[0]].higher_is_better:
        raise PlanError(
            f"{found[0]} of task {spec.name!r} is better when it is lower, so it is no share of "
            "right answers",
            origin=f"selector={selector.name}",
            allowed=[k for k, m in keys.items() if m.higher_is_better] or None,
            hint="choose another score with selector.metric",
        )
    _check_threshold(selector, spec, keys[found[0]], repeats)
    return found[0]


def _check_threshold(
    selector: SelectorConfig, spec: TaskSpec, metric: MetricSpec, repeats: int
) -> None:
    """Refuses a threshold that divides nothing, or that a draw of repeated answers reaches."""
    threshold = selector.threshold
    if repeats > 1 and (threshold is None or threshold <= _HALF):
        reached = "" if threshold is None else f"; with {threshold:g} half of them would do"
        raise PlanError(
            f"the score of a document of task {spec.name!r} is a mean over {repeats} repeats, "
            f"neither right nor wrong{reached}",
            origin=f"selector={selector.name}",
            allowed="a threshold above 0.5",
            hint="selector.threshold=0.51 takes what most answers got right; or repeats=1",
        )
    highest = metric.maximum or 1.0
    if threshold is None or metric.aggregation != "mean" or 0 < threshold <= highest:
        return
    which = "no" if threshold > 0 else "every"
    raise PlanError(
        f"with the threshold {threshold:g} {which} score by {metric.name} of task {spec.name!r} "
        "is right",
        origin="selector.threshold",
        allowed=f"above 0 up to {highest:g}",
        hint=None if metric.maximum else "a task says with `maximum` that its scores go above 1",
    )
