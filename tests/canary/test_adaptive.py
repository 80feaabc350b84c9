"""An adaptive run of the embedded model on its clips, with a bank made from its own answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmms
from lmms.adaptive.bank import ItemBank, write_bank
from lmms.types import RunResult

pytestmark = pytest.mark.canary

pytest.importorskip("torch", reason="needs lmms[hf]")

TASK = "longvideobench_val_v"
DOCUMENTS, ITEMS = 16, 6


def run(folder: Path, *words: str) -> RunResult:
    return lmms.run(
        ["model=qwen3_vl", f"task={TASK}", f"limit={DOCUMENTS}", f"output.dir={folder}",
         "run.progress=none", "output.html=false", *words]
    )  # fmt: skip


def samples(result: RunResult) -> dict[str, dict[str, Any]]:
    (path,) = Path(result.path).glob("samples_*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["document_id"]: line for line in lines}


def test_it_asks_the_clips_that_tell_most(tmp_path: Path) -> None:
    full = run(tmp_path, "media.num_frames=2")
    known = samples(full)
    # Two frames of twelve leave some questions open: those were hard.
    right = np.array([line["lvb_acc"] for line in known.values()])
    spread = np.linspace(-0.4, 0.4, len(known))
    bank = ItemBank(
        ids=tuple(f"{TASK}/{name}" for name in known),
        a=np.full(len(known), 1.2),
        b=np.where(right > 0, -1.0, 1.0) + spread,
        digests=tuple(line["doc_hash"][:16] for line in known.values()),
    )
    write_bank(tmp_path / "irt.csv", bank)
    words = (f"selector.irt={tmp_path / 'irt.csv'}", f"selector.max_items={ITEMS}")
    result = run(tmp_path, "media.num_frames=2", "selector=adaptive", *words)
    found = result[TASK].adaptive
    assert found is not None
    assert result.status == "complete"
    assert (found["n_answered"], found["n_matched"]) == (ITEMS, DOCUMENTS)
    # The same model gives the same answers, whichever documents it is asked and when.
    for step in found["trajectory"]:
        assert step["response"] == known[step["document_id"]]["lvb_acc"]
    assert set(samples(result)) == {step["document_id"] for step in found["trajectory"]}
    predicted = found["predicted"]
    assert predicted["low"] <= right.mean() <= predicted["high"]
    assert [m.name for m in result[TASK].metrics] == ["ability", "predicted_lvb_acc"]
