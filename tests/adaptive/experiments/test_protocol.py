"""The experiment's protocol, against rows of the reference implementation, and its files."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.adaptive import ItemBank
from lmms.adaptive.experiments.files import protocol_facts, read_facts, read_rows, write_experiment
from lmms.adaptive.experiments.protocol import (
    METHODS,
    SCHEDULE,
    BenchmarkResponses,
    Protocol,
    random_subsets,
    read_methods,
    run_experiment,
)
from lmms.errors import ConfigError, DataError, LmmsError, UnknownNameError


@pytest.fixture(scope="module")
def rows(
    golden: Callable[[str], list[dict[str, Any]]], banks: dict[str, ItemBank]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The reference implementation's cases, each with our row."""
    cases = golden("baselines")
    bank = banks[cases[0]["bank"]]
    responses = np.array([[int(x) for x in case["responses"]] for case in cases], dtype=np.int8)
    benchmark = BenchmarkResponses(
        "b",
        bank.ids,
        tuple(("lm", case["id"]) for case in cases),
        responses,
        bank,
        start_ability=cases[0]["start_ability"],
    )
    return list(zip(cases, run_experiment([benchmark], Protocol(SCHEDULE)), strict=True))


def test_rows_are_those_of_the_reference_implementation(
    rows: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    for case, row in rows:
        expected = case["row"]
        assert set(row) == {*expected, "benchmark", "lm", "checkpoint"}
        for name, value in expected.items():
            exact = name == "items_fb" or "accuracy" in name
            assert row[name] == (value if exact else pytest.approx(value, abs=1e-5)), name


def test_subsets_are_those_of_the_reference_implementation(
    golden: Callable[[str], list[dict[str, Any]]],
) -> None:
    subsets = random_subsets(500, SCHEDULE, random.Random(0))
    for n, positions in golden("baselines")[0]["samples"].items():
        assert subsets[int(n)] == positions


def test_a_subset_does_not_depend_on_the_sizes_asked_for() -> None:
    several = random_subsets(700, (10, 33, 50, 500), random.Random(4), seed=4)
    assert random_subsets(700, (50,), random.Random(4), seed=4)[50] == several[50]
    assert random_subsets(700, (33,), random.Random(4), seed=4)[33] == several[33]
    assert all(len(set(positions)) == n for n, positions in several.items())
    assert random_subsets(700, (50,), random.Random(5), seed=5)[50] != several[50]


def _benchmark(n_items: int = 40, name: str = "b", *, seed: int = 0) -> BenchmarkResponses:
    generator = np.random.default_rng(seed)
    bank = ItemBank.from_arrays(
        np.exp(generator.normal(0, 0.3, n_items)),
        generator.normal(0, 1, n_items),
        [f"{name}_{i}" for i in range(n_items)],
    )
    labels = tuple((lm, f"step{t}") for lm in ("x", "y") for t in range(3))
    answers = generator.integers(0, 2, (len(labels), n_items)).astype(np.int8)
    return BenchmarkResponses(name, bank.ids, labels, answers, bank, 0.2)


def test_rows_come_in_the_order_of_training_with_every_method() -> None:
    rows = list(run_experiment([_benchmark()], Protocol((5, 20))))
    assert [(r["lm"], r["checkpoint"]) for r in rows][:4] == [
        ("x", "step0"),
        ("x", "step1"),
        ("x", "step2"),
        ("y", "step0"),
    ]
    assert list(rows[0]) == [
        "full_accuracy",
        "full_ability",
        "random_accuracy_5",
        "random_accuracy_20",
        "random_ability_5",
        "random_ability_20",
        "abilities_fb",
        "items_fb",
        "benchmark",
        "lm",
        "checkpoint",
    ]
    assert len(rows[0]["abilities_fb"]) == len(set(rows[0]["items_fb"])) == 20


def test_all_items_give_the_same_by_every_way() -> None:
    for row in run_experiment([_benchmark()], Protocol((40,))):
        assert row["random_accuracy_40"] == row["full_accuracy"]
        assert row["random_ability_40"] == pytest.approx(row["full_ability"], abs=1e-5)
        assert row["abilities_fb"][-1] == pytest.approx(row["full_ability"], abs=1e-5)


def test_a_short_benchmark_goes_without_the_long_sizes() -> None:
    protocol = Protocol((10, 50), ("random_accuracy", "fluid_benchmarking"))
    found = list(run_experiment([_benchmark(), _benchmark(60, "c")], protocol))
    assert "random_accuracy_50" not in found[0]
    assert "random_accuracy_50" in found[-1]
    assert [len(r["items_fb"]) for r in (found[0], found[-1])] == [10, 50]


def test_accuracy_needs_no_parameters() -> None:
    plain = _benchmark()
    bare = BenchmarkResponses("b", plain.items, plain.rows, plain.responses)
    protocol = Protocol((5,), ("full_accuracy", "random_accuracy"))
    assert not protocol.needs_bank
    assert len(list(run_experiment([bare], protocol))) == 6
    with pytest.raises(ConfigError, match="no item parameters"):
        list(run_experiment([bare], Protocol((5,))))


def test_methods_go_by_the_papers_names_too() -> None:
    assert read_methods(["Fluid", "random-irt", "full_accuracy"]) == (
        "full_accuracy",
        "random_ability",
        "fluid_benchmarking",
    )
    with pytest.raises(UnknownNameError) as caught:
        read_methods(["fluidd"])
    assert caught.value.suggestions[0] == "fluid"


@pytest.mark.parametrize("sizes", [(), (0, 5), (5, 5), (10, 5)])
def test_sizes_that_make_no_sense_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="sizes"):
        Protocol(sizes)


