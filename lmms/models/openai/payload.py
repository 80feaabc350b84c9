"""Requests to request bodies. Pure functions; nothing here talks to a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmms.errors import ModelError
from lmms.models.base import PreparedRequest
from lmms.models.openai.options import EndpointOptions
from lmms.types import GenerationArgs, LoadedMedia, Message, Request, TextPart

EncodeFrames = Callable[[Sequence[Any]], Sequence[str]]
"""Pictures, (height, width, 3) uint8 each -> data URLs, in order."""

_OWN_FIELDS = frozenset({"model", "messages", "prompt", "stream", "stream_options", "n", "echo"})


def encode_bare(pictures: Sequence[Any]) -> Sequence[str]:
    """Stands in for an encoder where a request has no media."""
    raise ModelError(f"no encoder was given for {len(pictures)} pictures")


def chat_body(
    prepared: PreparedRequest,
    *,
    model: str,
    options: EndpointOptions,
    token_limit_field: str,
    encode: EncodeFrames = encode_bare,
) -> dict[str, Any]:
    """Returns the body of `POST /chat/completions`.

    Raises:
        ModelError: The request asks for something that such an endpoint cannot do.
    """
    media = iter(prepared.media)
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": m.role, "content": _content(m, media, options, encode)}
            for m in prepared.request.messages
        ],
    }
    stops = _stops(prepared.request.generation.until)[: options.max_stop_sequences]
    return _finish(body, prepared.request, options, token_limit_field, stops)


def completion_body(
    prepared: PreparedRequest, *, model: str, options: EndpointOptions
) -> dict[str, Any]:
    """Returns the body of `POST /completions` for raw text.

    Raises:
        ModelError: The request has media, or asks for something that is not offered.
    """
    request = prepared.request
    if request.media:
        raise ModelError(
            "a raw request (apply_chat_template=false) cannot carry pictures to this endpoint",
            hint="set apply_chat_template=true for the task",
        )
    body: dict[str, Any] = {"model": model, "prompt": "".join(m.text for m in request.messages)}
    return _finish(body, request, options, "max_tokens", _stops(request.generation.until))


def loglikelihood_body(context: str, continuation: str, *, model: str) -> dict[str, Any]:
    """Returns the body that has the endpoint return the probabilities of the prompt itself.

    One token is generated since some servers refuse to generate none; it is not looked at.
    """
    return {
        "model": model,
        "prompt": context + continuation,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
    }


def split_context(request: Request) -> tuple[str, str]:
    """Returns context and continuation of a log-likelihood request.

    Blanks at the context's end move to the continuation, as lm-evaluation-harness does, because
    tokenizers attach a blank to the word that follows.

    Raises:
        ModelError: It is templated, carries media, or has nothing to condition on.
    """
    if request.apply_chat_template or request.media:
        raise ModelError(
            "chat endpoints give no probabilities for a given continuation",
            hint="set apply_chat_template=false for the task (text only), or use model=hf",
        )
    context = "".join(m.text for m in request.messages)
    continuation = request.continuation or ""
    blanks = len(context) - len(context.rstrip())
    if blanks:
        context, continuation = context[:-blanks], context[-blanks:] + continuation
    if not context:
        raise ModelError("the endpoint gives no probability for the first token of a prompt")
    return context, continuation


# ------------------------------------------------------------------------------------ messages


def _content(
    message: Message, media: Iterator[LoadedMedia], options: EndpointOptions, encode: EncodeFrames
) -> str | list[dict[str, Any]]:
    """Returns plain text where there is only text: the form that every server understands."""
    if all(isinstance(part, TextPart) for part in message.parts):
        return message.text
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        else:
            parts += _media_parts(next(media), options, encode)
    return parts


def _media_parts(
    loaded: LoadedMedia, options: EndpointOptions, encode: EncodeFrames
) -> list[dict[str, Any]]:
    kind = loaded.ref.kind
    if kind == "audio" or loaded.frames is None:
        raise ModelError(f"this back end sends pictures and videos, not {kind}")
    if kind == "image":
        return [_image_part(url, options) for url in encode([loaded.frames])]
    parts = []
    for position, url in enumerate(encode(list(loaded.frames))):
        if options.frame_stamps:
            parts.append({"type": "text", "text": f"<{loaded.times[position]:.1f} seconds>"})
        parts.append(_image_part(url, options))
    return parts


def _image_part(url: str, options: EndpointOptions) -> dict[str, Any]:
    image = {"url": url}
    if options.image_detail is not None:
        image["detail"] = options.image_detail
    return {"type": "image_url", "image_url": image}


# ---------------------------------------------------------------------------------- generation


def _finish(
    body: dict[str, Any],
    request: Request,
    options: EndpointOptions,
    token_limit_field: str,
    stops: list[str],
) -> dict[str, Any]:
    generation = request.generation
    if generation.num_beams != 1:
        raise ModelError(
            f"num_beams={generation.num_beams}: endpoints of this protocol do not search beams"
        )
    body[token_limit_field] = generation.token_limit
    body |= _sampling(generation, repeat=request.repeat)
    if stops:
        body["stop"] = stops
    if options.stream:
        body["stream"] = True
        if options.stream_usage:
            body["stream_options"] = {"include_usage": True}
    for origin, extra in (
        ("model.kwargs.extra_body", options.extra_body),
        ("generation.extra", generation.extra),
    ):
        taken = _OWN_FIELDS.intersection(extra)
        if taken:
            raise ModelError(f"{origin} may not set {', '.join(sorted(taken))}", origin=origin)
        body |= dict(extra)
    return {key: value for key, value in body.items() if key not in options.omit}


def _sampling(generation: GenerationArgs, *, repeat: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "temperature": generation.temperature if generation.do_sample else 0.0,
        # Several samples of one question under one seed would be the same sample.
        "seed": None if generation.seed is None else generation.seed + repeat,
    }
    for name in (
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
    ):
        fields[name] = getattr(generation, name)
    return {key: value for key, value in fields.items() if value is not None}


def _stops(until: Sequence[str]) -> list[str]:
    """Returns the stop texts without empty ones and doubles."""
    return list(dict.fromkeys(text for text in until if text))
