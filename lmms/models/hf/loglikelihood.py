"""Loglikelihoods of continuations by the conventions of lm-evaluation-harness.

Blanks at the end of a context move to the front of the continuation; the pair is tokenised as a
whole and split by length; a context that is too long loses tokens on the left; an empty one is
replaced by the prefix token. With media the same text rules hold and nothing may be cut.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmms.models.base import PreparedRequest
from lmms.models.hf.batching import attempt
from lmms.models.hf.inputs import EncodedInput, InputBuilder, InputError
from lmms.models.hf.loading import LoadedModel
from lmms.types import Failure, Response, TokenCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPair:
    """A context and its continuation, encoded."""

    context: EncodedInput
    continuation: list[int]

    @property
    def row_key(self) -> tuple[Any, ...]:
        """Pairs with equal keys need one forward pass: same input up to the last target."""
        media = tuple(sorted((k, id(v)) for k, v in self.context.media_tensors.items()))
        return (*self.context.ids, *self.continuation[:-1]), media


def encode_pairs(
    loaded: LoadedModel, builder: InputBuilder, requests: Sequence[PreparedRequest]
) -> list[ScoredPair | Failure]:
    """Returns each request's pair, or why it has none. Equal contexts are encoded once."""
    contexts: dict[Any, tuple[str, EncodedInput] | Failure] = {}
    pairs: list[ScoredPair | Failure] = []
    for prepared in requests:
        request = prepared.request
        key = (
            request.messages,
            request.apply_chat_template,
            tuple(id(m.frames) for m in prepared.media),
        )
        if key not in contexts:
            contexts[key] = attempt(encode_context, builder, prepared)
        found = contexts[key]
        if not isinstance(found, Failure):
            moved, context = found
            pair = attempt(encode_pair, builder, context, moved, request.continuation or "")
            found_pair = pair if isinstance(pair, Failure) else attempt(fit_pair, loaded, pair)
            pairs.append(found_pair)
        else:
            pairs.append(found)
    return pairs


def encode_context(builder: InputBuilder, prepared: PreparedRequest) -> tuple[str, EncodedInput]:
    """Returns (blanks to move to the continuation, the encoded context without them)."""
    text = builder.render(prepared.request)
    stripped = text.rstrip()
    if not text:
        return "", EncodedInput(ids=[], prompt="")
    return text[len(stripped) :], builder.encode(prepared, text=stripped)


def encode_pair(
    builder: InputBuilder, context: EncodedInput, moved: str, continuation: str
) -> ScoredPair:
    """Returns a pair by lm-evaluation-harness' `encode_pair`.

    Args:
        builder: Encoder of the model.
        context: Encoded context without trailing blanks.
        moved: The blanks that were taken from it.
        continuation: Text whose probability is asked.

    Raises:
        InputError: The continuation is empty or has no tokens of its own.
    """
    if not continuation:
        raise InputError("the continuation is empty, so it has no probability")
    if not context.prompt and not moved:
        tokens = builder.encode_text(continuation, add_special_tokens=False)
        if tokens and tokens[0] == builder.prefix_id:
            tokens = tokens[1:]
        prefixed = replace(context, ids=[builder.prefix_id])
        return ScoredPair(context=prefixed, continuation=_not_empty(tokens, continuation))
    # Placeholders of media are single tokens here and there, so the count splits both alike.
    whole = builder.encode_text(context.prompt + moved + continuation)
    tokens = whole[len(builder.encode_text(context.prompt)) :]
    if not context.ids:
        context = replace(context, ids=[builder.prefix_id])
    return ScoredPair(context=context, continuation=_not_empty(tokens, continuation))


def _not_empty(tokens: list[int], continuation: str) -> list[int]:
    if not tokens:
        raise InputError(
            f"the continuation {continuation[:40]!r} has no tokens of its own: they merge with "
            "the context"
        )
    return tokens


def fit_pair(loaded: LoadedModel, pair: ScoredPair) -> ScoredPair:
    """Returns the pair cut on the left to the context length.

    Raises:
        InputError: The continuation alone, or a context with media, does not fit.
    """
    too_long = len(pair.context.ids) + len(pair.continuation) - (loaded.max_length + 1)
    if too_long <= 0:
        return pair
    if pair.context.has_media or too_long >= len(pair.context.ids):
        raise InputError(
            f"{len(pair.context.ids)} tokens of context and {len(pair.continuation)} of "
            f"continuation do not fit into a context of {loaded.max_length}"
        )
    rows = {k: v[too_long:] for k, v in pair.context.row_tensors.items()}
    context = replace(pair.context, ids=pair.context.ids[too_long:], row_tensors=rows)
    return ScoredPair(context=context, continuation=pair.continuation)


def score(
    loaded: LoadedModel, builder: InputBuilder, pairs: Sequence[ScoredPair], *, started: float
) -> list[Response]:
    """Returns one response per pair, from one forward pass over the distinct rows.

    Raises:
        torch.OutOfMemoryError: The batch does not fit; the caller halves it.
    """
    torch = loaded.torch
    keys = [p.row_key for p in pairs]
    row_of = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    # Of several pairs with one key the longest continuation reaches furthest back.
    rows: dict[Any, ScoredPair] = {}
    for key, pair in zip(keys, pairs, strict=True):
        if key not in rows or len(pair.continuation) > len(rows[key].continuation):
            rows[key] = pair
    kept = max(len(p.continuation) for p in rows.values())
    batch = builder.collate([_extended(p) for p in rows.values()])
    with torch.inference_mode():
        positions = _positions(loaded, batch)
        output = loaded.model(**batch, **positions, logits_to_keep=kept, use_cache=False)
        logits = output.logits[:, -kept:]
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        best = logits.argmax(dim=-1)
    responses = []
    for key, pair in zip(keys, pairs, strict=True):
        row, count = row_of[key], len(pair.continuation)
        target = torch.tensor(pair.continuation, device=logprobs.device)
        values = logprobs[row, kept - count :].gather(1, target.unsqueeze(1))
        responses.append(
            Response(
                loglikelihood=float(values.double().sum()),
                is_greedy=bool((best[row, kept - count :] == target).all()),
                tokens=TokenCounts(input=len(pair.context.ids) + count),
                latency_seconds=time.perf_counter() - started,
                batch_size=len(pairs),
            )
        )
    return responses


def _extended(pair: ScoredPair) -> EncodedInput:
    """The row whose last logits predict the continuation: everything but its last token."""
    added = pair.continuation[:-1]
    zeros = [0] * len(added)
    return replace(
        pair.context,
        ids=pair.context.ids + added,
        row_tensors={k: v + zeros for k, v in pair.context.row_tensors.items()},
    )


def _positions(loaded: LoadedModel, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Positions that skip the padding, as generation computes them for every architecture."""
    prepare = getattr(loaded.model, "_prepare_position_ids_for_generation", None)
    if prepare is None:
        mask = batch["attention_mask"]
        return {"position_ids": (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)}
    rest = {k: v for k, v in batch.items() if k != "input_ids"}
    return {"position_ids": prepare(batch["input_ids"], rest)}