def test_a_benchmark_below_every_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 40 items"):
        list(run_experiment([_benchmark()], Protocol((100,))))


def test_answers_of_another_shape_are_refused() -> None:
    plain = _benchmark()
    with pytest.raises(DataError, match="shape"):
        BenchmarkResponses("b", plain.items[1:], plain.rows, plain.responses)
    with pytest.raises(DataError, match="not the same"):
        BenchmarkResponses("b", plain.items[::-1], plain.rows, plain.responses, plain.bank)


def _written(folder: Path, name: str = "experiment") -> Any:
    benchmarks = [_benchmark(), _benchmark(60, "c")]
    protocol = Protocol((10, 50))
    facts = protocol_facts(protocol, benchmarks, pairs=[("b", "c")])
    return write_experiment(folder / name, run_experiment(benchmarks, protocol), facts)


def test_the_files_are_byte_identical_and_exact(tmp_path: Path) -> None:
    one, other = _written(tmp_path / "one"), _written(tmp_path / "other")
    for name in ("jsonl", "parquet", "protocol"):
        assert getattr(one, name).read_bytes() == getattr(other, name).read_bytes()
    direct = list(run_experiment([_benchmark(), _benchmark(60, "c")], Protocol((10, 50))))
    from_json = list(read_rows(one.jsonl))
    from_parquet = [
        {k: v for k, v in row.items() if v is not None} for row in read_rows(one.parquet)
    ]
    expected = [{k: v for k, v in row.items() if k != "items_fb"} for row in direct]
    assert from_json == expected
    assert from_parquet == expected
    assert json.loads(one.jsonl.read_text().splitlines()[0])["items_fb"] == direct[0]["items_fb"]
    assert one.rows == len(direct)


def test_the_protocol_stands_beside_the_rows(tmp_path: Path) -> None:
    files = _written(tmp_path)
    assert read_facts(files.parquet)["pairs"] == [("b", "c")]
    assert read_facts(files.jsonl)["items"] == {"b": 40, "c": 60}
    facts = json.loads(files.protocol.read_text())
    assert facts["benchmarks"]["b"]["bank_digest"] == _benchmark().bank.digest  # type: ignore[union-attr]
    assert facts["methods"] == list(METHODS)
    assert read_facts(tmp_path / "elsewhere.jsonl") == {}


def test_a_failed_experiment_leaves_no_file(tmp_path: Path) -> None:
    benchmarks = [_benchmark(), _benchmark(5, "short")]
    facts = protocol_facts(Protocol((10,)), benchmarks)
    with pytest.raises(ConfigError):
        write_experiment(tmp_path / "e", run_experiment(benchmarks, Protocol((10,))), facts)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LmmsError, match="cannot write experiment"):
        _written(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]\n", "no object"),
        ("{", "cannot be read"),
        ('{"lm": "x"}\n', "lacks benchmark, checkpoint"),
    ],
)
def test_files_that_are_no_experiment_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(file))
    with pytest.raises(DataError, match="no experiment"):
        list(read_rows(tmp_path / "none.jsonl"))
    parquet = tmp_path / "e.parquet"
    parquet.write_text(content)
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(parquet))
