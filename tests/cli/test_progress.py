"""What a run shows while it goes on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import lmms
from lmms.cli.progress import (
    LiveDisplay,
    PlainLines,
    Rates,
    activity,
    averaged_scores,
    clock,
    make_observer,
    metric_text,
    rate,
)
from lmms.runner.observer import RunProgress, Silent, TaskProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(**changes: object) -> RunProgress:
    task = TaskProgress("mme", "mme@embedded", 40, state="running", asked=20)
    for number in range(20):
        task.observe({"acc": float(number % 4 == 0)})
    task.observe(None)
    other = TaskProgress("gsm8k", "gsm8k@embedded", 8)
    values = {"seconds": 10.0, "media_wait_seconds": 2.5, "tokens_out": 600, "model_state": "ready"}
    made = RunProgress(Path("outputs/run"), "dummy", {"mme": task, "gsm8k": other})
    for name, value in (values | changes).items():
        setattr(made, name, value)
    return made


def acc_alone(progress: RunProgress) -> dict[str, list[str]]:
    return {"mme": ["acc"]}


def test_auto_is_live_on_a_terminal_and_plain_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_observer("auto", Terminal()), LiveDisplay)
    assert isinstance(make_observer("auto", io.StringIO()), PlainLines)
    assert isinstance(make_observer("none", Terminal()), Silent)
    assert isinstance(make_observer("rich", io.StringIO()), LiveDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_observer("auto", Terminal()), PlainLines)


def test_plain_lines_come_at_the_start_every_so_often_and_at_the_end() -> None:
    stream = io.StringIO()
    plain = PlainLines(stream, averaged=acc_alone)
    now = progress(seconds=0.0)
    plain.started(now)
    for second in range(1, 100):
        now.seconds = float(second)
        plain.updated(now)
    now.tasks["mme"].state = "scored"
    plain.finished(now, "incomplete")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "lmms: running dummy: 48 documents, outputs/run"
    assert len(lines) == 1 + 3 + 1 + 1
    assert "mme@embedded 21/40 (52%), acc 0.250 ± 0.099, 1 failed" in lines[1]
    assert "media wait" in lines[1]
    assert "ETA" in lines[1]
    assert lines[-1] == "lmms: incomplete: 21 of 48 documents, 20 requests in 1:39, 1 failed"


def test_rates_are_of_the_last_seconds() -> None:
    rates, now = Rates(), progress()
    for second in range(100):
        now.seconds = float(second)
        now.tasks["mme"].asked = second * 2 if second < 50 else 100 + (second - 50) * 10
        rates.update(now)
    assert rates.per_second[0] == pytest.approx(10.0, rel=0.01)
    assert len(rates._history) < 30


def test_the_display_shows_every_number() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=140, force_terminal=False, no_color=True)
    display = LiveDisplay(io.StringIO(), console=console, averaged=acc_alone)
    with console.capture() as captured:
        display.started(progress())
        console.print(display.render(progress()))
        display.finished(progress(), "complete")
    text = captured.get()
    for part in ("mme@embedded", "21/40", "acc 0.250 ± 0.099", "1 failed", "gsm8k@embedded"):
        assert part in text
    for part in ("media wait 25%", "ETA", "0:10"):
        assert part in text


def test_a_live_display_starts_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    display = LiveDisplay(stream)
    now = progress(last_failure="no such file [red]x[/red]\nmore")
    display.started(now)
    display.notice("journal: [bold] row 3")
    display.updated(now)
    display.finished(now, "complete")
    text = stream.getvalue()
    assert "journal: [bold] row 3" in text, "what a run says is not markup"
    assert "last failure: no such file [red]x[/red]" in text
    assert "\x1b[31m" not in text


def test_loading_and_stopping_are_said() -> None:
    now = progress(model_state="starting")
    now.tasks["mme"].asked = 0
    assert activity(now, Rates())[0] == "loading the model"
    assert any("stopping" in words for words in activity(progress(stopping=True), Rates()))


def test_numbers_are_short() -> None:
    assert [clock(s) for s in (0, 61, 3725)] == ["0:00", "1:01", "1:02:05"]
    assert [rate(v) for v in (0.123, 4.56, 12345.6)] == ["0.12", "4.6", "12,346"]
    assert metric_text(TaskProgress("a", "a", 1), {"a": ["acc"]}) == ""


def test_only_metrics_that_are_means_are_shown_while_they_grow(tmp_path: Path) -> None:
    plan = lmms.plan(["model=dummy", "task=[mme,gsm8k]"])
    (tmp_path / "plan.json").write_text(plan.model_dump_json())
    averaged = averaged_scores(RunProgress(tmp_path, "dummy", {}))
    assert averaged["mme"] == []
    assert "exact_match,strict-match" in averaged["gsm8k"]
    task = TaskProgress("mme", "mme@embedded", 2)
    task.observe({"mme_cognition_score": 1.0, "mme_perception_score": None})
    assert metric_text(task, averaged) == "", "the table's score is on another scale"
    assert averaged_scores(RunProgress(tmp_path / "none", "dummy", {})) == {}
