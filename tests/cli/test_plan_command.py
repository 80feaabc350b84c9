"""`lmms plan`."""

from __future__ import annotations

import yaml

from lmms.config.plan import RunPlan


def test_text(lmms):
    result = lmms("plan", "task=[gsm8k,hellaswag]", "model=dummy", "limit=3")
    assert result.code == 0
    for part in ("gsm8k@embedded", "hellaswag@embedded", "limit 3 of 8 (index)", "total", "≤", "?"):
        assert part in result.out


def test_json_is_the_plan(lmms):
    shown = lmms("plan", "task=gsm8k", "model=dummy", "--json").json
    fingerprint = shown.pop("fingerprint")
    assert RunPlan.model_validate(shown).fingerprint == fingerprint


def test_yaml_makes_the_same_plan(lmms, tmp_path):
    words = ["task=gsm8k", "model=dummy", "limit=3", "generation.temperature=0.5"]
    (tmp_path / "run.yaml").write_text(lmms("plan", *words, "--yaml").out)
    first = lmms("plan", *words, "--json").json
    second = lmms("plan", "--config", "run.yaml", "--json").json
    assert first["config"] == second["config"]
    assert first["fingerprint"] == second["fingerprint"]


def test_render(lmms):
    result = lmms("plan", "task=hellaswag", "model=dummy", "limit=2", "--render")
    assert "rendered" in result.out
    assert "words of prompts" in result.out
    assert "?" not in result.out


def test_sweep(lmms):
    words = ["-m", "model=dummy", "task=gsm8k,hellaswag", "generation.temperature=0,0.7"]
    plans = lmms("plan", *words, "--json").json
    assert len({p["fingerprint"] for p in plans}) == 4
    assert "task=hellaswag generation.temperature=0.7" in lmms("plan", *words).out


def test_batch(lmms, tmp_path):
    (tmp_path / "runs.yaml").write_text(
        "- {model: dummy, task: gsm8k}\n- {model: dummy, task: hellaswag}\n"
    )
    assert len(lmms("plan", "-c", "runs.yaml", "--json").json) == 2
    both = yaml.safe_load(lmms("plan", "-c", "runs.yaml", "--yaml").out)
    assert [list(r["tasks"]) for r in both] == [["gsm8k"], ["hellaswag"]]


def test_secrets_are_shown_nowhere(lmms, monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", "s3cr3t-value")
    words = [
        "task=gsm8k",
        "model=dummy",
        "env.variables.HF_TOKEN=written-out-1",
        "env.variables.OTHER_KEY=${oc.env:LAB_TOKEN}",
    ]
    for flags in ([], ["--json"], ["--yaml"]):
        result = lmms("plan", *words, *flags)
        assert result.code == 0, result.err
        for secret in ("s3cr3t-value", "written-out-1"):
            assert secret not in result.out + result.err


TASK = """\
task: broken
version: "1"
dataset: {path: rows.jsonl, split: test, id_field: id}
prompt: {text: "{{ question }}{{ absent.field }}"}
target: "{{ answer }}"
metrics: [exact_match]
"""


def test_render_of_a_template_that_fails_is_an_error(lmms, tmp_path):
    (tmp_path / "broken.yaml").write_text(TASK)
    rows = [f'{{"id": "{i}", "question": "q", "answer": "a"}}\n' for i in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    words = ["task=broken", "model=dummy", f"env.task_paths=[{tmp_path}]", "--render"]
    result = lmms("plan", *words)
    assert result.code == 2
    (line,) = [line for line in result.err.splitlines() if "lmms: error:" in line]
    assert "task broken: 3 of 3 documents cannot be rendered" in line
    assert "absent" in line
    assert "documents that cannot be rendered: 3" in result.out
    assert "{'" not in result.out + result.err
    asked = lmms("plan", *words, "--json")
    assert asked.code == 2
    assert len(asked.json["tasks"][0]["rendered"]["documents that cannot be rendered"]) == 3


def test_quiet_only_checks(lmms):
    result = lmms("plan", "task=gsm8k", "model=dummy", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert lmms("plan", "task=gsm8q", "model=dummy", "-q").code == 2
    assert lmms("plan", "task=gsm8k", "model=dummy", "-q", "--json").json["tasks"]


def test_an_absent_api_key_does_not_stop_a_plan(lmms, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert lmms("plan", "model=openai", "model.pretrained=m", "task=gsm8k").code == 0


def test_an_adaptive_run(lmms):
    words = ["task=irt_items", "model=dummy", "selector=adaptive"]
    shown = lmms("plan", *words, "selector.se=0.2", "selector.min_items=5")
    assert "at most 100 documents, or ability ± 0.2 after at least 5 (map, 8 at once)" in shown.out
    assert "irt_items.irt.csv (500 items," in shown.out
    assert "right by exact_match" in shown.out
    rendered = lmms("plan", *words, "--render", "--json").json["tasks"][0]
    assert rendered["documents"]["value"] == rendered["requests"]["value"] == 100
    assert "at most 100 of 500 documents, chosen by ability" in rendered["documents"]["basis"]


def test_yaml_of_an_adaptive_run_with_a_bank_for_each_task(lmms, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("item_id,a,b\nx,1,0\ny,1.5,0.5\n")
    words = [
        "task=[gsm8k,hellaswag]",
        "model=dummy",
        "selector=adaptive",
        "selector.irt.gsm8k=one.csv",
        "selector.irt.hellaswag=two.csv",
        "selector.max_items=7",
    ]
    (tmp_path / "run.yaml").write_text(lmms("plan", *words, "--yaml").out)
    selector = yaml.safe_load((tmp_path / "run.yaml").read_text())["selector"]
    assert selector == {
        "name": "adaptive",
        "irt": {"gsm8k": "one.csv", "hellaswag": "two.csv"},
        "max_items": 7,
    }
    first = lmms("plan", *words, "--json").json
    second = lmms("plan", "--config", "run.yaml", "--json").json
    assert first["config"] == second["config"]
    assert first["fingerprint"] == second["fingerprint"]
    assert first["selector"]["banks"]["gsm8k"]["metric"] == "exact_match,strict-match"
    again = lmms("plan", *words[:3], "selector.irt={gsm8k: one.csv, hellaswag: two.csv}", "--json")
    assert again.json["fingerprint"] == first["fingerprint"]
