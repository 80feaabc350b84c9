"""Files of Fluid Benchmarking: item banks, evaluation results, leaderboard abilities.

They are read from the data set `allenai/fluid-benchmarking` on the Hub or from a copy of its layout
on this machine: `data/irt_models/{benchmark}.csv`, `data/lm_eval_results/{lm}.csv`,
`data/open_llm_leaderboard_results.json` and `data/id_to_item_map.json`.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.bank import ItemBank, listed_ids, read_bank, repeated
from lmms.adaptive.errors import ResponsesError
from lmms.errors import DataError, HubError, nearest

REPOSITORY = "allenai/fluid-benchmarking"

_LEADERBOARD = "data/open_llm_leaderboard_results.json"
_ITEM_MAP = "data/id_to_item_map.json"


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of several subjects, or of one at several checkpoints, on the same items.

    Attributes:
        ids: Item ids, one per row.
        columns: Names of the subjects or checkpoints.
        values: int8 responses (1 right, 0 wrong) or float64 scores, shape (items, columns).
    """

    ids: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[Any]

    def column(self, name: str) -> dict[str, float]:
        """Returns a subject's scores by item id.

        Raises:
            DataError: There is no such column.
        """
        if name not in self.columns:
            raise DataError(
                f"the table has no column {name!r}", suggestions=nearest(name, self.columns)
            )
        values = self.values[:, self.columns.index(name)].tolist()
        return dict(zip(self.ids, values, strict=True))

    def benchmark(self, name: str) -> ScoreTable:
        """Returns the rows of one benchmark's items, see `benchmark_of`.

        Raises:
            DataError: The table has no item of it.
        """
        rows = [row for row, item in enumerate(self.ids) if benchmark_of(item) == name]
        if not rows:
            present = {benchmark_of(item) for item in self.ids}
            raise DataError(
                f"the table has no items of the benchmark {name!r}",
                allowed=sorted(present),
                suggestions=nearest(name, present),
            )
        return ScoreTable(tuple(self.ids[i] for i in rows), self.columns, self.values[rows])


def benchmark_of(item: str) -> str:
    """Returns the benchmark of an item id: what stands before its last `_`.

    The subjects of MMLU are one benchmark.
    """
    return "mmlu" if item.startswith("mmlu") else item.rpartition("_")[0]


def load_irt_model(
    repo_id: str | Path = REPOSITORY, filename: str | None = None, *, offline: bool = False
) -> ItemBank:
    """Loads an item bank, e.g. `data/irt_models/hellaswag.csv`.

    Args:
        repo_id: A data set on the Hub, a folder with its layout, or the file itself.
        filename: The file in it; not needed for a file itself.
        offline: Only take what is in the Hub's cache; the client's HF_HUB_OFFLINE does the same.

    Raises:
        BankError: The file is no item bank, see `read_bank`.
        DataError: There is no such file.
        HubError: The Hub cannot be reached or refuses.
    """
    return read_bank(_located(repo_id, filename, offline))


def load_lm_eval_results(
    repo_id: str | Path = REPOSITORY,
    filename: str | None = None,
    binary: bool = True,
    *,
    offline: bool = False,
) -> ScoreTable:
    """Loads evaluation results, e.g. `data/lm_eval_results/olmo2-7b.csv`.

    Args:
        repo_id: A data set on the Hub, a folder with its layout, or the file itself.
        filename: The file in it; not needed for a file itself.
        binary: Make responses of the scores: 1 for 0.5 or more.
        offline: Only take what is in the Hub's cache.

    Returns:
        The scores, rows by item id, columns by checkpoint.

    Raises:
        ResponsesError: The file has no items or no columns, an id twice, or a missing score that
            should become a response.
        DataError: There is no such file.
        HubError: The Hub cannot be reached or refuses.
    """
    table = read_scores(_located(repo_id, filename, offline))
    if not binary:
        return table
    return ScoreTable(table.ids, table.columns, as_responses(table))


def load_open_llm_leaderboard_results(
    repo_id: str | Path = REPOSITORY, *, offline: bool = False
) -> dict[str, Any]:
    """Loads abilities of the Open LLM Leaderboard: `{benchmark: {"ability": {model: ability}}}`.

    Args:
        repo_id: A data set on the Hub, a folder with its layout, or the file itself.
        offline: Only take what is in the Hub's cache.

    Raises:
        DataError: There is no such file, or it is no JSON object.
        HubError: The Hub cannot be reached or refuses.
    """
    return _json_object(_located(repo_id, _LEADERBOARD, offline))


def load_id_to_item_map(
    repo_id: str | Path = REPOSITORY, *, offline: bool = False
) -> dict[str, Any]:
    """Loads what item each id stands for.

    Args:
        repo_id: A data set on the Hub, a folder with its layout, or the file itself.
        offline: Only take what is in the Hub's cache.

    Raises:
        DataError: There is no such file, or it is no JSON object.
        HubError: The Hub cannot be reached or refuses.
    """
    return _json_object(_located(repo_id, _ITEM_MAP, offline))


