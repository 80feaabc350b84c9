"""`lmms compare` and `lmms power` on runs of the dummy model."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

TASK = "longvideobench_val_v"
WORDS = ("model=dummy", "--quiet", "media.num_frames=1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs, one of them with other answers and a second task."""
    from lmms.cli.main import main

    folder = tmp_path_factory.mktemp("runs")
    a, b = folder / "a", folder / "b"
    assert main([*WORDS, f"task=[{TASK},gsm8k]", "limit=40", f"output.dir={a}"]) == 0
    other = ("model.kwargs.answer=A", "generation.temperature=0.5", "model.batch_size=4")
    assert main([*WORDS, f"task=[{TASK},hellaswag]", "limit=40", f"output.dir={b}", *other]) == 0
    return str(a / "latest"), str(b / "latest")


def test_the_table(lmms, runs):
    result = lmms("compare", *runs)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("A, the baseline")
    assert lines[1].startswith("B, the candidate")
    (row,) = [line for line in lines if line.startswith(f"{TASK}@embedded")][:1]
    assert row.split()[1:4] == ["lvb_acc", "↑", "40"]
    assert "B − A" in result.out
    assert "only in A: gsm8k" in result.out
    assert "only in B: hellaswag" in result.out
    assert "generation.temperature" in result.out
    assert "model batch_size" in result.out
    assert "model kwargs.answer" in result.out
    assert "A right, B wrong" in result.out


def test_a_quiet_table(lmms, runs):
    out = lmms("compare", *runs, "-q", "--fail-if", "* worse 90pp").out
    assert "\nno difference shown: between" in out or "\nB is" in out
    assert "open    * worse 90pp" in out
    for loud in ("only in A", "A answers", "What differs", "\nNote"):
        assert loud not in out
    assert "A answers" in lmms("compare", *runs, "-q", "--flips", "1").out


def test_json_is_one_document(lmms, runs):
    document = lmms("compare", *runs, "--json", "--all-metrics").json
    assert document["schema"] == "lmms-compare/1"
    assert [r["metric"] for r in document["results"]] == ["lvb_acc", "lvb_acc_strict"]
    first = document["results"][0]
    assert first["clusters"] == 6
    assert first["method"] == "paired_clustered_t"
    assert first["reported_a"] == pytest.approx(first["a"], abs=1e-4)
    assert document["pairs"][TASK]["pairs"] == 40
    assert {s["kind"] for s in document["settings"]} == {"task", "model"}
    flips = [f for f in document["flips"] if f["metric"] == "lvb_acc"]
    assert len(flips) == first["better"] + first["worse"]
    assert all(f["b"]["answer"] == "A" for f in flips)


def test_gates_decide_the_exit_code(lmms, runs):
    first = lmms("compare", *runs, "--json").json["results"][0]
    worse, better = ("worse", "better") if first["difference"] < 0 else ("better", "worse")
    assert first["difference"] != 0
    closed = lmms("compare", *runs, "--fail-if", f"{TASK} {worse} 0.001")
    assert closed.code == 10
    assert f"CLOSED  {TASK} {worse} 0.001" in closed.out
    both = ("--fail-if", f"long* {better} 1pp", "--fail-if", f"{TASK} {worse} 99pp p<0.05")
    assert lmms("compare", *runs, *both).code == 0
    lost = lmms("compare", *runs, "--fail-if", f"* {better} 1pp")
    assert lost.code == 10
    assert "(gsm8k: B did not run this task)" in lost.out
    document = lmms("compare", *runs, "--json", "--fail-if", f"* {worse} 0.001").json
    assert document["closed"] is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fail-if", "longvideobench_val worse 1pp"], f"did you mean: {TASK}"),
        (["--fail-if", f"{TASK} lvb_ac worse 1pp"], "did you mean: lvb_acc"),
        (["--fail-if", f"{TASK} worse"], "neither by how much nor how certain"),
        (["--task", "gsm8k"], "task of only one of the runs 'gsm8k'"),
        (["--metric", "acc"], "unknown metric 'acc'"),
        (["--cluster", "question_categry"], "did you mean: question_category"),
        (["--correct", "hol"], "did you mean: holm"),
        (["--pair-by", "ids"], "did you mean: id"),
        (["--flips", "some"], "--flips 'some' is no number"),
        (["--confidence", "high"], "--confidence 'high' is no number"),
        (["outputs/third"], "takes two runs, not 3"),
    ],
)
def test_words_that_name_nothing(lmms, runs, words, message):
    result = lmms("compare", *runs, *words)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


def test_runs_that_are_not_there_or_have_no_task_in_common(lmms, runs):
    assert lmms("compare", runs[0], "outputs/nowhere").code == 2
    lmms(*WORDS, "task=hellaswag", "limit=2")
    result = lmms("compare", runs[0], "outputs/latest")
    assert result.code == 2
    assert "no task in common" in result.err


