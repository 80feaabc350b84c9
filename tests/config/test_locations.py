"""Where our own cache lies, and that everything that keeps one asks the same function."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmms.config.compose import compile_run
from lmms.config.locations import cache_folder


def test_the_order_of_choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("LMMS_CACHE_DIR", "~/own")
    assert cache_folder("~/configured") == tmp_path / "configured"
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("LMMS_CACHE_DIR")
    assert cache_folder() == Path("/xdg/lmms")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "lmms"


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that is used where nothing is configured."""
    monkeypatch.setenv("LMMS_CACHE_DIR", str(tmp_path / "default"))
    return tmp_path / "default"


@pytest.mark.parametrize("how", ["word", "list of tasks", "interpolation", "option", "run file"])
def test_the_task_index_is_kept_in_the_configured_folder(
    how: str, default: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmms.config.runfile import compile_file
    from lmms.planning import build_plan

    chosen = tmp_path / "chosen"
    monkeypatch.setenv("CHOSEN", str(chosen))
    (tmp_path / "env").mkdir()
    option = f"name: mine\ncache_dir: {chosen}\n"
    (tmp_path / "env" / "mine.yaml").write_text(option)
    run = {"model": "dummy", "task": "gsm8k", "env": {"cache_dir": str(chosen)}}
    (tmp_path / "run.yaml").write_text(json.dumps(run))
    words = {
        "word": ["task=gsm8k", f"env.cache_dir={chosen}"],
        "list of tasks": ["task=[gsm8k,mme]", f"env.cache_dir={chosen}"],
        "interpolation": ["task=gsm8k", "env.cache_dir=${oc.env:CHOSEN}"],
        "option": ["task=gsm8k", "env=mine"],
        "run file": [],
    }[how]
    if how == "run file":
        (compiled,) = compile_file(tmp_path / "run.yaml", words)
    else:
        compiled = compile_run(["model=dummy", *words], config_dir=[str(tmp_path)])
    build_plan(compiled.config)
    assert list(chosen.glob("tasks-*.json"))
    assert not default.exists()


def test_digests_of_weights_are_kept_where_the_variable_says(default: Path, tmp_path: Path) -> None:
    from lmms.config.schema import EnvConfig
    from lmms.models.hf.identity import _Memo

    (tmp_path / "weights").write_bytes(b"x")
    memo = _Memo(EnvConfig())
    memo.digest(tmp_path / "weights")
    memo.save()
    assert (default / "weight-digests.json").is_file()
