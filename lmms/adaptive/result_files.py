"""Evaluation results of training checkpoints, read from tables.

A folder is taken in either of two layouts, each table with item ids in its first column and one
column of scores per checkpoint, in the order of training:

    <lm>.csv                        items of all benchmarks, told apart by their ids; also below
                                    `lm_eval_results/` or `data/lm_eval_results/`, as in the data
                                    set allenai/fluid-benchmarking
    <lm>/<benchmark>.csv            one table per language model and benchmark
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.bank import ItemBank, listed_ids, read_bank, repeated
from lmms.adaptive.experiment import BenchmarkResponses
from lmms.errors import DataError, UnknownNameError

REFERENCE_ORDER = (
    "arc_challenge",
    "gsm8k",
    "hellaswag",
    "truthfulqa_mc2",
    "winogrande",
    "mmlu",
)
"""The paper's benchmarks in the order of the reference implementation, which draws in it."""
_RESULTS = ("data/lm_eval_results", "lm_eval_results", ".")
_BANKS = ("data/irt_models", "irt_models")
_LEADERBOARD = ("data/open_llm_leaderboard_results.json", "open_llm_leaderboard_results.json")


@dataclass(frozen=True, eq=False, slots=True)
class ScoreTable:
    """One table of results.

    Attributes:
        path: Where it was read.
        items: Item ids.
        checkpoints: Names of the columns, in their order.
        responses: 1 where the score is at least 0.5, else 0; int8 of shape (items, checkpoints).
    """

    path: Path
    items: tuple[str, ...]
    checkpoints: tuple[str, ...]
    responses: NDArray[np.int8]


def read_score_table(path: Path) -> ScoreTable:
    """Reads one table of scores; a score of at least 0.5 is a right answer.

    Raises:
        DataError: The file cannot be read, has no items or checkpoints, an id or a column twice,
            or a cell that is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the results cannot be read: {error}", origin=str(path)) from error
    rows = [row for row in rows if row]
    checkpoints = tuple(name.strip() for name in header[1:])
    if not rows or not checkpoints:
        raise DataError(
            f"the table has {len(rows)} items and {len(checkpoints)} checkpoints",
            origin=str(path),
            allowed="item ids in the first column, then a column of scores per checkpoint",
        )
    items = tuple(row[0] for row in rows)
    for what, names in (("item", items), ("column", checkpoints)):
        if twice := repeated(names):
            raise DataError(
                f"{len(twice)} {what}s stand in the table twice: {listed_ids(twice)}",
                origin=str(path),
            )
    scores = _scores([row[1:] for row in rows], items, checkpoints, path)
    return ScoreTable(path, items, checkpoints, (scores >= 0.5).astype(np.int8))


def _scores(
    cells: list[list[str]], items: Sequence[str], checkpoints: Sequence[str], path: Path
) -> NDArray[np.float64]:
    for item, row in zip(items, cells, strict=True):
        if len(row) != len(checkpoints):
            raise DataError(
                f"item {item} has {len(row)} scores for {len(checkpoints)} checkpoints",
                origin=str(path),
            )
    try:
        scores = np.array(cells, dtype=np.float64)
        if np.isfinite(scores).all():
            return scores
    except ValueError:
        pass
    for item, row in zip(items, cells, strict=True):
        for checkpoint, cell in zip(checkpoints, row, strict=True):
            if not _is_finite(cell):
                raise DataError(
                    f"the score of item {item} at checkpoint {checkpoint} is {cell!r}, no number",
                    origin=str(path),
                )
    raise DataError("the scores are no numbers", origin=str(path))


def _is_finite(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def benchmark_of(item: str) -> str:
    """Returns the benchmark of an item id.

    `<task>/<document>` belongs to its task; otherwise the rule of the reference implementation
    holds: everything before the last underscore, and any id that starts with `mmlu` to `mmlu`.
    """
    if "/" in item:
        return item.partition("/")[0]
    return "mmlu" if item.startswith("mmlu") else item.rpartition("_")[0] or item


class Parameters:
    """Item parameters of several benchmarks: a folder of `<benchmark>.csv`, or one file.

    Args:
        path: The folder or file; None: there are none.

    Raises:
        DataError: There is nothing under that path, or the folder has no table.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = path if path is not None and path.is_file() else None
        self._tables: dict[str, Path] = {}
        if path is None or self._file is not None:
            return
        if not path.is_dir():
            raise DataError(f"there is no folder and no file {str(path)!r}", origin="--irt")
        self._tables = {f.stem: f for f in sorted(path.glob("*.csv"))}
        if not self._tables:
            raise DataError(f"{str(path)!r} has no <benchmark>.csv", origin="--irt")

    def bank(self, benchmark: str) -> ItemBank:
        """Returns the items of a benchmark; in one file for all, those whose ids name it.

        Raises:
            DataError: There are none, or the table is wrong.
        """
        if self._file is not None:
            bank = read_bank(self._file)
            chosen = [i for i, item in enumerate(bank.ids) if benchmark_of(item) == benchmark]
            if chosen:
                return bank.subset(chosen)
        elif benchmark in self._tables:
            return read_bank(self._tables[benchmark])
        raise DataError(
            f"there are no item parameters of {benchmark}",
            origin=f"--irt {self._file}" if self._file else "--irt",
            allowed=[f"{name}.csv" for name in self._tables] or "a folder of <benchmark>.csv",
            hint="lmms adaptive fit makes them; accuracy alone needs none: "
            "--methods full_accuracy,random_accuracy",
        )