def test_runs_over_different_documents(lmms, runs):
    lmms(*WORDS, f"task={TASK}", "limit=30")
    refused = lmms("compare", runs[0], "outputs/latest")
    assert refused.code == 2
    assert "10 only in A" in refused.err
    assert "--common" in refused.err
    common = lmms("compare", runs[0], "outputs/latest", "--common")
    assert common.code == 0
    assert "left out 10 documents only in A" in common.out
    assert "limit" in common.out


def test_failed_samples_are_counted(lmms, runs):
    words = ("model.kwargs.fail_share=0.3", "run.max_failed_share=1", "output.dir=c")
    assert lmms(*WORDS, f"task={TASK}", "limit=40", *words).code == 0
    pairs = lmms("compare", runs[0], "c/latest", "--json").json["pairs"][TASK]
    assert pairs["failed_b"] > 0
    assert pairs["pairs"] + pairs["failed"] == 40
    text = lmms("compare", runs[0], "c/latest").out
    assert f"left out {pairs['failed']} pairs with a failed sample (0 in A," in text


def test_an_unfinished_run_and_one_that_was_taken_up_again(lmms, runs):
    words = (*WORDS, f"task={TASK}", "limit=40", "output.dir=d")
    assert lmms(*words).code == 0
    folder = Path("d/latest").resolve()
    for name in ("results.json", f"samples_{TASK}@embedded.jsonl", "report.html", "report.md"):
        (folder / name).unlink()
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        journal.execute("DELETE FROM samples WHERE doc_id >= 25")
        journal.execute("DELETE FROM meta WHERE name = 'status'")
    refused = lmms("compare", runs[0], "d/latest")
    assert refused.code == 2
    assert "15 only in A" in refused.err
    unfinished = lmms("compare", runs[0], str(folder), "--common", "--json").json
    assert unfinished["b"]["status"] == "interrupted"
    assert unfinished["results"][0]["n"] == 25
    assert unfinished["results"][0]["difference"] == 0
    assert lmms(*words).code == 0
    resumed = lmms("compare", runs[0], "d/latest", "--json").json
    assert resumed["b"]["status"] == "complete"
    assert (resumed["results"][0]["n"], resumed["results"][0]["better"]) == (40, 0)
    flips = lmms("compare", str(folder), runs[1], "--json").json["flips"]
    assert flips


def test_a_task_that_was_defined_otherwise_is_told(lmms, runs, tmp_path):
    folder = tmp_path / "changed"
    folder.mkdir()
    given = Path(runs[1])
    for path in given.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    results = json.loads((folder / "results.json").read_text())
    results["task_hashes"][f"{TASK}@embedded"] = "0" * 64
    results["versions"][f"{TASK}@embedded"] = "2.0"
    (folder / "results.json").write_text(json.dumps(results))
    out = lmms("compare", runs[0], str(folder)).out
    assert f"{TASK}: the task's definition differs (version 1.0 / 2.0, digest" in out


def test_what_differs_between_two_back_ends(lmms, runs):
    replayed = ("model=replay", f"model.replay={runs[0]}", "--quiet", "media.num_frames=1")
    assert lmms(*replayed, f"task={TASK}", "limit=40").code == 0
    result = lmms("compare", runs[0], "outputs/latest")
    assert result.code == 0
    assert re.search(r"^model backend +dummy +replay$", result.out, re.MULTILINE)
    assert "no variance: all differences are equal" in result.out
    same = lmms("compare", runs[0], runs[0])
    assert "A and B are the same run" in same.out
    assert "What differs" not in same.out


def test_adaptive_runs_have_nothing_to_pair(lmms):
    words = ("model=dummy", "task=irt_items", "--quiet", "output.html=false")
    assert lmms(*words, "selector=adaptive", "selector.max_items=5").code == 0
    assert lmms(*words, "output.dir=all").code == 0
    result = lmms("compare", "outputs/latest", "all/latest")
    assert result.code == 2
    assert "documents of irt_items were chosen by the model's ability" in result.err


def test_a_samples_file_of_a_run_brings_the_runs_facts(lmms, runs):
    files = [f"{run}/samples_{TASK}@embedded.jsonl" for run in runs]
    document = lmms("compare", *files, "--json").json
    assert [r["task"] for r in document["results"]] == [TASK]
    assert document["a"]["model"] == "dummy"
    assert document["settings"]


def test_the_page_is_written(lmms, runs):
    result = lmms("compare", *runs, "--html", "compare.html", "--flips", "1")
    assert result.code == 0
    assert "compare.html" in result.out
    page = Path("compare.html").read_text()
    assert "dummy against dummy" in page
    assert "One model, set up differently" in page
    assert "generation.temperature" in page.split("<nav", 1)[0]
    assert page.count('class="card sample"') == 2
    assert "data:image/jpeg" in page, "what the models saw is shown"


