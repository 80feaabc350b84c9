from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lmms.documents.counts import is_local
from lmms.errors import ConfigError, DataError, UnknownNameError
from lmms.tasks import TaskSpec, load_spec, task_index
from lmms.tasks.code import load_function
from lmms.tasks.template import evaluate, fields_of, render
from lmms.types import Document

BODY: dict[str, Any] = {
    "task": "mine",
    "version": "1",
    "dataset": {"path": "rows.jsonl"},
    "prompt": {"text": "{{q}}"},
    "target": "{{a}}",
    "metrics": ["exact_match"],
}


def write(folder: Path, body: Any, name: str = "mine") -> None:
    text = body if isinstance(body, str) else yaml.safe_dump(body, sort_keys=False)
    (folder / f"{name}.yaml").write_text(text)


def load(folder: Path, name: str = "mine", **kwargs: Any) -> TaskSpec:
    return load_spec(name, task_paths=[str(folder)], **kwargs)


@pytest.mark.parametrize("name", task_index().names())
def test_shipped_tasks_load_and_are_small(name: str) -> None:
    spec = load_spec(name)
    assert spec.name == name
    assert spec.dataset.embedded or is_local(spec.dataset)
    lines = Path(spec.origin).read_text().splitlines()
    assert len(lines) <= 50


def test_the_median_task_is_short_and_without_python() -> None:
    files = {task_index().get(name).file for name in task_index().names()}
    lengths = sorted(len(Path(file).read_text().splitlines()) for file in files)
    assert lengths[len(lengths) // 2] < 40
    assert sum(not load_spec(n).code_digest for n in ("gsm8k", "hellaswag")) == 2


def test_what_the_sheets_say() -> None:
    video = load_spec("longvideobench_val_v")
    assert video.dataset.path == "longvideobench/LongVideoBench"
    assert dict(video.generation) == {"max_new_tokens": 32, "temperature": 0, "do_sample": False}
    assert video.cluster == "video_id"
    frames = load_spec("longvideobench_val_i")
    assert "video" not in frames.prompt
    assert frames.prompt["post_prompt"] == video.prompt["post_prompt"]
    assert frames.digest != video.digest
    assert load_spec("mme").cluster == "question_id"
    assert load_spec("mmmu_val").cluster is None
    assert load_spec("gsm8k").num_fewshot == 5
    assert [f.name for f in load_spec("gsm8k").filters] == ["strict-match", "flexible-extract"]


def test_defaults(tmp_path: Path) -> None:
    write(tmp_path, BODY)
    spec = load(tmp_path)
    assert spec.scorer == "exact_match"
    assert spec.repeats == 1
    assert spec.reasoning.tags == (("<think>", "</think>"), ("<analysis>", "</analysis>"))
    assert spec.metrics[0].aggregation == "mean"
    assert spec.dataset.base == str(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verzion": "2"}, "unknown task key 'verzion'"),
        ({"dataset": {"pat": "x"}}, "unknown key of `dataset` 'pat'"),
        ({"generation": {"max_tokens": 1}}, "unknown key of `generation` 'max_tokens'"),
        ({"media": {"frames": 1}}, "unknown key of `media` 'frames'"),
        ({"metrics": [{"nam": "x"}]}, "unknown key of a metric 'nam'"),
        ({"metrics": []}, "needs `metrics`"),
        ({"metrics": [{"name": "x", "maximum": 0}]}, "`maximum` of metric 'x' is 0"),
        ({"metrics": [3]}, "a metric is a name or a mapping"),
        ({"output_type": "multiple_choices"}, "unknown output_type 'multiple_choices'"),
        ({"output_type": "multiple_choice"}, "multiple choice needs `choices`"),
        ({"version": 1.0}, "`version` is 1.0, which is not text"),
        ({"num_fewshot": "5"}, "`num_fewshot` is '5'"),
        ({"num_fewshot": True}, "`num_fewshot` is True"),
        ({"repeats": -1}, "`repeats` is -1"),
        ({"tags": "x"}, "`tags` is 'x', which is not a list of texts"),
        ({"modalities": ["smell"]}, "unknown modalities 'smell'"),
        ({"prompt": {"txt": "x"}}, "needs `prompt.text`"),
        ({"prompt": {"text": "{{q}}", "vidoe": "x"}}, "no template names it.* 'vidoe'"),
        ({"prompt": "x"}, "`prompt` is 'x', which is not a mapping"),
        ({"filters": {"f": "x"}}, "filter 'f' must be a list of steps"),
        ({"reasoning": {"tags": ["<a>"]}}, r"`reasoning.tags` is a list of \[start, end\] pairs"),
        ({"fewshot": {"sampla": "x"}}, "unknown key of `fewshot` 'sampla'"),
        ({"scorer": "absent.py:score"}, "the task's code cannot be read"),
    ],
)
def test_wrong_bodies_say_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, BODY | changes)
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, trust_code=True)
    assert caught.value.origin is None or "mine.yaml" in caught.value.origin


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    write(tmp_path, {k: v for k, v in BODY.items() if k != "version"})
    with pytest.raises(ConfigError, match="a task needs `version`"):
        load(tmp_path)


