"""What a back end gave back, checked before anything is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lmms.models.base import PreparedRequest
from lmms.types import Failure, Outcome, Response


def checked(outcomes: Sequence[Outcome], batch: Sequence[PreparedRequest]) -> list[Outcome]:
    """Returns the outcomes; what is no answer to its request becomes a failure.

    An empty text is an answer. A missing text, a missing or undefined log-likelihood, and a
    wrong number of outcomes are mistakes of the back end: they are never kept as answers.
    """
    if len(outcomes) != len(batch):
        message = f"the back end gave {len(outcomes)} outcomes for {len(batch)} requests"
        return [Failure(kind="model", message=message)] * len(batch)
    return [_checked(o, p) for o, p in zip(outcomes, batch, strict=True)]


def _checked(outcome: object, prepared: PreparedRequest) -> Outcome:
    if isinstance(outcome, Failure):
        return outcome
    if not isinstance(outcome, Response):
        return Failure(
            kind="model", message=f"the back end gave a {type(outcome).__name__} as an outcome"
        )
    if prepared.request.kind == "loglikelihood":
        value = outcome.loglikelihood
        if value is None or math.isnan(value):
            return Failure(kind="model", message=f"the back end gave {value} as log-likelihood")
    elif outcome.text is None:
        return Failure(kind="model", message="the back end gave no text")
    return outcome
