"""Running by the command line: one run, a batch, a sweep."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

WORDS = ("model=dummy", "task=gsm8k", "limit=2")


def test_a_run(lmms):
    result = lmms(*WORDS)
    assert result.code == 0, result.err
    assert result.out.startswith("env=embedded | data: ")
    assert "env=hub" in result.out.splitlines()[0]
    assert "gsm8k@embedded" in result.out
    assert "report.html" in result.out
    assert Path("outputs/latest/results.json").exists()
    plan = json.loads(Path("outputs/latest/plan.json").read_text())
    assert plan["command"] == list(WORDS)


def test_the_banner_is_only_said_where_something_is_shipped(lmms, tmp_path):
    from lmms.api import plan
    from lmms.cli.outcome import banner

    assert banner(plan("task=gsm8k model=dummy env=hub")) is None
    assert "canary" not in str(banner(plan("task=gsm8k model=dummy")))


def test_json_is_one_document_on_stdout(lmms):
    result = lmms(*WORDS, "--json", "--quiet")
    assert result.json["status"] == "complete"
    assert result.json["exit_code"] == 0
    assert "exact_match,strict-match" in result.json["results"]["gsm8k@embedded"]
    assert "env=embedded" in result.err


def test_show_and_reproduce(lmms, tmp_path):
    lmms(*WORDS)
    shown = lmms("show", "outputs/latest")
    assert shown.code == 0
    assert "gsm8k@embedded" in shown.out
    assert lmms("show", "outputs/latest", "--json").json["status"] == "complete"
    samples = lmms("show", "outputs/latest", "--samples", "gsm8k", "--json").json
    assert [s["doc_id"] for s in samples] == [0, 1]
    text = lmms("show", "outputs/latest", "--samples", "gsm8k", "--limit", "1").out
    assert text.count("prompt") == 1
    (tmp_path / "again.yaml").write_text(lmms("show", "outputs/latest", "--yaml").out)
    again = lmms("plan", "--config", "again.yaml", "--json").json
    plan = json.loads(Path("outputs/latest/plan.json").read_text())
    assert again["config"] == plan["config"]


def test_show_tells_the_media_work_and_the_media_of_a_sample(lmms):
    lmms("model=dummy", "task=longvideobench_val_v", "limit=1", "media.num_frames=2")
    assert "1 loaded: 1 decoded, 0 from memory" in lmms("show", "latest").out
    shown = lmms("show", "latest", "--samples", "longvideobench_val_v").out
    assert "clip00.mp4, frames 0 (0.00 s), " in shown


def test_failed_samples_give_exit_code_3(lmms):
    result = lmms(*WORDS, "model.kwargs.fail_share=1")
    assert result.code == 3
    assert lmms(*WORDS, "model.kwargs.fail_share=1", "run.max_failed_share=1", "seed=1").code == 0


def test_a_batch_goes_on_after_a_failure(lmms, tmp_path):
    (tmp_path / "runs.yaml").write_text(
        "- {model: {name: dummy, kwargs: {fail_share: 1}}, task: gsm8k, limit: 1}\n"
        "- {model: dummy, task: gsm8k, limit: 1, run: {resume: /nowhere}}\n"
        "- {model: dummy, task: hellaswag, limit: 1}\n"
    )
    result = lmms("--config", "runs.yaml", "--json", "-q")
    assert [run["exit_code"] for run in result.json["runs"]] == [3, 2, 0]
    assert "/nowhere" in result.json["runs"][1]["error"]
    assert result.code == 2


def test_a_wrong_run_of_a_batch_stops_it_before_the_first(lmms, tmp_path):
    (tmp_path / "runs.yaml").write_text(
        "- {model: dummy, task: gsm8k, limit: 1}\n- {model: dummy, task: gsm8q}\n"
    )
    result = lmms("--config", "runs.yaml")
    assert result.code == 2
    assert "run 2" in result.err
    assert not Path("outputs").exists()


def test_variables_of_a_batch_do_not_leak(lmms, tmp_path):
    (tmp_path / "runs.yaml").write_text(
        "- {model: dummy, task: gsm8k, limit: 1, env: {LMMS_TEST_A: x}}\n"
        "- {model: dummy, task: gsm8k, limit: 1, seed: 2}\n"
    )
    assert lmms("--config", "runs.yaml", "-q").code == 0
    assert "LMMS_TEST_A" not in os.environ


def test_a_sweep(lmms):
    result = lmms(
        "-m", "model=dummy", "task=gsm8k,hellaswag", "generation.temperature=0,0.7", "limit=1"
    )
    assert result.code == 0, result.err
    (folder,) = Path("outputs").glob("sweep-*")
    assert sorted(f.name for f in folder.iterdir()) == ["summary.json", "summary.md"]
    runs = json.loads((folder / "summary.json").read_text())["runs"]
    assert [r["name"] for r in runs] == [
        "task=gsm8k generation.temperature=0",
        "task=gsm8k generation.temperature=0.7",
        "task=hellaswag generation.temperature=0",
        "task=hellaswag generation.temperature=0.7",
    ]
    assert all(r["status"] == "complete" for r in runs)
    assert "0.7" in (folder / "summary.md").read_text()
    assert result.out.count("env=embedded |") == 1
    assert len([p for p in Path("outputs").iterdir() if p.is_dir() and not p.is_symlink()]) == 5
    assert not list(Path().glob("**/.hydra"))


def test_a_sweep_over_groups_keeps_their_means(lmms):
    result = lmms("-m", "model=dummy", "task=video,gsm8k", "limit=4", "-q")
    assert result.code == 0, result.err
    assert "groups." not in result.out
    # Two runs may begin in one second, so the names of their folders have no order.
    runs = [json.loads(p.read_text()) for p in Path("outputs").glob("2*/results.json")]
    assert sorted(list(run["group_results"]) for run in runs) == [[], ["video@embedded"]]


def test_a_sweep_goes_on_after_a_failed_run_and_has_its_exit_code(lmms):
    result = lmms(
        "-m", "model=dummy", "task=gsm8k", "limit=1", "model.kwargs.fail_share=1,0", "--json", "-q"
    )
    assert [r["exit_code"] for r in result.json["runs"]] == [3, 0]
    assert result.code == 3


def test_a_bad_point_stops_a_sweep_before_the_first(lmms):
    result = lmms("-m", "model=dummy", "task=gsm8k,gsm8q", "limit=1")
    assert result.code == 2
    assert "1 of 2 runs" in result.err
    assert "unknown task 'gsm8q'" in result.err
    assert not Path("outputs").exists()


def test_a_point_that_cannot_be_planned_stops_a_sweep(lmms):
    result = lmms("-m", "model=dummy,hf", "task=gsm8k", "limit=1")
    assert result.code == 2
    assert "model=hf" in result.err
    assert "env=hub" in result.err
    assert not Path("outputs").exists()


def test_a_sweep_over_a_run_file(lmms, tmp_path):
    (tmp_path / "run.yaml").write_text("model: dummy\ntask: gsm8k\nlimit: 1\n")
    result = lmms("-m", "--config", "run.yaml", "generation.temperature=0,0.7", "--json", "-q")
    assert result.code == 0, result.err
    assert len(result.json["runs"]) == 2


def test_secrets_of_a_sweep_stay_out_of_every_file(lmms, monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", "s3cr3t-value")
    words = ["env.variables.HF_TOKEN=written-out-1", "env.variables.A_KEY=${oc.env:LAB_TOKEN}"]
    result = lmms("-m", "model=dummy", "task=gsm8k", "limit=1", "seed=1,2", *words)
    assert result.code == 0, result.err
    files = [f for f in Path("outputs").rglob("*") if f.is_file()]
    assert files
    for text in (result.out.encode(), result.err.encode(), *(f.read_bytes() for f in files)):
        assert b"s3cr3t-value" not in text
        assert b"written-out-1" not in text


def test_an_unfinished_sweep_goes_on_where_it_stopped(lmms, monkeypatch):
    words = ["-m", "model=dummy", "task=gsm8k", "limit=1", "seed=1,2,3", "--json", "-q"]
    from lmms.cli import outcome
    from lmms.errors import RunInterruptedError

    start = outcome.start
    started = []

    def interrupted_at_the_second(target, *, quiet):
        started.append(target.name)
        if len(started) == 2:
            raise RunInterruptedError("stopped")
        return start(target, quiet=quiet)

    monkeypatch.setattr(outcome, "start", interrupted_at_the_second)
    first = lmms(*words)
    assert first.code == 130
    assert [r["name"] for r in first.json["runs"]] == ["seed=1"]
    assert "go on" in first.err
    second = lmms(*words)
    assert second.code == 0, second.err
    assert started == ["seed=1", "seed=2", "seed=2", "seed=3"]
    assert [r["name"] for r in second.json["runs"]] == ["seed=1", "seed=2", "seed=3"]
    assert second.json["runs"][0]["path"] == first.json["runs"][0]["path"]
    (folder,) = Path("outputs").glob("sweep-*")
    assert sorted(f.name for f in folder.iterdir()) == ["summary.json", "summary.md"]
    # Once all of it is complete, the same words start anew.
    assert lmms(*words).code == 0
    assert len(started) == 7
    assert len(list(Path("outputs").glob("sweep-*"))) == 2


def test_points_of_a_failed_sweep_are_tried_again(lmms):
    words = ["-m", "model=dummy", "task=gsm8k", "limit=1", "run.resume=never,/nowhere", "-q"]
    assert lmms(*words).code == 2
    again = lmms(*words)
    assert again.code == 2
    assert "done before: run.resume=never" in again.err
    assert "/nowhere" in again.err


def test_a_sweep_in_other_processes(lmms, repository, monkeypatch):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra `sweep`")
    monkeypatch.setenv("PYTHONPATH", str(repository), prepend=os.pathsep)
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    result = lmms("-m", "model=dummy", "task=gsm8k,hellaswag", "limit=1", *launcher, "--json", "-q")
    assert result.code == 0, result.err
    assert [r["status"] for r in result.json["runs"]] == ["complete", "complete"]


def test_one_complete_run_of_a_stopped_sweep_is_one(lmms, monkeypatch):
    from lmms.cli import outcome
    from lmms.errors import RunInterruptedError

    start, started = outcome.start, []

    def interrupted_at_the_second(target, *, quiet):
        started.append(target.name)
        if len(started) == 2:
            raise RunInterruptedError("stopped")
        return start(target, quiet=quiet)

    monkeypatch.setattr(outcome, "start", interrupted_at_the_second)
    result = lmms("-m", "model=dummy", "task=gsm8k", "limit=1", "seed=1,2", "-q")
    assert "1 run of the sweep is complete" in result.err


def test_a_launcher_that_is_not_installed(lmms, monkeypatch):
    import sys

    # None in sys.modules is an import that fails, also where the package is installed.
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_joblib_launcher", None)
    words = ["-m", "model=dummy", "task=gsm8k", "limit=1", "seed=1,2"]
    result = lmms(*words, "hydra/launcher=joblib")
    assert result.code == 2
    assert "pip install 'lmms[sweep]'" in result.err
    assert "Available options" not in result.err
    assert not Path("outputs").exists()
    unknown = lmms(*words, "hydra/launcher=jobib")
    assert unknown.code == 2
    assert "unknown hydra/launcher 'jobib'" in unknown.err
    assert "joblib" in unknown.err
    sweeper = lmms(*words, "hydra/sweeper=bsic")
    assert sweeper.code == 2
    assert "unknown hydra/sweeper 'bsic'" in sweeper.err
    assert not Path("outputs").exists()
    # What only Hydra finds out leaves no folder either.
    assert lmms(*words, "hydra.launcher.n_jobs=2").code == 2
    assert not list(Path("outputs").glob("*"))


API = ("model=openai", "model.pretrained=m", "model.base_url=http://127.0.0.1:9/v1", "task=gsm8k")


@pytest.mark.parametrize("how", ["run", "sweep", "batch"])
def test_an_absent_api_key_is_found_before_anything_starts(lmms, monkeypatch, tmp_path, how):
    monkeypatch.delenv("LAB_KEY", raising=False)
    (tmp_path / "runs.yaml").write_text(
        "- {model: dummy, task: gsm8k, limit: 1}\n"
        "- {model: {name: openai, pretrained: m, api_key_env: LAB_KEY}, task: gsm8k}\n"
    )
    words = {
        "run": [*API, "model.api_key_env=LAB_KEY"],
        "sweep": ["-m", *API, "model.api_key_env=LAB_KEY", "seed=1,2"],
        "batch": ["--config", "runs.yaml"],
    }[how]
    result = lmms(*words)
    assert result.code == 2
    assert "LAB_KEY" in result.err
    assert "model.api_key_env" in result.err
    assert not Path("outputs").exists()


def test_a_key_that_the_configuration_sets_is_there(lmms, monkeypatch):
    from lmms.api import plan
    from lmms.planning import check_ready

    monkeypatch.delenv("LAB_KEY", raising=False)
    check_ready(plan([*API, "model.api_key_env=LAB_KEY", "env.variables.LAB_KEY=written-out-1"]))
    check_ready(plan([*API, "model.api_key_env=null"]))


def test_resume_latest(lmms):
    lmms(*WORDS, "-q")
    folder = Path("outputs/latest").resolve()
    result = lmms(*WORDS, "run.resume=latest", "--json", "-q")
    assert result.code == 0, result.err
    assert Path(result.json["path"]).resolve() == folder
    other = lmms(*WORDS, "run.resume=latest", "output.dir=elsewhere", "-q")
    assert other.code == 2
    assert "elsewhere/latest" in other.err


def test_show_names_the_run_behind_a_link(lmms):
    lmms(*WORDS, "-q")
    name = Path("outputs/latest").resolve().name
    for path in ("outputs/latest", "outputs/latest/results.json"):
        assert lmms("show", path).out.splitlines()[0].split()[-1] == name
