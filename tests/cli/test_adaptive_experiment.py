"""`lmms adaptive experiment` and `analyse`, from the words to the files."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.adaptive import ItemBank, write_bank

Run = Callable[..., Any]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Tables of two models on two benchmarks, with parameters, in the Hub's layout."""
    generator = np.random.default_rng(1)
    folder = tmp_path / "hub"
    for name in ("data/lm_eval_results", "data/irt_models"):
        (folder / name).mkdir(parents=True)
    items = {b: [f"{b}_{i}" for i in range(30)] for b in ("arc_challenge", "gsm8k")}
    for benchmark, ids in items.items():
        bank = ItemBank.from_arrays(np.ones(30), generator.normal(size=30), ids)
        write_bank(folder / f"data/irt_models/{benchmark}.csv", bank)
    for lm in ("olmo1-7b", "pythia-3b"):
        lines = [",step1,step10,step100"]
        for item in (*items["gsm8k"], *items["arc_challenge"]):
            scores = generator.random(3) < (0.2, 0.5, 0.8)
            lines.append(",".join([item, *(str(int(s)) for s in scores)]))
        (folder / f"data/lm_eval_results/{lm}.csv").write_text("\n".join(lines))
    abilities = {b: {"ability": {"m": 0.25, "n": 0.75}} for b in items}
    (folder / "data/open_llm_leaderboard_results.json").write_text(json.dumps(abilities))
    return folder


