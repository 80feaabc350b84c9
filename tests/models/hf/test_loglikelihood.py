"""Loglikelihoods of tiny models: against one forward pass per request, done by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lmms.types import Failure, Response


def _by_hand(model: Any, prepared: Any) -> tuple[float, bool]:
    """The same number from one unpadded pass over context and continuation."""
    loaded, builder = model.model._loaded, model.model._builder
    context = builder.encode(prepared)
    # The templates here end in a line break, which moves to the continuation.
    moved = "\n" if context.prompt.endswith("\n") else ""
    tail = builder.encode_text(moved + prepared.request.continuation, add_special_tokens=False)
    ids = context.ids[: len(context.ids) - len(moved)] + tail
    inputs: dict[str, Any] = {"input_ids": torch.tensor([ids])}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs |= dict(context.media_tensors)
    for key, row in context.row_tensors.items():
        inputs[key] = torch.tensor([(row + [0] * len(tail))[: len(ids)]])
    with torch.inference_mode():
        logits = loaded.model(**inputs).logits[0].double().log_softmax(-1)
    at = range(len(ids) - len(tail), len(ids))
    value = sum(float(logits[i - 1, ids[i]]) for i in at)
    return value, all(int(logits[i - 1].argmax()) == ids[i] for i in at)


def _questions(make: Any) -> list[Any]:
    medium = make.clip(4, 64, 64)
    asked = [
        make.ask(medium, "What is shown?", continuation=text)
        for text in ("A", " a letter", "What is shown? Answer with a letter.")
    ]
    asked += [make.ask("What is shown?", continuation=text) for text in ("A", "B", " is shown")]
    asked += [make.ask(make.picture(), make.clip(3), "Both?", continuation="Answer")]
    asked += [make.ask("What is", continuation=" shown", chat=False)]
    return asked


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl", "llava"])
def test_equal_to_a_pass_by_hand(
    family: str, start: Any, make: Any, request: pytest.FixtureRequest
) -> None:
    model = start(request.getfixturevalue(family))
    requests = _questions(make)
    if family == "llava":  # knows no video: frames become images, which changes the prompt
        requests = [r for r in requests if all(m.ref.kind != "video" for m in r.media)]
    together = model(*requests)
    alone = [model(r)[0] for r in requests]
    for asked, joint, single in zip(requests, together, alone, strict=True):
        assert isinstance(joint, Response), joint
        value, greedy = _by_hand(model, asked)
        assert joint.loglikelihood == pytest.approx(value, abs=2e-4)
        assert single.loglikelihood == pytest.approx(value, abs=2e-4)
        assert joint.is_greedy is single.is_greedy is greedy
    assert len({round(a.loglikelihood, 3) for a in together}) == len(together)


def test_greedy_continuation_is_recognised(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)
    encode = model.model._builder.encode_text
    checked = 0
    for question in ("Hi", "What is", "Answer", "user", "is shown?", "letter", "system", "a", "1"):
        greedy = model(make.ask(question, chat=False, max_new_tokens=1))[0].text
        if "\ufffd" in greedy or len(encode(question + greedy)) != len(encode(question)) + 1:
            continue  # half a character, or a token that would merge with the question
        right, wrong = model(
            make.ask(question, chat=False, continuation=greedy),
            make.ask(question, chat=False, continuation="!" if greedy != "!" else "?"),
        )
        assert (right.is_greedy, wrong.is_greedy) == (True, False)
        assert right.loglikelihood > wrong.loglikelihood
        checked += 1
    assert checked >= 2


def test_choices_of_one_context_share_its_encoding_and_pass(
    start: Any, qwen3_vl: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = start(qwen3_vl)
    medium = make.clip(4)
    requests = [make.ask(medium, "What?", continuation=letter) for letter in "ABCD"]
    builder, loaded = model.model._builder, model.model._loaded
    encoded, rows = [], []
    encode, forward = builder.encode, loaded.model.forward

    def counted(*args: Any, **options: Any) -> Any:
        encoded.append(args)
        return encode(*args, **options)

    def watched(**options: Any) -> Any:
        rows.append(options["input_ids"].shape[0])
        return forward(**options)

    monkeypatch.setattr(builder, "encode", counted)
    monkeypatch.setattr(loaded.model, "forward", watched)
    answers = model(*requests)
    assert len({a.loglikelihood for a in answers}) == 4
    assert len(encoded) == 1
    assert rows == [1]


def test_what_cannot_be_scored(start: Any, tiny_llama: Any, make: Any) -> None:
    model = start(tiny_llama)
    fine = make.ask("The", continuation=" answer", chat=False)
    empty = make.ask("The", continuation="", chat=False)
    endless = make.ask("The", continuation=" river lantern" * 100, chat=False)
    answers = model(fine, empty, endless)
    assert isinstance(answers[0], Response)
    assert [a.kind for a in answers[1:]] == ["rejected", "rejected"]
    assert isinstance(answers[1], Failure)
    assert "empty" in answers[1].message
    assert "context of 96" in answers[2].message


def test_a_blank_context_is_the_prefix_token(start: Any, tiny_llama: Any, make: Any) -> None:
    model = start(tiny_llama, kwargs={"add_bos_token": False})
    blank, none = model(
        make.ask(" ", continuation="river", chat=False),
        make.ask("", continuation=" river", chat=False),
    )
    assert blank.loglikelihood == pytest.approx(none.loglikelihood, abs=1e-4)


def test_memory_that_runs_out_halves_the_batch(
    start: Any, qwen3_vl: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = start(qwen3_vl)
    requests = _questions(make)
    expected = [a.loglikelihood for a in model(*requests)]
    forward = model.model._loaded.model.forward

    def limited(**options: Any) -> Any:
        if options["input_ids"].shape[0] > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …")
        return forward(**options)

    monkeypatch.setattr(model.model._loaded.model, "forward", limited)
    got = [a.loglikelihood for a in model(*requests)]
    assert got == pytest.approx(expected, abs=2e-4)
