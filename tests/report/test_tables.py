from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmms.errors import ConfigError
from lmms.report import load_run
from lmms.report.settings import varying_settings
from lmms.report.tables import metric_cells, render_summary, render_table
from lmms.types import RunResult


@pytest.fixture
def run(run_folder: Path) -> RunResult:
    return load_run(run_folder)


def changed(run: RunResult, temperature: float, name: str) -> RunResult:
    raw: dict[str, Any] = json.loads(json.dumps(run.raw))
    raw["config"]["resolved_cli_args"]["generation"]["temperature"] = temperature
    raw["config"]["resolved_cli_args"]["output"]["dir"] = name
    raw["run_id"] = name
    return replace(run, raw=raw)


def test_plain_table(run: RunResult) -> None:
    lines = render_table(run, color=False).splitlines()
    assert lines[0].split() == [
        "Tasks", "Version", "Filter", "n-shot", "Metric", "Value", "±", "95", "%", "CI", "n",
        "unparsed", "failed",
    ]  # fmt: skip
    first = lines[2].split()
    assert first[0] == "longvideobench_val_v@embedded"
    assert first[4:] == ["lvb_acc", "↑", "0.87", "0.04", "[0.76,", "0.93]", "60", "2", "1"]
    # The second metric of a task leaves its name blank.
    assert lines[3].split()[0] == "lvb_acc_strict"
    assert lines[4].split()[:3] == ["gsm8k@embedded", "3.0", "strict-match"]
    assert lines[5].split()[0] == "flexible-extract"
    assert max(len(line) for line in lines) == len(lines[1])


def test_digits_follow_the_standard_error_for_people_only(run: RunResult) -> None:
    assert "0.8667" not in render_table(run, "md")
    records = json.loads(render_table(run, "json"))
    assert records[0]["value"] == 52 / 60
    rows = list(csv.DictReader(io.StringIO(render_table(run, "csv"))))
    assert float(rows[0]["value"]) == 52 / 60
    assert rows[1]["task"] == rows[0]["task"] == "longvideobench_val_v@embedded"
    assert rows[5]["value"] == ""  # not available
    assert len(rows) == len(records) == 8


def test_markdown_is_a_table_of_equal_rows(run: RunResult) -> None:
    rows = render_table(run, "md").splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert set(rows[1]) <= set("|-: ")


def test_latex_escapes(run: RunResult) -> None:
    text = render_table(run, "latex")
    assert r"longvideobench\_val\_v@embedded" in text
    assert r"$\uparrow$" in text
    assert r"95 \% CI" in text


@pytest.mark.parametrize("width", [80, 120, 200])
def test_colour_table_cuts_no_number_off(run: RunResult, width: int) -> None:
    from rich.text import Text

    lines = [
        Text.from_ansi(t).plain for t in render_table(run, color=True, width=width).split("\n")
    ]
    assert all(len(line.rstrip()) <= width for line in lines)
    text = "\n".join(lines)
    assert "…" not in text
    assert text.count("[0.76, 0.93]") == 2
    assert ("Version" in text) == (width == 200)


