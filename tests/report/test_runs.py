from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lmms.errors import DataError, PlanError, UnknownNameError
from lmms.report import load_run, show_samples
from lmms.report.runs import find_run, run_names
from lmms.responses.journal import Journal
from tests.report import synthetic_run
from tests.report.synthetic_run import VIDEO


@pytest.mark.parametrize("how", ["folder", "results.json", "latest", "name", "id", "link by name"])
def test_all_ways_to_name_a_run(run_folder: Path, how: str) -> None:
    output = run_folder.parent
    (output / "latest").symlink_to(run_folder.name)
    path = {
        "folder": run_folder,
        "results.json": run_folder / "results.json",
        "latest": output,
        "name": run_folder.name,
        "id": "ab12cd34",
        "link by name": "latest",
    }[how]
    run = load_run(path, output_dir=output)
    assert run.path == str(run_folder)
    assert run[VIDEO].label == f"{VIDEO}@embedded"
    assert run.status == "incomplete"


def test_no_run_names_the_nearest(run_folder: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load_run("20261003-120000-canary-qwen3vl-ab12cdXX", output_dir=run_folder.parent)
    assert caught.value.suggestions == (run_folder.name,)
    assert "does not exist" in (caught.value.origin or "")
    assert "results.json" in str(caught.value.allowed)


def test_an_empty_folder_and_a_foreign_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load_run(tmp_path)
    assert "folder without plan.json" in (caught.value.origin or "")
    foreign = tmp_path / "notes.txt"
    foreign.write_text("x")
    with pytest.raises(PlanError) as caught:
        load_run(foreign)
    assert "no run wrote" in (caught.value.origin or "")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"results": {}}'])
def test_a_damaged_results_file_is_a_plan_error(run_folder: Path, text: str) -> None:
    (run_folder / "results.json").write_text(text)
    with pytest.raises(PlanError, match=r"results\.json"):
        load_run(run_folder)


def test_run_names_leaves_links_and_other_folders_out(run_folder: Path) -> None:
    output = run_folder.parent
    (output / "latest").symlink_to(run_folder.name)
    (output / "else").mkdir()
    assert run_names(output) == [run_folder.name]
    assert run_names(output / "nowhere") == []


def test_samples_by_label_or_shown_name(run_folder: Path) -> None:
    everything = list(synthetic_run.make_samples(VIDEO))
    assert list(show_samples(run_folder, VIDEO)) == everything
    assert list(show_samples(run_folder, f"{VIDEO}@embedded", limit=3)) == everything[:3]
    unparsed = show_samples(run_folder, VIDEO, status="unparsed")
    assert [s.doc_id for s in unparsed] == [5, 30]
    with pytest.raises(UnknownNameError) as caught:
        list(show_samples(run_folder, "longvideobench"))
    assert caught.value.suggestions[0] == VIDEO


def test_samples_that_were_not_kept(run_folder: Path) -> None:
    (run_folder / "samples_mme@embedded.jsonl").unlink()
    with pytest.raises(DataError, match="kept no samples") as caught:
        list(show_samples(run_folder, "mme"))
    assert "output.log_samples" in (caught.value.hint or "")


@pytest.fixture
def unfinished(run_folder: Path) -> Path:
    """A run that was broken off after 20 samples of one task: a plan and a journal."""
    folder = run_folder.with_name("20261003-130000-canary-qwen3vl-00000000")
    folder.mkdir()
    shutil.copy(run_folder / "plan.json", folder)
    plan = synthetic_run.make_plan()
    with Journal.open(folder, plan_fingerprint=plan.fingerprint) as journal:
        for sample in list(synthetic_run.make_samples("gsm8k"))[:5]:
            journal.record_sample(sample)
    return folder


def test_an_unfinished_run_shows_what_is_there(unfinished: Path) -> None:
    run = load_run(unfinished)
    assert run.status == "interrupted"
    assert run.model == "canary-qwen3vl"
    task = run["gsm8k"]
    assert (task.n_original, task.n_effective) == (8, 5)
    assert dict(task.status_counts) == {"ok": 4, "unparsed": 1}
    assert {(m.name, m.filter, m.value, m.n) for m in task.metrics} == {
        ("exact_match", "strict-match", 0.0, 5),
        ("exact_match", "flexible-extract", 0.0, 5),
    }
    assert run[VIDEO].n_effective == 0
    assert [s.doc_id for s in show_samples(unfinished, "gsm8k")] == [0, 1, 2, 3, 4]
    with pytest.raises(UnknownNameError):
        list(show_samples(unfinished, "gsm"))


def test_a_live_process_makes_a_run_running_even_with_old_results(
    unfinished: Path, run_folder: Path
) -> None:
    shutil.copy(run_folder / "results.json", unfinished)
    assert load_run(unfinished).status == "incomplete"  # nobody works there: the file tells
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from lmms.responses.lock import FolderLock
        FolderLock(Path(sys.argv[1])).acquire()
        print("held", flush=True)
        sys.stdin.read()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(unfinished)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        running = load_run(unfinished)
        process.communicate("")
    assert (running.status, running["gsm8k"].n_effective) == ("running", 5)


@pytest.mark.parametrize("text", ["{}", "nonsense", None])
def test_an_unfinished_run_without_a_readable_plan(unfinished: Path, text: str | None) -> None:
    plan = unfinished / "plan.json"
    if text is None:
        plan.unlink()
    else:
        plan.write_text(text)
    with pytest.raises(PlanError):
        load_run(unfinished)


def test_a_task_that_cannot_be_loaded_here_still_has_its_counts(unfinished: Path) -> None:
    plan = json.loads((unfinished / "plan.json").read_text())
    plan["config"]["tasks"]["gsm8k"]["name"] = "gone"
    plan["tasks"][1]["name"] = "gone"
    (unfinished / "plan.json").write_text(json.dumps(plan))
    task = load_run(unfinished)["gsm8k"]
    assert task.metrics == ()
    assert task.n_effective == 5
    assert "unknown task 'gone'" in task.warnings[0]


def test_find_run_takes_a_relative_folder(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_folder.parent.parent)
    assert find_run(Path("outputs") / run_folder.name) == run_folder
    assert find_run(run_folder.name) == run_folder  # `outputs` is the default
