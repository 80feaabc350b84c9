"""Whole adaptive runs with the dummy model: estimates, counts, resuming, what is written."""

from __future__ import annotations

import json
import math
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

import lmms
from lmms.adaptive.bank import ItemBank, read_bank, write_bank
from lmms.errors import DataError, LmmsError, RunInterruptedError
from lmms.models.dummy import DummyModel
from lmms.report import comparable, load_run
from lmms.runner.observer import RunProgress
from lmms.types import Failure, RunResult
from tests.runner.conftest import Bed, Watch

TRUE_BANK = Path(lmms.__file__).parent / "_data" / "tasks" / "irt_items" / "irt_items.irt.csv"
COUNT = 40


def run_items(folder: Path, *more: str, observer: Any = None) -> RunResult:
    words = [
        "model=dummy",
        "task=irt_items",
        "selector=adaptive",
        f"output.dir={folder}",
        "output.html=false",
        *more,
    ]
    return lmms.run(lmms.plan(words), observer=observer)


def block(result: RunResult, task: str = "irt_items") -> dict[str, Any]:
    found = result[task].adaptive
    assert found is not None
    return dict(found)


def bank_of(bed: Bed, count: int = COUNT, *, task: str = "sums", **columns: Any) -> str:
    """Writes a bank for a task of `bed`; returns the word that chooses it."""
    rng = random.Random(3)
    path = bed.folder / "irt.csv"
    ids = tuple(f"{task}/q{i}" for i in range(count))
    a = [rng.lognormvariate(0, 0.3) for _ in range(count)]
    b = [rng.gauss(0, 1) for _ in range(count)]
    write_bank(path, ItemBank(ids, a, b, **columns))  # type: ignore[arg-type]
    return f"selector.irt={path}"


