"""A task whose clips lie in an archive and in a Lance table, from the rows to the results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest


def test_clips_are_found_where_data_sets_put_them(
    tmp_path: Path, repository: Path, write_video_task: Any
) -> None:
    lance = pytest.importorskip("lance", reason="pylance is not installed (extra `lance`)")
    pa = pytest.importorskip("pyarrow")
    clips = repository / "lmms/_data/embedded/longvideobench/videos"
    folder = tmp_path / "packed"
    folder.mkdir()
    names = ["clip02", "clip03", "missing", "https://example.org/clip.mp4"]
    write_video_task(folder, names)
    with zipfile.ZipFile(folder / "videos_chunked_01.zip", "w") as archive:
        archive.write(clips / "clip02.mp4", "data/clip02.mp4")
    lance.write_dataset(
        pa.table({"video_id": ["clip03"], "video_blob": [(clips / "clip03.mp4").read_bytes()]}),
        str(tmp_path / "v.lance"),
    )
    words = ["model=dummy", "task=packed", f"env.task_paths=[{tmp_path}]", "media.num_frames=2",
             f"output.dir={tmp_path / 'out'}", f"env.lance_uri={tmp_path / 'v.lance'}"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.run(
        [sys.executable, "-m", "lmms", *words],
        env=environment | {"HF_HOME": str(tmp_path / "hub")},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert "Traceback" not in process.stderr
    (path,) = (tmp_path / "out" / "latest").glob("samples_*.jsonl")
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    assert [sample["status"] == "failed" for sample in samples] == [False, False, True, True]
    assert process.returncode == 3, process.stderr
    text = [json.dumps(sample) for sample in samples]
    assert f"zip://data/clip02.mp4::{folder / 'videos_chunked_01.zip'}" in text[0]
    assert f"lance://clip03::{tmp_path / 'v.lance'}" in text[1]
    assert "no such file" in samples[2]["failure"]["message"]
    assert "URLs are not decoded" in samples[3]["failure"]["message"]
