"""`lmms adaptive fit`: from answers to a bank, a page and a document."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.adaptive.bank import read_bank


def answers(subjects: int = 60, items: int = 40, negative: int = 1) -> list[dict[str, Any]]:
    random = np.random.default_rng(4)
    ability = random.normal(size=(subjects, 1))
    a = np.full(items, 1.3)
    a[:negative] *= -1
    p = 1 / (1 + np.exp(-a * (ability - random.normal(size=items))))
    right = (random.random(p.shape) < p).astype(int)
    return [
        {"subject_id": f"m{s}", "responses": {f"t/{i}": int(v) for i, v in enumerate(row)}}
        for s, row in enumerate(right)
    ]


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, answers())) + "\n", "utf-8")
    return file


def test_table_bank_and_page(lmms, responses: Path, tmp_path: Path) -> None:
    result = lmms("adaptive", "fit", str(responses), "-o", "irt.csv", "--report", "fit.html")
    assert result.code == 0, result.err
    assert re.search(r"subjects +60\n", result.out)
    assert re.search(r"abilities +SD 0\.\d+, reliability 0\.\d+ \(KR-20\)\n", result.out)
    assert "t/0   negative discrimination" in result.out
    assert "39 items in irt.csv; 1 item of negative discrimination left out" in result.out
    bank = read_bank("irt.csv")
    assert "t/0" not in bank
    assert len(bank) == 39
    assert bank.stderr_b is not None
    page = (tmp_path / "fit.html").read_text("utf-8")
    assert page.count("<svg") == 4 + 12
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"\b(src|href)=", page)


def test_negative_items_are_kept_on_request(lmms, responses: Path) -> None:
    result = lmms("adaptive", "fit", str(responses), "-o", "irt.csv", "--keep-negative")
    assert "40 items in irt.csv\n" in result.out
    assert read_bank("irt.csv").a[0] < 0


def test_document(lmms, responses: Path) -> None:
    result = lmms("adaptive", "fit", str(responses), "--json")
    found = result.json
    assert (found["n_subjects"], found["n_items"], found["converged"]) == (60, 40, True)
    assert found["negative"] == ["t/0"]
    assert found["bank"] is None
    assert len(found["abilities"]) == 60
    assert set(found["items"][3]) >= {"item", "a", "b", "stderr_a", "stderr_b", "infit", "outfit"}
    assert max(found["test_information"]["information"]) > 5


def test_models_and_scales(lmms, responses: Path) -> None:
    one = lmms("adaptive", "fit", str(responses), "--json", "--model", "1pl").json
    assert len({item["a"] for item in one["items"]}) == 1
    wide = lmms("adaptive", "fit", str(responses), "--json", "--compat", "fluid").json
    assert wide["ability_sd"] == pytest.approx(1.9)


def test_items_with_few_answers_are_left_out(lmms, tmp_path: Path) -> None:
    lines = answers()
    for line in lines[5:]:
        del line["responses"]["t/7"]
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    result = lmms("adaptive", "fit", str(file), "--min-subjects", "10", "-o", "irt.csv")
    assert "1 of 40 items have fewer than 10 answers" in result.err
    assert "t/7" not in read_bank("irt.csv")


def test_groups_of_subjects_without_common_items_make_no_bank(lmms, tmp_path: Path) -> None:
    lines = answers()
    for number, line in enumerate(lines):
        half = range(20) if number < 30 else range(20, 40)
        line["responses"] = {f"t/{i}": line["responses"][f"t/{i}"] for i in half}
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    result = lmms("adaptive", "fit", str(file), "-o", "irt.csv")
    assert result.code == 2
    assert "no bank was written" in result.err
    assert "2 groups without common items" in result.err
    assert lmms("adaptive", "fit", str(file)).code == 0


def test_few_subjects_are_warned_about(lmms, tmp_path: Path) -> None:
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, answers(12))), "utf-8")
    assert "12 subjects are few" in lmms("adaptive", "fit", str(file)).err


def test_runs(lmms) -> None:
    for seed in (1, 2):
        run = ("model=dummy", "task=[gsm8k,hellaswag]", f"seed={seed}", "-q")
        assert lmms(*run).code == 0
    runs = sorted(str(p) for p in Path("outputs").glob("2*"))
    assert len(runs) == 2
    result = lmms("adaptive", "fit", *runs, "--task", "hellaswag", "--json")
    assert result.code == 0, result.err
    assert all(item["item"].startswith("hellaswag/") for item in result.json["items"])
    fit = ("adaptive", "fit", *runs, "--task", "hellaswag", "-o", "irt.csv")
    result = lmms(*fit)
    assert result.code == 2
    assert "no bank was written: the subjects differ no more than chance" in result.err
    assert not Path("irt.csv").exists()
    assert lmms(*fit, "--force", "--report", "fit.html").code == 0
    page = Path("fit.html").read_text("utf-8")
    assert "<title>hellaswag: item response model</title>" in page
    assert "differ no more than chance" in page
    assert read_bank("irt.csv").digests is not None
    result = lmms("adaptive", "fit", *runs)
    assert result.code == 2
    assert "the run has 2 tasks" in result.err
    assert "--task" in result.err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["needs responses", "responses.jsonl -o irt.csv"]),
        (["none.jsonl"], ["there are no responses at 'none.jsonl'", "name the runs' folders"]),
        (["nowhere"], ["no run at 'nowhere'"]),
        (["{file}", "other"], ["is a file of responses, and there are 1 more words"]),
        (["{file}", "--task", "t"], ["--task belongs to runs"]),
        (["{file}", "--model", "2pll"], ["unknown IRT model '2pll'", "did you mean: 2pl"]),
        (["{file}", "--compat", "fluidd"], ["unknown scale", "fluid"]),
        (["{file}", "--threshold", "half"], ["--threshold 'half' is no number"]),
        (["{file}", "--min-subjects", "99"], ["no item has answers of 99 subjects", "60"]),
        (["{file}", "--modl", "2pl"], ["unknown flag '--modl'", "--model"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_wrong_use(lmms, responses: Path, words: list[str], parts: list[str]) -> None:
    result = lmms("adaptive", "fit", *(w.format(file=responses) for w in words))
    assert result.code == 2
    for part in parts:
        assert part in result.err


def test_a_bank_is_written_with_its_folder_or_refused(lmms, responses: Path) -> None:
    assert lmms("adaptive", "fit", str(responses), "-o", "new/irt.csv").code == 0
    assert len(read_bank("new/irt.csv"))
    result = lmms("adaptive", "fit", str(responses), "-o", f"{responses}/irt.csv")
    assert result.code == 2
    assert "cannot write irt.csv" in result.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["-o", "responses.jsonl"], "holds the answers that are fitted"),
        (["--report", "responses.jsonl"], "holds the answers that are fitted"),
        (["-o", "results.json"], "'results.json' is there already and is no item bank"),
        (["-o", "irt.csv", "--report", "results.json"], "is there already and is no page"),
        (["-o", "irt.csv", "--report", "irt.csv"], "the same file"),
        (["-o", "irt.csv", "--report", "results.json/fit.html"], "cannot write fit.html"),
        (["-o", "folder"], "'folder' is a folder"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_nothing_else_is_written_over(
    lmms, responses: Path, tmp_path: Path, words: list[str], part: str
) -> None:
    before = responses.read_bytes()
    (tmp_path / "results.json").write_text('{"results": {}}', "utf-8")
    (tmp_path / "folder").mkdir()
    result = lmms("adaptive", "fit", str(responses), *words)
    assert result.code == 2
    assert part in result.err
    assert responses.read_bytes() == before
    assert (tmp_path / "results.json").read_text("utf-8") == '{"results": {}}'
    assert not (tmp_path / "irt.csv").exists()


def test_a_bank_of_other_items_is_not_replaced(lmms, responses: Path) -> None:
    words = ("adaptive", "fit", str(responses), "-o", "other.csv")
    Path("other.csv").write_text("item_id,a,b\nelse/1,1.0,0.5\n", "utf-8")
    result = lmms(*words)
    assert result.code == 2
    assert "'other.csv' is a bank of other items: else/1" in result.err
    assert len(read_bank("other.csv")) == 1
    assert lmms(*words, "--force").code == 0
    assert len(read_bank("other.csv")) == 39


def test_an_earlier_bank_and_page_are_replaced(lmms, responses: Path) -> None:
    words = ("adaptive", "fit", str(responses), "-o", "irt.csv", "--report", "fit.html")
    assert lmms(*words).code == 0
    assert lmms(*words, "--keep-negative").code == 0
    assert len(read_bank("irt.csv")) == 40


def test_wrong_subcommand(lmms) -> None:
    assert "needs to know what to do" in lmms("adaptive").err
    result = lmms("adaptive", "fitt")
    assert result.code == 2
    assert "unknown adaptive command 'fitt'" in result.err
    assert "did you mean: fit ?" in result.err


def test_scores_between_right_and_wrong(lmms, tmp_path: Path) -> None:
    lines = answers()
    lines[0]["responses"]["t/3"] = 0.4
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    result = lmms("adaptive", "fit", str(file))
    assert result.code == 2
    assert "'t/3' is 0.4" in result.err
    assert "--threshold 0.5" in result.err
    assert lmms("adaptive", "fit", str(file), "--threshold", "0.5").code == 0


def test_every_subcommand_is_there_and_in_the_help(lmms) -> None:
    from lmms.cli.adaptive import SUBCOMMANDS

    text = lmms("adaptive", "--help").out
    assert len(text.splitlines()) < 20
    for name, module in SUBCOMMANDS.items():
        assert callable(importlib.import_module(f"lmms.cli.{module}").main)
        assert f"lmms adaptive {name}" in text
        own = lmms("adaptive", name, "--help").out
        assert own.startswith(f"lmms adaptive {name} ")
        assert own == lmms("help", "adaptive", name).out
        for other in set(SUBCOMMANDS) - {name}:
            assert f"lmms adaptive {other}" not in own
