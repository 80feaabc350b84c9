"""Something changes between a run and its resumption: data, scorer, settings, media."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.durability.bed import CONCURRENCY, TASK, Bed, differences, question

CODE_TASK = TASK.split("filters:")[0] + "scorer: scorer.py:score\nmetrics: [right]\n"
SCORER = """\
from lmms.types import Score

def score(given):
    if {raises} and given.document.id == "q17":
        raise ValueError("bad row")
    return {{"right": Score(value=float(given.target in given.answer))}}
"""


def test_edited_rows_are_asked_again_and_the_others_are_not(bed: Bed) -> None:
    bed.server.script(delay=0.02)
    answered = bed.kill_after(14)
    bed.server.script()
    asked = bed.server.calls()["total"]
    rows = [bed.row(i) for i in range(bed.documents)]
    rows[0]["question"] = "What is 1 + 1?"
    rows[0]["answer"] = "2"
    del rows[2]
    rows[4], rows[20] = rows[20], rows[4]
    bed.write_rows(rows)
    bed.run_well()
    calls = bed.server.asked()
    assert calls["What is 1 + 1?"] == 1
    samples = bed.samples()
    assert [line["document_id"] for line in samples] == [row["name"] for row in rows]
    assert [line["input"] for line in samples] == [row["question"] for row in rows]
    for line in samples:
        # Nobody was given the answer to another question.
        numbers = line["input"].removeprefix("What is ").removesuffix("?").split(" + ")
        text = line.get("resps", line["filtered_resps"])[0]
        assert text.startswith(f"{numbers[0]} and {numbers[1]} make")
    total = bed.server.calls()["total"]
    # Of the answers, those to the edited and to the deleted row are of no use any more.
    assert total - asked <= len(rows) - (answered - 2) + CONCURRENCY


def test_a_longer_data_set_asks_only_what_is_new(bed: Bed) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(14)
    bed.write_rows([bed.row(i) for i in range(bed.documents + 5)])
    bed.run_well()
    assert len(bed.samples()) == bed.documents + 5
    assert bed.server.calls()["total"] <= bed.documents + 5 + CONCURRENCY


def test_settings_that_change_answers_ask_again(bed: Bed) -> None:
    changes = [
        "model.system_prompt=Be brief.",
        "generation.temperature=0.5",
        "generation.seed=3",
        "+model.kwargs.max_image_side=100",
    ]
    bed.run_well("limit=6")
    for number, change in enumerate(changes, 1):
        bed.run_well("limit=6", change)
        assert bed.server.calls()["total"] == 6 * (1 + number), change


def test_settings_that_do_not_change_answers_resume(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(10)
    bed.run_well("model.concurrency=2", "run.progress=plain", "executor.max_open_documents=3")
    assert differences(bed.outcome()[1], undisturbed[1]) == []
    assert bed.server.calls()["total"] <= bed.documents + CONCURRENCY


def test_one_row_that_breaks_the_scorer(bed: Bed) -> None:
    bed.write_task(CODE_TASK)
    (bed.tasks / "scorer.py").write_text(SCORER.format(raises=True))
    trusted = "env.trust_task_code=true"
    done = bed.run(trusted)
    assert done.returncode in (3, 6), done.stderr
    shown = done.stdout + done.stderr
    assert "bad row" in shown
    assert "q17" in shown
    assert "sums" in shown
    assert "Traceback" not in done.stderr
    statuses = bed.statuses()
    assert statuses.pop("q17") == "failed"
    assert set(statuses.values()) == {"ok"}
    assert bed.journal_rows("answers") == bed.documents
    # Scoring needs no model: with the scorer mended nothing is asked.
    (bed.tasks / "scorer.py").write_text(SCORER.format(raises=False))
    folder = bed.run_folder
    bed.run_well(trusted, f"run.resume={folder}")
    assert bed.server.calls()["total"] == bed.documents
    assert set(bed.statuses().values()) == {"ok"}


def test_bad_media_cost_their_samples_only(bed: Bed) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pictures = bed.tasks / "pictures"
    pictures.mkdir()
    for number in range(3):
        pillow.new("RGB", (32, 24), (50 * number, 0, 0)).save(pictures / f"{number}.png")
    (pictures / "empty.png").write_bytes(b"")
    (pictures / "text.png").write_text("not a picture")
    names = ["0.png", "empty.png", "1.png", "missing.png", "text.png", "2.png"]
    bed.write_task(
        TASK.replace('text: "{{question}}"', 'text: "{{question}}", image: picture').replace(
            "generation:", "modalities: [text, image]\ngeneration:"
        )
    )
    bed.write_rows([bed.row(i, picture=f"pictures/{name}") for i, name in enumerate(names)])
    done = bed.run()
    assert done.returncode == 3, done.stderr
    assert bed.results()["status"] == "incomplete"
    statuses = bed.statuses()
    assert [statuses[f"q{i}"] == "failed" for i in range(6)] == [
        False, True, False, True, True, False,
    ]  # fmt: skip
    failures = {line["document_id"]: line["failure"] for line in bed.samples() if "failure" in line}
    assert {failure["kind"] for failure in failures.values()} == {"media"}
    assert "missing.png" in failures["q3"]["message"]
    assert bed.server.calls()["total"] == 3
    # Mended: only the three are asked.
    for name in ("empty.png", "missing.png", "text.png"):
        (pictures / name).write_bytes(Path(pictures / "0.png").read_bytes())
    bed.run_well()
    assert set(bed.statuses().values()) == {"ok"}
    assert bed.server.calls()["total"] == 6
    assert question(0) in " ".join(bed.server.asked())
