"""`import lmms`: plan, run, load_run."""

from __future__ import annotations

import types

import lmms
from lmms.config.plan import RunPlan


def test_plan_run_and_read_back(tmp_path):
    plan = lmms.plan(["task=gsm8k", "model=dummy", "limit=2", f"output.dir={tmp_path}"])
    assert isinstance(plan, RunPlan)
    result = lmms.run(plan)
    assert result.status == "complete"
    assert result["gsm8k"].n_effective == 2
    again = lmms.load_run(result.path)
    assert again.tasks.keys() == result.tasks.keys()
    assert lmms.load_run(tmp_path / "latest").path == again.path


def test_run_takes_what_would_be_typed(tmp_path):
    result = lmms.run(f"task=gsm8k model=dummy limit=1 'output.dir={tmp_path}'")
    assert result.status == "complete"


def test_the_public_names_stay_what_they_are():
    import lmms.planning  # a module called `plan` would hide the function

    assert isinstance(lmms.planning, types.ModuleType)
    assert callable(lmms.plan)
    assert callable(lmms.run)
    assert set(lmms.__all__) <= set(dir(lmms)) | {"media"}
