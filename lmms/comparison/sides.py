"""The two runs of a comparison: what was given, where their samples are, what their metrics mean.

A side is a run of ours, finished or not, or samples files of lm-evaluation-harness and LMMs-Eval.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmms.comparison.outcomes import Outcomes, PairBy, outcomes_of, read_outcomes
from lmms.errors import DataError, LmmsError
from lmms.report.runs import find_run, is_finished, load_run
from lmms.report.samples import parse_sample, read_samples, samples_file_name
from lmms.types import RunResult, Sample, TaskResult

_PEER_FILE = re.compile(r"(?:^|_)samples_(?P<task>.+?)(?:_\d{4}-\d\d-\d\dT[\d:.-]+)?\.jsonl$")


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What is known of a metric besides the samples' scores."""

    key: str
    """Name, with `,filter` where there are filters: the key of `Sample.scores`."""
    higher_is_better: bool = True
    maximum: float | None = None
    reported: float | None = None
    """The number that the run reported over all of its samples."""

    @property
    def name(self) -> str:
        """The metric without its filter."""
        return self.key.partition(",")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideTask:
    """One task of a side."""

    label: str
    """What the configuration calls it; for a peer's file, the task of the file's name."""
    shown: str
    """As tables show it: `mmmu_val`, or `mmmu_val@embedded`."""
    metrics: tuple[MetricFacts, ...]
    folder: Path
    file: Path | None
    """The samples file; None where the samples are in the journal of an unfinished run."""
    result: TaskResult | None = None

    def outcomes(self, *, pair_by: PairBy, cluster: str | None) -> Outcomes:
        """Reads the samples' scores.

        Raises:
            DataError: The samples cannot be read, or have nothing to be paired by.
            ConfigError: No sample has the field to cluster by.
        """
        origin = str(self.file or self.folder)
        columns = Outcomes(origin, pair_by=pair_by, cluster=cluster)
        if self.file is not None:
            return read_outcomes(self.file, columns, task=self.label)
        return outcomes_of(self._journaled(), columns)

    def samples(self, places: Sequence[int]) -> Iterator[Sample]:
        """Gives the samples at these places of `Outcomes.places`, in that order, whole.

        Raises:
            DataError: A line cannot be read any more.
        """
        if self.file is None:
            wanted = set(places)
            found = {s.doc_id: s for s in self._journaled() if s.doc_id in wanted}
            yield from (found[place] for place in places)
            return
        try:
            with self.file.open("rb") as file:
                for place in places:
                    file.seek(place)
                    yield parse_sample(file.readline(), self.label, f"{self.file}, byte {place}")
        except OSError as error:
            raise DataError(
                f"cannot read samples: {error.strerror}", origin=str(self.file)
            ) from error

    def _journaled(self) -> Iterator[Sample]:
        from lmms.report.unfinished import unfinished_samples

        return unfinished_samples(self.folder, self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A run, as given to a comparison."""

    given: str
    name: str
    model: str
    status: str
    tasks: Mapping[str, SideTask]
    path: str
    run: RunResult | None = None
    """None where another tool wrote the samples."""
    notes: tuple[str, ...] = field(default=())


def open_side(given: str | Path, *, output_dir: str | Path = "outputs") -> Side:
    """Finds what was given and what it holds; reads no more samples than one per peer's file.

    Args:
        given: What `load_run` takes, or a samples file, or a folder with samples files of
            lm-evaluation-harness or LMMs-Eval.
        output_dir: Where names of runs are looked for.

    Raises:
        PlanError: There is nothing of that name; the nearest are in the message.
        DataError: There are no samples, or several files of one task.
    """
    path = Path(given)
    if path.suffix == ".jsonl" and path.is_file():
        return _side_of_file(path)
    try:
        folder = find_run(path, output_dir=output_dir)
    except LmmsError:
        if path.is_dir() and (files := _sample_files(path)):
            return _side_of_files(path, files)
        raise
    return _side_of_run(str(given), folder)


def _side_of_run(given: str, folder: Path, only: str | None = None) -> Side:
    run = load_run(folder)
    finished = is_finished(folder)
    tasks = {
        label: _run_task(label, task, folder, finished=finished)
        for label, task in run.tasks.items()
        if only is None or samples_file_name(task.label) == only
    }
    return Side(
        given=given,
        name=folder.name,
        model=run.model,
        status=run.status,
        tasks=tasks,
        path=str(folder),
        run=run,
    )


def _run_task(label: str, task: TaskResult, folder: Path, *, finished: bool) -> SideTask:
    metrics = tuple(
        MetricFacts(
            key=m.name if m.filter == "none" else f"{m.name},{m.filter}",
            higher_is_better=m.higher_is_better,
            maximum=m.maximum,
            reported=m.value,
        )
        for m in task.metrics
    )
    file = folder / samples_file_name(task.label) if finished else None
    if file is not None and not file.exists():
        file = None
    if finished and file is None and not (folder / "journal.sqlite").is_file():
        raise DataError(
            f"the run kept no samples of {label!r}",
            origin=str(folder),
            hint="samples are written with output.log_samples=true",
        )
    return SideTask(
        label=label, shown=task.label, metrics=metrics, folder=folder, file=file, result=task
    )


def _side_of_file(path: Path) -> Side:
    """A samples file; one that stands in its run's folder brings the run's facts along."""
    folder = path.parent
    if (folder / "results.json").is_file() and (folder / "plan.json").is_file():
        side = _side_of_run(str(path), folder.resolve(), only=path.name)
        if side.tasks:
            return side
    return _side_of_files(path, {_peer_task(path): path})


def _sample_files(folder: Path) -> dict[str, Path]:
    """Returns the peers' samples files of a folder by task.

    Raises:
        DataError: Several files hold samples of one task.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.jsonl")):
        if not _PEER_FILE.search(path.name):
            continue
        task = _peer_task(path)
        if task in found:
            raise DataError(
                f"several files hold samples of {task!r}: {found[task].name}, {path.name}",
                origin=str(folder),
                hint="give the file that is meant instead of the folder",
            )
        found[task] = path
    return found


def _peer_task(path: Path) -> str:
    named = _PEER_FILE.search(path.name)
    return named["task"] if named else path.stem


def _side_of_files(given: Path, files: Mapping[str, Path]) -> Side:
    folder = given if given.is_dir() else given.parent
    results = _peer_results(folder)
    directions = results.get("higher_is_better") or {}
    tasks, notes = {}, []
    for task, file in files.items():
        keys = _metric_keys(file)
        known = directions.get(task) or {}
        if unknown := [k for k in keys if known.get(k.partition(",")[0]) is None]:
            names = ", ".join(unknown)
            notes.append(f"{task}: nothing says which way {names} is better; higher is assumed")
        metrics = tuple(
            MetricFacts(key=k, higher_is_better=known.get(k.partition(",")[0]) is not False)
            for k in keys
        )
        tasks[task] = SideTask(label=task, shown=task, metrics=metrics, folder=folder, file=file)
    return Side(
        given=str(given),
        name=str(given),
        model=str(results.get("model_name") or given.stem),
        status="complete",
        tasks=tasks,
        path=str(given),
        notes=tuple(notes),
    )


def _metric_keys(file: Path) -> list[str]:
    """Returns the metrics of a samples file, from the first sample that has scores.

    Where filters have lines of their own, those of one may all come before those of the next, so
    then every line is looked at.
    """
    keys: dict[str, None] = {}
    for sample in read_samples(file):
        keys.update(dict.fromkeys(sample.scores))
        if keys and not any("," in key for key in keys):
            break
    return list(keys)


def _peer_results(folder: Path) -> dict[str, Any]:
    """Returns the newest results that a peer left beside its samples; empty without."""
    for path in sorted(folder.glob("*results*.json"), reverse=True):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and "results" in found:
            return found
    return {}
