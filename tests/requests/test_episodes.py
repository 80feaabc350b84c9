from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from lmms.config.schema import ReasoningConfig
from lmms.documents.source import DocumentSource
from lmms.errors import ConfigError, DataError
from lmms.requests import RenderContext, open_episode
from lmms.scoring import make_scorer
from lmms.tasks import TaskSpec, load_spec
from lmms.types import Episode, Request, Response, Sample, TextPart

Contexts = Callable[..., RenderContext]
Sources = Callable[..., DocumentSource]
Examples = Callable[[str], tuple[TaskSpec, DocumentSource]]


def drive(
    episode: Episode, answer: Callable[[Request], Response]
) -> tuple[list[Request], list[Response]]:
    """Runs an episode to its end as the engine does."""
    requests: list[Request] = []
    responses: list[Response] = []
    try:
        asked = list(next(episode))
        while True:
            answers = [answer(request) for request in asked]
            requests += asked
            responses += answers
            asked = list(episode.send(answers))
    except StopIteration:
        return requests, responses


def test_two_rounds(example: Examples, context_of: Contexts) -> None:
    spec, source = example("two_round")
    said = iter(["3", " 2 "])
    episode = open_episode(spec, source.get(0), context_of(spec, source))
    requests, responses = drive(episode, lambda _: Response(text=next(said)))
    assert [len(r.messages) for r in requests] == [1, 3]
    assert requests[1].messages[1].text == "3"
    assert requests[1].messages[2].text == "You said 3. Is that right? Answer again."
    scored = make_scorer(spec, ReasoningConfig(), seed=0).score(source.get(0), requests, responses)
    assert scored.scores["exact_match"].value == 1.0
    assert scored.resps == ["3", " 2 "]
    assert scored.filtered_resps == ["2"]


def test_repeats_of_a_custom_episode_are_whole_conversations(
    example: Examples, context_of: Contexts
) -> None:
    spec, source = example("two_round")
    context = context_of(spec, source, repeats=2)
    episode = open_episode(spec, source.get(1), context)
    requests, responses = drive(episode, lambda r: Response(text="4" if r.repeat else "no"))
    assert [(len(r.messages), r.repeat) for r in requests] == [(1, 0), (3, 0), (1, 1), (3, 1)]
    scored = make_scorer(spec, ReasoningConfig(), seed=0).score(source.get(1), requests, responses)
    assert scored.scores["exact_match"].value == 0.5


def test_closing_an_episode_closes_the_task_code(example: Examples, context_of: Contexts) -> None:
    spec, source = example("two_round")
    episode = open_episode(spec, source.get(0), context_of(spec, source))
    next(episode)
    episode.close()
    with pytest.raises(StopIteration):
        next(episode)


def test_loglikelihood_of_a_target(example: Examples, context_of: Contexts) -> None:
    spec, source = example("last_word")
    scorer = make_scorer(spec, ReasoningConfig(), seed=0)
    values = iter([(-1.0, True), (-3.0, False)])
    samples = []
    for document in source.iterate():
        value, greedy = next(values)
        episode = open_episode(spec, document, context_of(spec, source))
        requests, responses = drive(
            episode, lambda _, v=value, g=greedy: Response(loglikelihood=v, is_greedy=g)
        )
        scored = scorer.score(document, requests, responses)
        samples.append((requests[0], scored))
    assert samples[0][0].prompt == "the cat sat on the"
    assert samples[0][0].continuation == " mat"
    assert samples[0][1].resps == [[-1.0, True]]
    rows = [
        Sample(
            task="last_word",
            doc_id=i,
            document_id=str(i),
            doc_hash="",
            input="",
            target=s.target,
            resps=s.resps,
            filtered_resps=s.filtered_resps,
            scores=s.scores,
            status=s.status,
        )
        for i, (_, s) in enumerate(samples)
    ]
    perplexity, acc = scorer.aggregate(rows, confidence=0.95, bootstrap_samples=200)
    assert perplexity.value == pytest.approx(math.exp(2.0))
    assert perplexity.interval_method == "bootstrap"
    assert not perplexity.higher_is_better
    assert acc.value == 0.5


def test_repeats_of_a_simple_task_are_one_round(source_of: Sources, context_of: Contexts) -> None:
    spec = load_spec("gsm8k")
    source = source_of([{"question": "?", "answer": "#### 1"}], spec)
    context = context_of(spec, source, repeats=3)
    requests = next(open_episode(spec, source.get(0), context))
    assert [r.repeat for r in requests] == [0, 1, 2]
    assert len({r.digest([]) for r in requests}) == 3


