"""What is posted, against the payloads of lm-evaluation-harness and against the protocol."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.errors import ModelError
from lmms.models.openai.options import EndpointOptions
from lmms.models.openai.payload import (
    chat_body,
    completion_body,
    loglikelihood_body,
    split_context,
)
from lmms.types import GenerationArgs, MediaRef, Message, TextPart
from tests.support.requests import (
    generation_request,
    loaded,
    loglikelihood_request,
    picture,
)

GOLDEN = json.loads((Path(__file__).parent / "data" / "api_payloads.json").read_text())["cases"]
NO_STREAM = EndpointOptions(stream=False)

# Another value of each generation argument, and where it shows in the body.
SENT: dict[str, tuple[Any, str, Any]] = {
    "max_new_tokens": (7, "max_tokens", 7),
    "reasoning_budget": (100, "max_tokens", 1124),
    "until": (("\n",), "stop", ["\n"]),
    "temperature": (0.5, "temperature", 0.5),
    "top_p": (0.5, "top_p", 0.5),
    "top_k": (5, "top_k", 5),
    "min_p": (0.1, "min_p", 0.1),
    "repetition_penalty": (1.1, "repetition_penalty", 1.1),
    "presence_penalty": (0.2, "presence_penalty", 0.2),
    "frequency_penalty": (0.3, "frequency_penalty", 0.3),
    "seed": (11, "seed", 11),
    "extra": ({"reasoning_effort": "low"}, "reasoning_effort", "low"),
}


def chat(prepared: Any, options: EndpointOptions = NO_STREAM, **more: Any) -> dict[str, Any]:
    return chat_body(
        prepared,
        model="m",
        options=options,
        token_limit_field=more.pop("token_limit_field", "max_tokens"),
        encode=more.pop("encode", lambda all_: [f"data:{p.shape[0]}x{p.shape[1]}" for p in all_]),
    )


def golden_generation(case: dict[str, Any]) -> dict[str, Any]:
    given = dict(case["gen_kwargs"])
    limit = given.pop("max_gen_toks", given.pop("max_tokens", 256))
    return {
        "max_new_tokens": limit,
        "until": tuple(given.pop("until", ())),
        "seed": case["seed"],
        **given,
    }


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_equals_the_payload_of_lm_eval(case: dict[str, Any]) -> None:
    expected = dict(case["payload"])
    # An empty list of stop texts is left out: some servers refuse it.
    if expected.get("stop") == []:
        del expected["stop"]
    model, generation = expected["model"], golden_generation(case)
    if "prompt" in expected:
        # The peer posts token ids where we post the text that they stand for.
        expected["prompt"] = "5 6 7"
        prepared = generation_request("5 6 7", template=False, **generation)
        assert completion_body(prepared, model=model, options=NO_STREAM) == expected
        return
    options = NO_STREAM
    if model == "o3":
        # The peer sends the only temperature that such models accept; here it is left out.
        assert expected.pop("temperature") == 1
        options = EndpointOptions(stream=False, omit=["temperature", "stop"])
    field = "max_completion_tokens" if "max_completion_tokens" in expected else "max_tokens"
    body = chat_body(
        generation_request("hi", system="S", **generation),
        model=model,
        options=options,
        token_limit_field=field,
    )
    assert body == expected


def test_there_are_golden_payloads() -> None:
    assert len(GOLDEN) >= 12


def test_text_streams_by_default() -> None:
    body = chat(generation_request("hi", max_new_tokens=5), EndpointOptions())
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_pictures_stay_in_their_place() -> None:
    prepared = generation_request("a", loaded("image", picture(4, 6)), "b", system="S")
    assert chat(prepared, EndpointOptions(stream=False, image_detail="low"))["messages"] == [
        {"role": "system", "content": "S"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:4x6", "detail": "low"}},
                {"type": "text", "text": "b"},
            ],
        },
    ]


@pytest.mark.parametrize("stamps", [False, True])
def test_a_video_is_its_frames(stamps: bool) -> None:
    frames = np.stack([picture(4, 6), picture(4, 6)])
    prepared = generation_request(loaded("video", frames, times=(0.0, 12.345)), "what?")
    content = chat(prepared, EndpointOptions(frame_stamps=stamps))["messages"][0]["content"]
    texts = [part["text"] for part in content if part["type"] == "text"]
    assert texts == (["<0.0 seconds>", "<12.3 seconds>", "what?"] if stamps else ["what?"])
    assert sum(part["type"] == "image_url" for part in content) == 2


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(GenerationArgs)])
def test_every_generation_argument_is_sent_or_refused(name: str) -> None:
    if name == "num_beams":
        with pytest.raises(ModelError, match="num_beams=4"):
            chat(generation_request("hi", num_beams=4))
    elif name == "do_sample":
        assert chat(generation_request("hi", temperature=0.5))["temperature"] == 0.0
        assert chat(generation_request("hi", temperature=0.5, do_sample=True))["temperature"] == 0.5
    else:
        value, field, expected = SENT[name]
        sampled = {"do_sample": True} if name == "temperature" else {}
        assert chat(generation_request("hi", **{name: value}, **sampled))[field] == expected


def test_repeats_are_different_samples_of_one_seed() -> None:
    bodies = [chat(generation_request("hi", seed=5, repeat=repeat)) for repeat in range(3)]
    assert [body["seed"] for body in bodies] == [5, 6, 7]
    assert "seed" not in chat(generation_request("hi", repeat=2))


@pytest.mark.parametrize("field", ["model", "messages", "stream", "n", "prompt", "stream_options"])
def test_extra_fields_may_not_change_the_call(field: str) -> None:
    with pytest.raises(ModelError, match=rf"generation\.extra may not set {field}"):
        chat(generation_request("hi", extra={field: 1}))
    with pytest.raises(ModelError, match=rf"extra_body may not set {field}"):
        chat(generation_request("hi"), EndpointOptions(extra_body={field: 1}))


def test_raw_text_goes_to_completions() -> None:
    prepared = generation_request("raw ", system="S ", template=False, until=("\n", "", "\n"))
    body = completion_body(prepared, model="m", options=NO_STREAM)
    assert (body["prompt"], body["stop"]) == ("S raw ", ["\n"])
    with pytest.raises(ModelError, match="cannot carry pictures"):
        completion_body(
            generation_request(loaded("image", picture()), template=False),
            model="m",
            options=NO_STREAM,
        )


def test_sound_is_refused() -> None:
    with pytest.raises(ModelError, match="not audio"):
        chat(generation_request(loaded("audio", picture()), "what?"))


@pytest.mark.parametrize(
    ("context", "continuation", "expected"),
    [
        ("The sky is", " blue", ("The sky is", " blue")),
        ("The sky is ", "blue", ("The sky is", " blue")),
        ("Q:\n\n", " a", ("Q:", "\n\n a")),
    ],
)
def test_blanks_belong_to_the_continuation(
    context: str, continuation: str, expected: tuple[str, str]
) -> None:
    assert split_context(loglikelihood_request(context, continuation).request) == expected


def test_what_has_no_loglikelihood_here() -> None:
    with pytest.raises(ModelError, match="chat endpoints give no probabilities"):
        split_context(loglikelihood_request("a", " b", template=True).request)
    with pytest.raises(ModelError, match="first token"):
        split_context(loglikelihood_request(" ", "b").request)
    request = dataclasses.replace(
        loglikelihood_request("a", " b").request,
        messages=(Message("user", (TextPart("a"), MediaRef(kind="image", data=b"x"))),),
    )
    with pytest.raises(ModelError, match="text only"):
        split_context(request)


def test_loglikelihood_body() -> None:
    assert loglikelihood_body("a", " b", model="m") == {
        "model": "m",
        "prompt": "a b",
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
    }


def test_frames_that_were_sent_before_are_not_encoded_again() -> None:
    from lmms.media import image_data_url, shared_encode_cache
    from lmms.models.openai.backend import _frame_encoder

    encode = _frame_encoder(EndpointOptions(image_format="jpeg", image_quality=80))
    frames = [np.full((16, 24, 3), value, np.uint8) for value in (3, 90, 201)]
    cache = shared_encode_cache()
    cache.clear()
    before = cache.misses
    first = encode(frames)
    assert first == [image_data_url(f, format="JPEG", quality=80) for f in frames]
    assert encode([f.copy() for f in reversed(frames)]) == first[::-1]
    assert cache.misses - before == 3
