"""Where the answers of an experiment come from: tables, runs of lmms, or the simulated history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lmms.adaptive.bank import ItemBank, listed_ids, repeated
from lmms.adaptive.experiments.history import BenchmarkHistory, TrainingHistory
from lmms.adaptive.experiments.protocol import BenchmarkResponses
from lmms.adaptive.experiments.result_files import (
    Parameters,
    aligned,
    collect,
    in_order,
    join_items,
    read_results,
)
from lmms.adaptive.fitting.fit import fit_bank
from lmms.adaptive.responses import MISSING, ResponseMatrix, responses_from_runs
from lmms.errors import ConfigError, DataError, UnknownNameError

Banks = Literal["fitted", "true"]


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """The answers to all benchmarks of an experiment.

    Attributes:
        benchmarks: In the order in which random subsets are drawn.
        facts: What they are, for the protocol's file.
        pairs: Benchmarks that measure the same skill.
        notices: What was left out, and what is odd about the answers.
    """

    benchmarks: tuple[BenchmarkResponses, ...]
    facts: Mapping[str, Any]
    pairs: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if twice := repeated(b.name for b in self.benchmarks):
            raise DataError(
                f"several sets of answers are named {', '.join(twice)}",
                origin="--benchmarks",
                allowed="each benchmark once",
            )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the answers is wanted.

    Attributes:
        benchmarks: Their names, in this order; None: all.
        subjects: Language models; None: all.
        needs_bank: Whether item parameters are needed.
        common_items: Leaves out items that are not everywhere, instead of refusing.
    """

    benchmarks: tuple[str, ...] | None = None
    subjects: tuple[str, ...] | None = None
    needs_bank: bool = True
    common_items: bool = False


def results_source(place: Path | str, wanted: Selection, *, irt: Path | None = None) -> Source:
    """Takes answers from tables; see `lmms.adaptive.experiments.result_files`.

    Args:
        place: The tables.
        wanted: Which part.
        irt: Item parameters, a folder or file; None: those of the folder.

    Raises:
        DataError: Something is missing or wrong.
        UnknownNameError: There is no such benchmark or language model.
        HubError: The Hub cannot be reached.
    """
    results = read_results(place, subjects=wanted.subjects, irt=irt)
    found, notices = [], []
    for name in wanted.benchmarks or results.benchmarks:
        benchmark, remarks = collect(
            results, name, needs_bank=wanted.needs_bank, common_items=wanted.common_items
        )
        found.append(benchmark)
        notices += remarks
    return Source(tuple(found), {"kind": "results"}, notices=tuple(notices))


def simulated_source(
    history: TrainingHistory, wanted: Selection, *, banks: Banks = "fitted"
) -> Source:
    """Takes answers from a simulated history.

    Items whose fitted discrimination is negative stay in the bank, with their sign, so that all
    methods have the same items.

    Args:
        history: From `simulate_history`.
        wanted: Which part.
        banks: Parameters fitted on the leaderboard's models, as in the paper, or the true ones.

    Raises:
        UnknownNameError: There is no such benchmark or model.
    """
    by_name = {b.name: b for b in history.benchmarks}
    models = [_known("subject", m, history.models) for m in wanted.subjects or history.models]
    names = [_known("benchmark", b, by_name) for b in wanted.benchmarks or by_name]
    places = [history.models.index(m) for m in models]
    rows = tuple((m, c) for m in models for c in history.checkpoints)
    facts = {
        "kind": "simulated",
        "seed": history.seed,
        "digest": history.digest,
        "banks": banks,
        "true_abilities": True,
    }
    return Source(
        tuple(
            _simulated(by_name[name], history.subjects, places, rows, banks, wanted.needs_bank)
            for name in names
        ),
        facts,
        tuple(pair for pair in history.pairs if set(pair) <= set(names)),
    )


