"""The files of an experiment: rows as JSONL and Parquet, and the protocol beside them.

`results/experiment.jsonl` has one JSON object per row, `results/experiment.parquet` the same
columns, `results/experiment.json` what was done: seed, sizes, methods, and for each benchmark its
items (which `items_fb` counts), start ability and notices. Numbers are written so that reading
gives the same float64 again, and the same experiment gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from lmms.adaptive.experiments.protocol import BenchmarkResponses, Protocol
from lmms.errors import DataError
from lmms.report.files import output_file
from lmms.responses.atomic import atomic_bytes, atomic_text

_GROUP = 512
"""Rows of a row group; a row with 500 items takes some 6 kB."""
_ENDINGS = (".jsonl", ".parquet", ".json")
_LABELS = ("benchmark", "lm", "checkpoint")


@dataclass(frozen=True, slots=True)
class ExperimentFiles:
    """Where an experiment was written."""

    jsonl: Path
    parquet: Path
    protocol: Path
    rows: int


def protocol_facts(
    protocol: Protocol,
    benchmarks: Sequence[BenchmarkResponses],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    source: Mapping[str, Any] | None = None,
    notices: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns what an experiment does, for the file beside its rows.

    Args:
        protocol: What is done.
        benchmarks: On which answers.
        pairs: Benchmarks that measure the same skill.
        source: Where the answers come from.
        notices: What was left out.
    """
    return {
        "seed": protocol.seed,
        "sizes": list(protocol.sizes),
        "methods": list(protocol.methods),
        "estimation": protocol.estimation,
        "source": dict(source or {}),
        "pairs": [list(pair) for pair in pairs],
        "notices": list(notices),
        "benchmarks": {
            b.name: {
                "start_ability": b.start_ability,
                "bank_digest": None if b.bank is None else b.bank.digest,
                "items": list(b.items),
            }
            for b in benchmarks
        },
    }


def write_experiment(
    output: Path,
    rows: Iterable[Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> ExperimentFiles:
    """Writes an experiment: all of its files, or none.

    Args:
        output: Path without an ending; `.jsonl`, `.parquet` and `.json` are taken off.
        rows: From `run_experiment`, taken one by one.
        facts: From `protocol_facts`.

    Raises:
        LmmsError: The folder cannot be written to; see `output_file`.
        DataError: There are no rows.
    """
    plain = output.with_suffix("") if output.suffix in _ENDINGS else output
    jsonl, parquet, beside = (plain.with_name(plain.name + ending) for ending in _ENDINGS)
    with (
        output_file(jsonl),
        atomic_text(beside) as protocol,
        atomic_bytes(parquet) as table,
        atomic_text(jsonl) as lines,
    ):
        protocol.write(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        count = _write_rows(rows, lines, table, _schema(facts))
    return ExperimentFiles(jsonl, parquet, beside, count)


def _write_rows(
    rows: Iterable[Mapping[str, Any]], lines: TextIO, table: BinaryIO, schema: Any
) -> int:
    import pyarrow
    import pyarrow.parquet

    count = 0
    rest = iter(rows)
    with pyarrow.parquet.ParquetWriter(table, schema, compression="zstd") as writer:
        while group := list(islice(rest, _GROUP)):
            for row in group:
                lines.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
            count += len(group)
    if count == 0:
        raise DataError("the experiment has no rows")
    return count


def _schema(facts: Mapping[str, Any]) -> Any:
    """Returns the columns of all rows; a benchmark that is too short for a size has nulls."""
    import pyarrow

    longest = max(len(b["items"]) for b in facts["benchmarks"].values())
    sizes = [n for n in facts["sizes"] if n <= longest]
    fields: dict[str, Any] = {}
    for method in facts["methods"]:
        if method == "fluid_benchmarking":
            fields["abilities_fb"] = pyarrow.list_(pyarrow.float64())
            fields["items_fb"] = pyarrow.list_(pyarrow.int64())
        elif method.startswith("full"):
            fields[method] = pyarrow.float64()
        else:
            fields |= {f"{method}_{n}": pyarrow.float64() for n in sizes}
    fields |= dict.fromkeys(_LABELS, pyarrow.string())
    if facts["source"].get("true_abilities"):
        fields["true_ability"] = pyarrow.float64()
    return pyarrow.schema(list(fields.items()))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Gives the rows of an experiment, one by one, without `items_fb`.

    Args:
        path: A `.jsonl` or `.parquet` file of ours or of the reference implementation.

    Raises:
        DataError: The file cannot be read, or a row is none of an experiment.
    """
    if not path.is_file():
        raise DataError(
            f"there is no experiment {str(path)!r}",
            allowed="the .jsonl or .parquet that lmms adaptive experiment writes",
        )
    reader = _parquet_rows if path.suffix == ".parquet" else _json_rows
    try:
        for number, row in enumerate(reader(path), start=1):
            lacking = [name for name in _LABELS if not isinstance(row.get(name), str)]
            if lacking:
                raise DataError(
                    f"row {number} lacks {', '.join(lacking)}",
                    origin=str(path),
                    allowed="rows with benchmark, lm, checkpoint",
                )
            yield row
    except (OSError, ValueError) as error:
        raise DataError(f"the experiment cannot be read: {error}", origin=str(path)) from error


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"a line is no object: {line[:60].strip()}")
                row.pop("items_fb", None)
                yield row


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as table:
        names = [name for name in table.schema_arrow.names if name != "items_fb"]
        for batch in table.iter_batches(batch_size=_GROUP, columns=names):
            yield from batch.to_pylist()


def read_facts(path: Path) -> dict[str, Any]:
    """Returns the protocol beside an experiment's rows, empty if there is none.

    Args:
        path: The rows.

    Raises:
        DataError: The file is there, but is none of ours.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        facts = json.loads(beside.read_text("utf-8"))
        return {"pairs": [(str(a), str(b)) for a, b in facts["pairs"]], **_without_items(facts)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"the protocol of the experiment cannot be read: {error}", origin=str(beside)
        ) from error


def _without_items(facts: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: len(b["items"]) for name, b in facts["benchmarks"].items()}
    return {"seed": facts["seed"], "source": dict(facts["source"]), "items": counts}
