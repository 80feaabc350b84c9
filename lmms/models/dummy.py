"""The dummy back end: instant, deterministic, no weights. It shows and tests everything else.

Each answer is drawn from the request's key, so the same request always gets the same answer: one
of the options where the prompt lists some, a number otherwise; log-likelihoods are drawn alike.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from lmms.errors import ConfigError, UnknownNameError
from lmms.models.base import ModelIdentity, PreparedRequest
from lmms.types import Failure, FailureKind, Outcome, Request, Response, TextPart, TokenCounts

_KWARGS: Final[Mapping[str, tuple[type | tuple[type, ...], str]]] = {
    "answer": (str, "text given to every request"),
    "delay_seconds": ((int, float), "seconds that a batch takes"),
    "fail_share": ((int, float), "share of requests that fail for good, from 0 to 1"),
    "flaky_share": ((int, float), "share of requests that fail once, from 0 to 1"),
    "ability": ((int, float), "ability with which it answers the items of task irt_items"),
    "seed": (int, "another draw of all answers"),
    "fail_kind": (str, "kind of those failures"),
}

# What task irt_items says of an item: its parameters, and the word that is the right answer.
_ITEM = re.compile(
    r"discrimination (-?\d+(?:\.\d+)?), difficulty (-?\d+(?:\.\d+)?)\..*?The word is (\w+)",
    re.DOTALL,
)

# "A. text", "(B) text", "C) text" at the start of a line.
_OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s", re.MULTILINE)

# Pixels are only looked at by people here: small frames keep demonstrations fast.
_LONG_SIDE: Final = 256


def create(config: Any, *, env: Any) -> DummyModel:
    """Makes the back end from a `ModelConfig`.

    Raises:
        UnknownNameError: `model.kwargs` has a key that the dummy does not know.
        ConfigError: A value has the wrong type.
    """
    del env
    return DummyModel(config.kwargs, batch_size=config.batch_size)


class DummyModel:
    """Answers from a hash.

    Args:
        kwargs: See `_KWARGS`; all optional.
        batch_size: Requests taken at once.
    """

    kind: Literal["compute", "wait"] = "compute"
    concurrency: int = 1
    supports: frozenset[str] = frozenset(
        {"generate_until", "loglikelihood", "image", "video", "audio"}
    )

    def __init__(self, kwargs: Mapping[str, Any], *, batch_size: int = 1) -> None:
        _check(kwargs)
        self.batch_size = batch_size
        self.identity = ModelIdentity(
            name="dummy",
            reference="dummy",
            revision="1",
            backend="dummy",
            # How long an answer takes does not change it.
            kwargs={k: v for k, v in sorted(kwargs.items()) if k != "delay_seconds"},
        )
        self._answer: str | None = kwargs.get("answer")
        self._ability: float | None = kwargs.get("ability")
        self._delay = float(kwargs.get("delay_seconds", 0.0))
        self._fail_share = float(kwargs.get("fail_share", 0.0))
        self._flaky_share = float(kwargs.get("flaky_share", 0.0))
        self._fail_kind: FailureKind = kwargs.get("fail_kind", "model")
        self._failed_once: set[str] = set()

    def media_size(
        self, height: int, width: int, frames: int, request_media: str
    ) -> tuple[int, int]:
        """Returns the size shrunk so that the longer side has at most 256 pixels."""
        del frames, request_media
        scale = min(1.0, _LONG_SIDE / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    async def start(self) -> None:
        """Does nothing: there is nothing to load."""

    async def respond(self, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        """Answers a batch at once, or after `delay_seconds`."""
        if self._delay:
            await asyncio.sleep(self._delay)
        return [self._outcome(prepared, len(batch)) for prepared in batch]

    def cost_hint(self, request: PreparedRequest) -> int:
        """Returns the number of characters."""
        return _characters(request.request)

    async def close(self) -> None:
        """Does nothing."""

    def _outcome(self, prepared: PreparedRequest, batch_size: int) -> Outcome:
        key = prepared.key
        # Independent draws from different parts of the key.
        if self._fail_share and _draw(key, 0) < self._fail_share:
            return Failure(kind=self._fail_kind, message="the dummy was told to fail (fail_share)")
        if self._flaky_share and _draw(key, 8) < self._flaky_share:
            if key not in self._failed_once:
                self._failed_once.add(key)
                return Failure(
                    kind="network",
                    message="the dummy was told to fail once (flaky_share)",
                    retryable=True,
                )
            self._failed_once.discard(key)
        request = prepared.request
        # A token is about four characters of English; good enough for a rate on the screen.
        tokens_in = _characters(request) // 4 + 1
        if request.kind == "loglikelihood":
            continuation = request.continuation or ""
            # Uniform in (0, 1] per draw gives an exponential; longer continuations are less likely.
            value = math.log(1.0 - _draw(key, 16)) - 0.5 * len(continuation)
            return Response(
                loglikelihood=value,
                is_greedy=_draw(key, 24) < 0.5,
                tokens=TokenCounts(input=tokens_in, output=0),
                batch_size=batch_size,
            )
        text = self._text(request, key)
        return Response(
            text=text,
            tokens=TokenCounts(input=tokens_in, output=len(text) // 4 + 1),
            finish_reason="stop",
            ttft_seconds=self._delay,
            ttft_measured_at="model",
            tpot_seconds=0.0,
            latency_seconds=self._delay,
            batch_size=batch_size,
        )

    def _text(self, request: Request, key: str) -> str:
        if self._answer is not None:
            return self._answer
        item = _ITEM.search(request.prompt) if self._ability is not None else None
        if item is None or self._ability is None:
            return _pick(request, key)
        # The two-parameter logistic model of item response theory (Birnbaum 1968).
        chance = _logistic(float(item[1]) * (self._ability - float(item[2])))
        return item[3] if _draw(key, 40) < chance else "I do not know."


def _logistic(value: float) -> float:
    """Returns 1 / (1 + exp(-value)) without overflow."""
    return 0.5 * (1.0 + math.tanh(value / 2.0))


def _draw(key: str, offset: int) -> float:
    """Returns a number in [0, 1) from eight hex digits of the key."""
    return int(key[offset : offset + 8], 16) / 2**32


def _characters(request: Request) -> int:
    return sum(
        len(part.text)
        for message in request.messages
        for part in message.parts
        if isinstance(part, TextPart)
    ) + len(request.continuation or "")


def _pick(request: Request, key: str) -> str:
    question = request.messages[-1].text if request.messages else ""
    # Few-shot examples list options too; only the last block of options is this question's.
    letters = _OPTION.findall(question)
    if letters:
        last_first = len(letters) - 1 - letters[::-1].index(letters[0])
        options = letters[last_first:]
        return str(options[int(key[32:40], 16) % len(options)])
    lowered = question.lower()
    if "yes or no" in lowered or "yes/no" in lowered:
        return "Yes" if int(key[32:40], 16) % 2 else "No"
    return str(int(key[32:40], 16) % 100)


def _check(kwargs: Mapping[str, Any]) -> None:
    for name, value in kwargs.items():
        if name not in _KWARGS:
            raise UnknownNameError(
                "argument of the dummy model", name, _KWARGS, origin="model.kwargs", list_all=True
            )
        kind, meaning = _KWARGS[name]
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ConfigError(
                f"model.kwargs.{name} is {value!r} ({type(value).__name__})",
                allowed=f"a {'text' if kind is str else 'number'}: {meaning}",
            )
        if name.endswith("_share") and not 0.0 <= float(str(value)) <= 1.0:
            raise ConfigError(f"model.kwargs.{name} is {value}", allowed=meaning)
    kinds = get_args(FailureKind)
    if kwargs.get("fail_kind", "model") not in kinds:
        raise UnknownNameError(
            "kind of failure", kwargs["fail_kind"], kinds, origin="model.kwargs.fail_kind"
        )