@pytest.fixture
def half_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dummy answers each question of `Bed` rightly about every other time."""

    def text(self: DummyModel, request: Any, key: str) -> str:
        number = request.prompt.split()[2]
        return number if int(key[:2], 16) % 2 else "wrong"

    monkeypatch.setattr(DummyModel, "_text", text)


# ------------------------------------------------------------------------------------ estimates


def test_recovers_abilities_within_its_interval_as_often_as_it_says(tmp_path: Path) -> None:
    inside, errors, total = 0, [], 0
    for ability in (-1.5, -0.5, 0.0, 0.8, 1.6):
        for seed in range(8):
            result = run_items(
                tmp_path / f"{ability}-{seed}",
                f"model.kwargs.ability={ability}",
                f"model.kwargs.seed={seed}",
                "selector.max_items=40",
                "output.log_samples=false",
            )
            found = block(result)
            low, high = found["interval"]
            inside += low <= ability <= high
            errors.append(found["ability"] - ability)
            total += 1
            assert found["n_asked"] == found["n_answered"] == 40
    # Of 40 intervals of 95 %, 33 or fewer would be a chance of one in two thousand.
    assert inside > 33
    assert abs(sum(errors) / total) < 0.15
    assert math.sqrt(sum(e * e for e in errors) / total) < 0.35


def test_predicts_the_score_of_all_documents(tmp_path: Path) -> None:
    for ability in (-1.0, 0.7):
        word = f"model.kwargs.ability={ability}"
        found = block(run_items(tmp_path / f"{ability}", "selector.max_items=60", word))
        words = ["model=dummy", "task=irt_items", f"output.dir={tmp_path}", "output.html=false"]
        full = lmms.run(lmms.plan([*words, word]))["irt_items"].metrics[0]
        predicted = found["predicted"]
        assert predicted["metric"] == "predicted_exact_match"
        assert predicted["low"] <= full.value <= predicted["high"]
        assert predicted["high"] - predicted["low"] < 0.25
        assert found["saved"] == {"documents": 440, "share": 0.88}


def test_stops_at_the_standard_error(tmp_path: Path) -> None:
    result = run_items(
        tmp_path, "model.kwargs.ability=0.3", "selector.se=0.3", "selector.batch_size=1"
    )
    found = block(result)
    errors = [step["stderr"] for step in found["trajectory"]]
    assert errors[-1] <= 0.3 < errors[-2]
    assert found["stopped_because"] == "se"
    assert result.status == "complete"
    assert found["n_asked"] == len(errors) < 100


def test_a_bank_of_a_part_predicts_no_score_of_the_task(tmp_path: Path) -> None:
    whole = read_bank(TRUE_BANK)
    easy = whole.subset([i for i in range(len(whole)) if whole.b[i] < 0.0])
    write_bank(tmp_path / "easy.csv", easy)
    word = f"selector.irt={tmp_path / 'easy.csv'}"
    result = run_items(tmp_path, "selector.max_items=30", "model.kwargs.ability=0.3", word)
    metrics = {m.name: m for m in result["irt_items"].metrics}
    assert set(metrics) == {"ability", "predicted_exact_match_in_bank"}
    assert f"predicted for {len(easy)} of 500 documents" in " ".join(result["irt_items"].warnings)
    nearly = whole.subset(range(5, len(whole)))
    write_bank(tmp_path / "easy.csv", nearly)
    result = run_items(tmp_path / "b", "selector.max_items=30", word)
    assert result["irt_items"].metrics[1].name == "predicted_exact_match"
    assert "predicted for 495 of 500 documents" in " ".join(result["irt_items"].warnings)


# ---------------------------------------------------------------------------------- what is said


def test_what_is_written(bed: Bed, half_right: None) -> None:
    bed.task(count=COUNT + 5)
    result = bed.run("selector=adaptive", bank_of(bed), "selector.max_items=12", "output.html=true")
    task = result["sums"]
    assert [m.name for m in task.metrics] == ["ability", "predicted_exact_match_in_bank"]
    assert (task.n_original, task.n_effective) == (45, 12)
    assert len(bed.asked) == 12
    found = block(result, "sums")
    assert found["left_out"] == {
        "without_parameters": 5,
        "changed": 0,
        "failed": 0,
        "unscored": 0,
    }
    assert found["bank"]["naming"] == "TASK/ID"
    assert (found["n_bank"], found["n_documents"]) == (COUNT, COUNT + 5)
    samples = {s["document_id"]: s for s in bed.samples(result)}
    assert set(samples) == {step["document_id"] for step in found["trajectory"]}
    for step in found["trajectory"]:
        assert samples[step["document_id"]]["exact_match"] == step["response"]
    assert found["observed_share"] == sum(s["response"] for s in found["trajectory"]) / 12
    row = result.raw["results"]["sums"]
    assert "exact_match,none" not in row
    assert row["ability,none"] == found["ability"]
    folder = Path(result.path)
    report = (folder / "report.md").read_text()
    assert "## Ability" in report
    assert "left out 5 without parameters" in report
    assert "of the 40 documents in the bank, not of all 45" in report
    assert "predicted for 40 of 45 documents; 5 have no item parameters: " in report
    assert (found["predicted"]["n_items"], found["predicted"]["n_documents"]) == (40, 45)
    assert "no score of the benchmark" in report
    assert "item bank irt.csv (40 items)" in report
    page = (folder / "report.html").read_text()
    top = page[page.index('<div class="headlines">') : page.index('id="results"')]
    assert "<b>" in top
    assert "±" not in top[top.index("<b>") : top.index("</b>")]
    assert "± " in top
    assert "predicted exact_match_in_bank" in top
    assert "of the 40 documents in the bank, not of all 45" in top
    assert "v-right" not in top
    assert page.count('aria-label="ability of the model in ') == 1
    assert page.count("; difficulty ") == 12
    for step in found["trajectory"]:
        assert step["document_id"] in page
    assert 'href="#sample-1-' in page
    again = load_run(folder)
    assert again["sums"].adaptive == task.adaptive


def test_a_bank_of_few_subjects_is_doubted_again(bed: Bed, half_right: None) -> None:
    bed.task(count=COUNT)
    words = ("selector=adaptive", bank_of(bed, n_subjects=[11] * COUNT))
    result = bed.run(*words, "selector.max_items=9")
    assert "the item bank rests on 11 subjects" in " ".join(result["sums"].warnings)
    assert block(result, "sums")["bank"]["n_subjects"] == 11
    assert "the item bank rests on 11 subjects" in " ".join(lmms.plan(bed.words(*words)).notes)


def test_an_ordinary_run_says_nothing_of_it(bed: Bed) -> None:
    bed.task()
    result = bed.run()
    assert result["sums"].adaptive is None
    assert "adaptive" not in result.raw["tasks"]["sums"]
    assert result["sums"].metrics[0].name == "exact_match"


def test_progress_shows_the_ability(bed: Bed, half_right: None) -> None:
    from lmms.cli.progress import metric_text

    bed.task(count=COUNT)
    watch = Watch()
    bed.run("selector=adaptive", bank_of(bed), "selector.max_items=10", observer=watch)
    assert watch.progress is not None
    shown = watch.progress.tasks["sums"]
    assert (shown.done, shown.total, shown.state) == (10, 10, "scored")
    assert shown.ability is not None
    assert metric_text(shown, {}).startswith("ability ")
    assert " ± " in metric_text(shown, {})


# ------------------------------------------------------------------------------- taking up again


def test_an_interrupted_run_shows_its_ability_and_continues_the_same_course(
    bed: Bed, half_right: None
) -> None:
    bed.task(count=COUNT)
    words = ["selector=adaptive", bank_of(bed), "selector.max_items=16", "selector.batch_size=2"]
    straight = bed.run(*words, "output.dir=" + str(bed.folder / "straight"))
    asked = len(bed.asked)

    def stop(progress: RunProgress) -> None:
        if progress.done >= 6 and not progress.stopping:
            os.kill(os.getpid(), signal.SIGINT)

    slow = "model.kwargs.delay_seconds=0.02"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmms.runner.engine._TICK_SECONDS", 0.002)
        with pytest.raises(RunInterruptedError):
            bed.run(*words, slow, observer=Watch(stop))
    (broken,) = bed.runs()
    early = load_run(broken)
    assert early.status == "interrupted"
    assert early["sums"].adaptive is not None
    answered = early["sums"].adaptive["n_answered"]
    assert 4 <= answered < 16
    course = block(straight, "sums")["trajectory"]
    assert early["sums"].metrics[0].value == course[answered - 1]["ability"]
    assert early["sums"].metrics[0].stderr == course[answered - 1]["stderr"]
    resumed = bed.run(*words, slow)
    assert resumed.path == str(broken)
    assert json.dumps(block(resumed, "sums")) == json.dumps(block(straight, "sums"))
    assert comparable(resumed.raw)["tasks"] == comparable(straight.raw)["tasks"]
    assert len(bed.asked) == 2 * asked


def test_more_items_continue_the_course_in_a_run_of_their_own(bed: Bed, half_right: None) -> None:
    bed.task(count=COUNT)
    words = ["selector=adaptive", bank_of(bed), "selector.batch_size=1"]
    first = bed.run(*words, "selector.max_items=10")
    second = bed.run(*words, "selector.max_items=15")
    assert second.path != first.path
    short, long = block(first, "sums")["trajectory"], block(second, "sums")["trajectory"]
    assert long[:10] == short
    assert len(long) == 15
    assert len(bed.asked) == 15
    third = bed.run(*words, "selector.max_items=5")
    assert block(third, "sums")["trajectory"] == short[:5]
    assert third["sums"].n_effective == len(bed.samples(third)) == 5
    assert len(bed.asked) == 15


def test_another_bank_is_another_run(bed: Bed, half_right: None) -> None:
    bed.task(count=COUNT)
    word = bank_of(bed)
    plan = lmms.plan(bed.words("selector=adaptive", word))
    assert plan.selector is not None
    assert lmms.plan(bed.words("selector=adaptive", word)).fingerprint == plan.fingerprint
    assert lmms.plan(bed.words()).fingerprint != plan.fingerprint
    known = read_bank(bed.folder / "irt.csv")
    write_bank(bed.folder / "irt.csv", ItemBank(known.ids, known.a, known.b + 0.1))
    assert lmms.plan(bed.words("selector=adaptive", word)).fingerprint != plan.fingerprint
    with pytest.raises(LmmsError, match="the item bank has changed since the plan was made"):
        lmms.run(plan)


def test_failed_documents_are_counted_and_others_asked(
    bed: Bed, half_right: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = DummyModel._outcome

    def broken(self: DummyModel, prepared: Any, size: int) -> Any:
        if int(prepared.key[2:4], 16) % 5 == 0:
            return Failure(kind="model", message="broken on purpose")
        return outcome(self, prepared, size)

    monkeypatch.setattr(DummyModel, "_outcome", broken)
    bed.task(count=COUNT)
    result = bed.run("selector=adaptive", bank_of(bed), "selector.max_items=12")
    found = block(result, "sums")
    failed = found["left_out"]["failed"]
    assert failed > 0
    assert (found["n_answered"], found["n_asked"]) == (12, 12 + failed)
    assert result["sums"].metrics[0].n_failed == failed
    # As of any run: samples without an answer make it incomplete, unless some are allowed.
    assert result.status == "incomplete"
    allowed = bed.run(
        "selector=adaptive",
        bank_of(bed),
        "selector.max_items=12",
        "run.max_failed_share=0.9",
        "output.dir=" + str(bed.folder / "allowed"),
    )
    assert allowed.status == "complete"


def test_scores_between_need_a_threshold(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from lmms.types import Score\n"
        "def near(given):\n"
        "    return {'closeness': Score(value=(int(given.document.id[1:]) % 4) / 3)}\n"
    )
    bed.task(count=COUNT, scorer="code.py:near", metric="closeness", code=code)
    words = ["selector=adaptive", bank_of(bed), "selector.max_items=8"]
    with pytest.raises(DataError, match="the score closeness of a document is") as caught:
        bed.run(*words)
    assert "selector.threshold=0.5" in str(caught.value)
    result = bed.run(*words, "selector.threshold=0.6")
    found = block(result, "sums")
    assert found["predicted"]["metric"] == "predicted_share_right"
    assert found["right_if"] == {"metric": "closeness", "from": 0.6}
    for step in found["trajectory"]:
        assert step["response"] == (int(step["document_id"][1:]) % 4 >= 2)


# ------------------------------------------------------------------------------------ wrong input


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["selector=adaptive"], "there is no item bank for task 'sums'"),
        (["selector=adaptive", "selector.irt=no.csv"], "there is no item bank 'no.csv'"),
        (["selector.max_items=5"], "selector.max_items changes nothing"),
        (["selector=adaptive", "selector.irt.other=x.csv"], "selector.irt names 'other'"),
        (["selector=adaptive", "BANK", "selector.metric=acc"], "unknown metric of task sums"),
        (["selector=adaptive", "BANK", "repeats=3"], "a mean over 3 repeats"),
        (["selector=adaptive", "BANK", "repeats=4", "selector.threshold=0.5"], "half of them"),
        (["selector=adaptive", "BANK", "selector.threshold=2"], "threshold 2 no score by exact"),
        (["selector=adaptive", "BANK", "selector.threshold=0"], "threshold 0 every score by"),
        (["selector=adaptive", "BANK", "selector.start_ability=99"], "start_ability cannot be 99"),
        (["selector=adaptive", "FLAT"], "every discrimination (column 'a') of the item bank is 0"),
        (["selector=adaptive", "BANK", "selector.min_items=200"], "min_items=200 is above"),
        (
            ["selector=adaptive", "BANK", "selector.min_items=200"],
            "from: command line override selector.min_items=200",
        ),
        (["selector=adaptive", "BANK", "selector.se=0"], "selector.se cannot be 0"),
        (["selector=adaptive", "BANK", "selector.estimation=mean"], "selector.estimation cannot"),
        (["selector=adaptiv"], "adaptiv"),
    ],
)
def test_wrong_words(bed: Bed, words: list[str], message: str) -> None:
    bed.task()
    flat = bed.folder / "flat.csv"
    flat.write_text("item_id,a,b\nsums/q0,0,1\nsums/q1,0,-1\n", "utf-8")
    banks = {"BANK": bank_of(bed), "FLAT": f"selector.irt={flat}"}
    words = [banks.get(word, word) for word in words]
    with pytest.raises(LmmsError) as caught:
        lmms.plan(bed.words(*words))
    assert message in str(caught.value)


# ------------------------------------------------------------------------------- kinds of tasks


def test_several_tasks_each_with_its_bank_and_log_likelihoods(tmp_path: Path) -> None:
    words = ["model=dummy", "task=[gsm8k,hellaswag]", "output.html=false"]
    for task in ("gsm8k", "hellaswag"):
        ids = tuple(f"{task}_{i}" for i in range(8))
        bank = ItemBank(ids, [1.0] * 8, [i / 4 - 1 for i in range(8)])  # type: ignore[arg-type]
        write_bank(tmp_path / f"{task}.csv", bank)
        words.append(f"selector.irt.{task}={tmp_path / task}.csv")
    words += ["selector=adaptive", "selector.max_items=5", f"output.dir={tmp_path}"]
    result = lmms.run(lmms.plan(words))
    assert result.status == "complete"
    for label, naming in (("gsm8k", "TASK_INDEX"), ("hellaswag", "TASK_INDEX")):
        found = block(result, label)
        assert found["n_answered"] == 5
        assert found["bank"]["naming"] in (naming, "TASK_ID")
    names = [m.name for m in result["hellaswag"].metrics]
    assert names == ["ability", "predicted_acc"]
    assert result["gsm8k"].metrics[1].filter == "strict-match"


def test_without_a_prior_all_wrong_has_no_standard_error(bed: Bed) -> None:
    bed.task(count=COUNT)
    words = ["selector=adaptive", bank_of(bed), "selector.max_items=6", "model.kwargs.answer=no"]
    result = bed.run(*words, "selector.estimation=mle", "output.html=true")
    ability = result["sums"].metrics[0]
    assert (ability.value, ability.stderr, ability.ci_low) == (-4.0, None, None)
    assert any("has no standard error" in warning for warning in result["sums"].warnings)
    assert block(result, "sums")["interval"] is None
    assert result.raw["results"]["sums"]["ability_stderr,none"] == "N/A"


def test_balance_and_exposure(tmp_path: Path) -> None:
    word = "model.kwargs.ability=0.2"
    content = dict(zip(*(_columns(read_bank(TRUE_BANK))), strict=True))
    result = run_items(tmp_path, word, "selector.balance=true", "selector.max_items=40")
    asked = [content[f"irt_items/{s['document_id']}"] for s in block(result)["trajectory"]]
    assert {group: asked.count(group) for group in asked} == dict.fromkeys(asked, 10)
    first, second = (
        [
            step["document_id"]
            for step in block(
                run_items(tmp_path / f"{seed}", word, "selector.exposure=5", f"seed={seed}")
            )["trajectory"]
        ]
        for seed in (1, 2)
    )
    assert first != second


def _columns(bank: ItemBank) -> tuple[tuple[str, ...], tuple[str, ...]]:
    assert bank.content is not None
    return bank.ids, bank.content


def test_a_changed_document_is_not_asked(bed: Bed, half_right: None) -> None:
    bed.task(count=10)
    full = bed.run()
    digests = tuple(s["doc_hash"][:16] for s in bed.samples(full))
    word = bank_of(bed, 10, digests=digests)
    bed.task(count=10, question=lambda i: f"What is {i} plus {100 + (i == 4)}?")
    result = bed.run("selector=adaptive", word)
    found = block(result, "sums")
    assert found["left_out"]["changed"] == 1
    assert "q4" not in {step["document_id"] for step in found["trajectory"]}
    assert found["stopped_because"] == "bank_used_up"
    assert (found["n_answered"], found["predicted"]["n_items"]) == (9, 9)
    # Everything that the prediction is over was answered: it is the share itself.
    assert found["predicted"]["value"] == pytest.approx(found["observed_share"])


def test_an_ability_at_the_end_of_its_scale_is_said_to_be_there(tmp_path: Path) -> None:
    found = run_items(tmp_path, "model.kwargs.answer=no", "selector.max_items=100")
    assert found["irt_items"].metrics[0].value == -4.0
    assert any("at the end of its scale (-4)" in text for text in found["irt_items"].warnings)
    able = run_items(tmp_path, "model.kwargs.ability=0.5", "selector.max_items=20")
    assert not any("scale" in text for text in able["irt_items"].warnings)
