from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmms.documents.readers import open_files
from lmms.documents.source import DocumentSource
from lmms.tasks.spec import TaskSpec

GOLDEN = Path(__file__).parent / "golden"


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Golden rows with a few bytes in the place of pictures, without notes on side files."""
    return {
        key: {"bytes": b"png", "path": None} if isinstance(v, dict) and "$image" in v else v
        for key, v in document.items()
        if not key.startswith("$")
    }


@pytest.fixture
def golden() -> Callable[[str], dict[str, Any]]:
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def source_of(tmp_path: Path) -> Callable[[list[dict[str, Any]], TaskSpec], DocumentSource]:
    """Writes rows to Parquet and opens them as the documents of a task."""

    def make(rows: list[dict[str, Any]], spec: TaskSpec) -> DocumentSource:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        path = tmp_path / f"{spec.name}.parquet"
        parquet.write_table(pa.Table.from_pylist([_plain(row) for row in rows]), path)
        return DocumentSource(open_files([path]), spec.dataset, reference="test")

    return make