def _known(kind: str, name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    if name not in known:
        raise UnknownNameError(kind, name, known, origin=f"--{kind}s")
    return name


def _simulated(
    benchmark: BenchmarkHistory,
    subjects: tuple[str, ...],
    places: list[int],
    rows: tuple[tuple[str, str], ...],
    banks: Banks,
    needs_bank: bool,
) -> BenchmarkResponses:
    bank, start = benchmark.bank, float(benchmark.leaderboard_abilities.mean())
    if banks == "fitted" and needs_bank:
        fitted = fit_bank(ResponseMatrix(subjects, bank.ids, benchmark.leaderboard))
        bank, start = aligned(fitted.bank, bank.ids), float(fitted.abilities.mean())
    return BenchmarkResponses(
        name=benchmark.name,
        items=bank.ids,
        rows=rows,
        responses=benchmark.responses[places].reshape(len(rows), -1),
        bank=bank if needs_bank else None,
        start_ability=start,
        abilities=benchmark.abilities[places].ravel(),
    )


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How runs of lmms become answers.

    Attributes:
        metric: The metric whose value is the answer; None: each task's first.
        threshold: Scores from here on are right; None: they are 0 or 1.
        checkpoint_from: A pattern that finds the checkpoint in a run's model or path: its first
            group, or all of it. None: each run of a model is a checkpoint, in the order given.
        output_dir: Where names of runs are looked for.
    """

    metric: str | None = None
    threshold: float | None = None
    checkpoint_from: re.Pattern[str] | None = None
    output_dir: str = field(default="outputs")


def runs_source(
    runs: Sequence[str],
    wanted: Selection,
    *,
    irt: Path | None = None,
    settings: RunSettings | None = None,
) -> Source:
    """Takes answers from runs of lmms: a run is a checkpoint, a task a benchmark.

    Samples that a run failed at are left out for all runs, with a notice, so that all answer the
    same items.

    Args:
        runs: Folders or names of runs, in the order of training.
        wanted: Which part; benchmarks are tasks.
        irt: Item parameters, a folder of `<task>.csv` or one file.
        settings: How runs become answers.

    Raises:
        DataError: Answers or parameters are missing, or do not belong together.
        ConfigError: The pattern finds no checkpoint in a run.
        UnknownNameError: There is no such task or model.
    """
    chosen = settings or RunSettings()
    parameters = Parameters(irt)
    labels = [_row_label(run, chosen) for run in runs]
    _check_labels(labels, chosen)
    order = _training_order(labels, wanted.subjects, by_step=chosen.checkpoint_from is not None)
    found, notices = [], []
    for task in wanted.benchmarks or in_order(_tasks(runs[0], chosen)):
        answers = responses_from_runs(
            [runs[i] for i in order],
            task,
            chosen.metric,
            chosen.threshold,
            output_dir=chosen.output_dir,
        )
        benchmark, remarks = _of_task(answers, [labels[i] for i in order], parameters, wanted)
        found.append(benchmark)
        notices += [*answers.notes, *remarks]
    return Source(tuple(found), {"kind": "runs", "runs": len(order)}, notices=tuple(notices))


def _row_label(run: str, settings: RunSettings) -> tuple[str, str]:
    """Returns language model and checkpoint of a run."""
    from lmms.report.runs import load_run

    result = load_run(run, output_dir=settings.output_dir)
    if settings.checkpoint_from is None:
        return result.model, str(result.raw.get("run_id") or Path(result.path).name)
    for place, text in enumerate((result.model, result.path)):
        match = settings.checkpoint_from.search(text)
        if match is not None:
            checkpoint = match[1] if settings.checkpoint_from.groups else match[0]
            rest = text[: match.start()] + text[match.end() :]
            return (rest.strip("-_/.") if place == 0 else "") or result.model, checkpoint
    raise ConfigError(
        f"the pattern {settings.checkpoint_from.pattern!r} finds no checkpoint in "
        f"{result.model!r} or {result.path!r}",
        origin="--checkpoint-from",
    )


def _check_labels(labels: Sequence[tuple[str, str]], settings: RunSettings) -> None:
    if twice := repeated(f"{lm} at {checkpoint}" for lm, checkpoint in labels):
        raise DataError(
            f"{len(twice)} checkpoints have several runs: {listed_ids(twice)}",
            origin="--checkpoint-from" if settings.checkpoint_from else "the runs",
            allowed="one run for each checkpoint of a model",
        )


def _training_order(
    labels: Sequence[tuple[str, str]], subjects: Sequence[str] | None, *, by_step: bool
) -> list[int]:
    """Returns the places of the wanted runs: model by model, checkpoints in training order."""
    models = list(dict.fromkeys(lm for lm, _ in labels))
    wanted = [_known("subject", name, models) for name in subjects or models]

    def step(place: int) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", labels[place][1]) if by_step else []
        return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]

    return [
        place
        for lm in wanted
        for place in sorted((i for i, label in enumerate(labels) if label[0] == lm), key=step)
    ]


def _tasks(run: str, settings: RunSettings) -> list[str]:
    from lmms.report.runs import load_run

    return list(load_run(run, output_dir=settings.output_dir).tasks)


def _of_task(
    answers: ResponseMatrix,
    rows: Sequence[tuple[str, str]],
    parameters: Parameters,
    wanted: Selection,
) -> tuple[BenchmarkResponses, list[str]]:
    name = answers.items[0].partition("/")[0]
    bank = parameters.bank(name) if wanted.needs_bank else None
    groups = {"the runs": answers.items}
    if bank is not None:
        groups = {"the item parameters": bank.ids, **groups}
    items, notices = join_items(name, groups, common_items=wanted.common_items)
    place = {item: i for i, item in enumerate(answers.items)}
    columns = np.array([place[item] for item in items])
    whole = ~(answers.values[:, columns] == MISSING).any(axis=0)
    if not whole.all():
        lost = int((~whole).sum())
        notices.append(
            f"{lost} of {len(items)} items of {name} have no answer in some run; they are left out"
        )
        items, columns = tuple(np.array(items, dtype=object)[whole]), columns[whole]
    if not items:
        raise DataError(f"no item of {name} has an answer in every run")
    if bank is not None:
        bank = aligned(bank, items)
        digests = answers.digests
        _check_documents(bank, None if digests is None else [digests[i] for i in columns])
    return BenchmarkResponses(
        name, items, tuple(rows), np.ascontiguousarray(answers.values[:, columns]), bank
    ), notices


def _check_documents(bank: ItemBank, digests: Sequence[str] | None) -> None:
    """Refuses parameters that were fitted on other documents under the same ids."""
    if bank.digests is None or digests is None:
        return
    pairs = zip(bank.ids, bank.digests, digests, strict=True)
    changed = [item for item, old, new in pairs if old and new and old != new]
    if changed:
        raise DataError(
            f"{len(changed)} of {len(bank)} documents are not those that the parameters were "
            f"fitted on: {listed_ids(changed)}",
            origin="--irt",
            hint="fit the parameters again on runs over these documents",
        )
