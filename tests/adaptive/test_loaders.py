"""Loaders on local files in the layout of the Hub's data set; the data set itself is not needed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmms.adaptive import (
    as_responses,
    benchmark_of,
    fluid_benchmarking,
    load_id_to_item_map,
    load_irt_model,
    load_lm_eval_results,
    load_open_llm_leaderboard_results,
    mean_leaderboard_ability,
)
from lmms.errors import DataError, HubError


@pytest.fixture
def copy(tmp_path):
    """A folder in the data set's layout."""
    data = tmp_path / "data"
    for folder in ("irt_models", "lm_eval_results"):
        (data / folder).mkdir(parents=True)
    (data / "irt_models" / "gsm8k.csv").write_text(",a,b\ngsm8k_0,1.5,0.25\ngsm8k_1,0.5,-1\n")
    (data / "lm_eval_results" / "olmo2-7b.csv").write_text(
        ",step1,step2\ngsm8k_0,0.49,0.5\ngsm8k_1,1,0\nmmlu_law_3,0,0.7\n"
    )
    (data / "open_llm_leaderboard_results.json").write_text(
        json.dumps({"gsm8k": {"ability": {"m": 0.5, "n": 1.0}, "accuracy": {"m": 0.1}}})
    )
    (data / "id_to_item_map.json").write_text(json.dumps({"gsm8k_0": {"question": "1 + 1"}}))
    return tmp_path


def test_the_layout_is_read_from_a_folder(copy):
    bank = load_irt_model(copy, "data/irt_models/gsm8k.csv")
    assert bank.ids == ("gsm8k_0", "gsm8k_1")
    table = load_lm_eval_results(str(copy), "data/lm_eval_results/olmo2-7b.csv")
    assert table.columns == ("step1", "step2")
    assert table.values.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert table.values.dtype == np.int8
    scores = load_lm_eval_results(copy, "data/lm_eval_results/olmo2-7b.csv", binary=False)
    assert scores.values[0].tolist() == [0.49, 0.5]
    results = load_open_llm_leaderboard_results(copy)
    assert mean_leaderboard_ability(results, "gsm8k") == 0.75
    assert load_id_to_item_map(copy) == {"gsm8k_0": {"question": "1 + 1"}}
    responses = table.benchmark("gsm8k").column("step2")
    assert fluid_benchmarking(responses, bank)[1] == ["gsm8k_0", "gsm8k_1"]


def test_a_file_may_be_named_itself(copy):
    assert len(load_irt_model(copy / "data/irt_models/gsm8k.csv")) == 2
    assert load_lm_eval_results(copy / "data/lm_eval_results/olmo2-7b.csv").ids[2] == "mmlu_law_3"


def test_benchmarks_of_ids(copy):
    assert benchmark_of("arc_challenge_17") == "arc_challenge"
    assert benchmark_of("mmlu_college_law_3") == "mmlu"
    table = load_lm_eval_results(copy, "data/lm_eval_results/olmo2-7b.csv")
    assert table.benchmark("mmlu").ids == ("mmlu_law_3",)
    with pytest.raises(DataError, match="gsm8k"):
        table.benchmark("gsm8")
    with pytest.raises(DataError, match="step1"):
        table.column("step3")


def test_missing_scores_are_no_wrong_answers(copy):
    file = copy / "x.csv"
    file.write_text("id,m\ni,1\nj,\n")
    with pytest.raises(DataError, match="1 of 2 scores are missing: items j"):
        load_lm_eval_results(file)
    table = load_lm_eval_results(file, binary=False)
    assert np.isnan(table.values[1, 0])
    with pytest.raises(DataError, match="missing"):
        as_responses(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no scores"),
        ("id,m\n", "no scores"),
        ("id\ni\n", "no scores"),
        ("id,m\ni,1\ni,0\n", "item ids occur more than once: i"),
        ("id,m,m\ni,1,0\n", "columns occur more than once: m"),
        ("id,m\ni,yes\n", "a score is 'yes'"),
        ("id,m\ni,nan\n", "a score is 'nan'"),
        ("id,m\ni,-inf\n", "a score is '-inf'"),
        ("id,m\ni,1,0\n", "2 scores instead of 1"),
        # One score does not stand for all columns.
        ("id,m,n\ni,1\n", "1 scores instead of 2"),
    ],
)
def test_wrong_score_files_are_refused(text, message, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        load_lm_eval_results(file)
    assert "x.csv" in str(error.value)


def test_what_is_not_there_is_said(copy):
    with pytest.raises(DataError, match=r"has no file 'data/none\.csv'"):
        load_irt_model(copy, "data/none.csv")
    with pytest.raises(DataError, match="no folder"):
        load_irt_model(copy / "none", "x.csv")
    with pytest.raises(DataError, match="no file of"):
        load_irt_model()
    with pytest.raises(HubError, match=r"not in the local cache.*\n.*a folder"):
        load_irt_model(filename="data/irt_models/never.csv", offline=True)
    (copy / "data/id_to_item_map.json").write_text("[]")
    with pytest.raises(DataError, match="holds a list"):
        load_id_to_item_map(copy)
    with pytest.raises(DataError, match="no abilities of 'gsm'"):
        mean_leaderboard_ability(load_open_llm_leaderboard_results(copy), "gsm")


def test_the_client_is_asked_for_the_data_set(copy, monkeypatch):
    import huggingface_hub

    asked = []

    def download(**options):
        asked.append(options)
        return str(copy / options["filename"])

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert len(load_irt_model(filename="data/irt_models/gsm8k.csv")) == 2
    assert asked == [
        {
            "repo_id": "allenai/fluid-benchmarking",
            "filename": "data/irt_models/gsm8k.csv",
            "repo_type": "dataset",
            "local_files_only": False,
        }
    ]