@dataclass(frozen=True, eq=False, slots=True)
class ResultFolder:
    """What a folder of results holds.

    Attributes:
        folder: Where it is.
        tables: Per language model and benchmark its table.
        parameters: Of the items.
        start_abilities: Per benchmark the mean ability of the leaderboard's models, if known.
    """

    folder: Path
    tables: Mapping[str, Mapping[str, ScoreTable]]
    parameters: Parameters
    start_abilities: Mapping[str, float]

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """All benchmarks, those of the paper first and in its order."""
        return in_order({b for tables in self.tables.values() for b in tables})


def in_order(benchmarks: Iterable[str]) -> tuple[str, ...]:
    """Returns names of benchmarks, those of the paper first and in its order."""
    place = {name: number for number, name in enumerate(REFERENCE_ORDER)}
    return tuple(sorted(benchmarks, key=lambda b: (place.get(b, len(place)), b)))


def read_results(
    folder: Path, *, subjects: Sequence[str] | None = None, irt: Path | None = None
) -> ResultFolder:
    """Reads a folder of results.

    Args:
        folder: In one of the layouts above.
        subjects: The language models to read; None: all.
        irt: Item parameters, see `Parameters`; None: `irt_models` in the folder.

    Raises:
        DataError: There is no such folder, there are no results in it, or a table is wrong.
        UnknownNameError: It has no such language model.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {str(folder)!r}", origin="--results")
    home = next(folder / name for name in _RESULTS if (folder / name).is_dir())
    whole = {f.stem: f for f in sorted(home.glob("*.csv"))}
    split = {
        d.name: {f.stem: f for f in sorted(d.glob("*.csv"))}
        for d in sorted(home.iterdir())
        if d.is_dir() and d.name not in ("irt_models", "lm_eval_results", "data")
    }
    split = {name: files for name, files in split.items() if files}
    if not whole and not split:
        raise DataError(
            f"{str(home)!r} has no results",
            origin="--results",
            allowed="<lm>.csv, or <lm>/<benchmark>.csv",
        )
    chosen = _chosen(subjects, [*whole, *split])
    tables = {lm: _by_benchmark(read_score_table(whole[lm])) for lm in chosen if lm in whole}
    for lm in chosen:
        if lm in split:
            more = {name: read_score_table(file) for name, file in split[lm].items()}
            tables[lm] = {**tables.get(lm, {}), **more}
    return ResultFolder(folder, {lm: tables[lm] for lm in chosen}, *_parameters(folder, irt))


def _chosen(subjects: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    if subjects is None:
        return sorted(set(known))
    for name in subjects:
        if name not in known:
            raise UnknownNameError("subject", name, known, origin="--subjects")
    return list(dict.fromkeys(subjects))


def _by_benchmark(table: ScoreTable) -> dict[str, ScoreTable]:
    rows: dict[str, list[int]] = {}
    for position, item in enumerate(table.items):
        rows.setdefault(benchmark_of(item), []).append(position)
    return {
        name: ScoreTable(
            table.path,
            tuple(table.items[i] for i in chosen),
            table.checkpoints,
            table.responses[chosen],
        )
        for name, chosen in rows.items()
    }


def _parameters(folder: Path, irt: Path | None) -> tuple[Parameters, dict[str, float]]:
    own = next((folder / name for name in _BANKS if (folder / name).is_dir()), None)
    file = next((folder / name for name in _LEADERBOARD if (folder / name).is_file()), None)
    starts = {} if file is None else read_leaderboard(file)
    return Parameters(own if irt is None else irt), starts


def read_leaderboard(file: Path) -> dict[str, float]:
    """Returns the mean ability of the leaderboard's models per benchmark.

    Args:
        file: {benchmark: {"ability": {model: ability}}} as JSON.

    Raises:
        DataError: The file is another one.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
        abilities = {name: list(entry["ability"].values()) for name, entry in content.items()}
        return {name: float(np.mean(values)) for name, values in abilities.items() if values}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"the leaderboard's abilities cannot be read: {type(error).__name__}: {error}",
            origin=str(file),
            allowed='{"benchmark": {"ability": {"model": 0.5}}}',
        ) from error


