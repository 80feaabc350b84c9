from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.report import load_run, write_run
from lmms.report.page import html_report
from lmms.report.results import build_results, read_results
from lmms.report.transcript import split_reasoning
from lmms.report.verdicts import SampleChooser
from lmms.report.wording import displayable
from lmms.types import Failure, MetricResult, Sample, Score
from tests.report import synthetic_run
from tests.report.conftest import fake_pictures
from tests.report.synthetic_run import VIDEO

VOID = {"meta", "img", "br", "wbr"}
TAGS = VOID | {
    "html", "head", "title", "style", "body", "header", "main", "section", "nav", "footer",
    "article", "div", "p", "h1", "h2", "h3", "h4", "span", "b", "i", "a", "dl", "dt", "dd", "ul",
    "li", "table", "thead", "tbody", "tr", "th", "td", "pre", "details", "summary", "figure",
    "figcaption", "meter", "svg", "g", "text", "tspan", "line", "path", "circle", "rect",
}  # fmt: skip
URLS = {"src", "href", "action", "formaction", "data", "poster", "xlink:href", "srcset"}


class Page(HTMLParser):
    """Checks nesting and collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            assert tag in {"line", "path", "circle", "rect"}, (tag, self._open[-3:])

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.texts.append(data)


def checked(text: str) -> Page:
    """A page that loads nothing, runs nothing, and has no element or attribute but ours."""
    page = Page(text)
    assert page.tags <= TAGS, page.tags - TAGS
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "style", tag  # the policy would block it
        if name in URLS:
            assert value.startswith(("#", "data:image/jpeg;base64,")), (tag, name, value[:50])
    return page


@pytest.fixture
def html(run_folder: Path) -> str:
    return (run_folder / "report.html").read_text("utf-8")


def test_nothing_is_loaded_and_nothing_runs(html: str) -> None:
    page = checked(html)
    policy = next(v for t, n, v in page.attributes if t == "meta" and v.startswith("default-src"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert "url(" not in html.partition("<body>")[0]
    assert "@import" not in html


def test_the_policy_allows_exactly_this_style_sheet(html: str) -> None:
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html


def test_everything_that_a_stranger_needs_is_there(html: str) -> None:
    page = " ".join(checked(html).texts)
    for needed in (
        "canary-qwen3vl",
        "finished with failed samples",
        "Embedded run",
        "env=hub",
        "lmms +experiment=longvideo model=qwen3_vl limit=60",
        "0.87",
        "[0.76, 0.93]",
        "order of events",
        "waiting for media",
        "clip06.mkv: decoding stopped early",
        "1 sample failed (media that could not be read)",
        "clip11.mp4: no such file",
        "00.0 s red circle",
        "none could be read",
        "3.8 s",
        "transformers",
    ):
        assert needed in page, needed
    assert html.count("<img ") == 11 * 16  # twelve samples of the video task, one of them failed
    assert len(html) < 1_000_000


def test_the_verdict_bar_counts_all_samples(html: str) -> None:
    page = " ".join(checked(html).texts)
    assert re.search(r"51 right\s+7 wrong\s+2 unparsed\s+1 failed", page)


def test_reasoning_is_folded(html: str) -> None:
    for details in re.findall(r"<details[^>]*>", html):
        assert details == "<details>"
    assert re.search(r"<details><summary>Reasoning.*?00\.0 s red circle", html, re.DOTALL)


def test_multiple_choice_shows_probabilities(html: str) -> None:
    shares = [float(v) for t, n, v in checked(html).attributes if t == "meter" and n == "value"]
    assert sum(shares[:4]) == pytest.approx(1.0, abs=1e-3)
    assert shares[0] > shares[1] > shares[2] > shares[3]


def page_of(sample: Sample, **names: Any) -> str:
    """The page of a run with this one sample."""
    plan, result = synthetic_run.make_plan(), synthetic_run.make_results()["mme"]
    metric = MetricResult(name=names.get("metric", "acc"), value=0.5, ci_low=0.1, ci_high=0.9, n=1)
    breakdown = {names.get("category", "a"): {"value": 0.5, "n": 1}}
    result = replace(
        result,
        label=names.get("label", "mme"),
        metrics=(replace(metric, breakdown=breakdown),),
        warnings=(names.get("warning", "w"),),
    )
    plan = plan.model_copy(update={"command": ("lmms", names.get("word", "x"))})
    content = build_results(Path("/runs/one"), plan, {"mme": result}, {})
    chooser = SampleChooser(limit=1, metric=metric)
    list(chooser.watch([sample]))
    return html_report(read_results(content, path="/runs/one"), {"mme": chooser}, fake_pictures)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>",
    "</details></article></main></body></html>",
    "<!--",
    "-->",
    "]]>",
    "{{ 7 * 7 }}{% raw %}",
    "<svg onload=alert(1)>",
    "javascript:alert(1)",
    "&lt;b&gt; &#60;script&#62;",
    "\x00\x08\x1b[31m\ufffe\ud800",
    "\u202eevil\u2066",
    "https://example.org/x.png",
)
hostile = st.lists(
    st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=()), max_size=12),
    min_size=1,
    max_size=4,
).map("".join)


@settings(max_examples=60, deadline=None)
@given(hostile, hostile, hostile, hostile, st.booleans())
def test_no_text_escapes_its_place(a: str, b: str, c: str, d: str, failed: bool) -> None:
    media = {"kind": "video", "path": f"/x/{a}", "indices": [1], "times": [0.5], "warnings": [b]}
    base = next(synthetic_run.make_samples("mme"))
    sample = replace(
        base,
        document_id=a,
        input=b,
        target=c,
        resps=[f"<think>{d}</think>{a}", b],
        filtered_resps=[c, d],
        scores={f"acc,{a}": Score(value=0.5, answer=b, explanation=c)},
        cluster=d,
        media=(media | {"shape": [1, 12, 16, 3]},),
        failure=Failure(kind="model", message=c) if failed else None,
        status="failed" if failed else "ok",
    )
    text = page_of(sample, label=a, metric=b, category=c, warning=d, word=a)
    page = checked(text)
    text.encode("utf-8")
    shown = "".join(page.texts)
    assert displayable(b) in shown
    assert "{{" not in text or "{{" in a + b + c + d


def test_templates_in_model_text_are_not_expanded() -> None:
    base = next(synthetic_run.make_samples("mme"))
    text = page_of(replace(base, resps=["{{ 7 * 7 }}"], filtered_resps=["{{ 7 * 7 }}"]))
    assert "{{ 7 * 7 }}" in text


def test_the_page_stays_below_twenty_megabytes(tmp_path: Path) -> None:
    import numpy as np

    noise = np.random.default_rng(0)

    def heavy(media: Any, indices: Any, size: Any) -> Any:
        return noise.integers(0, 256, (len(indices), *size, 3), np.uint8)

    def samples(label: str) -> Iterator[Sample]:
        for number in range(120):
            base = next(synthetic_run.make_samples(VIDEO))
            media = (base.media[0] | {"shape": [16, 224, 224, 3]},)
            long = "x<" * 40_000
            yield replace(
                base, doc_id=number, document_id=str(number), media=media, input=long, resps=[long]
            )

    plan = synthetic_run.make_plan()
    output = plan.config.output.model_copy(update={"max_report_samples": 120})
    plan = plan.model_copy(update={"config": plan.config.model_copy(update={"output": output})})
    result = {VIDEO: synthetic_run.make_results()[VIDEO]}
    write_run(tmp_path, plan, result, samples, pictures=lambda label: lambda sample: heavy)
    size = (tmp_path / "report.html").stat().st_size
    assert 10_000_000 < size <= 20_000_000
    assert "left out to keep this page small" in (tmp_path / "report.html").read_text("utf-8")


def test_a_run_without_samples_has_a_page(tmp_path: Path) -> None:
    plan, results = synthetic_run.make_plan(), synthetic_run.make_results()
    empty = replace(results["gsm8k"], metrics=(), n_effective=0, status_counts={})
    write_run(tmp_path, plan, {"gsm8k": empty}, lambda label: iter(()))
    checked((tmp_path / "report.html").read_text("utf-8"))
    assert load_run(tmp_path)["gsm8k"].metrics == ()


@pytest.mark.parametrize(
    ("text", "reasoning", "visible"),
    [
        ("<think>a</think>b", "a", "b"),
        ("a</think>b", "a", "b"),
        ("<think>never ends", "never ends", ""),
        ("<think>a</think><think>b</think>c", "a</think><think>b", "c"),
        ("plain", "", "plain"),
        ("<analysis>x</analysis>y", "x", "y"),
    ],
)
def test_reasoning_and_answer(text: str, reasoning: str, visible: str) -> None:
    tags = (("<think>", "</think>"), ("<analysis>", "</analysis>"))
    assert split_reasoning(text, tags) == (reasoning, visible)


def test_markdown_report(run_folder: Path) -> None:
    text = (run_folder / "report.md").read_text("utf-8")
    assert text.startswith("# canary-qwen3vl\n")
    assert "> **Embedded run.**" in text
    assert "| longvideobench_val_v@embedded | 1.0 | none | 0 | lvb_acc |" in text
    assert "lmms +experiment=longvideo model=qwen3_vl limit=60" in text
    assert "1 sample failed" in text
    assert "order of events" in text


def test_a_zero_on_another_scale_is_not_drawn_among_the_shares() -> None:
    from lmms.report.page import _forests
    from lmms.types import RunResult

    metrics = (
        MetricResult(name="mme_perception_score", value=0.0, maximum=2000, n=4),
        MetricResult(name="yes_rate", value=0.5, n=4),
    )
    task = replace(next(iter(synthetic_run.make_results().values())), metrics=metrics)
    run = RunResult(path="", status="complete", model="m", tasks={"mme": task})
    plots = ["perception" in plot for plot in _forests(run)]
    assert plots == [False, True]
