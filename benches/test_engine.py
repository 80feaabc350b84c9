"""What the engine itself costs: reading, rendering, keys, journal, scheduling, scoring, no model.

Claims: at most 0.3 ms of CPU per text request with the instant dummy model, and memory that does
not grow with documents (1,000 and 100,000 of them: peak within 10 %). CPU seconds of a process of
its own, with what a run of 100 documents costs taken off; the tasks are made here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CLAIM_MS = 0.3
CLAIM_GROWTH = 1.10
OUT = Path(__file__).parent / "out"

TASK = """\
task: sums{count}
version: "1"
description: Sums inside some text.
dataset: {{path: rows{count}.jsonl, split: test}}
prompt: {{text: "{{{{question}}}}"}}
target: "{{{{answer}}}}"
generation: {{max_new_tokens: 16}}
scorer: exact_match
metrics: [exact_match]
"""

RUN = """
import json, re, sys, time
from pathlib import Path
import lmms
from lmms.runner.engine import Engine

spent = {}
work = Engine.run

async def timed(self):
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        await work(self)
    finally:
        spent["cpu"] = time.process_time() - cpu
        spent["wall"] = time.perf_counter() - wall

Engine.run = timed
result = lmms.run(sys.argv[1:])
assert result.status == "complete"
# Not ru_maxrss: a process inherits its parent's through exec.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps(spent | {"peak_mb": int(peak[1]) / 1024}))
"""


def run(folder: Path, count: int) -> dict[str, float]:
    rows = (
        {"question": f"What is {i} plus {i % 13}? " + "Some words. " * 40, "answer": str(i % 100)}
        for i in range(count)
    )
    (folder / f"rows{count}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"sums{count}.yaml").write_text(TASK.format(count=count))
    words = [
        "model=dummy",
        f"task=sums{count}",
        f"env.task_paths=[{folder}]",
        f"output.dir={folder / 'outputs'}",
        "output.html=false",
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


@pytest.mark.timeout(600)
def test_cost_and_memory_of_a_text_request(tmp_path: Path) -> None:
    small, first, many = (run(tmp_path, count) for count in (100, 1_000, 100_000))
    cost_ms = (many["cpu"] - small["cpu"]) / (100_000 - 100) * 1000
    growth = many["peak_mb"] / first["peak_mb"]
    record = {
        "bench": "engine",
        "cpu_ms_per_request": cost_ms,
        "requests_per_second": 100_000 / many["wall"],
        "peak_mb_1k": first["peak_mb"],
        "peak_mb_100k": many["peak_mb"],
        "growth": growth,
    }
    print(f"\nengine  {cost_ms:.3f} CPU ms/request  (claim {CLAIM_MS})")
    print(f"        {100_000 / many['wall']:,.0f} requests/s")
    print(f"        peak {first['peak_mb']:.1f} MB at 1,000, {many['peak_mb']:.1f} MB at 100,000")
    OUT.mkdir(exist_ok=True)
    with (OUT / "engine.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    assert cost_ms <= CLAIM_MS
    assert growth <= CLAIM_GROWTH