def test_tables_become_rows_and_rows_an_analysis(lmms: Run, results: Path) -> None:
    made = lmms("adaptive", "experiment", "--results", str(results), "--sizes", "5,20,500")
    assert made.code == 0
    assert "arc_challenge has 30 items: no estimates from 500" in made.err
    rows = [json.loads(x) for x in Path("results/experiment.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    assert [(r["benchmark"], r["lm"], r["checkpoint"]) for r in rows[:4]] == [
        ("arc_challenge", "olmo1-7b", "step1"),
        ("arc_challenge", "olmo1-7b", "step10"),
        ("arc_challenge", "olmo1-7b", "step100"),
        ("arc_challenge", "pythia-3b", "step1"),
    ]
    assert (
        json.loads(Path("results/experiment.json").read_text())["benchmarks"]["gsm8k"][
            "start_ability"
        ]
        == 0.5
    )
    words = ("--pairs", "arc_challenge:gsm8k", "--html", "page.html")
    shown = lmms("adaptive", "analyse", "results/experiment.parquet", *words)
    assert shown.code == 0
    assert "rank distance ↓" in shown.out
    assert "the error of 5 random items" in shown.out
    assert "to truth: not available, true abilities are not known" in shown.out
    assert "<svg" in Path("page.html").read_text()
    both = [
        lmms("adaptive", "analyse", f"results/experiment.{ending}", "--json").json
        for ending in ("jsonl", "parquet")
    ]
    assert both[0] == both[1]
    assert both[0]["simulated"] is False
    assert "simulated" not in shown.out + Path("page.html").read_text()
    assert both[0]["models"] == ["olmo1-7b", "pythia-3b"]


def test_the_same_words_give_the_same_bytes(lmms: Run, results: Path) -> None:
    words = ("adaptive", "experiment", "--results", str(results), "--sizes", "5,20", "--json")
    one, other = (lmms(*words, "-o", f"{name}/e").json for name in ("one", "other"))
    assert one["rows"] == 12
    for name in ("jsonl", "parquet", "protocol"):
        assert Path(one[name]).read_bytes() == Path(other[name]).read_bytes()
    lmms(*words, "-o", "third/e", "--seed", "1")
    assert Path("third/e.jsonl").read_bytes() != Path(one["jsonl"]).read_bytes()


def test_the_simulation_needs_no_files(lmms: Run) -> None:
    words = ("--benchmarks", "reasoning_choice,language_pronouns", "--subjects", "model-1,model-4")
    made = lmms("adaptive", "experiment", "--simulated", *words, "--sizes", "10", "--json")
    assert made.json["rows"] == 400
    assert made.json["source"]["banks"] == "fitted"
    told = lmms("adaptive", "analyse", made.json["parquet"], "--html", "page.html")
    for text in (told.out, Path("page.html").read_text()):
        assert "simulated: the answers follow the 2PL model" in text
    shown = lmms("adaptive", "analyse", made.json["parquet"], "--json").json
    quality = {(q["method"], q["items"]): q for q in shown["qualities"] if q["benchmark"] is None}
    fluid, random = quality["fluid_benchmarking", 10], quality["random_ability", 10]
    assert fluid["truth_distance"]["value"] < random["truth_distance"]["value"]
    assert fluid["error"]["value"] < random["error"]["value"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of a model that knows one letter each, as three checkpoints."""
    from lmms.cli.main import main

    folder = tmp_path_factory.mktemp("runs")
    for step, answer in ((100, "A"), (20, "B"), (3, "C")):
        quiet = ("output.html=false", "--quiet")
        words = ("model=dummy", "task=mmmu_val", f"model.kwargs.answer={answer}", *quiet)
        assert main([*words, f"output.dir={folder}/step{step}"]) == 0
    return folder


def test_real_runs_are_checkpoints(lmms: Run, runs: Path) -> None:
    given = [str(runs / f"step{step}/latest") for step in (100, 20, 3)]
    named = ("--checkpoint-from", r"step(\d+)", "--sizes", "2,4")
    refused = lmms("adaptive", "experiment", *given, *named)
    assert refused.code == 2
    assert "no item parameters of mmmu_val" in refused.err
    samples = next((runs / "step3/latest").resolve().glob("samples_*.jsonl")).read_text()
    ids = [f"mmmu_val/{json.loads(line)['document_id']}" for line in samples.splitlines()]
    write_bank("irt.csv", ItemBank.from_arrays(np.ones(8), np.linspace(-1, 1, 8), ids))
    made = lmms("adaptive", "experiment", *given, *named, "--irt", "irt.csv")
    assert made.code == 0
    rows = [json.loads(x) for x in Path("results/experiment.jsonl").read_text().splitlines()]
    assert [(r["lm"], r["checkpoint"]) for r in rows] == [("dummy", s) for s in ("3", "20", "100")]
    assert [r["full_accuracy"] for r in rows] == [0.25, 0.375, 0.0]
    assert all(len(r["items_fb"]) == 4 for r in rows)
    shown = lmms("adaptive", "analyse", "results/experiment.parquet")
    assert shown.code == 0
    assert "no interval, an interval needs at least 4 models" in shown.out


def test_runs_of_known_ability_give_it_back(lmms: Run, repository: Path) -> None:
    abilities = {10: -1.0, 200: 0.0, 3000: 1.0}
    for step, ability in abilities.items():
        words = ("model=dummy", "task=irt_items", f"model.kwargs.ability={ability}", "--quiet")
        assert lmms(*words, "output.html=false", f"output.dir=step{step}").code == 0
    runs = [f"step{step}/latest" for step in abilities]
    bank = str(repository / "tasks/irt_items/irt_items.irt.csv")
    words = ("--irt", bank, "--checkpoint-from", r"step(\d+)", "--sizes", "50")
    assert lmms("adaptive", "experiment", *runs, *words).code == 0
    rows = [json.loads(x) for x in Path("results/experiment.jsonl").read_text().splitlines()]
    assert [r["checkpoint"] for r in rows] == ["10", "200", "3000"]
    for row, ability in zip(rows, abilities.values(), strict=True):
        # Standard errors: 0.09 from all 500 items, some 0.2 from 50 chosen ones.
        assert abs(row["full_ability"] - ability) < 0.3
        assert abs(row["abilities_fb"][-1] - ability) < 0.6


@pytest.mark.canary
def test_the_embedded_models_runs_are_checkpoints(lmms: Run) -> None:
    pytest.importorskip("torch", reason="needs lmms[hf]")
    words = ("+experiment=longvideo", "model=qwen3_vl", "limit=4", "output.html=false", "--quiet")
    assert lmms(*words, "output.dir=seeing").code == 0
    assert lmms(*words, "output.dir=blind", "media.num_frames=1").code == 0
    methods = ("--methods", "random,full_accuracy", "--sizes", "2,4", "--json")
    made = lmms("adaptive", "experiment", "blind/latest", "seeing/latest", *methods)
    assert made.code == 0
    assert made.json["rows"] == 2
    rows = [json.loads(x) for x in Path(made.json["jsonl"]).read_text().splitlines()]
    assert [r["lm"] for r in rows] == ["canary-qwen3vl"] * 2
    assert rows[1]["full_accuracy"] >= rows[0]["full_accuracy"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "answers come from nowhere"),
        (("--simulated", "outputs/latest"), "answers come from --simulated and runs"),
        (("--simulated", "--irt", "x"), "--irt goes not with --simulated"),
        (("--results", "x", "--banks", "true"), "--banks goes not with --results"),
        (("--simulated", "--metric", "acc"), "--metric goes not with --simulated"),
        (("--simulated", "--sizes", "10,x"), "--sizes 'x' is no number"),
        (("--simulated", "--sizes", ","), "has no name"),
        (("--simulated", "--methods", "fluids"), "did you mean: fluid"),
        (("--simulated", "--benchmarks", "knowledge"), "did you mean: knowledge_wide"),
        (("--simulated", "--subjects", "model-7"), "unknown subject 'model-7'"),
        (("--simulated", "--banks", "fit"), "did you mean: fitted"),
        (("--simulated", "--seed", "-1"), "'-1' is no number"),
        (("--simulated", "--start-ability", "nan"), "'nan' is no number"),
        (("--results", "nowhere"), "there is no folder 'nowhere'"),
        (("nowhere",), "no run at 'nowhere'"),
        (("r", "--checkpoint-from", "("), "is no regular expression"),
    ],
)
def test_words_that_make_no_sense_are_one_clear_error(
    lmms: Run, words: tuple[str, ...], message: str
) -> None:
    found = lmms("adaptive", "experiment", *words)
    assert found.code == 2
    assert message in found.err
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "takes one experiment"),
        (("none.jsonl",), "there is no experiment 'none.jsonl'"),
        (("e.jsonl", "--pairs", "a"), "'a' is no pair of benchmarks"),
        (("e.jsonl", "--pairs", "a:b"), "unknown benchmark 'b'"),
        (("e.jsonl", "--sizes", "3"), "no estimate from 3 items"),
        (("e.jsonl", "--draws", "5"), "at least 100 draws"),
        (("e.jsonl", "--confidence", "2"), "a confidence between 0 and 1"),
    ],
)
def test_an_analysis_that_makes_no_sense_is_one_clear_error(
    lmms: Run, words: tuple[str, ...], message: str
) -> None:
    row = {"benchmark": "a", "lm": "x", "checkpoint": "1", "random_accuracy_2": 0.5}
    Path("e.jsonl").write_text(json.dumps(row))
    found = lmms("adaptive", "analyse", *words)
    assert found.code == 2
    assert message in found.err


@pytest.mark.parametrize("command", ["analyse", "experiment"])
def test_help_and_completion_know_every_flag(lmms: Run, command: str) -> None:
    from lmms.cli.completion import complete

    module = importlib.import_module(f"lmms.cli.adaptive_{command}")
    text = lmms("adaptive", command, "--help").out
    for flag in module._FLAGS:
        assert flag in text
        assert complete(f"lmms adaptive {command} {flag}")[0].startswith(flag)
