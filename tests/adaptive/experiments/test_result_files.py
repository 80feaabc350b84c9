"""Result tables in both layouts, joined by item id."""

import json
from pathlib import Path

import numpy as np
import pytest

from lmms.adaptive import ItemBank, write_bank
from lmms.adaptive.experiments.result_files import (
    benchmark_name,
    collect,
    in_order,
    read_responses_table,
    read_results,
)
from lmms.errors import DataError, UnknownNameError

TABLE = ",step1,step2\narc_challenge_0,0,1\narc_challenge_1,0.5,0.49\nmmlu_law_7,1,1\n"


def _bank(path: Path, *ids: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bank(path, ItemBank.from_arrays([1.0] * len(ids), [0.0] * len(ids), ids))


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder in the layout of allenai/fluid-benchmarking."""
    results = tmp_path / "data" / "lm_eval_results"
    results.mkdir(parents=True)
    (results / "pythia-3b.csv").write_text(TABLE)
    (results / "amber-7b.csv").write_text(
        ",a,b,c\nmmlu_law_7,1,0,1\narc_challenge_1,1,1,1\narc_challenge_0,0,0,1\n"
    )
    _bank(tmp_path / "data/irt_models/arc_challenge.csv", "arc_challenge_1", "arc_challenge_0")
    _bank(tmp_path / "data/irt_models/mmlu.csv", "mmlu_law_7", "mmlu_law_8")
    abilities = {"arc_challenge": {"ability": {"m": 0.5, "n": 1.0}, "accuracy": {"m": 0.3}}}
    (tmp_path / "data/open_llm_leaderboard_results.json").write_text(json.dumps(abilities))
    return tmp_path


def test_the_hubs_layout_is_joined_by_id(hub: Path) -> None:
    results = read_results(hub)
    assert results.benchmarks == ("arc_challenge", "mmlu")
    arc, notices = collect(results, "arc_challenge", needs_bank=True, common_items=False)
    assert notices == []
    assert arc.items == ("arc_challenge_1", "arc_challenge_0")
    assert arc.bank is not None
    assert arc.bank.ids == arc.items
    assert arc.start_ability == 0.75
    assert arc.rows == (
        ("amber-7b", "a"),
        ("amber-7b", "b"),
        ("amber-7b", "c"),
        ("pythia-3b", "step1"),
        ("pythia-3b", "step2"),
    )
    assert arc.responses.tolist() == [[1, 0], [1, 0], [1, 1], [1, 0], [0, 1]]


def test_missing_ids_are_refused_with_their_count(hub: Path) -> None:
    results = read_results(hub)
    with pytest.raises(DataError, match="amber-7b lack 1 of 2 items of mmlu: mmlu_law_8"):
        collect(results, "mmlu", needs_bank=True, common_items=False)
    mmlu, notices = collect(results, "mmlu", needs_bank=True, common_items=True)
    assert mmlu.items == ("mmlu_law_7",)
    assert len(notices) == 2
    assert "left out" in notices[0]
    plain, _ = collect(results, "mmlu", needs_bank=False, common_items=False)
    assert plain.bank is None
    assert plain.start_ability == 0.0


def test_items_without_parameters_are_refused_too(hub: Path, tmp_path: Path) -> None:
    _bank(tmp_path / "irt" / "arc_challenge.csv", "arc_challenge_1")
    results = read_results(hub, irt=tmp_path / "irt")
    with pytest.raises(DataError, match="the item parameters lack 1 of 2 items"):
        collect(results, "arc_challenge", needs_bank=True, common_items=False)
    with pytest.raises(DataError, match="no item parameters of mmlu"):
        collect(results, "mmlu", needs_bank=True, common_items=False)


def test_one_file_may_have_the_parameters_of_all(hub: Path, tmp_path: Path) -> None:
    _bank(tmp_path / "irt.csv", "mmlu_law_7", "arc_challenge_0", "arc_challenge_1")
    results = read_results(hub, irt=tmp_path / "irt.csv")
    for name, count in (("arc_challenge", 2), ("mmlu", 1)):
        found, _ = collect(results, name, needs_bank=True, common_items=False)
        assert len(found.items) == count
    _bank(tmp_path / "irt.csv", "mmlu_law_7")
    with pytest.raises(DataError, match="no item parameters of arc_challenge"):
        collect(results, "arc_challenge", needs_bank=True, common_items=False)


def test_a_folder_per_model_is_read(tmp_path: Path) -> None:
    for lm in ("x", "y"):
        (tmp_path / lm).mkdir()
        (tmp_path / lm / "mathqa.csv").write_text("id,0,1\nq 1,1,0\nq 2,1,1\n")
    results = read_results(tmp_path, subjects=["y"])
    found, _ = collect(results, "mathqa", needs_bank=False, common_items=False)
    assert found.rows == (("y", "0"), ("y", "1"))
    assert found.responses.tolist() == [[1, 1], [0, 1]]


def test_benchmarks_come_in_the_order_of_the_reference() -> None:
    assert in_order({"zebra", "mmlu", "gsm8k", "apple"}) == ("gsm8k", "mmlu", "apple", "zebra")


@pytest.mark.parametrize(
    ("item", "benchmark"),
    [
        ("hellaswag_760", "hellaswag"),
        ("truthfulqa_mc2_3", "truthfulqa_mc2"),
        ("mmlu_abstract_algebra_12", "mmlu"),
        ("mmmu_val/validation_Math_3", "mmmu_val"),
        ("plain", "plain"),
    ],
)
def test_an_id_names_its_benchmark(item: str, benchmark: str) -> None:
    assert benchmark_name(item) == benchmark


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no scores"),
        ("id\na\n", "no scores"),
        ("id,1\n", "no scores"),
        ("id,1\na,1\na,0\n", "item ids occur more than once: a"),
        ("id,1,1\na,1,0\n", "columns occur more than once: 1"),
        ("id,1,2\na,1,0,1\n", "3 scores instead of 2"),
        ("id,1,2\na,1,x\n", "a score is 'x'"),
        ("id,1,2\na,1,\n", "1 of 2 scores are missing: items a"),
        ("id,1,2\na,1,nan\n", "a score is 'nan'"),
    ],
)
def test_a_wrong_table_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_responses_table(file)
    assert str(caught.value.origin).startswith(str(file))


def test_scores_of_half_and_more_are_right(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(TABLE)
    assert np.array_equal(read_responses_table(file).values, [[0, 1], [1, 0], [1, 1]])


def test_a_folder_without_results_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no results"):
        read_results(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        read_results(tmp_path / "none")


def test_unknown_names_are_refused_with_the_nearest(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        read_results(hub, subjects=["pythia3b"])
    assert caught.value.suggestions == ("pythia-3b",)
    with pytest.raises(UnknownNameError) as caught:
        collect(read_results(hub), "arc", needs_bank=False, common_items=False)
    assert caught.value.allowed == ["arc_challenge", "mmlu"]
    with pytest.raises(DataError, match="there is no folder and no file"):
        read_results(hub, irt=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no <benchmark>"):
        read_results(hub, irt=tmp_path / "empty")


@pytest.mark.parametrize("content", ["{", "[]", '{"arc": {"accuracy": {}}}'])
def test_another_leaderboard_file_is_refused(hub: Path, content: str) -> None:
    file = hub / "data/open_llm_leaderboard_results.json"
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        read_results(hub)
    assert str(caught.value.origin).startswith(str(file))


def test_the_papers_results_are_fetched_from_the_hub(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(*, repo_id: str, filename: str, repo_type: str, local_files_only: bool) -> str:
        asked.append((repo_id, filename, repo_type))
        return str(hub / filename)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    results = read_results("allenai/fluid-benchmarking", subjects=["amber-7b", "pythia-3b"])
    found, _ = collect(results, "arc_challenge", needs_bank=True, common_items=False)
    local, _ = collect(read_results(hub), "arc_challenge", needs_bank=True, common_items=False)
    assert found.rows == local.rows
    assert found.start_ability == local.start_ability
    assert found.bank is not None
    assert local.bank is not None
    assert found.bank.digest == local.bank.digest
    assert ("allenai/fluid-benchmarking", "data/irt_models/arc_challenge.csv", "dataset") in asked
    with pytest.raises(UnknownNameError, match="subject 'gpt'"):
        read_results("allenai/fluid-benchmarking", subjects=["gpt"])
