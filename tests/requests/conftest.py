from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmms.config.schema import EnvConfig
from lmms.documents import open_source
from lmms.documents.readers import open_files
from lmms.documents.source import DocumentSource
from lmms.requests import RenderContext, resolve_generation, resolve_media
from lmms.tasks import TaskSpec, load_spec

TASKS = Path(__file__).parent / "tasks"
GOLDEN = Path(__file__).parents[1] / "scoring" / "golden"

Contexts = Callable[..., RenderContext]


@pytest.fixture
def example() -> Callable[[str], tuple[TaskSpec, DocumentSource]]:
    """Loads one of the example tasks beside these tests."""

    def load(name: str) -> tuple[TaskSpec, DocumentSource]:
        spec = load_spec(name, task_paths=[str(TASKS)], trust_code=True)
        return spec, open_source(spec.dataset, EnvConfig())

    return load


@pytest.fixture
def context_of() -> Contexts:
    def make(spec: TaskSpec, source: DocumentSource, **changes: Any) -> RenderContext:
        media = changes.pop("media_layer", None)
        return RenderContext(
            generation=resolve_generation(spec),
            media=resolve_media(spec, media),
            source=source,
            **changes,
        )

    return make


@pytest.fixture
def source_of(tmp_path: Path) -> Callable[..., DocumentSource]:
    """Writes rows (and a pool of examples) to Parquet and opens them."""

    def write(rows: list[dict[str, Any]], name: str) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        path = tmp_path / f"{name}.parquet"
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path

    def make(
        rows: list[dict[str, Any]],
        spec: TaskSpec,
        *,
        pool: list[dict[str, Any]] | None = None,
        media_roots: tuple[str, ...] = (),
    ) -> DocumentSource:
        return DocumentSource(
            open_files([write(rows, "rows")]),
            spec.dataset,
            reference="test",
            media_roots=media_roots,
            pool=None if pool is None else open_files([write(pool, "pool")]),
            pool_is_split=pool is None,
        )

    return make
