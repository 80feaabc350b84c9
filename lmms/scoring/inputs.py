"""What a scorer is handed, and the registry of scorers.

A scorer is a function `score(given: ScoringInput, **scorer_kwargs) -> {metric: Score}`. It sees
one answer (or all log-likelihoods of one question); chains of filters, repeats, reasoning and
failures are dealt with around it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lmms.registry import Registry
from lmms.types import Document, Response, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringInput:
    """One answer to one document."""

    document: Document
    fields: Mapping[str, Any]
    """Columns and derived fields."""
    target: str
    """The task's rendered target; empty where it has none."""
    answer: Any
    """Text after reasoning removal and filters; None for log-likelihoods."""
    parsed: bool = True
    """False: the filters found nothing, `answer` is their fallback."""
    choices: tuple[str, ...] = ()
    loglikelihoods: tuple[tuple[float, bool], ...] = ()
    """Per request (natural logarithm, whether greedy decoding would give the continuation)."""
    responses: tuple[Response, ...] = ()
    """All responses of all rounds, in order."""
    seed: str = ""
    """Names run seed, task, document and repeat."""

    def generator(self) -> random.Random:
        """Returns a generator for published rules that guess: the same one for the same answer."""
        return random.Random(self.seed)


# Scores one answer: takes a `ScoringInput` and the task's `scorer_kwargs`, returns metric -> Score.
Scorer: TypeAlias = Callable[..., Mapping[str, Score]]

SCORERS: Registry[Scorer] = Registry("scorer", group="lmms.scorers")
SCORERS.register("exact_match", "lmms.scoring.builtin:exact_match")
SCORERS.register("multiple_choice", "lmms.scoring.builtin:multiple_choice")
SCORERS.register("loglikelihood", "lmms.scoring.builtin:loglikelihood")
SCORERS.register("choice_letter", "lmms.scoring.builtin:choice_letter")
