from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.report import write_run
from lmms.report.pictures import PixelReader
from lmms.types import Sample
from tests.report import synthetic_run


def fake_pixels(
    media: Mapping[str, Any], indices: Sequence[int], size: tuple[int, int] | None
) -> np.ndarray:
    """Grey frames whose brightness tells their index."""
    height, width = size or (12, 16)
    frames = [np.full((height, width, 3), index % 256, np.uint8) for index in indices or [7]]
    return np.stack(frames)


def fake_pictures(label: str) -> Any:
    def reader(sample: Sample) -> PixelReader:
        return fake_pixels

    return reader


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of the synthetic run, written with fake frames."""
    folder = tmp_path / "outputs" / "20261003-120000-canary-qwen3vl-ab12cd34"
    folder.mkdir(parents=True)
    plan = synthetic_run.make_plan()
    (folder / "plan.json").write_text(plan.model_dump_json())
    write_run(
        folder,
        plan,
        synthetic_run.make_results(),
        synthetic_run.make_samples,
        synthetic_run.FACTS,
        pictures=fake_pictures,
    )
    return folder