def test_a_missing_column_names_the_columns_there_are(
    source_of: Sources, context_of: Contexts
) -> None:
    spec = load_spec("gsm8k")
    source = source_of([{"Question": "?", "answer": "1"}], spec)
    with pytest.raises(DataError, match="'question' is undefined") as caught:
        next(open_episode(spec, source.get(0), context_of(spec, source)))
    assert caught.value.allowed == ["Question", "answer"]
    assert caught.value.origin == "task gsm8k, document 0, prompt.text"


VIDEO_ROW = {
    "id": "q",
    "video_id": "v",
    "video_path": "a.mp4",
    "question": "?",
    "option0": "x",
    "option1": "y",
    "option2": "N/A",
    "option3": "N/A",
    "option4": "N/A",
    "correct_choice": 1,
}


def test_a_control_is_written_on_the_references(source_of: Sources, context_of: Contexts) -> None:
    spec = load_spec("longvideobench_val_v")
    source = source_of([VIDEO_ROW], spec)
    context = context_of(spec, source, media_layer={"control": "black"})
    (request,) = next(open_episode(spec, source.get(0), context))
    (clip,) = request.media
    assert clip.policy is not None
    assert clip.policy.control == "black"


def test_files_are_found_below_the_roots_and_never_outside(
    source_of: Sources, context_of: Contexts, tmp_path: Any
) -> None:
    spec = load_spec("longvideobench_val_v")
    (tmp_path / "root" / "videos").mkdir(parents=True)
    inside = tmp_path / "root" / "videos" / "a.mp4"
    inside.touch()
    (tmp_path / "secret.mp4").touch()
    (tmp_path / "root" / "videos" / "linked.mp4").symlink_to(tmp_path / "secret.mp4")
    names = ("a.mp4", "../../secret.mp4", "linked.mp4")
    rows = [VIDEO_ROW | {"video_path": name} for name in names]
    source = source_of(rows, spec, media_roots=("/nowhere", str(tmp_path / "root")))
    context = context_of(spec, source)
    paths = [next(open_episode(spec, d, context))[0].media[0].path for d in source.iterate()]
    linked = str(inside.with_name("linked.mp4"))
    assert paths == [str(inside), "videos/../../secret.mp4", linked]


def test_a_repeated_mark_shows_its_image_once(source_of: Sources, context_of: Contexts) -> None:
    spec = load_spec("mmmu_val")
    row: dict[str, Any] = {
        "id": "validation_Math_1",
        "question": "Is <image 2> like <image 1>? Look at <image 2>.",
        "options": "['yes', 'no']",
        "answer": "A",
        "question_type": "multiple-choice",
    }
    row |= {f"image_{i}": {"bytes": bytes([i]), "path": None} for i in range(1, 8)}
    source = source_of([row], spec)
    (request,) = next(open_episode(spec, source.get(0), context_of(spec, source)))
    # By the published rule images are taken in the order of their names.
    assert [m.data for m in request.media] == [b"\x01", b"\x02"]
    assert request.prompt.startswith("Is <image> like <image>? Look at .\nA. yes")


def test_an_image_given_as_a_path_or_as_bytes(source_of: Sources, context_of: Contexts) -> None:
    spec = load_spec("mme")
    row = {"question_id": "a", "question": "?", "answer": "Yes", "category": "count"}
    for image in ({"bytes": None, "path": "a.png"}, "a.png", b"png"):
        source = source_of([row | {"image": image}], spec)
        (request,) = next(open_episode(spec, source.get(0), context_of(spec, source)))
        (medium,) = request.media
        assert (medium.path, medium.data) in (("a.png", None), (None, b"png"))
    source = source_of([row | {"image": 7}], spec)
    with pytest.raises(DataError, match="int is no image"):
        next(open_episode(spec, source.get(0), context_of(spec, source)))


def test_text_of_neighbouring_parts_is_one_part(source_of: Sources, context_of: Contexts) -> None:
    spec = load_spec("gsm8k")
    rows = [{"question": str(i), "answer": "1"} for i in range(8)]
    source = source_of(rows, spec)
    context = context_of(spec, source, num_fewshot=2)
    (request,) = next(open_episode(spec, source.get(0), context))
    assert len(request.messages[0].parts) == 1
    assert isinstance(request.messages[0].parts[0], TextPart)


def test_too_many_examples_are_one_clear_error(source_of: Sources, context_of: Contexts) -> None:
    spec = load_spec("gsm8k")
    source = source_of([{"question": "?", "answer": "1"}], spec)
    context = context_of(spec, source, num_fewshot=5)
    with pytest.raises(ConfigError, match=r"lower num_fewshot|only 1 documents"):
        next(open_episode(spec, source.get(0), context))