def test_no_color_and_pipes_give_plain_text(
    run: RunResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "\x1b" not in render_table(run)  # captured output is no terminal
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "\x1b" in render_table(run, width=120)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in render_table(run)


def test_markup_in_names_is_text(run: RunResult) -> None:
    task = replace(run["mme"], label="[red]mme[/red] | x")
    odd = replace(run, tasks={"mme": task})
    assert "[red]mme[/red] | x" in render_table(odd, color=False)
    assert "[red]mme[/red]" in render_table(odd, color=True, width=200)
    assert r"\| x" in render_table(odd, "md")


def test_unknown_format_names_the_nearest(run: RunResult) -> None:
    with pytest.raises(ConfigError) as caught:
        render_table(run, "jsn")  # type: ignore[arg-type]
    assert caught.value.suggestions[0] == "json"


def test_summary_shows_what_differs_and_keeps_runs_side_by_side(run: RunResult) -> None:
    runs = [changed(run, 0.0, "a"), changed(run, 0.7, "b")]
    assert varying_settings(runs) == ("generation.temperature",)
    lines = render_summary(runs, color=False).splitlines()
    assert "generation.temperature" in lines[0]
    assert lines[2].split()[:4] == [
        "longvideobench_val_v@embedded", "lvb_acc", "canary-qwen3vl", "0.0",
    ]  # fmt: skip
    assert lines[3].split()[:2] == ["canary-qwen3vl", "0.7"]
    records = json.loads(render_summary(runs, "json"))
    assert [r["settings"] for r in records[:2]] == [
        {"generation.temperature": 0.0},
        {"generation.temperature": 0.7},
    ]
    rows = list(csv.DictReader(io.StringIO(render_summary(runs, "csv"))))
    assert rows[1]["generation.temperature"] == "0.7"
    assert [r["run"] for r in rows[:2]] == ["a", "b"]


def test_summary_of_runs_with_different_tasks(run: RunResult) -> None:
    one = replace(run, tasks={"mme": run["mme"]})
    other = replace(run, tasks={"gsm8k": run["gsm8k"]})
    lines = render_summary([one, other], color=False).splitlines()
    assert [line.split()[0] for line in lines[2:]] == [
        "mme@embedded", "mme_cognition_score", "gsm8k@embedded", "exact_match,flexible-extract",
    ]  # fmt: skip


def with_settings(run: RunResult, name: str, settings: dict[str, Any], *words: str) -> RunResult:
    """The run with settings set by dotted keys, as after the given words."""
    raw: dict[str, Any] = json.loads(json.dumps(run.raw))
    for key, value in settings.items():
        node = raw["config"]["resolved_cli_args"]
        *sections, last = key.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    raw["run_id"] = name
    raw["execution"] = {"command": list(words)}
    return replace(run, raw=raw)


@pytest.mark.parametrize(
    ("key", "values", "shown"),
    [
        ("tasks.mme.limit", (1, 2), ("tasks.mme.limit",)),
        ("tasks.mme.generation.temperature", (0.0, 0.7), ("tasks.mme.generation.temperature",)),
        ("model.pretrained", ("a/same", "b/same"), ("model.pretrained",)),
        ("model.profile", (None, "qwen3_vl"), ("model.profile",)),
        ("model.kwargs", ({}, {"fail_share": 0.5}), ("model.kwargs.fail_share",)),
        ("statistics.confidence", (0.9, 0.95), ("statistics.confidence",)),
        ("output.dir", ("a", "b"), ("output.dir",)),
    ],
)
def test_a_summary_shows_every_overridden_key_that_differs(
    run: RunResult, key: str, values: tuple[Any, ...], shown: tuple[str, ...]
) -> None:
    runs = [with_settings(run, f"r{v}", {key: v}, f"{key}={v}") for v in values]
    assert varying_settings(runs) == shown


def test_a_summary_leaves_out_what_its_other_columns_say(run: RunResult) -> None:
    one = with_settings(run, "a", {"model.name": "a", "model.backend": "hf"}, "model=a")
    other = with_settings(run, "b", {"model.name": "b", "model.backend": "dummy"}, "model=b")
    assert varying_settings([one, replace(other, model="another")]) == ()
    # Two options that are shown by one name are told apart.
    assert varying_settings([one, other]) == ("model.name",)
    # A task that only one of the runs has differs in nothing.
    task = {"tasks": {"gsm8k": one.raw["config"]["resolved_cli_args"]["tasks"]["gsm8k"]}}
    assert varying_settings([one, with_settings(one, "c", task, "task=gsm8k")]) == ()


def test_options_of_a_group_are_told_apart(run: RunResult) -> None:
    hub = {"env.name": "hub", "env.offline": False}
    runs = [
        with_settings(run, "a", {"env.name": "embedded", "env.offline": True}, "env=embedded"),
        with_settings(run, "b", hub, "env=hub"),
    ]
    assert varying_settings(runs) == ("env.name",)


def test_few_samples_without_an_interval_have_few_digits(run: RunResult) -> None:
    metric = replace(
        run["gsm8k"].metrics[0], value=1.0, stderr=None, ci_low=None, ci_high=None, n=2
    )
    assert metric_cells(metric) == ("1.00", "–", "–")
