"""Prompts of the shipped benchmarks, character by character, against vectors of their own code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmms.documents.source import DocumentSource
from lmms.errors import MediaError
from lmms.requests import RenderContext, open_episode
from lmms.tasks import load_spec
from lmms.types import MediaRef, Request, TextPart

GOLDEN = Path(__file__).parents[1] / "scoring" / "golden"
Contexts = Callable[..., RenderContext]
Sources = Callable[..., DocumentSource]


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def text_of(request: Request) -> str:
    return "".join(p.text for m in request.messages for p in m.parts if isinstance(p, TextPart))


def row(document: dict[str, Any], number: int = 0) -> dict[str, Any]:
    return {
        key: {"bytes": f"{key}-{number}".encode(), "path": None}
        if isinstance(value, dict) and "$image" in value
        else value
        for key, value in document.items()
        if not key.startswith("$")
    }


def expected_prompts(entry: dict[str, Any], task: str) -> dict[str, str]:
    prompts = {k.split(":")[1]: v for k, v in entry["prompts"].items() if k.startswith(f"{task}:")}
    return {
        profile: entry["prompts"][v["same_as"]] if isinstance(v, dict) else v
        for profile, v in prompts.items()
    }


@pytest.mark.parametrize("name", ["mmmu_val", "mme"])
def test_image_benchmarks(name: str, source_of: Sources, context_of: Contexts) -> None:
    spec, content = load_spec(name), golden(name)
    source = source_of([row(d["doc"]) for d in content["documents"]], spec)
    checked = 0
    for document, entry in zip(source.iterate(), content["documents"], strict=True):
        for profile, expected in expected_prompts(entry, name).items():
            context = context_of(spec, source, profile=profile)
            (request,) = next(open_episode(spec, document, context))
            images = [m for m in request.media if m.kind == "image"]
            assert len(images) == len(entry["visuals"][name])
            if name == "mmmu_val" and profile == "default":
                # Images stand where their marks stood.
                assert request.prompt == re.sub(r"<image \d+>", "<image>", expected)
            else:
                assert isinstance(request.messages[0].parts[0], MediaRef)
                assert text_of(request) == expected
            checked += 1
    assert checked == {"mmmu_val": 10, "mme": 120}[name]


def test_longvideobench_video_first(source_of: Sources, context_of: Contexts) -> None:
    spec, content = load_spec("longvideobench_val_v"), golden("longvideobench")
    source = source_of([row(d["doc"]) for d in content["documents"]], spec)
    context = context_of(spec, source)
    for document, entry in zip(source.iterate(), content["documents"], strict=True):
        (request,) = next(open_episode(spec, document, context))
        video, _ = request.messages[0].parts
        assert isinstance(video, MediaRef)
        assert video.policy == context.media
        # There is no such file: the reference stays, and loading it is what will fail.
        assert video.path == f"videos/{document.fields['video_path']}"
        assert text_of(request) == entry["prompts"]["longvideobench_val_v:default"]
        assert request.generation.max_new_tokens == 32
        assert request.generation.deterministic


def test_longvideobench_interleaved(
    source_of: Sources,
    context_of: Contexts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, content = load_spec("longvideobench_val_i"), golden("longvideobench")
    rates = {}
    for folder in ("videos", "subtitles"):
        (tmp_path / folder).mkdir()
    for entry in content["documents"]:
        doc = entry["doc"]
        (tmp_path / "videos" / doc["video_path"]).touch()
        (tmp_path / "subtitles" / doc["subtitle_path"]).write_text(
            json.dumps(doc["$subtitle_file"])
        )
        path = str(tmp_path / "videos" / doc["video_path"])
        rates[path] = entry["visuals"]["longvideobench_val_i"]["assumed_video"]["fps"]

    class Info:
        def __init__(self, path: str) -> None:
            self.average_fps = rates[path]

    monkeypatch.setattr("lmms.media.probe", Info, raising=False)
    source = source_of(
        [row(d["doc"]) for d in content["documents"]], spec, media_roots=(str(tmp_path),)
    )
    context = context_of(spec, source)
    for document, entry in zip(source.iterate(), content["documents"], strict=True):
        (request,) = next(open_episode(spec, document, context))
        assert request.prompt == entry["prompts"]["longvideobench_val_i:default"]
        visuals = entry["visuals"]["longvideobench_val_i"]
        assert [m.frame for m in request.media] == visuals["sampled_frame_indices"]
        assert {m.kind for m in request.media} == {"image"}


def test_interleaved_form_on_the_embedded_clips(context_of: Contexts) -> None:
    pytest.importorskip("lmms._media", reason="the extension is not built")
    from lmms.config.schema import EnvConfig
    from lmms.documents import open_source
    from lmms.media import probe

    spec = load_spec("longvideobench_val_i")
    source = open_source(spec.dataset, EnvConfig())
    document = source.get(0)
    (request,) = next(open_episode(spec, document, context_of(spec, source)))
    assert len(request.media) == 16
    assert request.media[0].path is not None
    info = probe(request.media[0].path)
    last = request.media[-1].frame
    assert last is not None
    assert info.num_frames * 0.9 < last < info.num_frames


def test_missing_subtitles_fail_that_sample(source_of: Sources, context_of: Contexts) -> None:
    spec, content = load_spec("longvideobench_val_i"), golden("longvideobench")
    source = source_of([row(content["documents"][0]["doc"])], spec, media_roots=("/nowhere",))
    episode = open_episode(spec, source.get(0), context_of(spec, source))
    with pytest.raises(MediaError, match="v0_en"):
        next(episode)


def test_gsm8k_with_examples(source_of: Sources, context_of: Contexts) -> None:
    spec, content = load_spec("gsm8k"), golden("gsm8k")
    splits = content["splits_given"]
    source = source_of(splits["test"], spec, pool=splits["train"])
    context = context_of(spec, source, num_fewshot=content["num_fewshot"])
    # Any order gives each document its own examples.
    for case in reversed(content["cases"]):
        (request,) = next(open_episode(spec, source.get(case["doc_index"]), context))
        prompt, arguments = case["requests"][0]
        assert request.prompt == prompt
        assert len(request.messages) == 1
        assert not request.apply_chat_template
        assert list(request.generation.until) == arguments["until"]
        assert request.generation.deterministic


def test_gsm8k_as_a_chat(source_of: Sources, context_of: Contexts) -> None:
    spec, splits = load_spec("gsm8k"), golden("gsm8k")["splits_given"]
    source = source_of(splits["test"], spec, pool=splits["train"])
    context = context_of(
        spec, source, num_fewshot=2, apply_chat_template=True, system_prompt="Be brief."
    )
    (request,) = next(open_episode(spec, source.get(0), context))
    roles = [m.role for m in request.messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert request.messages[2].text == "1250-250=1000\n#### 1,000"
    assert request.apply_chat_template


def test_hellaswag(source_of: Sources, context_of: Contexts) -> None:
    spec, content = load_spec("hellaswag"), golden("hellaswag")
    source = source_of(content["splits_given"]["validation"], spec)
    for case in content["cases"]:
        context = context_of(spec, source)
        requests = next(open_episode(spec, source.get(case["doc_index"]), context))
        assert [[r.prompt, r.continuation] for r in requests] == case["requests"]
        assert {r.kind for r in requests} == {"loglikelihood"}


def test_hellaswag_as_a_chat_has_no_delimiter(source_of: Sources, context_of: Contexts) -> None:
    spec, content = load_spec("hellaswag"), golden("hellaswag")
    source = source_of(content["splits_given"]["validation"], spec)
    context = context_of(spec, source, apply_chat_template=True)
    requests = next(open_episode(spec, source.get(0), context))
    assert requests[0].continuation == "puts it in the oven."


def test_hellaswag_examples_are_whole_sentences(source_of: Sources, context_of: Contexts) -> None:
    spec, splits = load_spec("hellaswag"), golden("hellaswag")["splits_given"]
    pool = splits["train"] + [splits["train"][0] | {"ind": 7, "label": "3"}]
    source = source_of(splits["validation"], spec, pool=pool)
    context = context_of(spec, source, num_fewshot=1)
    (request, *_) = next(open_episode(spec, source.get(0), context))
    example, question = request.prompt.split("\n\n")
    assert question == "Baking bread: A baker kneads dough. He"
    assert example in (
        "How to fold. Fold a map: Lay it flat.. Press. Run.",
        "Baking bread: A baker kneads dough. He swims.",
    )
