"""What the paper's protocol costs on a whole simulated training history.

Claims: 6 models x 100 checkpoints x 6 benchmarks of 500 to 2,000 items, every method, at most 60
CPU seconds with fitting, writing and analysing. One round: it is long.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from lmms.adaptive.experiments.analysis import analyse
from lmms.adaptive.experiments.curves import curves_of
from lmms.adaptive.experiments.files import protocol_facts, read_facts, read_rows, write_experiment
from lmms.adaptive.experiments.history import simulate_history
from lmms.adaptive.experiments.protocol import Protocol, run_experiment
from lmms.adaptive.experiments.sources import Selection, simulated_source

CLAIM_SECONDS = 60.0
OUT = Path(__file__).parent / "out"


def test_cost_of_the_protocol(tmp_path: Path) -> None:
    seconds: dict[str, float] = {}
    started = time.process_time()

    def lap(name: str) -> None:
        seconds[name] = time.process_time() - started - sum(seconds.values())

    history = simulate_history()
    lap("simulate")
    source = simulated_source(history, Selection())
    lap("fit")
    protocol = Protocol()
    facts = protocol_facts(protocol, source.benchmarks, pairs=source.pairs, source=source.facts)
    rows = list(run_experiment(source.benchmarks, protocol))
    lap("run")
    files = write_experiment(tmp_path / "experiment", rows, facts)
    lap("write")
    curves = curves_of(read_rows(files.parquet))
    lap("read")
    analysis = analyse(curves, pairs=read_facts(files.parquet)["pairs"])
    lap("analyse")
    parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
    total = sum(seconds.values())
    print(f"\nexperiment  {files.rows} rows, {total:.1f} CPU s: {parts}")
    for quality in analysis.overall():
        distance = quality.rank_distance.value
        items = quality.items or "all"
        print(f"  {quality.method:<20}{items:>4} items  rank distance {distance:5.2f}")
    OUT.mkdir(exist_ok=True)
    with (OUT / "experiment.jsonl").open("a") as file:
        file.write(json.dumps({"bench": "experiment", "rows": files.rows, **seconds}) + "\n")
    assert files.rows == 3600
    assert total <= CLAIM_SECONDS