def collect(
    results: ResultFolder, benchmark: str, *, needs_bank: bool, common_items: bool
) -> tuple[BenchmarkResponses, list[str]]:
    """Joins the tables of one benchmark, and its parameters, by item id.

    Args:
        results: From `read_results`.
        benchmark: Name of the benchmark.
        needs_bank: Whether item parameters are needed.
        common_items: Leaves out items that a table or the parameters lack, instead of refusing.

    Returns:
        The answers, and notices.

    Raises:
        UnknownNameError: There is no such benchmark.
        DataError: Parameters are missing, or ids differ, with their count.
    """
    if benchmark not in results.benchmarks:
        raise UnknownNameError("benchmark", benchmark, results.benchmarks, origin="--benchmarks")
    tables = {lm: t[benchmark] for lm, t in results.tables.items() if benchmark in t}
    bank = results.parameters.bank(benchmark) if needs_bank else None
    groups = {f"the results of {lm}": table.items for lm, table in tables.items()}
    if bank is not None:
        groups = {"the item parameters": bank.ids, **groups}
    items, notices = join_items(benchmark, groups, common_items=common_items)
    place = [{item: i for i, item in enumerate(table.items)} for table in tables.values()]
    answers = [
        table.responses[[at[item] for item in items]].T
        for table, at in zip(tables.values(), place, strict=True)
    ]
    rows = tuple((lm, name) for lm, table in tables.items() for name in table.checkpoints)
    return BenchmarkResponses(
        name=benchmark,
        items=items,
        rows=rows,
        responses=np.concatenate(answers),
        bank=None if bank is None else aligned(bank, items),
        start_ability=results.start_abilities.get(benchmark, 0.0),
    ), notices


def aligned(bank: ItemBank, items: Sequence[str]) -> ItemBank:
    """Returns the bank's rows of these items, in their order."""
    return bank if bank.ids == tuple(items) else bank.subset([bank.position(i) for i in items])


def join_items(
    benchmark: str, groups: Mapping[str, Sequence[str]], *, common_items: bool
) -> tuple[tuple[str, ...], list[str]]:
    """Returns the items that all groups have, in the order of the first, and notices.

    Args:
        benchmark: For messages.
        groups: Who has which items.
        common_items: Whether items may be left out.

    Raises:
        DataError: Items are missing somewhere and may not be left out, or none is common.
    """
    everything = dict.fromkeys(item for items in groups.values() for item in items)
    notices = []
    common = set(everything)
    for owner, items in groups.items():
        have = set(items)
        missing = [item for item in everything if item not in have]
        common &= have
        if not missing:
            continue
        lacks = f"{owner} lack {len(missing)} of {len(everything)} items of {benchmark}"
        if not common_items:
            raise DataError(
                f"{lacks}: {listed_ids(missing)}",
                hint="--common-items leaves out what is not everywhere",
            )
        notices.append(f"{lacks}; they are left out")
    if not common:
        raise DataError(f"no item of {benchmark} is everywhere: {', '.join(groups)}")
    return tuple(item for item in everything if item in common), notices
