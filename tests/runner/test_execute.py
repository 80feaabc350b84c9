"""Runs from plan to results with the dummy model: complete, failing, wrong, interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

import lmms
from lmms.errors import ConfigError, ModelError, PlanError, RunInterruptedError
from lmms.models.base import PreparedRequest
from lmms.models.dummy import DummyModel
from lmms.report import comparable
from lmms.responses.reader import JournalReader
from lmms.runner import exit_code
from lmms.runner.observer import RunProgress
from lmms.types import Failure, Outcome, Response
from tests.runner.conftest import Bed, Watch

# ------------------------------------------------------------------------------------- complete


def test_shipped_text_tasks_run_from_words_to_files(tmp_path: Path) -> None:
    result = lmms.run(
        ["model=dummy", "task=[gsm8k,hellaswag]", f"output.dir={tmp_path}", "output.html=false"]
    )
    assert result.status == "complete"
    assert exit_code(result) == 0
    assert result["hellaswag"].n_effective == 8
    assert {m.name for m in result["hellaswag"].metrics} == {"acc", "acc_norm"}
    folder = Path(result.path)
    assert (tmp_path / "latest").resolve() == folder
    names = {p.name for p in folder.iterdir()}
    assert {"plan.json", "journal.sqlite", "results.json", "report.md"} <= names
    with JournalReader(folder) as journal:
        assert journal.meta("status") == "complete"
        assert journal.answer_count() == 8 + 32


def test_a_video_task_shows_what_the_model_saw(tmp_path: Path) -> None:
    result = lmms.run(
        [
            "+experiment=longvideo",
            "model=dummy",
            "limit=3",
            f"output.dir={tmp_path}",
            "output.html=false",
        ]
    )
    assert result.status == "complete"
    (samples,) = Path(result.path).glob("samples_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["doc_id"] for line in lines] == [0, 1, 2]
    assert all(len(line["media"][0]["times"]) == 8 for line in lines)
    efficiency = result["longvideobench_val_v"].efficiency
    assert efficiency["frames_seen"] == 24


def test_samples_are_in_document_order_whatever_the_batches(bed: Bed) -> None:
    bed.task(count=70)
    first = bed.run("model.batch_size=1")
    second = bed.run("model.batch_size=32", "executor.max_open_documents=7", "run.resume=never")
    assert [line["doc_id"] for line in bed.samples(first)] == list(range(70))

    def answers(result: lmms.types.RunResult) -> list[object]:
        return [(s["doc_id"], s["filtered_resps"], s["status"]) for s in bed.samples(result)]

    assert answers(first) == answers(second)


def test_equal_questions_are_asked_once(bed: Bed) -> None:
    bed.task(count=12, question=lambda i: f"What is {i % 3}?")
    result = bed.run("model.batch_size=4")
    assert len(bed.asked) == len(set(bed.asked)) == 3
    assert result["sums"].n_effective == 12


def test_two_rounds_and_a_resume_between_them(bed: Bed) -> None:
    code = (
        "def episode(tools):\n"
        "    from dataclasses import replace\n"
        "    from lmms.types import GenerationArgs, Message, Request, TextPart\n"
        "    def ask(text):\n"
        "        message = Message('user', (TextPart(text),))\n"
        "        return Request(kind='generate_until', messages=(message,))\n"
        "    (first,) = yield [ask(tools.fields['question'])]\n"
        "    yield [ask('Sure? ' + first.text), ask(tools.fields['question'] + first.text)]\n"
    )
    bed.task(more="episode: code.py:episode", code=code)

    def stop(progress: RunProgress) -> None:
        if progress.asked >= 15:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(RunInterruptedError):
        bed.run("model.kwargs.delay_seconds=0.02", "model.batch_size=1", observer=Watch(stop))
    before = len(bed.asked)
    result = bed.run("model.kwargs.delay_seconds=0.02", "model.batch_size=1")
    assert result["sums"].n_effective == 20
    assert len(bed.asked) == len(set(bed.asked)), "no answered request is asked again"
    assert 0 < before < len(bed.asked)


def test_a_running_event_loop_is_not_in_the_way(bed: Bed) -> None:
    bed.task(count=3)

    async def notebook() -> str:
        return bed.run().status

    assert asyncio.run(notebook()) == "complete"


def test_no_documents_is_a_complete_run(bed: Bed) -> None:
    bed.task()
    result = bed.run("limit=0")
    assert result.status == "complete"
    assert result["sums"].n_effective == 0


def test_the_users_own_latest_folder_is_left_alone(bed: Bed) -> None:
    bed.task(count=2)
    (bed.outputs / "latest").mkdir(parents=True)
    watch = Watch()
    assert bed.run(observer=watch).status == "complete"
    assert (bed.outputs / "latest").is_dir()
    assert not (bed.outputs / "latest").is_symlink()
    assert any("latest" in text for text in watch.notices)


# ------------------------------------------------------------------------------------- failures


def test_failed_samples_are_counted_and_asked_again(bed: Bed) -> None:
    bed.task(count=60)
    result = bed.run("model.kwargs.fail_share=0.2")
    failed = result["sums"].status_counts["failed"]
    assert 0 < failed < 60
    assert result["sums"].failures == {"model": failed}
    assert result["sums"].n_effective == 60
    assert result.status == "incomplete"
    assert exit_code(result) == 3
    metric = result["sums"].metrics[0]
    assert (metric.n, metric.n_failed) == (60 - failed, failed)
    asked = len(bed.asked)
    again = bed.run("model.kwargs.fail_share=0.2")
    assert len(bed.asked) == asked + failed, "only the failed ones"
    assert again.path == result.path


def test_a_share_of_failures_may_be_allowed(bed: Bed) -> None:
    bed.task(count=60)
    result = bed.run("model.kwargs.fail_share=0.2", "run.max_failed_share=0.5")
    assert result.status == "complete"
    assert result["sums"].status_counts["failed"] > 0


def test_flaky_requests_are_retried(bed: Bed) -> None:
    bed.task(count=30)
    watch = Watch()
    result = bed.run("model.kwargs.flaky_share=0.2", observer=watch)
    assert result.status == "complete"
    assert watch.progress is not None
    assert watch.progress.tasks["sums"].retries > 0


class Broken:
    """Wrong ways to answer, by what the question holds."""

    @staticmethod
    async def respond(self: DummyModel, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        (prepared,) = batch
        text = prepared.request.prompt
        if "raise" in text:
            raise RuntimeError("CUDA error")
        if "short" in text:
            return []
        if "none" in text:
            return [Response()]
        if "kind" in text:
            return ["text"]  # type: ignore[list-item]
        return [Response(text="")]


def test_a_back_end_that_misbehaves_costs_its_samples_only(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["raise", "short", "none", "kind", "fine"]
    bed.task(count=5, question=lambda i: words[i])
    monkeypatch.setattr(DummyModel, "respond", Broken.respond)
    result = bed.run("model.batch_size=1")
    lines = bed.samples(result)
    assert [line["status"] == "failed" for line in lines] == [True] * 4 + [False]
    with JournalReader(Path(result.path)) as journal:
        messages = [failure.message for _, failure in journal.failures("sums")]
    expected = ["RuntimeError: CUDA error", "0 outcomes for 1", "no text", "a str as an outcome"]
    assert all(any(part in m for m in messages) for part in expected)


def test_an_undefined_loglikelihood_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nan(self: DummyModel, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        return [Response(loglikelihood=float("nan"), is_greedy=False) for _ in batch]

    monkeypatch.setattr(DummyModel, "respond", nan)
    result = lmms.run(["model=dummy", "task=hellaswag", f"output.dir={tmp_path}", "limit=2"])
    assert result["hellaswag"].failures == {"model": 2}


def test_a_fatal_failure_stops_early_and_keeps_answers(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.task(count=40)
    respond = DummyModel.respond

    async def refused(self: DummyModel, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        if len(bed.asked) >= 5:
            return [Failure(kind="refused", message="key expired", fatal=True) for _ in batch]
        return await respond(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DummyModel, "respond", refused)
        with pytest.raises(ModelError, match="key expired") as caught:
            bed.run("model.batch_size=1")
    assert "resume with: lmms model=dummy" in str(caught.value)
    assert len(bed.asked) == 5
    assert bed.run("model.batch_size=1").status == "complete"
    assert len(bed.asked) == len(set(bed.asked)) == 40
    assert len(bed.runs()) == 1


def test_a_model_that_cannot_start_leaves_no_folder(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.task()

    async def start(self: DummyModel) -> None:
        raise ModelError("no weights here")

    monkeypatch.setattr(DummyModel, "start", start)
    with pytest.raises(ModelError, match="no weights"):
        bed.run()
    assert list(bed.outputs.iterdir()) == []


def test_a_model_that_cannot_answer_a_tasks_requests_is_refused(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DummyModel, "supports", frozenset({"generate_until"}))
    with pytest.raises(PlanError, match="'hellaswag' asks loglikelihood requests"):
        bed.run(task="hellaswag")


def test_missing_media_cost_their_sample_only(bed: Bed) -> None:
    bed.task(count=3, more="modalities: [text, image]")
    spec = (bed.tasks / "sums.yaml").read_text()
    spec = spec.replace('text: "{{question}}"', 'text: "{{question}}", image: file')
    (bed.tasks / "sums.yaml").write_text(spec)
    from PIL import Image

    Image.new("RGB", (8, 6)).save(bed.tasks / "there.png")
    (bed.tasks / "empty.png").write_bytes(b"")
    names = ["there.png", "missing.png", "empty.png"]
    rows = [{"name": n, "question": n, "answer": "1", "file": n} for n in names]
    (bed.tasks / "sums.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    result = bed.run()
    lines = bed.samples(result)
    assert [line["status"] == "failed" for line in lines] == [False, True, True]
    assert result["sums"].failures == {"media": 2}
    with JournalReader(Path(result.path)) as journal:
        messages = {doc: failure.message for doc, failure in journal.failures("sums")}
    assert "missing.png" in messages[1]
    assert "empty.png" in messages[2]


# ------------------------------------------------------------------------------------ task code

SCORER = """\
import time
from lmms.types import Score

