"""Answers from the simulated history, and from runs that are joined to item parameters."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lmms.adaptive import ItemBank, write_bank
from lmms.adaptive.experiments import sources
from lmms.adaptive.experiments.history import SimulatedBenchmark, TrainingHistory, simulate_history
from lmms.adaptive.experiments.sources import RunSettings, Selection, runs_source, simulated_source
from lmms.adaptive.responses import ResponseMatrix
from lmms.errors import ConfigError, DataError, UnknownNameError


@pytest.fixture(scope="module")
def history() -> TrainingHistory:
    return simulate_history(
        models=3,
        checkpoints=4,
        benchmarks=[
            SimulatedBenchmark("one", "s", 60, 0.0),
            SimulatedBenchmark("two", "s", 50, 0.0),
            SimulatedBenchmark("else", "t", 40, 0.0),
        ],
    )


def test_the_simulated_answers_are_those_of_the_history(history: TrainingHistory) -> None:
    source = simulated_source(history, Selection(), banks="true")
    assert [b.name for b in source.benchmarks] == ["one", "two", "else"]
    assert source.pairs == (("one", "two"),)
    first = source.benchmarks[0]
    assert first.rows[3:5] == (("model-1", "step100000"), ("model-2", "step25000"))
    assert np.array_equal(first.responses[4], history.benchmarks[0].responses[1, 0])
    assert first.abilities is not None
    assert first.abilities[4] == history.benchmarks[0].abilities[1, 0]
    assert first.bank is history.benchmarks[0].bank
    assert source.facts["digest"] == history.digest


def test_fitted_parameters_find_the_true_ones(history: TrainingHistory) -> None:
    fitted = simulated_source(history, Selection(benchmarks=("one",))).benchmarks[0]
    true = history.benchmarks[0].bank
    assert fitted.bank is not None
    assert fitted.bank.ids == true.ids
    assert np.corrcoef(fitted.bank.b[true.a > 0.5], true.b[true.a > 0.5])[0, 1] > 0.9
    assert abs(fitted.start_ability) < 0.1


def test_a_part_of_the_simulation_can_be_chosen(history: TrainingHistory) -> None:
    wanted = Selection(("two", "else"), ("model-3", "model-1"), needs_bank=False)
    source = simulated_source(history, wanted)
    assert [b.name for b in source.benchmarks] == ["two", "else"]
    assert source.pairs == ()
    assert [lm for lm, _ in source.benchmarks[0].rows[::4]] == ["model-3", "model-1"]
    assert source.benchmarks[0].bank is None
    with pytest.raises(UnknownNameError, match="subject 'model-9'"):
        simulated_source(history, Selection(subjects=("model-9",)))
    with pytest.raises(UnknownNameError, match="benchmark 'three'"):
        simulated_source(history, Selection(benchmarks=("three",)))


RUNS = {
    "r1": ("tiny-step200", "/out/r1", "1101"),
    "r2": ("tiny-step1000", "/out/r2", "1111"),
    "r3": ("other", "/out/step30/r3", "0-01"),
    "r4": ("other", "/out/step4/r4", "0001"),
}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Four runs of two models, whose samples are read elsewhere; real ones are run in tests/cli."""

    def load(run: str, *, output_dir: str) -> Any:
        model, path, _ = RUNS[run]
        return SimpleNamespace(model=model, path=path, raw={"run_id": run}, tasks={"t": None})

    def responses(wanted: list[str], task: str, *_: Any, output_dir: str) -> ResponseMatrix:
        values = [[{"-": -1}.get(x, int(x != "0")) for x in RUNS[run][2]] for run in wanted]
        items = tuple(f"{task}/{i}" for i in range(4))
        return ResponseMatrix(
            tuple(wanted), items, np.array(values, dtype=np.int8), ("d0", "d1", "d2", "d3")
        )

    monkeypatch.setattr("lmms.report.runs.load_run", load)
    monkeypatch.setattr(sources, "responses_from_runs", responses)
    return runs_source


NO_BANK = Selection(needs_bank=False)


def test_runs_are_checkpoints_in_the_order_given(runs: Callable[..., Any]) -> None:
    found = runs(["r2", "r1"], NO_BANK).benchmarks[0]
    assert found.name == "t"
    assert found.rows == (("tiny-step1000", "r2"), ("tiny-step200", "r1"))
    assert found.responses.tolist() == [[1, 1, 1, 1], [1, 1, 0, 1]]


def test_a_pattern_finds_the_checkpoint_in_model_or_path(runs: Callable[..., Any]) -> None:
    settings = RunSettings(checkpoint_from=re.compile(r"step(\d+)"))
    source = runs(["r2", "r3", "r1", "r4"], NO_BANK, settings=settings)
    found = source.benchmarks[0]
    assert found.rows == (("tiny", "200"), ("tiny", "1000"), ("other", "4"), ("other", "30"))
    assert found.items == ("t/0", "t/2", "t/3")
    assert source.notices == ("1 of 4 items of t have no answer in some run; they are left out",)
    assert found.responses.tolist() == [[1, 0, 1], [1, 1, 1], [0, 0, 1], [0, 0, 1]]
    one = runs(["r2", "r3"], Selection(subjects=("other",), needs_bank=False), settings=settings)
    assert one.benchmarks[0].rows == (("other", "30"),)


def test_a_benchmark_stands_once(history: TrainingHistory) -> None:
    with pytest.raises(DataError, match="several sets of answers are named two"):
        simulated_source(history, Selection(("two", "one", "two")), banks="true")


def test_runs_without_a_checkpoint_are_refused(runs: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="finds no checkpoint"):
        runs(["r1"], NO_BANK, settings=RunSettings(checkpoint_from=re.compile("epoch")))
    same = RunSettings(checkpoint_from=re.compile(r"(step)\d+"))
    with pytest.raises(DataError, match="1 checkpoints have several runs: tiny at step"):
        runs(["r1", "r2"], NO_BANK, settings=same)
    with pytest.raises(UnknownNameError, match="subject"):
        runs(["r1"], Selection(subjects=("tinny",), needs_bank=False))


def _bank(path: Path, ids: str, digests: tuple[str, ...]) -> Path:
    names = tuple(f"t/{i}" for i in ids)
    ones = np.ones(len(names))
    write_bank(path, ItemBank(names, ones, np.arange(len(names)) * ones, digests=digests))
    return path


def test_parameters_are_joined_by_id_and_document(runs: Callable[..., Any], tmp_path: Path) -> None:
    bank = _bank(tmp_path / "irt.csv", "3210", ("d3", "d2", "d1", "d0"))
    found = runs(["r1"], Selection(), irt=bank).benchmarks[0]
    assert found.items == ("t/3", "t/2", "t/1", "t/0")
    assert found.responses.tolist() == [[1, 0, 1, 1]]
    changed = _bank(tmp_path / "changed.csv", "3210", ("d3", "other", "d1", ""))
    with pytest.raises(DataError, match=r"1 of 4 documents are not those .* t/2"):
        runs(["r1"], Selection(), irt=changed)


def test_missing_parameters_are_counted(runs: Callable[..., Any], tmp_path: Path) -> None:
    bank = _bank(tmp_path / "irt.csv", "03", ("d0", "d3"))
    with pytest.raises(DataError, match="the item parameters lack 2 of 4 items of t"):
        runs(["r1"], Selection(), irt=bank)
    source = runs(["r1"], Selection(common_items=True), irt=bank)
    assert source.benchmarks[0].items == ("t/0", "t/3")
    assert len(source.notices) == 1
    with pytest.raises(DataError, match="no item parameters of t"):
        runs(["r1"], Selection())
