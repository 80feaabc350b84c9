"""Numbers that lm-evaluation-harness 0.4.13 produced with the tiny Llama in data/."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lmms.models.hf.inputs import InputBuilder, InputError
from lmms.models.hf.loglikelihood import encode_context, encode_pair
from lmms.types import Response

BOS = {"default": None, "true": True, "false": False}


def _builder(model: Any, add_bos: bool | None) -> InputBuilder:
    return InputBuilder(model.model._loaded, {"add_bos_token": add_bos})


def test_tok_encode(start: Any, tiny_llama: Any, golden: Any) -> None:
    model = start(tiny_llama)
    cases = golden("tok_encode")
    assert len(cases) > 10
    for case in cases:
        builder = _builder(model, BOS[case["add_bos_token"]])
        got = builder.encode_text(case["text"], add_special_tokens=case["add_special_tokens"])
        assert got == case["tokens"], case["id"]


def test_encode_pair(start: Any, tiny_llama: Any, make: Any, golden: Any) -> None:
    model = start(tiny_llama)
    checked = 0
    for case in golden("encode_pair"):
        builder = _builder(model, BOS[case["add_bos_token"]])
        prepared = make.ask(case["context"], continuation=case["continuation"], chat=False)
        moved, context = encode_context(builder, prepared)
        if "error" in case or not case["continuation_tokens"]:
            # There the peer crashes at once, or later on an assertion.
            with pytest.raises(InputError):
                encode_pair(builder, context, moved, case["continuation"])
            continue
        pair = encode_pair(builder, context, moved, case["continuation"])
        expected = case["context_tokens"] or [builder.prefix_id]
        assert (pair.context.ids, pair.continuation) == (expected, case["continuation_tokens"]), (
            case["id"]
        )
        checked += 1
    assert checked > 50


@pytest.mark.parametrize("batch", [1, 5])
def test_loglikelihood(start: Any, tiny_llama: Any, make: Any, golden: Any, batch: int) -> None:
    model = start(tiny_llama)
    cases = golden("tiny_loglikelihood")
    requests = [make.ask(c["context"], continuation=c["continuation"], chat=False) for c in cases]
    answers: list[Any] = []
    for first in range(0, len(requests), batch):
        answers += model(*requests[first : first + batch])
    assert len(answers) > 10
    for case, answer in zip(cases, answers, strict=True):
        assert isinstance(answer, Response), answer
        assert answer.loglikelihood == pytest.approx(case["loglikelihood"], abs=1e-3), case["id"]
        assert answer.is_greedy is case["is_greedy"], case["id"]


def test_generate_until(start: Any, tiny_llama: Any, make: Any, golden: Any) -> None:
    model = start(tiny_llama)
    cases = [c for c in golden("tiny_generate") if "error" not in c]
    requests = []
    for case in cases:
        options = case["gen_kwargs"]
        limit = options.get("max_gen_toks") or options.get("max_tokens")
        requests.append(
            make.ask(
                case["context"], chat=False, max_new_tokens=limit, until=tuple(options["until"])
            )
        )
    assert len(cases) >= 4
    for case, request in zip(cases, requests, strict=True):
        assert model(request)[0].text == case["output"], case["id"]
    # Batches of one limit and stop list give the same texts.
    same = [
        replace(r, request=replace(r.request, generation=requests[0].request.generation))
        for r in requests
    ]
    assert [a.text for a in model(*same)] == [model(r)[0].text for r in same]
