"""Dispatch, help, exit codes, and what an error looks like."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from lmms import errors
from lmms.cli import help as help_texts
from lmms.cli.main import COMMANDS


def test_help_is_printed_for_every_command(lmms):
    assert lmms().out == lmms("--help").out == lmms("-h").out == lmms("help").out
    for command in COMMANDS:
        result = lmms(command, "--help")
        assert result.code == 0
        assert result.out == help_texts.TEXTS[command]
        assert lmms("help", command).out == result.out
    assert lmms("task=gsm8k", "--help").out == help_texts.MAIN


def test_help_lists_every_command_and_exit_code(lmms):
    text = lmms("--help").out
    for command in COMMANDS:
        assert command == "run" or re.search(rf"^  {command}\b", text, re.MULTILINE)
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    codes = {c.exit_code for c in classes if issubclass(c, errors.LmmsError)}
    listed = {int(c) for c in re.findall(r"(?<![\w=.])(\d+) [a-z]", text.split("Exit codes")[1])}
    assert codes <= listed
    assert 0 in listed
    assert max(len(line) for t in help_texts.TEXTS.values() for line in t.splitlines()) <= 80


def test_every_example_of_the_help_can_be_planned(lmms, tmp_path):
    (tmp_path / "run.yaml").write_text("model: dummy\ntask: gsm8k\n")
    import shlex

    lines = [line.strip() for line in help_texts.MAIN.splitlines() if line.startswith("  lmms ")]
    assert len(lines) >= 4
    for line in lines:
        words = shlex.split(re.split(r"\s{3,}", line)[0])[1:]
        if "env=hub" in words:
            continue  # needs the hub
        result = lmms("plan", *words)
        assert result.code == 0, (line, result.err)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["pln"], ["unknown command 'pln'", "did you mean: plan ?", "lmms --help"]),
        (["version", "--jsn"], ["unknown flag '--jsn'", "--json"]),
        (["version", "now"], ["takes no 'now'"]),
        (["ls", "taks"], ["unknown list 'taks'", "tasks"]),
        (["ls", "tasks", "models"], ["one word"]),
        (["--confg", "x"], ["unknown flag '--confg'", "--config"]),
        (["--config"], ["--config needs a value"]),
        (["plan", "--json=1"], ["takes no value"]),
        (["show"], ["lmms show takes one run"]),
        (["show", "nowhere"], ["nowhere"]),
        (["show", "x", "--samples", "t", "--status", "okk"], ["unknown status 'okk'", "ok"]),
        (["show", "x", "--samples", "t", "--limit", "few"], ["'few' is no number"]),
        (["completion", "tcsh"], ["unknown shell 'tcsh'", "bash, fish, zsh"]),
        (["help", "plna"], ["unknown command"]),
        (["task=gsm8q", "model=dummy"], ["unknown task 'gsm8q'", "gsm8k"]),
        (["plan", "limit"], ["is not an override"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_wrong_use_is_one_message_and_exit_code_2(lmms, words, parts):
    result = lmms(*words)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("lmms: error: ")
    assert "Traceback" not in result.err
    for part in parts:
        assert part in result.err


def test_errors_as_json(lmms):
    result = lmms("plan", "task=gsm8q", "model=dummy", "--json")
    assert result.code == 2
    error = result.json["error"]
    assert error["type"] == "UnknownNameError"
    assert error["exit_code"] == 2
    assert "gsm8k" in error["suggestions"]
    assert "unknown task" in result.err


def test_debug_brings_the_traceback(lmms):
    assert "Traceback" in lmms("plan", "task=gsm8q", "--debug").err
    assert "Traceback" not in lmms("plan", "task=gsm8q").err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.MediaError("x"), 4),
        (errors.ModelError("x"), 5),
        (errors.ScoringError("x"), 6),
        (errors.IncompleteRunError("x"), 3),
        (errors.JournalError("x"), 1),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(lmms, monkeypatch, error, code):
    from lmms.cli import version

    def fail(words):
        raise error

    monkeypatch.setattr(version, "main", fail)
    result = lmms("version")
    assert result.code == code
    assert "Traceback" not in result.err


def test_a_secret_does_not_reach_an_error(lmms, monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", "s3cr3t-value")
    from lmms.cli import version

    def fail(words):
        raise ValueError("refused s3cr3t-value")

    monkeypatch.setattr(version, "main", fail)
    result = lmms("version", "--json", "--debug")
    assert "s3cr3t-value" not in result.out + result.err
    assert "refused" in result.err


def test_version(lmms):
    import lmms as package

    assert lmms("version", "--json").json["lmms"] == package.__version__
    assert package.__version__ in lmms("--version").out


def test_no_color_outside_a_terminal_and_when_refused(lmms, monkeypatch):
    from lmms.cli import console

    assert "\033[" not in lmms("version").out

    class Terminal:
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert console.uses_color(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not console.uses_color(Terminal())


def test_a_closed_pipe_is_no_traceback(repository):
    command = f"{sys.executable} -m lmms ls tasks --json | head -c 1"
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=_environment(repository)
    )
    assert ended.stderr == ""


def test_ctrl_c_ends_with_130(repository, tmp_path):
    words = ["task=gsm8k", "model=dummy", "model.kwargs.delay_seconds=2", "model.batch_size=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lmms", *words, f"output.dir={tmp_path}"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(repository),
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("*/journal.sqlite")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "resume" in err
    assert "Traceback" not in err


def _environment(repository):
    return {**os.environ, "PYTHONPATH": str(repository)}