def score(given):
    if given.document.id == "q3":
        {on_three}
    return {{"right": Score(value=1.0)}}
"""


def test_code_that_raises_costs_its_sample_and_a_fixed_one_asks_nothing(bed: Bed) -> None:
    raising = SCORER.format(on_three="raise ValueError('three')")
    bed.task(scorer="code.py:score", metric="right", code=raising)
    result = bed.run()
    assert result["sums"].failures == {"scoring": 1}
    with JournalReader(Path(result.path)) as journal:
        ((doc, failure),) = journal.failures("sums")
    assert doc == 3
    assert "'q3' of task 'sums'" in failure.message
    assert "three" in failure.message
    asked = len(bed.asked)
    # A file of another name: this process has loaded the first one already.
    (bed.tasks / "fixed.py").write_text(SCORER.format(on_three="pass"))
    spec = (bed.tasks / "sums.yaml").read_text().replace("code.py", "fixed.py")
    (bed.tasks / "sums.yaml").write_text(spec)
    with pytest.raises(PlanError, match="belongs to another plan"):
        bed.run("generation.max_new_tokens=7", f"run.resume={result.path}")
    fixed = bed.run(f"run.resume={result.path}")
    assert fixed.status == "complete"
    assert len(bed.asked) == asked
    assert fixed["sums"].metrics[0].value == 1.0


def test_code_that_hangs_costs_its_sample_only(bed: Bed) -> None:
    hanging = SCORER.format(on_three="time.sleep(3600)")
    bed.task(scorer="code.py:score", metric="right", code=hanging)
    result = bed.run("executor.scoring_timeout_seconds=0.4")
    assert result["sums"].failures == {"scoring": 1}
    assert result["sums"].n_effective == 20
    assert bed.samples(result)[3]["status"] == "failed"


def test_a_template_that_fits_no_row_says_so(bed: Bed) -> None:
    bed.task(count=2)
    spec = (bed.tasks / "sums.yaml").read_text().replace("{{question}}", "{{nothing}}")
    (bed.tasks / "sums.yaml").write_text(spec)
    result = bed.run()
    with JournalReader(Path(result.path)) as journal:
        assert all("nothing" in failure.message for _, failure in journal.failures("sums"))
    assert bed.asked == []


def test_examples_that_do_not_exist_end_the_run_with_a_message(bed: Bed) -> None:
    bed.task(count=2)
    with pytest.raises(ConfigError):
        bed.run("num_fewshot=50")
    assert bed.asked == []


# ------------------------------------------------------------------------------ stop and resume


def interrupted(bed: Bed, number: int, after: int, *words: str) -> RunInterruptedError:
    def stop(progress: RunProgress) -> None:
        if progress.done >= after and not progress.stopping:
            os.kill(os.getpid(), number)

    with pytest.raises(RunInterruptedError) as caught:
        bed.run(
            "model.kwargs.delay_seconds=0.02", "model.batch_size=1", *words, observer=Watch(stop)
        )
    return caught.value


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_drains_and_the_same_command_goes_on(
    bed: Bed, number: signal.Signals, code: int
) -> None:
    bed.task(count=60)
    before = signal.getsignal(number)
    error = interrupted(bed, number, 10)
    assert signal.getsignal(number) is before
    assert error.exit_code == code
    assert "resume with: lmms model=dummy task=sums" in str(error)
    (folder,) = bed.runs()
    with JournalReader(folder) as journal:
        assert journal.meta("status") == "interrupted"
        assert journal.answer_count() == len(bed.asked), "what was in flight came back and is kept"
    done = len(bed.asked)
    assert 10 <= done < 60
    result = bed.run("model.kwargs.delay_seconds=0.02", "model.batch_size=1")
    assert result.path == str(folder)
    assert len(bed.asked) == len(set(bed.asked)) == 60
    undisturbed = bed.run(
        "model.kwargs.delay_seconds=0.02", "model.batch_size=1", "run.resume=never"
    )
    assert comparable(result.raw) == comparable(undisturbed.raw)
    left, right = bed.samples(result), bed.samples(undisturbed)
    assert [s["filtered_resps"] for s in left] == [s["filtered_resps"] for s in right]


def test_a_second_interrupt_ends_at_once_and_loses_nothing(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.task(count=10)
    respond = DummyModel.respond

    async def stuck(self: DummyModel, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        if len(bed.asked) >= 4:
            await asyncio.sleep(3600)
        return await respond(self, batch)

    def stop(progress: RunProgress) -> None:
        if progress.done >= 4:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(DummyModel, "respond", stuck)
        with pytest.raises(RunInterruptedError) as caught:
            bed.run("model.batch_size=1", observer=Watch(stop))
    assert caught.value.immediate
    assert caught.value.exit_code == 130
    assert bed.run("model.batch_size=1").status == "complete"
    assert len(bed.asked) == len(set(bed.asked)) == 10


def test_an_interrupt_while_the_model_is_loading_does_not_wait_for_it(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.task(count=10)
    closed = []

    async def load(self: DummyModel) -> None:
        await asyncio.sleep(3600)

    async def close(self: DummyModel) -> None:
        closed.append(True)

    def stop(progress: RunProgress) -> None:
        if not progress.stopping:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(DummyModel, "start", load)
    monkeypatch.setattr(DummyModel, "close", close)
    with pytest.raises(RunInterruptedError) as caught:
        bed.run(observer=Watch(stop))
    assert caught.value.immediate
    assert not closed


def test_resume_never_says_how_to_resume_that_run(bed: Bed) -> None:
    bed.task(count=60)
    error = interrupted(bed, signal.SIGINT, 3, "run.resume=never")
    (folder,) = bed.runs()
    assert f"run.resume={folder}" in str(error)
    assert "run.resume=never" not in str(error)


def test_a_higher_limit_asks_only_the_new_documents(bed: Bed) -> None:
    bed.task(count=30)
    first = bed.run("limit=10")
    assert first["sums"].n_effective == 10
    second = bed.run("limit=25")
    assert second["sums"].n_effective == 25
    assert len(bed.asked) == len(set(bed.asked)) == 25
    assert lmms.load_run(first.path)["sums"].n_effective == 10, "the first run is what it was"


def test_a_complete_run_is_left_alone(bed: Bed) -> None:
    bed.task(count=5)
    first = bed.run()
    second = bed.run()
    assert first.path != second.path
    assert len(bed.asked) == 10


def test_a_folder_that_is_no_run_is_refused(bed: Bed) -> None:
    bed.task(count=5)
    with pytest.raises(PlanError, match="is not the folder of a run"):
        bed.run(f"run.resume={bed.folder}")


def test_a_changed_row_is_asked_again(bed: Bed) -> None:
    bed.task(count=40)
    interrupted(bed, signal.SIGINT, 10)
    rows = (bed.tasks / "sums.jsonl").read_text().splitlines()
    rows[2] = rows[2].replace("plus 100", "minus 100")
    (bed.tasks / "sums.jsonl").write_text("\n".join(rows) + "\n")
    result = bed.run("model.kwargs.delay_seconds=0.02", "model.batch_size=1")
    assert len(bed.asked) == 41
    assert "minus" in bed.samples(result)[2]["input"]


def test_memory_does_not_grow_with_documents(bed: Bed) -> None:
    """Objects alive near the end of a run of 300 and of 2,000 documents."""
    import gc

    alive = {}
    for count in (300, 2000):

        def look(progress: RunProgress, count: int = count) -> None:
            if progress.done >= count // 2:
                gc.collect()
                alive[count] = len(gc.get_objects())

        bed.run(
            "model.kwargs.delay_seconds=0.03",
            "model.batch_size=16",
            task=bed.task(f"s{count}", count),
            observer=Watch(look),
        )
    # Three objects per document would already be 5,000.
    assert alive[2000] - alive[300] < 2_500
