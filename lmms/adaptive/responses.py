"""Who answered what: a matrix of right and wrong answers, read from files or from runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmms.adaptive.bank import listed_ids, repeated
from lmms.adaptive.loaders import read_scores
from lmms.adaptive.thresholds import check_threshold
from lmms.errors import DataError

MISSING = -1
_FORMATS = '.jsonl with lines {"subject_id": …, "responses": {item: 0 or 1}}, or .csv with a row '
_FORMATS += "per item and a column per subject"


@dataclass(frozen=True, eq=False)
class ResponseMatrix:
    """Right and wrong answers of subjects (models, checkpoints) to items.

    Attributes:
        subjects: Ids of the rows, all different.
        items: Ids of the columns, all different.
        values: 1 right, 0 wrong, -1 missing; int8 of shape (subjects, items).
        digests: First hex digits of each item's document hash, "" where not known.
        notes: What a reader should know of where the answers come from, in words.

    Raises:
        DataError: No subjects or items, an id twice, another shape, or another value.
    """

    subjects: tuple[str, ...]
    items: tuple[str, ...]
    values: NDArray[np.int8]
    digests: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, ids in (("subject", self.subjects), ("item", self.items)):
            if not ids:
                raise DataError(
                    f"there are no responses: no {name}", allowed=f"at least one {name}"
                )
            if twice := repeated(ids):
                raise DataError(
                    f"{name} ids occur more than once: {listed_ids(twice)}",
                    allowed=f"each {name} id once",
                )
        shape = (len(self.subjects), len(self.items))
        if self.values.shape != shape:
            raise DataError(
                f"the responses have the shape {self.values.shape}",
                allowed=f"one row per subject and one column per item: {shape}",
            )
        if self.values.min() < MISSING or self.values.max() > 1:
            raise DataError(
                "the responses hold other values than right, wrong and missing",
                allowed="1, 0 and -1",
            )
        self.values.setflags(write=False)

    @classmethod
    def from_arrays(
        cls,
        values: ArrayLike,
        subjects: Sequence[str] | None = None,
        items: Sequence[str] | None = None,
        *,
        threshold: float | None = None,
    ) -> ResponseMatrix:
        """Makes a matrix of numbers, shape (subjects, items).

        Args:
            values: 1 right, 0 wrong, -1 missing.
            subjects: Ids of the rows; default `0`, `1`, ….
            items: Ids of the columns; default `0`, `1`, ….
            threshold: Scores from here on are right; below, wrong. -1 stays missing.

        Raises:
            DataError: Not a table, NaN, or scores that are neither 0 nor 1 without a threshold.
        """
        scores = np.asarray(values, dtype=np.float64)
        if scores.ndim != 2:
            raise DataError(
                f"the responses have {scores.ndim} dimensions", allowed="(subjects, items)"
            )
        _check_divides(scores, scores == MISSING, threshold)
        rows, columns = scores.shape
        return cls(
            tuple(map(str, range(rows))) if subjects is None else tuple(subjects),
            tuple(map(str, range(columns))) if items is None else tuple(items),
            _binary(scores, scores == MISSING, threshold),
        )

    def subset(self, positions: NDArray[np.intp]) -> ResponseMatrix:
        """Returns the matrix of some items, in the given order."""
        return ResponseMatrix(
            self.subjects,
            tuple(self.items[i] for i in positions),
            np.ascontiguousarray(self.values[:, positions]),
            None if self.digests is None else tuple(self.digests[i] for i in positions),
            self.notes,
        )


def read_responses(path: str | Path, *, threshold: float | None = None) -> ResponseMatrix:
    """Reads responses from JSONL or from a CSV of evaluation results.

    JSONL has a line per subject, `{"subject_id": "m1", "responses": {"item_1": 1}}`; items that a
    line lacks, or has as null, are missing. CSV has the item ids in its first column and a column
    of scores per subject; empty cells are missing.

    Args:
        path: The file; its ending tells the format.
        threshold: Scores from here on count as right; without it only 0 and 1 are taken.

    Raises:
        DataError: The file is missing or malformed, an id occurs twice, a score is NaN or, without
            a threshold, neither 0 nor 1.
    """
    file = Path(path)
    readers = {".jsonl": _read_jsonl, ".json": _read_jsonl, ".csv": _read_csv}
    if file.suffix.lower() not in readers:
        raise DataError(f"{file.name!r} holds no responses", origin=str(file), allowed=_FORMATS)
    try:
        matrix = readers[file.suffix.lower()](file, threshold)
    except FileNotFoundError:
        raise DataError(
            f"there are no responses at {str(file)!r}",
            allowed=_FORMATS,
            hint="answers of lmms runs need no file: name the runs' folders",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the responses cannot be read: {error}", origin=str(file)) from error
    except DataError as error:
        error.origin = error.origin or str(file)
        raise
    return matrix


def _read_jsonl(file: Path, threshold: float | None) -> ResponseMatrix:
    subjects: list[str] = []
    places: dict[str, int] = {}
    rows: list[tuple[NDArray[np.intp], NDArray[np.int8]]] = []
    extremes: list[float] = []
    with file.open(encoding="utf-8-sig") as stream:
        for number, text in enumerate(stream, 1):
            if not text.strip():
                continue
            origin = f"{file}, line {number}"
            subject, answers = _line(text, origin)
            subjects.append(subject)
            columns = [places.setdefault(item, len(places)) for item in answers]
            rows.append((np.array(columns, dtype=np.intp), _answers(answers, threshold, origin)))
            given = [float(value) for value in answers.values() if value is not None]
            extremes += [min(given), max(given)] if given else []
    if threshold is not None:
        check_threshold(threshold, extremes)
    values = np.full((len(rows), len(places)), MISSING, dtype=np.int8)
    for row, (where, binary) in zip(values, rows, strict=True):
        row[where] = binary
    return ResponseMatrix(tuple(subjects), tuple(places), values)


def _line(text: str, origin: str) -> tuple[str, Mapping[str, Any]]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = listed_ids(repeated(name for name, _ in pairs))
            raise DataError(f"item ids occur more than once: {twice}", origin=origin)
        return found

    try:
        line = json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise DataError(f"not a line of JSON: {error}", origin=origin, allowed=_FORMATS) from error
    if (
        not isinstance(line, dict)
        or not isinstance(line.get("subject_id"), str | int)
        or not isinstance(line.get("responses"), dict)
    ):
        raise DataError("the line is no subject's responses", origin=origin, allowed=_FORMATS)
    return str(line["subject_id"]), line["responses"]


def _answers(answers: Mapping[str, Any], threshold: float | None, origin: str) -> NDArray[np.int8]:
    names = list(answers)
    for item, value in answers.items():
        if not isinstance(value, int | float | None):
            raise DataError(
                f"the response to {item!r} is {value!r}", origin=origin, allowed="0, 1 or null"
            )
    missing = np.array([value is None for value in answers.values()], dtype=bool)
    scores = np.array([0 if v is None else v for v in answers.values()], dtype=np.float64)
    return _binary(scores, missing, threshold, origin=origin, name=lambda at: names[at[0]])


def _read_csv(file: Path, threshold: float | None) -> ResponseMatrix:
    table = read_scores(file)
    scores = table.values.T
    _check_divides(scores, np.isnan(scores), threshold)
    values = _binary(
        scores,
        np.isnan(scores),
        threshold,
        name=lambda at: f"{table.columns[at[0]]} to {table.ids[at[1]]}",
    )
    return ResponseMatrix(table.columns, table.ids, np.ascontiguousarray(values))


def _check_divides(
    scores: NDArray[np.float64], missing: NDArray[np.bool_], threshold: float | None
) -> None:
    if threshold is not None:
        check_threshold(threshold, scores[~missing].tolist())


def _binary(
    scores: NDArray[np.float64],
    missing: NDArray[np.bool_],
    threshold: float | None,
    *,
    origin: str | None = None,
    name: Callable[[tuple[int, ...]], str] = str,
) -> NDArray[np.int8]:
    """Turns scores into 1 and 0, and what is missing into -1.

    Args:
        scores: Any shape.
        missing: Same shape; the scores there do not matter.
        threshold: Scores from here on are 1; None: scores are 0 or 1 already.
        origin: Where the scores came from.
        name: What an index is called in a message.

    Raises:
        DataError: NaN, or a score that is neither 0 nor 1 without a threshold.
    """
    undefined = np.isnan(scores)
    wrong = undefined if threshold is not None else (scores != 0) & (scores != 1)
    wrong = wrong & ~missing
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        more = int(wrong.sum()) - 1
        raise DataError(
            f"the response of {name(at)!r} is {scores[at]:g}"
            + (f", and {more} more are neither right nor wrong" if more else ""),
            origin=origin,
            allowed="0 and 1",
            hint="a missing response is left out, null, an empty cell, or -1 in an array"
            if undefined[at]
            else "other scores need a threshold: --threshold 0.5",
        )
    right = scores >= threshold if threshold is not None else scores
    return np.where(missing, MISSING, right).astype(np.int8)


def responses_from_runs(
    runs: Iterable[str | Path],
    task: str | None = None,
    metric: str | None = None,
    threshold: float | None = None,
    *,
    output_dir: str | Path = "outputs",
) -> ResponseMatrix:
    """Joins the samples of runs by document.

    A run is a subject, named by its model and its id; a document is an item, named
    `<task>/<document id>`. Failed samples are missing, not wrong.

    Args:
        runs: Folders or names of runs, as `lmms show` takes them.
        task: Label or name of the task; None: the only one that every run has.
        metric: Name of the metric, `NAME` or `NAME,FILTER`; None: the task's first, of an adaptive
            run the one that it chose documents by.
        threshold: Scores from here on count as right; without it only 0 and 1 are taken. Where less
            is better, scores up to here.
        output_dir: Where names of runs are looked for.

    Raises:
        PlanError: There is no such run.
        DataError: A run has no such task or metric, the runs are of several tasks, a score is
            neither 0 nor 1, a threshold divides nothing, a run is given twice, or one document id
            stands for different documents.
    """
    from lmms.adaptive.run_answers import read_run

    subjects: dict[str, str] = {}
    places: dict[str, int] = {}
    digests: list[tuple[str, str]] = []
    rows: list[dict[int, int]] = []
    notes: list[str] = []
    extremes: list[float] = []
    less_is_better = False
    for run in runs:
        read = read_run(run, task, metric, threshold, output_dir)
        subject = read.subject
        if subject in subjects:
            raise DataError(f"the run {subject!r} is given twice", origin=str(run))
        subjects[subject] = read.task
        row: dict[int, int] = {}
        for item, digest, value in read.answers:
            place = places.setdefault(item, len(places))
            if place == len(digests):
                digests.append((digest, subject))
            elif digests[place][0] != digest:
                raise _other_document(item, digests[place][1], subject)
            if place in row:
                raise DataError(f"the run has {item!r} more than once", origin=str(run))
            row[place] = value
        if all(value == MISSING for value in row.values()):
            raise DataError(
                f"no sample of the run {subject!r} has a score by this metric",
                origin=str(run),
                hint="another metric: --metric",
            )
        rows.append(row)
        notes += read.notes
        extremes += read.extremes
        less_is_better = read.less_is_better
    if threshold is not None and extremes:
        check_threshold(threshold, extremes, less_is_better=less_is_better)
    _check_one_task(subjects)
    values = np.full((len(rows), len(places)), MISSING, dtype=np.int8)
    for number, row in enumerate(rows):
        values[number, list(row)] = list(row.values())
    known = tuple(digest for digest, _ in digests)
    return ResponseMatrix(
        tuple(subjects), tuple(places), values, known, tuple(dict.fromkeys(notes))
    )


def _check_one_task(tasks: Mapping[str, str]) -> None:
    """Refuses runs of several tasks: no model of them answered both, so nothing links them."""
    first = dict(reversed([(task, subject) for subject, task in tasks.items()]))
    if len(first) > 1:
        named = ", ".join(f"{task} ({subject})" for task, subject in reversed(first.items()))
        raise DataError(
            f"the runs are of {len(first)} tasks: {named}",
            allowed="runs of one task",
            hint="fit each task by itself, or choose one with --task",
        )


def _other_document(item: str, first: str, second: str) -> DataError:
    return DataError(
        f"{item!r} is another document in {second!r} than in {first!r}",
        allowed="runs over the same version of the data",
        hint="fit them apart, or run one of them again on the other's data",
    )