def test_flips_are_listed_as_asked(lmms, runs):
    none = lmms("compare", *runs, "--flips", "0").out
    one = lmms("compare", *runs, "--flips", "1").out
    every = lmms("compare", *runs, "--flips", "all").out
    assert "A answers" not in none
    assert "the first 1, --flips all shows all" in one
    assert len(every.splitlines()) > len(one.splitlines())


def test_power(lmms):
    result = lmms("power", "--effect", "3pp", "--n", "1000")
    assert result.code == 0
    assert re.search(r"samples needed +2,181", result.out)
    assert "0.0443" in result.out
    document = lmms("power", "--effect", "0.03", "--n=1000", "--json").json
    assert document["schema"] == "lmms-power/1"
    assert document["results"][0]["needed"] == 2181
    repeated = ("--omega2", str(1 / 9), "--sigma2", str(1 / 6), "--repeats", "10", "--json")
    assert lmms("power", "--effect", "0.03", *repeated).json["results"][0]["needed"] == 1260


def test_power_from_two_runs(lmms, runs):
    result = lmms("power", "--effect", "3pp", "--from", *runs)
    assert result.code == 0, result.err
    assert "with 40 samples" in result.out
    assert "(6 clusters)" in result.out
    assert re.search(r"samples needed +[\d,]+, between [\d,]+ and [\d,]+ \(", result.out)
    assert "measured on only 40 pairs" in result.out
    (plan,) = lmms("power", "--effect", "3pp", "--from", *runs, "--json").json["results"]
    (row,) = lmms("compare", *runs, "--json").json["results"]
    assert plan["spread"]["correlation"] == row["correlation"]
    assert plan["spread"]["design_effect"] == max(1, row["design_effect"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs an effect"),
        (["--effect", "3%"], "'3%' is no effect"),
        (["--effect", "0"], "an effect of 0"),
        (["--effect", "5"], "scores from 0 to 1 cannot differ by 5"),
        (["--effect", "5"], "5pp are percentage points"),
        (["--effect", "2"], "2pp are percentage points"),
        (["--effect", "500"], "allowed: at most 1\n"),
        (["--effect", "3pp", "--common"], "--common says what to measure"),
        (["--effect", "3pp", "--n", "0"], "--n '0' is no number"),
        (["--effect", "3pp", "--power", "1"], "power is 1.0"),
        (["--effect", "3pp", "--correlation", "2"], "a correlation of 2.0"),
        (["--effect", "3pp", "--std-a", "x"], "--std-a 'x' is no number"),
        (["--effect", "3pp", "--repeats", "4"], "how much answers to one question vary"),
        (["--effect", "3pp", "--repeats", "4"], "repeats=4 limit=200"),
        (["--effect", "3pp", "--repeats", "0"], "--repeats '0'"),
        (["--effect", "3pp", "--omega2", "1", "--sigma2", "1,2,3"], "'1,2,3' is no variance"),
        (
            ["--effect", "3pp", "--omega2", "1", "--sigma2", "1", "--std-b", "1"],
            "--std-b is a part",
        ),
        (["--effect", "3pp", "--task", "mme"], "not on which runs"),
        (["--effect", "3pp", "outputs/a", "outputs/b"], "measures on two runs"),
        (["--effect", "3pp", "--from", "outputs/a"], "measures on two runs"),
        (["--effect", "3pp", "--from", "a", "b", "--std-a", "1"], "--std-a is measured"),
    ],
)
def test_power_of_nothing(lmms, words, message):
    result = lmms("power", *words)
    assert result.code == 2
    assert message in result.err


def test_power_without_variance_says_so(lmms):
    result = lmms("power", "--effect", "1pp", "--correlation", "1")
    assert result.code == 0
    assert "not available: no variance" in result.out


def test_power_says_what_it_rests_on(lmms, runs):
    other_scale = lmms("power", "--effect", "5", "--std-a", "2", "--std-b", "2")
    assert "the normal approximation is too hopeful" in other_scale.out
    result = lmms("power", "--effect", "3pp", "--from", *runs)
    assert "the design effect rests on only 6 clusters" in result.out
    assert "only in A: gsm8k" in result.out
    document = lmms("power", "--effect", "3pp", "--from", *runs, "--json").json
    assert "only in A: gsm8k" in document["warnings"]
    same = ("--from", runs[0], runs[0], "--task", TASK)
    (plan,) = lmms("power", "--effect", "3pp", *same, "--json").json["results"]
    assert plan["needed"] is None
    assert plan["reason"].startswith("these runs do not differ in any sample")
    text = lmms("power", "--effect", "3pp", *same)
    assert (text.code, "not available: these runs do not differ" in text.out) == (0, True)
    refused = lmms("power", "--effect", "3", "--from", *runs)
    assert (refused.code, "cannot differ by 3" in refused.err) == (2, True)
