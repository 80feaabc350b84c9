"""Evaluation results of training checkpoints, read from tables.

A folder is taken in either of two layouts, each table with item ids in its first column and one
column of scores per checkpoint, in the order of training:

    <lm>.csv                        items of all benchmarks, told apart by their ids; also below
                                    `lm_eval_results/` or `data/lm_eval_results/`, as in the data
                                    set allenai/fluid-benchmarking
    <lm>/<benchmark>.csv            one table per language model and benchmark

The name of that data set is taken in place of a folder: its tables are fetched from the Hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmms.adaptive.bank import ItemBank, listed_ids, read_bank
from lmms.adaptive.errors import ResponsesError
from lmms.adaptive.experiments.protocol import BenchmarkResponses
from lmms.adaptive.loaders import (
    REPOSITORY,
    ScoreTable,
    as_responses,
    benchmark_of,
    load_irt_model,
    load_lm_eval_results,
    load_open_llm_leaderboard_results,
    mean_leaderboard_ability,
    read_scores,
)
from lmms.errors import DataError, UnknownNameError

REFERENCE_MODELS = ("amber-7b", "k2-65b", "olmo1-7b", "olmo2-7b", "pythia-7b", "pythia-3b")
"""The paper's language models in the order of the reference implementation."""
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


def read_responses_table(path: Path) -> ScoreTable:
    """Reads one table of scores as responses; a score of at least 0.5 is a right answer.

    Raises:
        DataError: The file cannot be read, has no items or checkpoints, an id or a column twice,
            or a cell that is no number.
    """
    table = read_scores(path)
    try:
        return ScoreTable(table.ids, table.columns, as_responses(table))
    except ResponsesError as error:
        error.origin = error.origin or str(path)
        raise


def benchmark_name(item: str) -> str:
    """Returns the benchmark of an item id.

    `<task>/<document>` belongs to its task; otherwise the rule of the reference implementation
    holds, see `lmms.adaptive.loaders.benchmark_of`.
    """
    return item.partition("/")[0] if "/" in item else benchmark_of(item) or item


class Parameters:
    """Item parameters of several benchmarks: a folder of `<benchmark>.csv`, one file, or the Hub's.

    Args:
        place: The folder or file, or the name of the data set; None: there are none.

    Raises:
        DataError: There is nothing under that path, or the folder has no table.
    """

    def __init__(self, place: Path | str | None) -> None:
        self._hub = isinstance(place, str)
        path = None if place is None or isinstance(place, str) else place
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
            HubError: The Hub cannot be reached.
        """
        if self._hub:
            return load_irt_model(REPOSITORY, f"data/irt_models/{benchmark}.csv")
        if self._file is not None:
            bank = read_bank(self._file)
            chosen = [i for i, item in enumerate(bank.ids) if benchmark_name(item) == benchmark]
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
        tables: Per language model and benchmark its table.
        parameters: Of the items.
        start_abilities: Per benchmark the mean ability of the leaderboard's models, if known.
    """

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
    place: Path | str, *, subjects: Sequence[str] | None = None, irt: Path | None = None
) -> ResultFolder:
    """Reads a folder of results, or the paper's from the Hub.

    Args:
        place: A folder in one of the layouts above, or `allenai/fluid-benchmarking`.
        subjects: The language models to read; None: all.
        irt: Item parameters, see `Parameters`; None: `irt_models` in the folder.

    Raises:
        DataError: There is no such folder, there are no results in it, or a table is wrong.
        UnknownNameError: It has no such language model.
        HubError: The Hub cannot be reached.
    """
    folder = Path(place)
    if str(place) == REPOSITORY and not folder.is_dir():
        return _from_hub(subjects, irt)
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {str(place)!r}",
            origin="--results",
            allowed=f"a folder of result tables, or {REPOSITORY} from the Hub",
        )
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
    tables: dict[str, dict[str, ScoreTable]] = {}
    for lm in chosen:
        tables[lm] = _by_benchmark(read_responses_table(whole[lm])) if lm in whole else {}
        for name, file in split.get(lm, {}).items():
            tables[lm][name] = read_responses_table(file)
    own = next((folder / name for name in _BANKS if (folder / name).is_dir()), None)
    return ResultFolder(tables, Parameters(irt or own), _start_abilities(folder))


def _from_hub(subjects: Sequence[str] | None, irt: Path | None) -> ResultFolder:
    chosen = REFERENCE_MODELS if subjects is None else _chosen(subjects, REFERENCE_MODELS)
    tables = {
        lm: _by_benchmark(load_lm_eval_results(REPOSITORY, f"data/lm_eval_results/{lm}.csv"))
        for lm in chosen
    }
    starts = read_leaderboard(load_open_llm_leaderboard_results(REPOSITORY), REPOSITORY)
    return ResultFolder(tables, Parameters(irt or REPOSITORY), starts)


def _chosen(subjects: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    if subjects is None:
        return sorted(set(known))
    for name in subjects:
        if name not in known:
            raise UnknownNameError("subject", name, known, origin="--subjects")
    return list(dict.fromkeys(subjects))


def _by_benchmark(table: ScoreTable) -> dict[str, ScoreTable]:
    rows: dict[str, list[int]] = {}
    for position, item in enumerate(table.ids):
        rows.setdefault(benchmark_name(item), []).append(position)
    return {
        name: ScoreTable(tuple(table.ids[i] for i in at), table.columns, table.values[at])
        for name, at in rows.items()
    }


def _start_abilities(folder: Path) -> dict[str, float]:
    file = next((folder / name for name in _LEADERBOARD if (folder / name).is_file()), None)
    if file is None:
        return {}
    return read_leaderboard(load_open_llm_leaderboard_results(file), str(file))


def read_leaderboard(results: Mapping[str, Any], origin: str) -> dict[str, float]:
    """Returns the mean ability of the leaderboard's models per benchmark.

    Args:
        results: {benchmark: {"ability": {model: ability}}}.
        origin: Where they are from.

    Raises:
        DataError: A benchmark has no abilities.
    """
    try:
        return {name: mean_leaderboard_ability(results, name) for name in results}
    except DataError as error:
        error.origin = origin
        raise


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
    groups = {f"the results of {lm}": table.ids for lm, table in tables.items()}
    if bank is not None:
        groups = {"the item parameters": bank.ids, **groups}
    items, notices = join_items(benchmark, groups, common_items=common_items)
    place = [{item: i for i, item in enumerate(table.ids)} for table in tables.values()]
    answers = [
        table.values[[at[item] for item in items]].T
        for table, at in zip(tables.values(), place, strict=True)
    ]
    rows = tuple((lm, name) for lm, table in tables.items() for name in table.columns)
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
