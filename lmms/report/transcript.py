"""One sample as a reader sees it: prompt, pictures, reasoning, answer, verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmms.report.pictures import Budget, PixelReader, Strip, strip_of
from lmms.report.secrets import mask_text
from lmms.report.verdicts import Verdict, primary_score, verdict_of
from lmms.report.wording import FAILURE_WORDS, displayable
from lmms.types import MetricResult, Sample

_MAX_TEXT = 12_000
"""Characters of one text that the page holds; the samples file has all."""
_VISIBLE_PROMPT = 900
"""Characters of a prompt that are shown at once; what is before them is folded."""
_MAX_STRIPS = 12
_DEFAULT_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a multiple-choice question asked by log-likelihood."""

    number: int
    loglikelihood: float
    share: float
    """Probability among the options, 0 to 1."""
    greedy: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One response."""

    reasoning: str
    text: str
    scored: str
    """What was scored, where that is not the text."""


@dataclass(frozen=True, slots=True)
class Card:
    """One sample on the page."""

    verdict: Verdict
    row: int
    """Index of the document."""
    title: str
    facts: tuple[str, ...]
    strips: tuple[Strip, ...]
    prompt_folded: str
    prompt: str
    turns: tuple[Turn, ...]
    choices: tuple[Choice, ...]
    answer: str | None
    target: str
    explanation: str
    failure: str
    scores: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        """Characters of text, about the bytes they take in the page."""
        texts = [self.prompt_folded, self.prompt, self.answer or "", self.target, self.explanation]
        texts += [part for turn in self.turns for part in (turn.reasoning, turn.text, turn.scored)]
        return 2_000 + sum(len(text.encode("utf-8")) for text in texts)


def card_of(
    sample: Sample,
    metric: MetricResult | None,
    *,
    read: PixelReader,
    budget: Budget,
    tags: Sequence[tuple[str, str]] | None = None,
) -> Card:
    """Returns a sample ready for the page.

    Args:
        sample: The sample.
        metric: The task's first metric, which gives the verdict.
        read: Reads the pixels of its media.
        budget: Bytes left for pictures.
        tags: Start and end of reasoning; None: the usual ones.
    """
    score = primary_score(sample, metric)
    folded, prompt = _split_prompt(_clipped(sample.input))
    choices = tuple(_choices(sample.resps))
    strips = [strip_of(media, read, budget) for media in sample.media[:_MAX_STRIPS]]
    return Card(
        verdict=verdict_of(sample, metric),
        row=sample.doc_id,
        title=displayable(sample.document_id),
        facts=tuple(_facts(sample)),
        strips=tuple(strips),
        prompt_folded=folded,
        prompt=prompt,
        turns=() if choices else tuple(_turns(sample, tags or _DEFAULT_TAGS)),
        choices=choices,
        answer=None if score is None or score.answer is None else _clipped(score.answer),
        target=_clipped(sample.target),
        explanation=_clipped(score.explanation or "") if score else "",
        failure=_failure(sample),
        scores=tuple(
            (displayable(k), "–" if s.value is None else f"{s.value:.4g}")
            for k, s in sample.scores.items()
        ),
    )


def _clipped(text: str) -> str:
    shown = displayable(text)
    left = len(shown) - _MAX_TEXT
    return shown if left <= 0 else f"{shown[:_MAX_TEXT]}\n[{left:,} more characters]"


def _split_prompt(prompt: str) -> tuple[str, str]:
    """Folds the beginning of a long prompt (examples, a passage); the question is at its end."""
    if len(prompt) <= _VISIBLE_PROMPT * 1.5:
        return "", prompt
    cut = prompt.rfind("\n", 0, len(prompt) - _VISIBLE_PROMPT // 2)
    if cut < len(prompt) - 2 * _VISIBLE_PROMPT:
        cut = len(prompt) - _VISIBLE_PROMPT
    return prompt[:cut], prompt[cut:].lstrip("\n")


def _turns(sample: Sample, tags: Sequence[tuple[str, str]]) -> Iterator[Turn]:
    scored = sample.filtered_resps
    aligned = len(scored) == len(sample.resps)
    for number, raw in enumerate(sample.resps):
        reasoning, text = split_reasoning(_as_text(raw), tags)
        seen = _as_text(scored[number]) if aligned else ""
        differs = aligned and seen.strip() != text.strip()
        yield Turn(_clipped(reasoning), _clipped(text), _clipped(seen) if differs else "")


def split_reasoning(text: str, tags: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Splits a response into reasoning and what follows its last end tag.

    An end tag without a start counts from the beginning (some templates write the start tag into
    the prompt); a start without an end means that the answer never came.
    """
    for start, end in tags:
        if end in text:
            reasoning, _, rest = text.rpartition(end)
            return reasoning.replace(start, "", 1).strip(), rest.strip()
        if text.lstrip().startswith(start):
            return text.lstrip()[len(start) :].strip(), ""
    return "", text


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1:
        return _as_text(value[0])
    return str(value)


def _choices(resps: Sequence[Any]) -> Iterator[Choice]:
    """Options of a multiple-choice sample, if that is what the responses are."""
    pairs = [_loglikelihood(response) for response in resps]
    known = [pair for pair in pairs if pair is not None]
    if not known or len(known) != len(pairs):
        return
    highest = max(value for value, _ in known)
    weights = [math.exp(value - highest) for value, _ in known]
    for number, ((value, greedy), weight) in enumerate(zip(known, weights, strict=True)):
        yield Choice(number, value, weight / sum(weights), greedy)


def _loglikelihood(response: Any) -> tuple[float, bool] | None:
    while isinstance(response, list) and len(response) == 1:
        response = response[0]
    if not isinstance(response, list | tuple) or len(response) != 2:
        return None
    try:
        value = float(response[0])
    except (TypeError, ValueError):
        return None
    # A NaN has no place among probabilities; minus infinity has.
    return None if math.isnan(value) or value == math.inf else (value, str(response[1]) == "True")


def _facts(sample: Sample) -> Iterator[str]:
    yield f"document {sample.doc_id}"
    if sample.cluster is not None and sample.cluster != sample.document_id:
        yield displayable(sample.cluster)
    tokens = [r.get("tokens") or {} for r in sample.responses]
    for kind, word in (("input", "in"), ("output", "out")):
        counts = [t[kind] for t in tokens if t.get(kind) is not None]
        if counts:
            yield f"{sum(counts):,} tokens {word}"
    seconds = [r["latency_seconds"] for r in sample.responses if r.get("latency_seconds")]
    if seconds:
        yield f"{max(seconds):.2f} s"
    if any(r.get("finish_reason") == "length" for r in sample.responses):
        yield "stopped at the token limit"


def _failure(sample: Sample) -> str:
    if sample.failure is None:
        return ""
    words = FAILURE_WORDS.get(sample.failure.kind, sample.failure.kind)
    attempts = f" after {sample.failure.attempts} attempts" if sample.failure.attempts > 1 else ""
    return displayable(f"{words}{attempts}: {mask_text(sample.failure.message)}")


def reasoning_tags(settings: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """Returns the tags that a task entry of the resolved settings asks for, if any."""
    tags = (settings.get("reasoning") or {}).get("tags")
    return [(str(a), str(b)) for a, b in tags] if tags else None
