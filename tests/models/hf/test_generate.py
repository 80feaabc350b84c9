"""Generation through the Model protocol on tiny models with random weights."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from lmms.models.hf.generate import GenerationJob, RowPenalties, RowSampler, row_processors
from lmms.models.hf.stopping import StopTexts, cut_at_stop, reasoning_end, visible_start
from lmms.types import Failure, Response


def test_images_and_video_are_answered(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)
    answers = model(
        make.ask(make.clip(4), "What is shown?"),
        make.ask(make.picture(), make.picture(seed=1), "What is shown?"),
        make.ask("What is shown?"),
        make.ask(make.picture(), make.clip(2), "Both?"),
    )
    for answer in answers:
        assert isinstance(answer, Response), answer
        assert answer.text is not None
        assert answer.tokens.output == 12
        assert answer.finish_reason == "length"
        assert answer.ttft_measured_at == "model"
        assert 0 < answer.ttft_seconds < answer.latency_seconds
        assert answer.tpot_seconds > 0
    # 2 temporal patches of 2 x 3 tokens, each with a stamp.
    assert answers[0].tokens.input > 12 + answers[2].tokens.input


def test_text_and_pixels_change_the_answer(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)
    texts = [
        model(make.ask(make.clip(4, seed=seed), question))[0].text
        for seed in (0, 1)
        for question in ("What is shown?", "Answer.")
    ]
    assert len(set(texts)) == 4


def _mixed(make: Any) -> list[Any]:
    return [
        make.ask(make.clip(4, seed=0), "What?"),
        make.ask("A text alone, and a longer one than the others, to need no padding."),
        make.ask(make.clip(3, 96, 64, seed=1), "Which is it? A. one B. two"),
        make.ask(make.picture(96, 32), "Look"),
        make.ask(make.clip(2, 32, 32, seed=3), make.picture(seed=4), "And this?"),
        make.ask("Hi"),
        make.ask(make.clip(8, 64, 64, seed=5), "A clip of eight frames. What is shown?"),
        make.ask(make.picture(64, 64, seed=6), make.picture(32, 32, seed=7), "Two"),
    ]


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl", "llava"])
def test_answers_do_not_depend_on_the_batch(
    family: str, start: Any, make: Any, request: pytest.FixtureRequest
) -> None:
    model = start(request.getfixturevalue(family))
    requests = _mixed(make)
    together = [a.text for a in model(*requests)]
    alone = [model(r)[0].text for r in requests]
    assert together == alone
    backwards = [a.text for a in model(*requests[::-1])]
    assert backwards[::-1] == together
    assert len(set(alone)) >= 5  # not one answer for all


def test_a_bad_request_costs_itself(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)
    good = make.ask(make.clip(4), "What?")
    expected = model(good)[0].text
    answers = model(good, make.ask("Say <|image_pad|> please"), good)
    assert [a.text for a in (answers[0], answers[2])] == [expected, expected]
    assert isinstance(answers[1], Failure)
    assert answers[1].kind == "rejected"
    assert "<|image_pad|>" in answers[1].message


# ------------------------------------------------------------------------------ stop texts


def test_stop_texts_end_the_answer(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)
    question = "Answer with a letter."
    whole = model(make.ask(question, max_new_tokens=24))[0]
    stop = whole.text[3:5]
    at = whole.text.find(stop)
    cut = model(make.ask(question, max_new_tokens=24, until=("never said", stop)))[0]
    assert cut.text == whole.text[:at]
    assert cut.finish_reason == "stop"
    assert cut.tokens.output < whole.tokens.output


def test_rows_stop_at_their_own_texts(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)
    questions = ["Answer with a letter.", "What is shown?", "system user"]
    until = tuple(model(make.ask(q))[0].text[2:4] for q in questions)
    alone = [model(make.ask(q, until=until))[0] for q in questions]
    together = model(*[make.ask(q, until=until) for q in questions])
    assert [a.text for a in together] == [a.text for a in alone]
    assert [a.tokens.output for a in together] == [a.tokens.output for a in alone]


def test_eos_list_of_the_checkpoint(start: Any, qwen3_vl: Any, make: Any) -> None:
    """generation_config.json names two ids; both end an answer and neither is shown."""
    model = start(qwen3_vl)
    loaded = model.model._loaded
    assert set(loaded.eos_ids) == {
        loaded.tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")
    }
    forced = loaded.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    answer = model(make.ask("Hi", extra={"forced_eos_token_id": forced}, max_new_tokens=5))[0]
    assert answer.finish_reason == "stop"
    assert answer.tokens.output == 5
    assert "endoftext" not in answer.text


@pytest.mark.parametrize(
    ("text", "opened", "until", "expected"),
    [
        ("one. two", False, (".",), "one"),
        ("one. two", False, (" two", "."), "one"),
        ("one", False, ("",), "one"),
        ("<think>a. b</think>c. d", False, (".",), "<think>a. b</think>c"),
        ("\n<think>a. b", False, (".",), "\n<think>a. b"),
        ("a. b</think>c. d", True, (".",), "a. b</think>c"),
        ("a. b</think>c. d", False, (".",), "a"),
        ("say <think>. x", False, (".",), "say <think>"),
    ],
)
def test_stop_texts_leave_reasoning_alone(
    text: str, opened: bool, until: tuple[str, ...], expected: str
) -> None:
    assert cut_at_stop(text, until, visible_start(text, opened=opened)) == expected


def _stepwise(tokenizer: Any, text: str, until: tuple[str, ...], prompt: str = "") -> int | None:
    import torch

    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    stops = StopTexts(
        tokenizer, until, prompts=[prompt], width=2, cancelled=lambda: False, torch=torch
    )
    for count in range(1, len(ids) + 1):
        row = torch.tensor([[0, 0, *ids[:count]]])
        if bool(stops(row, None)[0]):
            return count
    return None


def test_stopping_step_by_step(start: Any, qwen3_vl: Any) -> None:
    tokenizer = start(qwen3_vl).model._loaded.tokenizer

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    assert _stepwise(tokenizer, "one\ntwo", ("\n",)) == count("one\n")
    assert _stepwise(tokenizer, "one two", ("\n",)) is None
    thinking = "<think>\nlong\n" + "word " * 60 + "</think>"
    assert _stepwise(tokenizer, thinking + "A\nB", ("\n",)) == count(thinking + "A\n")
    assert _stepwise(tokenizer, "x\ny</think>A\nB", ("\n",), "<think>\n") == count(
        "x\ny</think>A\n"
    )
    far = "word " * 80
    assert _stepwise(tokenizer, far + "stop here", ("stop here",)) == count(far + "stop here")


def test_reasoning_tokens_are_counted(start: Any, qwen3_vl: Any) -> None:
    tokenizer = start(qwen3_vl).model._loaded.tokenizer
    ids = tokenizer("<think>What is shown?</think>A", add_special_tokens=False)["input_ids"]
    closing = tokenizer.convert_tokens_to_ids("</think>")
    text = tokenizer.decode(ids)
    where, count = reasoning_end(tokenizer.decode, ids, text, "")
    assert (text[where:], count) == ("A", ids.index(closing) + 1)
    assert reasoning_end(tokenizer.decode, ids[:4], tokenizer.decode(ids[:4]), "") == (None, 4)
    assert reasoning_end(tokenizer.decode, ids[-1:], "A", "") == (0, 0)


# -------------------------------------------------------------------------------- sampling


def test_sampling_repeats_and_does_not_depend_on_the_batch(
    start: Any, qwen3_vl: Any, make: Any
) -> None:
    model = start(qwen3_vl)
    options = {"do_sample": True, "temperature": 1.5}
    requests = [make.ask("What is shown?", repeat=i, **options) for i in range(4)]
    requests.append(make.ask(make.clip(3), "And here?", **options))
    texts = [a.text for a in model(*requests)]
    assert [model(r)[0].text for r in requests] == texts
    assert len(set(texts)) == 5
    other = make.ask("What is shown?", seed=1, **options)
    assert model(other)[0].text != texts[0]
    greedy = model(make.ask("What is shown?"))[0].text
    assert model(make.ask("What is shown?", top_k=1, **options))[0].text == greedy


def test_draws_follow_the_distribution() -> None:
    import torch

    probabilities = torch.tensor([0.6, 0.3, 0.1, 0.0])
    scores = probabilities.log().expand(4000, 4)
    drawn = RowSampler(torch, list(range(4000)))(None, scores).argmax(dim=-1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(shares, probabilities, atol=0.03)
    assert shares[3] == 0


def test_checkpoint_values_hold_where_nothing_is_asked(
    start: Any, qwen3_vl: Any, make: Any
) -> None:
    """The checkpoint samples at temperature 0.7; unasked answers are greedy all the same."""
    model = start(qwen3_vl)
    loaded = model.model._loaded
    assert loaded.model.generation_config.do_sample
    assert len({model(make.ask("What is shown?"))[0].text for _ in range(3)}) == 1
    job = GenerationJob(requests=[make.ask("x", do_sample=True)], rows=[], started=0.0)
    temperature = row_processors(loaded, job, None)[0]
    assert temperature.temperature == 0.7


def test_penalties() -> None:
    import torch

    mask = torch.tensor([[0, 1, 1], [1, 1, 1]])
    ids = torch.tensor([[0, 1, 2, 3, 3], [0, 1, 1, 2, 4]])
    scores = torch.tensor([[2.0, 2.0, -2.0, 2.0, 2.0]] * 2)
    got = RowPenalties(torch, mask, repetition=2.0, presence=0.0, frequency=0.0)(ids, scores)
    # Padding (token 0 of the first row) is not a token of the row.
    assert got.tolist() == [[2.0, 1.0, -4.0, 1.0, 2.0], [1.0, 1.0, -4.0, 2.0, 1.0]]
    got = RowPenalties(torch, mask, repetition=1.0, presence=0.5, frequency=0.25)(ids, scores)
    assert got.tolist() == [[2.0, 2.0, -2.0, 1.0, 2.0], [2.0, 2.0, -2.75, 2.0, 1.25]]


def test_repetition_penalty_equals_the_library_on_an_unpadded_row(
    start: Any, qwen3_vl: Any, make: Any
) -> None:
    model = start(qwen3_vl)
    loaded = model.model._loaded
    encoded = model.model._builder.encode(make.ask("What is shown?"))
    batch = model.model._builder.collate([encoded])
    expected = loaded.model.generate(
        **batch, do_sample=False, repetition_penalty=1.3, max_new_tokens=12
    )
    expected_text = loaded.tokenizer.decode(
        expected[0, len(encoded.ids) :], skip_special_tokens=True
    )
    assert model(make.ask("What is shown?", repetition_penalty=1.3))[0].text == expected_text
    assert expected_text != model(make.ask("What is shown?"))[0].text


def test_beams(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)
    requests = [make.ask(make.clip(2), "What?", num_beams=3), make.ask("Hi", num_beams=3)]
    assert [a.text for a in model(*requests)] == [model(r)[0].text for r in requests]
    refused = model(make.ask("Hi", num_beams=2, do_sample=True, temperature=1.0))[0]
    assert isinstance(refused, Failure)
    assert "num_beams=1" in refused.message


# ------------------------------------------------------------------- limits, memory, ending


def test_long_prompts(start: Any, tiny_llama: Any, qwen3_vl: Any, make: Any) -> None:
    text = "river lantern " * 200
    model = start(tiny_llama)
    answer = model(make.ask(text, chat=False, max_new_tokens=8))[0]
    assert answer.tokens.input == 96 - 8
    failure = model(make.ask("Hi", chat=False, max_new_tokens=96))[0]
    assert (failure.kind, failure.retryable) == ("rejected", False)
    limited = start(qwen3_vl, kwargs={"max_length": 40})
    failure = limited(make.ask(make.clip(8), "What is shown?"))[0]
    assert failure.kind == "rejected"
    assert "context of 40" in failure.message


def test_memory_that_runs_out_halves_the_batch(
    start: Any, qwen3_vl: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    model = start(qwen3_vl)
    requests = _mixed(make)[:5]
    expected = [a.text for a in model(*requests)]
    original, sizes = model.model._loaded.model.generate, []

    def generate(**options: Any) -> Any:
        rows = options["input_ids"].shape[0]
        sizes.append(rows)
        if rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return original(**options)

    monkeypatch.setattr(model.model._loaded.model, "generate", generate)
    answers = model(*requests)
    assert [a.text for a in answers] == expected
    assert sizes == [5, 2, 3, 1, 2]

    def never(**options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.model._loaded.model, "generate", never)
    failures = model(*requests[:2])
    assert [f.kind for f in failures] == ["out_of_memory", "out_of_memory"]


def test_an_error_of_one_row_spares_the_others(
    start: Any, qwen3_vl: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = start(qwen3_vl)
    original = model.model._loaded.model.generate
    poison = model.model._builder.encode(make.ask("poison")).ids

    def generate(**options: Any) -> Any:
        if any(row[-len(poison) :].tolist() == poison for row in options["input_ids"]):
            raise ValueError("index out of range\nmore")
        return original(**options)

    monkeypatch.setattr(model.model._loaded.model, "generate", generate)
    answers = model(make.ask("fine"), make.ask("poison"), make.ask("also fine"))
    assert [type(a) for a in answers] == [Response, Failure, Response]
    assert answers[1].message == "ValueError: index out of range"


def test_closing_frees_the_weights(qwen3_vl: Any, make: Any) -> None:
    import weakref

    from lmms.config.schema import EnvConfig, ModelConfig
    from lmms.models.hf import create

    env = EnvConfig(name="hub", weights="hub", data="hub")
    config = ModelConfig(name="m", backend="hf", pretrained=str(qwen3_vl), device="cpu")
    model = create(config, env=env)

    async def use() -> Any:
        await model.start()
        await model.respond([make.ask("Hi")])
        reference = weakref.ref(model._loaded.model)
        await model.close()
        await model.close()
        return reference

    assert asyncio.run(use())() is None


def test_cancelling_ends_generation(start: Any, qwen3_vl: Any, make: Any) -> None:
    model = start(qwen3_vl)

    async def cancel() -> float:
        endless = {"suppress_tokens": list(model.model._loaded.eos_ids)}
        long = make.ask("Hi", max_new_tokens=1900, extra=endless)
        task = asyncio.create_task(model.model.respond([long]))
        await asyncio.sleep(0.2)
        begun = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The worker is free again at once.
        await model.model.respond([make.ask("Hi", max_new_tokens=1)])
        return time.perf_counter() - begun

    assert asyncio.run(cancel()) < 1.5