def mean_leaderboard_ability(results: Mapping[str, Any], benchmark: str) -> float:
    """Returns the start ability of the paper's experiments: the leaderboard's mean.

    Args:
        results: From `load_open_llm_leaderboard_results`.
        benchmark: The benchmark's name.

    Raises:
        DataError: The results have no abilities of that benchmark.
    """
    try:
        abilities = [float(value) for value in results[benchmark]["ability"].values()]
    except (KeyError, TypeError, AttributeError, ValueError):
        abilities = []
    if not abilities or not np.all(np.isfinite(abilities)):
        raise DataError(
            f"the leaderboard results have no abilities of {benchmark!r}",
            suggestions=nearest(benchmark, map(str, results)),
        )
    return float(np.mean(abilities))


def as_responses(table: ScoreTable) -> NDArray[np.int8]:
    """Returns 1 where a score is 0.5 or more and 0 elsewhere, int8, in the table's shape.

    Raises:
        ResponsesError: A score is missing.
    """
    rows, _ = np.nonzero(np.isnan(table.values.astype(np.float64)))
    if rows.size:
        missing = dict.fromkeys(table.ids[row] for row in rows)
        raise ResponsesError(
            f"{rows.size} of {table.values.size} scores are missing: items {listed_ids(missing)}",
            hint="a missing score is no wrong answer: leave the item out",
        )
    return (table.values >= 0.5).astype(np.int8)


def read_scores(file: Path) -> ScoreTable:
    """Reads a CSV of scores: item ids in the first column, one column per subject.

    Raises:
        ResponsesError: No items or no columns, an id or a column twice, a row of another length, or
            a cell that is not a number; an empty cell is a missing score, NaN.
        DataError: There is no such file.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            rows = [
                (row[0], _score_row(row[1:], len(header) - 1, f"{file}, line {reader.line_num}"))
                for row in reader
                if row
            ]
    except FileNotFoundError:
        raise DataError(f"there is no file {str(file)!r}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the scores cannot be read: {error}", origin=str(file)) from error
    columns, ids = tuple(header[1:]), tuple(item for item, _ in rows)
    if not columns or not ids:
        raise ResponsesError(
            "the file has no scores", origin=str(file), allowed="item ids, and columns of scores"
        )
    for kind, names in (("item ids", ids), ("columns", columns)):
        if len(set(names)) != len(names):
            raise ResponsesError(
                f"{kind} occur more than once: {listed_ids(repeated(names))}", origin=str(file)
            )
    return ScoreTable(ids, columns, np.array([scores for _, scores in rows], dtype=np.float64))


def _score_row(cells: Sequence[str], columns: int, origin: str) -> list[float]:
    if len(cells) != columns:
        raise ResponsesError(f"a row has {len(cells)} scores instead of {columns}", origin=origin)
    scores = []
    for cell in cells:
        try:
            score = float(cell) if cell.strip() else math.nan
        except ValueError:
            score = math.inf
        if math.isinf(score) or (math.isnan(score) and cell.strip()):
            raise ResponsesError(
                f"a score is {cell!r}",
                origin=origin,
                allowed="a number, or nothing where it is missing",
            )
        scores.append(score)
    return scores


def _json_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the file cannot be read: {error}", origin=str(file)) from error
    if not isinstance(content, dict):
        raise DataError(
            f"the file holds a {type(content).__name__}", origin=str(file), allowed="a JSON object"
        )
    return content


def _located(repo_id: str | Path, filename: str | None, offline: bool) -> Path:
    place = Path(repo_id).expanduser()
    if place.is_file():
        return place
    if filename is None:
        raise DataError(
            f"no file of {str(repo_id)!r} was named", allowed="filename=data/irt_models/….csv"
        )
    if place.is_dir():
        if not (place / filename).is_file():
            raise DataError(f"the folder {str(place)!r} has no file {filename!r}")
        return place / filename
    if isinstance(repo_id, Path):
        raise DataError(f"there is no folder {str(place)!r}")
    return _fetched(repo_id, filename, offline)


def _fetched(repo_id: str, filename: str, offline: bool) -> Path:
    from huggingface_hub import hf_hub_download

    from lmms.documents.hub import why_not_fetched

    try:
        found = hf_hub_download(
            repo_id=repo_id, filename=filename, repo_type="dataset", local_files_only=offline
        )
    except Exception as error:  # the client's errors differ by version
        raise HubError(
            f"the file {filename!r} of the data set {repo_id!r} "
            + (
                "is not in the local cache, and offline=True"
                if offline
                else f"cannot be fetched: {why_not_fetched(error)}"
            ),
            hint="give a folder with a copy of the data set instead of its name",
        ) from error
    return Path(found)
