"""`lmms compare` of two runs with 100,000 samples each: CPU seconds and memory of the process.

The runs are made here: two small ones by the dummy model, whose samples are then multiplied by the
real writer, each copy a document of its own. Claim: at most 5 CPU seconds, start-up included.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lmms.report import show_samples
from lmms.report.samples import samples_file_name, write_samples
from lmms.types import Sample, digest_of

SAMPLES = 100_000
CLAIM_SECONDS = 5.0
TASK = "longvideobench_val_v"
OUT = Path(__file__).parent / "out"
ROOT = Path(__file__).resolve().parents[1]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two run folders with 100,000 samples of one task."""
    folder = tmp_path_factory.mktemp("compare")
    found = []
    for seed in (1, 2):
        words = [f"task={TASK}", "model=dummy", f"seed={seed}", f"output.dir={folder / str(seed)}"]
        command = [sys.executable, "-m", "lmms", *words, "media.num_frames=8", "--quiet"]
        subprocess.run(command, check=True, env=_environment(), stdout=subprocess.DEVNULL)
        run = (folder / str(seed) / "latest").resolve()
        samples = list(show_samples(run, TASK))
        count = write_samples(
            run / samples_file_name(f"{TASK}@embedded"), _multiplied(samples, seed)
        )
        assert count == SAMPLES
        found.append(str(run))
    return found[0], found[1]


def _multiplied(samples: list[Sample], seed: int) -> Iterator[Sample]:
    chance = random.Random(seed)
    for number in range(SAMPLES):
        sample = samples[number % len(samples)]
        value = float(chance.random() < 0.5)
        yield replace(
            sample,
            doc_id=number,
            document_id=f"{sample.document_id}_{number}",
            doc_hash=digest_of(number),
            cluster=f"clip{number // 10}",
            scores={key: replace(s, value=value) for key, s in sample.scores.items()},
        )


@pytest.mark.parametrize(
    "words", [[], ["--all-metrics"], ["--cluster", "question_category", "--fail-if", "* worse 1pp"]]
)
def test_two_large_runs(runs: tuple[str, str], words: list[str]) -> None:
    """The whole command, in a process of its own."""
    command = [sys.executable, "-m", "lmms", "compare", *runs, *words]
    process = subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as stream:
        text = stream.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert "100000" in text
    seconds, megabytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    size = sum(path.stat().st_size for run in runs for path in Path(run).glob("samples_*"))
    print(
        f"\ncompare 2 × {SAMPLES:,} samples ({size / 1e6:.0f} MB) {' '.join(words)}: "
        f"{seconds:.2f} CPU s, {megabytes:.0f} MB"
    )
    OUT.mkdir(exist_ok=True)
    report = {"seconds": seconds, "megabytes": megabytes, "file_bytes": size}
    (OUT / f"compare{len(words)}.json").write_text(json.dumps(report, indent=2))
    assert seconds <= CLAIM_SECONDS
    assert megabytes <= 400
