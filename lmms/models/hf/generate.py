"""Generation: stop texts, per-request sampling, penalties, token counts and times.

Everything random or stateful is kept per row, so that a row's answer does not depend on what it is
batched with:

- Sampling takes the checkpoint's order (temperature, top-k, top-p, min-p) and then draws with one
  generator per row, seeded by `generation.seed` and the request's key. The drawn token is forced,
  and the library itself decodes greedily.
- Penalties look at a row's own tokens only; padding is not counted.

Arguments that neither the task nor the user sets keep the checkpoint's value of
`generation_config.json` (which is part of the model's identity), except sampling, which is off
unless asked for.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmms.models.base import PreparedRequest
from lmms.models.hf.inputs import EncodedInput, InputBuilder, InputError
from lmms.models.hf.loading import LoadedModel
from lmms.models.hf.stopping import StopTexts, cut_at_stop, reasoning_end
from lmms.types import GenerationArgs, Response, TokenCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationJob:
    """A batch of encoded requests that are generated together."""

    requests: Sequence[PreparedRequest]
    rows: Sequence[EncodedInput]
    started: float
    """`time.perf_counter()` when work on the batch began."""


def generate(
    loaded: LoadedModel,
    builder: InputBuilder,
    job: GenerationJob,
    *,
    cancelled: Callable[[], bool],
) -> list[Response]:
    """Returns one response per row.

    Args:
        loaded: The model.
        builder: Encoder of its inputs.
        job: Requests of equal generation arguments.
        cancelled: Asked at each step; true ends generation at once.

    Raises:
        torch.OutOfMemoryError: The batch does not fit; the caller halves it.
    """
    torch = loaded.torch
    args = job.requests[0].request.generation
    batch = builder.collate(job.rows)
    width = batch["input_ids"].shape[1]
    clock = _StepClock(torch, loaded.device)
    stops = StopTexts(
        loaded.tokenizer,
        args.until,
        prompts=[r.prompt for r in job.rows],
        width=width,
        cancelled=cancelled,
        torch=torch,
    )
    with torch.inference_mode():
        output = loaded.model.generate(
            **batch,
            generation_config=generation_config(loaded, args),
            logits_processor=[clock, *row_processors(loaded, job, batch["attention_mask"])],
            stopping_criteria=[stops],
            **args.extra,
        )
    new = output[:, width:].tolist()
    finished = clock.now()
    return [
        _response(loaded, args, job, row, tokens, stops, clock, finished)
        for row, tokens in enumerate(new)
    ]


def generation_config(loaded: LoadedModel, args: GenerationArgs) -> Any:
    """Returns the library's generation settings for `args`.

    Sampling and penalties are absent: `row_processors` does them per row.
    """
    config = copy.deepcopy(loaded.model.generation_config)
    config.max_new_tokens = args.token_limit
    config.max_length = None
    config.do_sample = False
    config.temperature = config.top_p = config.top_k = config.min_p = None
    config.repetition_penalty = None
    config.num_beams = args.num_beams
    config.eos_token_id = list(loaded.eos_ids) or None
    config.pad_token_id = loaded.pad_id
    return config


def encode_prompt(
    loaded: LoadedModel, builder: InputBuilder, prepared: PreparedRequest
) -> EncodedInput:
    """Returns a request's prompt, cut on the left if it is text that leaves no room to answer.

    Raises:
        InputError: It does not fit and cannot be cut.
    """
    row = builder.encode(prepared)
    room = loaded.max_length - prepared.request.generation.token_limit
    if len(row.ids) <= room:
        return row
    if room < 1 or row.has_media:
        raise InputError(
            f"{len(row.ids)} tokens of prompt and {prepared.request.generation.token_limit} of "
            f"answer do not fit into a context of {loaded.max_length}",
            origin="generation.max_new_tokens, media.num_frames",
        )
    return replace(row, ids=row.ids[-room:])


def row_processors(loaded: LoadedModel, job: GenerationJob, mask: Any) -> list[Any]:
    """Returns the logits processors for penalties and sampling, in order.

    Raises:
        InputError: Sampling together with beams.
    """
    from transformers.generation import logits_process as library

    args = job.requests[0].request.generation
    defaults = loaded.model.generation_config
    repetition = _first(args.repetition_penalty, defaults.repetition_penalty, 1.0)
    processors: list[Any] = []
    if repetition != 1.0 or args.presence_penalty or args.frequency_penalty:
        processors.append(
            RowPenalties(
                loaded.torch,
                mask,
                repetition=repetition,
                presence=args.presence_penalty or 0.0,
                frequency=args.frequency_penalty or 0.0,
            )
        )
    if not args.do_sample:
        return processors
    if args.num_beams > 1:
        raise InputError("sampling with several beams is not supported: set num_beams=1")
    temperature = args.temperature or _first(defaults.temperature, 1.0)
    top_k = _first(args.top_k, defaults.top_k, 0)
    top_p = _first(args.top_p, defaults.top_p, 1.0)
    min_p = _first(args.min_p, defaults.min_p, 0.0)
    if temperature != 1.0:
        processors.append(library.TemperatureLogitsWarper(float(temperature)))
    if top_k:
        processors.append(library.TopKLogitsWarper(int(top_k)))
    if top_p < 1.0:
        processors.append(library.TopPLogitsWarper(float(top_p)))
    if min_p > 0.0:
        processors.append(library.MinPLogitsWarper(float(min_p)))
    processors.append(RowSampler(loaded.torch, [row_seed(r, args) for r in job.requests]))
    return processors


def row_seed(request: PreparedRequest, args: GenerationArgs) -> int:
    """Returns the 63-bit seed of a request's draws: from its key, repeat index and `seed`."""
    text = f"{args.seed or 0}:{request.key}:{request.request.repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _first(*values: Any) -> Any:
    return next(v for v in values if v is not None)


