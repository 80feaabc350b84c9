"""`lmms adaptive replay`: adaptive evaluations on answers that are there already."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.adaptive.ability import estimate_ability
from lmms.adaptive.bank import ItemBank, read_bank, write_bank
from lmms.adaptive.fluid import fluid_benchmarking

ITEMS = 120
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bank(tmp_path: Path) -> ItemBank:
    random = np.random.default_rng(3)
    names = tuple(f"t/{i}" for i in range(ITEMS))
    bank = ItemBank(names, np.exp(0.3 * random.normal(size=ITEMS)), random.normal(size=ITEMS))
    write_bank("irt.csv", bank)
    return bank


@pytest.fixture
def answers(bank: ItemBank) -> dict[str, dict[str, int]]:
    random = np.random.default_rng(5)
    found = {}
    for name, ability in (("low", -1.0), ("high", 1.5)):
        chance = 1 / (1 + np.exp(-bank.a * (ability - bank.b)))
        right = (random.random(ITEMS) < chance).astype(int)
        # Another order than the bank's: they are joined by id.
        found[name] = {bank.ids[i]: int(right[i]) for i in reversed(range(ITEMS))}
    return found


def written(answers: dict[str, dict[str, Any]]) -> None:
    lines = [json.dumps({"subject_id": k, "responses": v}) for k, v in answers.items()]
    Path("responses.jsonl").write_text("\n".join(lines), "utf-8")


def test_is_the_replay_of_fluid_benchmarking(lmms, bank: ItemBank, answers) -> None:
    written(answers)
    words = ("adaptive", "replay", "responses.jsonl", "--irt", "irt.csv", "--max-items", "25")
    result = lmms(*words, "--json")
    assert result.code == 0, result.err
    for subject in json.loads(result.out)["subjects"]:
        given = answers[subject["subject"]]
        abilities, items = fluid_benchmarking(given, bank, n_max=25)
        assert [step["item"] for step in subject["steps"]] == list(items)
        assert [step["ability"] for step in subject["steps"]] == pytest.approx(abilities, abs=1e-6)
        everything = estimate_ability(bank.a, bank.b, [given[item] for item in bank.ids])
        assert subject["full_ability"] == pytest.approx(everything.value, abs=1e-6)
        assert subject["full_score"] == pytest.approx(np.mean(list(given.values())))
        assert subject["n_answered"] == ITEMS
    table = lmms(*words).out
    assert "25 of 120" in table
    assert table.index("low") < table.index("high")


def test_stops_at_the_standard_error(lmms, bank: ItemBank, answers) -> None:
    written(answers)
    result = lmms(
        *("adaptive", "replay", "responses.jsonl", "--irt", "irt.csv", "--se", "0.35", "--json")
    )
    for subject in json.loads(result.out)["subjects"]:
        errors = [step["stderr"] for step in subject["steps"]]
        assert errors[-1] <= 0.35 < min(errors[:-1])


def test_a_part_of_the_documents_is_warned_about_on_the_terminal(lmms) -> None:
    known = read_bank(ROOT / "tasks/irt_items/irt_items.irt.csv")
    write_bank("part.csv", replace(known.subset(range(200)), n_subjects=np.full(200, 9.0)))
    words = ("model=dummy", "task=irt_items", "selector=adaptive", "selector.irt=part.csv")
    result = lmms(*words, "selector.max_items=10", "output.html=false", "--quiet")
    assert "warning: irt_items: predicted for 200 of 500 documents" in result.err
    assert "of the 200 documents in the bank, not of all 500" in result.out
    assert result.err.count("the item bank rests on 9 subjects") == 1


def test_a_bank_of_few_subjects_is_doubted(lmms, bank: ItemBank, answers) -> None:
    written(answers)
    write_bank("few.csv", replace(bank, n_subjects=np.full(len(bank), 7.0)))
    result = lmms("adaptive", "replay", "responses.jsonl", "--irt", "few.csv")
    assert "the item bank rests on 7 subjects" in result.err
    assert "rests on" not in lmms("adaptive", "replay", "responses.jsonl", "--irt", "irt.csv").err


def test_start_abilities_by_both_names(lmms, bank: ItemBank, answers) -> None:
    written(answers)
    found = [
        lmms("adaptive", "replay", "responses.jsonl", "--irt", "irt.csv", *words, "--json").out
        for words in (("--start", "1.5"), ("--start-ability", "1.5"), ())
    ]
    assert found[0] == found[1] != found[2]


def test_what_does_not_fit_is_counted(lmms, bank: ItemBank, answers) -> None:
    for given in answers.values():
        given["t/stranger"] = 1
    answers["low"]["t/7"] = None  # not answered
    written(answers)
    result = lmms("adaptive", "replay", "responses.jsonl", "--irt", "irt.csv", "--steps")
    assert "1 answered items are not in the bank" in result.err
    assert "100 of 119" in result.out
    assert "100 of 120" in result.out
    assert result.out.count(" right ") + result.out.count(" wrong ") == 200


def test_a_replayed_run_is_the_live_run(lmms) -> None:
    """The same model asked live, an item at a time, goes the way of the replay."""
    words = ("model=dummy", "model.kwargs.ability=0.8", "task=irt_items", "output.html=false")
    assert lmms(*words, "output.dir=full").code == 0
    live = lmms(
        *(*words, "output.dir=live", "selector=adaptive"),
        *("selector.max_items=30", "selector.batch_size=1"),
    )
    assert live.code == 0, live.err
    results = json.loads(Path("live/latest/results.json").read_text("utf-8"))
    course = results["tasks"]["irt_items"]["adaptive"]["trajectory"]
    bank = ROOT / "tasks/irt_items/irt_items.irt.csv"
    replayed = lmms(
        *("adaptive", "replay", "full/latest", "--irt", str(bank), "--max-items", "30", "--json")
    )
    assert replayed.code == 0, replayed.err
    (subject,) = json.loads(replayed.out)["subjects"]
    assert [s["item"].removeprefix("irt_items/") for s in subject["steps"]] == [
        step["document_id"] for step in course
    ]
    assert [s["ability"] for s in subject["steps"]] == pytest.approx(
        [step["ability"] for step in course], abs=1e-6
    )


@pytest.mark.parametrize("name", ["t_{}", "{}"])
def test_banks_may_name_items_otherwise(lmms, bank: ItemBank, answers, name: str) -> None:
    written(answers)
    words = ("adaptive", "replay", "responses.jsonl", "--max-items", "20", "--json", "--irt")
    names = tuple(name.format(item.partition("/")[2]) for item in bank.ids)
    write_bank("named.csv", ItemBank(names, bank.a, bank.b))
    expected, found = (
        json.loads(lmms(*words, f).out)["subjects"] for f in ("irt.csv", "named.csv")
    )
    for one, other in zip(expected, found, strict=True):
        assert [s["ability"] for s in one["steps"]] == [s["ability"] for s in other["steps"]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "needs an item bank"),
        (("--irt", "irt.csv", "--max-items", "0"), "at most 0 items"),
        (("--irt", "irt.csv", "--se", "-1"), "standard error is -1"),
        (("--irt", "irt.csv", "--estimation", "ebp"), "did you mean"),
        (("--irt", "irt.csv", "--start", "nan"), "--start 'nan' is no number"),
        (("--irt", "irt.csv", "--threshold", "nan"), "--threshold 'nan' is no number"),
        (("--irt", "irt.csv", "--max-items", "2.5"), "'2.5' is no number"),
        (("--irt", "irt.csv", "--start-ability", "99"), "--start-ability 99 is no ability"),
        (("--irt", "irt.csv", "--start", "-5"), "--start -5 is no ability"),
        (("--irt", "none.csv"), "lmms adaptive fit makes one"),
        (("--irt", "other.csv"), "none of the 120 answered items is in the bank"),
    ],
)
def test_wrong_input_is_one_error(lmms, bank: ItemBank, answers, words, says) -> None:
    written(answers)
    Path("other.csv").write_text("item_id,a,b\nx/1,1,0\n", "utf-8")
    result = lmms("adaptive", "replay", "responses.jsonl", *words)
    assert result.code == 2
    assert result.err.count("lmms: error:") == 1
    assert says in result.err