def test_include_and_variants(tmp_path: Path) -> None:
    write(tmp_path, {"prompt": {"text": "{{pre}}{{q}}", "pre": "Q: "}, "tags": ["base"]}, "_part")
    body = {k: v for k, v in BODY.items() if k != "prompt"} | {
        "include": "_part.yaml",
        "variants": {"other": {"prompt": {"pre": "?"}, "target": None, "tags": ["x", "y"]}},
    }
    write(tmp_path, body)
    mine, other = load(tmp_path), load(tmp_path, "other")
    assert (mine.prompt["pre"], mine.target, mine.tags) == ("Q: ", "{{a}}", ("base",))
    assert (other.prompt["pre"], other.target, other.tags) == ("?", None, ("x", "y"))
    assert other.prompt["text"] == "{{pre}}{{q}}"
    write(tmp_path, {"include": "_part.yaml"}, "_part")
    assert "round in a circle" in str(task_index([str(tmp_path)]).broken)


def test_templates_survive_yaml(tmp_path: Path) -> None:
    text = r"Solve $\frac{1}{2}$ and ${x} {{q}} !function"
    write(tmp_path, BODY | {"prompt": {"text": text}})
    assert load(tmp_path).prompt["text"] == text


def test_the_digest_changes_with_what_matters_only(tmp_path: Path) -> None:
    write(tmp_path, BODY)
    spec = load(tmp_path)
    same = ("origin", "/elsewhere.yaml"), ("description", "x"), ("tags", ("x",)), ("groups", ("g",))
    for name, value in same:
        assert replace(spec, **{name: value}).digest == spec.digest
    assert replace(spec, dataset=replace(spec.dataset, base="/x")).digest == spec.digest
    different: dict[str, Any] = {
        "version": "2",
        "prompt": {"text": "x"},
        "derived": {"z": "q"},
        "target": None,
        "generation": {"max_new_tokens": 1},
        "media": {"num_frames": 1},
        "scorer_kwargs": {"ignore_case": True},
        "num_fewshot": 1,
        "repeats": 2,
        "cluster": "q",
        "code_digest": "00",
        "dataset": replace(spec.dataset, revision="r"),
    }
    for name, value in different.items():
        assert replace(spec, **{name: value}).digest != spec.digest


def test_code_runs_only_when_trusted_and_counts_in_the_digest(tmp_path: Path) -> None:
    code = tmp_path / "scorer.py"
    code.write_text("RAN = True\ndef score(given):\n    return {}\n")
    write(tmp_path, BODY | {"scorer": "scorer.py:score"})
    with pytest.raises(ConfigError, match=r"needs its own Python code: scorer\.py") as caught:
        load(tmp_path)
    assert "env.trust_task_code=true" in str(caught.value)
    before = set(sys.modules)
    spec = load(tmp_path, trust_code=True)
    assert not {m for m in set(sys.modules) - before if m.startswith("lmms_task_code")}
    function = load_function(spec, spec.scorer)
    assert function.__module__ in sys.modules
    assert load_function(spec, spec.scorer) is function
    with pytest.raises(UnknownNameError, match="scor"):
        load_function(spec, "scorer.py:scor")
    code.write_text("def score(given):\n    return {1: 2}\n")
    assert load(tmp_path, trust_code=True).code_digest != spec.code_digest


def test_code_that_raises_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "scorer.py").write_text("1 / 0\n")
    write(tmp_path, BODY | {"scorer": "scorer.py:score"})
    spec = load(tmp_path, trust_code=True)
    with pytest.raises(ConfigError, match="cannot be loaded: ZeroDivisionError"):
        load_function(spec, spec.scorer)


def test_templates_are_sandboxed_and_strict() -> None:
    for source in ("{{ q.__class__.__mro__ }}", "{{ q.missing }}", "{{ nothing }}"):
        with pytest.raises(DataError):
            render(source, {"q": "x"}, origin="t")
    with pytest.raises(ConfigError, match="not valid Jinja"):
        render("{{ q", {"q": 1}, origin="t")
    with pytest.raises(DataError, match="does not exist"):
        evaluate("nothing", {"q": 1}, origin="t")


def test_template_helpers() -> None:
    fields = {"o": ["x", "y"], "text": "['a', 'b']", "c1": 5, "c2": 6, "s": "a [b] c"}
    assert render("{{ o | lettered }}", fields, origin="t") == "A. x\nB. y"
    assert render("{{ o | lettered(') ', ' ') }}\n", fields, origin="t") == "A) x B) y\n"
    assert evaluate("text | literal", fields, origin="t") == ["a", "b"]
    assert evaluate("'c2 c1' | findall('c([0-9])') | columns('c')", fields, origin="t") == [6, 5]
    assert evaluate("s | regex_replace('\\\\[.*?\\\\]', '')", fields, origin="t") == "a  c"
    assert evaluate("row['c1'] + c2", fields, origin="t") == 11


def test_derived_fields_build_on_each_other(tmp_path: Path) -> None:
    write(tmp_path, BODY | {"derived": {"words": "q.split(' ')", "last": "words[-1]"}})
    document = Document(id="0", index=0, fields={"q": "a b c"}, digest="")
    assert fields_of(load(tmp_path), document) == {
        "q": "a b c",
        "words": ["a", "b", "c"],
        "last": "c",
    }