class _StepClock:
    """A logits processor that remembers when the logits of each new token were ready."""

    def __init__(self, torch: Any, device: Any) -> None:
        self._synchronise = torch.cuda.synchronize if device.type == "cuda" else None
        self.steps: list[float] = []

    def now(self) -> float:
        """Seconds of a monotonic clock, after all queued work of the device."""
        if self._synchronise is not None:
            self._synchronise()
        return time.perf_counter()

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        # Only the first token needs a synchronised time: later steps wait for their own tokens.
        self.steps.append(self.now() if not self.steps else time.perf_counter())
        return scores


class RowPenalties:
    """Repetition, presence and frequency penalties over each row's own tokens.

    Repetition follows CTRL (Keskar et al. 2019, section 4.1) over prompt and answer, as
    transformers does; presence and frequency follow OpenAI's definition over the answer alone.
    """

    def __init__(
        self, torch: Any, mask: Any, *, repetition: float, presence: float, frequency: float
    ) -> None:
        self._torch = torch
        self._mask = mask
        self._width = mask.shape[1]
        self._repetition = repetition
        self._presence = presence
        self._frequency = frequency

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Returns the penalised scores, shape (rows, vocabulary)."""
        torch = self._torch
        new = input_ids[:, self._width :]
        if self._repetition != 1.0:
            mask = self._mask.repeat_interleave(input_ids.shape[0] // self._mask.shape[0], dim=0)
            seen = torch.zeros_like(scores, dtype=torch.int32)
            seen.scatter_add_(1, input_ids[:, : self._width], mask.to(torch.int32))
            seen.scatter_add_(1, new, torch.ones_like(new, dtype=torch.int32))
            rate = self._repetition
            penalised = torch.where(scores < 0, scores * rate, scores / rate)
            scores = torch.where(seen > 0, penalised, scores)
        if self._presence or self._frequency:
            counts = torch.zeros_like(scores)
            counts.scatter_add_(1, new, torch.ones_like(new, dtype=scores.dtype))
            scores = scores - self._frequency * counts - self._presence * (counts > 0)
        return scores


class RowSampler:
    """Draws each row's token with the row's own generator and leaves only that token.

    Args:
        torch: The module.
        seeds: One per row.
    """

    def __init__(self, torch: Any, seeds: Sequence[int]) -> None:
        self._torch = torch
        # On the CPU: the same seed draws the same numbers whatever the device.
        self._generators = [torch.Generator().manual_seed(s) for s in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Returns scores that leave one token per row, shape (rows, vocabulary)."""
        torch = self._torch
        probabilities = torch.softmax(scores.float(), dim=-1).cpu()
        drawn = torch.cat(
            [
                torch.multinomial(p, 1, generator=g)
                for p, g in zip(probabilities, self._generators, strict=True)
            ]
        ).to(scores.device)
        forced = torch.full_like(scores, float("-inf"))
        return forced.scatter_(1, drawn.unsqueeze(1), 0.0)


def _response(
    loaded: LoadedModel,
    args: GenerationArgs,
    job: GenerationJob,
    row: int,
    tokens: list[int],
    stops: StopTexts,
    clock: _StepClock,
    finished: float,
) -> Response:
    end = next((i for i, t in enumerate(tokens) if t in loaded.eos_ids), None)
    stopped = stops.ended_at(row)
    generated = len(tokens) if end is None else end + 1
    if stopped is not None:
        generated = min(generated, stopped)
    answer = tokens[:generated] if end is None else tokens[: min(end, generated)]
    decode = _decoder(loaded)
    text = decode(answer)
    visible, reasoning = reasoning_end(decode, answer, text, job.rows[row].prompt)
    cut = cut_at_stop(text, args.until, visible)
    ended = end is not None and end < generated
    first = clock.steps[0] - job.started if clock.steps else None
    steps = min(generated, len(clock.steps))
    return Response(
        text=cut,
        tokens=TokenCounts(
            input=len(job.rows[row].ids), output=generated, reasoning=reasoning or None
        ),
        finish_reason="stop" if ended or cut != text or stopped is not None else "length",
        ttft_seconds=first,
        ttft_measured_at="model" if first is not None else None,
        tpot_seconds=(clock.steps[steps - 1] - clock.steps[0]) / (steps - 1) if steps > 1 else None,
        latency_seconds=finished - job.started,
        batch_size=len(job.rows),
    )


def _decoder(loaded: LoadedModel) -> Callable[[list[int]], str]:
    """Returns the decoding of answer tokens: special tokens dropped, reasoning tags kept."""
    tokenizer = loaded.tokenizer
    kept = {tokenizer.convert_tokens_to_ids(t) for t in ("<think>", "</think>")}
    dropped = set(tokenizer.all_special_ids) - kept

    def decode(tokens: list[int]) -> str:
        shown = [t for t in tokens if t not in dropped]
        text: str = tokenizer.decode(
            shown, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    return decode
