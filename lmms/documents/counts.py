"""How many documents a data set has, without reading them; and where local data lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lmms.config.locations import cache_folder
from lmms.config.schema import EnvConfig
from lmms.tasks.spec import DatasetSpec
from lmms.types import digest_of

EMBEDDED_DATA = Path(__file__).resolve().parent.parent / "_data" / "embedded"


def count_hint(dataset: DatasetSpec, env: EnvConfig) -> tuple[int | None, str]:
    """Returns the number of documents and what it stands on, without reading the data.

    Returns:
        (number, "index"): from the index of the embedded data;
        (number, "file header"): from the headers of local Parquet files;
        (number, "last load"): remembered from the last time the data was opened;
        (None, "unknown until the data is read").
    """
    if is_local(dataset):
        counted = _from_headers(local_path(dataset), dataset)
        if counted is not None:
            return counted, "file header"
    elif env.data == "embedded":
        counted = _from_index(dataset)
        if counted is not None:
            return counted, "index"
    remembered = _read_counts(env).get(_key(dataset, env))
    if isinstance(remembered, int):
        return remembered, "last load"
    return None, "unknown until the data is read"


def remember_count(dataset: DatasetSpec, env: EnvConfig, count: int) -> None:
    """Remembers the number of documents for the next plan.

    A cache that cannot be written is no error.
    """
    counts = _read_counts(env)
    key = _key(dataset, env)
    if counts.get(key) == count:
        return
    counts[key] = count
    file = _counts_file(env)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(counts, sort_keys=True), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        return


def is_local(dataset: DatasetSpec) -> bool:
    """Whether the data set is a file or folder of this machine rather than a hub id."""
    if dataset.path.startswith((".", "/", "~")):
        return True
    return bool(dataset.base) and local_path(dataset).exists()


def local_path(dataset: DatasetSpec) -> Path:
    """Returns where a local data set lies; relative paths start at the task file's folder."""
    return Path(dataset.base) / Path(dataset.path).expanduser()


def _from_index(dataset: DatasetSpec) -> int | None:
    try:
        index: Any = json.loads((EMBEDDED_DATA / "index.json").read_text(encoding="utf-8"))
        return int(index[dataset.embedded]["splits"][dataset.split]["documents"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_headers(path: Path, dataset: DatasetSpec) -> int | None:
    files = [path] if path.is_file() else sorted(path.glob(f"{dataset.split}*.parquet"))
    if not files or any(file.suffix != ".parquet" for file in files):
        return None
    import pyarrow.parquet as parquet

    try:
        return int(sum(parquet.read_metadata(file).num_rows for file in files))
    except (OSError, ValueError):
        return None


def _key(dataset: DatasetSpec, env: EnvConfig) -> str:
    where = "local" if is_local(dataset) else env.data
    parts = (dataset.path, dataset.name, dataset.split, dataset.revision, where, dataset.base)
    return digest_of(list(parts))[:32]


def _counts_file(env: EnvConfig) -> Path:
    return cache_folder(env.cache_dir) / "document-counts.json"


def _read_counts(env: EnvConfig) -> dict[str, Any]:
    try:
        counts = json.loads(_counts_file(env).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return counts if isinstance(counts, dict) else {}
