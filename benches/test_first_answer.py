"""From the command to the first video answer, against LMMs-Eval on the same weights and clips.

The peer needs an environment of its own (155 packages):

    python -m venv peer && peer/bin/pip install lmms_eval==0.7.3 decord qwen-vl-utils
    LMMS_BENCH_PEER=peer/bin/lmms-eval make bench

Both programs load the embedded model, answer one question about one embedded clip, and write their
results; the whole process is timed, interleaved, medians of three rounds after one warm-up.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EMBEDDED = ROOT / "lmms" / "_data" / "embedded"
OUT = ROOT / "benches" / "out"
ROUNDS = 3
GOAL = 0.5

TASK = """
dataset_path: parquet
dataset_kwargs: {{data_files: {{validation: {rows}}}}}
task: lvb_peer
test_split: validation
doc_to_visual: !function utils.longvideobench_doc_to_visual_v
doc_to_text: !function utils.longvideobench_doc_to_text
doc_to_target: correct_choice
generation_kwargs: {{max_new_tokens: 160, temperature: 0, do_sample: false}}
process_results: !function utils.longvideobench_process_results
metric_list:
  - metric: lvb_acc
    aggregation: !function utils.longvideobench_aggregate_results
    higher_is_better: true
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: "Answer with the option's letter from the given choices directly.\\n"
"""


def _peer(folder: Path) -> tuple[list[str], dict[str, str]]:
    found = os.environ.get("LMMS_BENCH_PEER")
    if not found:
        pytest.skip("set LMMS_BENCH_PEER to the lmms-eval program of an environment that has it")
    program = Path(found).resolve()
    (shipped,) = program.parent.parent.glob("lib/*/site-packages/lmms_eval/tasks/longvideobench")
    task = folder / "task"
    shutil.copytree(shipped, task)
    rows = EMBEDDED / "longvideobench" / "validation.parquet"
    (task / "lvb_peer.yaml").write_text(TASK.format(rows=rows))
    media = folder / "hf" / "datasets" / "longvideobench"
    media.mkdir(parents=True)
    (media / "videos").symlink_to(EMBEDDED / "longvideobench" / "videos")
    model = f"pretrained={EMBEDDED / 'canary-qwen3vl'},device=cpu,device_map=cpu"
    words = [
        str(program), "--model", "qwen3_vl", "--tasks", "lvb_peer", "--limit", "1",
        "--model_args", f"{model},max_num_frames=12,system_prompt=None", "--batch_size", "1",
        "--include_path", str(task), "--output_path", str(folder / "peer"), "--log_samples",
    ]  # fmt: skip
    return words, {"HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1"}


def _environment() -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return inherited | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def _timed(words: list[str], environment: dict[str, str], cwd: Path) -> tuple[float, float]:
    """(wall, CPU) seconds of one whole process with its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        words,
        cwd=cwd,
        env=_environment() | environment,
        check=True,
        capture_output=True,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_first_video_answer(tmp_path: Path) -> None:
    peer, peer_environment = _peer(tmp_path)
    ours = [
        sys.executable, "-m", "lmms", "+experiment=longvideo", "model=qwen3_vl", "limit=1",
        "run.resume=never", "run.progress=none",
    ]  # fmt: skip
    here = {"PYTHONPATH": str(ROOT)}
    rows: dict[str, list[tuple[float, float]]] = {"lmms": [], "lmms-eval": []}
    for number in range(ROUNDS + 1):
        for name, words, extra in (("lmms", ours, here), ("lmms-eval", peer, peer_environment)):
            figures = _timed(words, extra, tmp_path)
            if number:
                rows[name].append(figures)
    medians = {n: [statistics.median(v) for v in zip(*r, strict=True)] for n, r in rows.items()}
    ratio = medians["lmms"][0] / medians["lmms-eval"][0]
    cpu_ratio = medians["lmms"][1] / medians["lmms-eval"][1]
    print("\ncommand to first video answer   wall s   CPU s")
    for name, (wall, cpu) in medians.items():
        print(f"{name:30s} {wall:7.2f} {cpu:7.2f}")
    print(f"{'ratio (goal: at most 0.50)':30s} {ratio:7.2f} {cpu_ratio:7.2f}")
    OUT.mkdir(exist_ok=True)
    (OUT / "first_answer.json").write_text(json.dumps({"rounds": rows, "ratio": ratio}, indent=2))
    assert cpu_ratio < 1, "slower than the peer"
