"""From a document that has ended to its sample, and from what went wrong to a `Failure`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmms.errors import LmmsError, MediaError, ModelError, ScoringError
from lmms.responses.codec import response_to_json, with_score
from lmms.responses.journal import Journal
from lmms.runner.episodes import OpenDocument
from lmms.types import Failure, FailureKind, Response, Sample, SampleScore

_MAX_MESSAGE = 2000


def failure_of(error: BaseException, *, doing: str) -> Failure:
    """Returns the failure of one sample for an exception.

    Args:
        error: What was raised.
        doing: What was being done, for exceptions that do not say it themselves.
    """
    kind: FailureKind = "scoring"
    if isinstance(error, MediaError):
        kind = "media"
    elif isinstance(error, ModelError):
        kind = "model"
    if isinstance(error, LmmsError):
        text = str(error)
    else:
        text = f"{doing}: {type(error).__name__}: {error}"
    return Failure(kind=kind, message=text[:_MAX_MESSAGE])


def scored_sample(opened: OpenDocument) -> Sample:
    """Scores a document whose episode has ended.

    Raises:
        ScoringError: The task's code cannot score it.
    """
    document = opened.document
    responses = [r for r in opened.responses if r is not None]
    if document is None or len(responses) != len(opened.requests):
        raise ScoringError(f"document {opened.index} was scored before it was answered")
    scored: SampleScore = opened.task.scorer.score(document, opened.requests, responses)
    return with_score(_base(opened), scored)


def failed_sample(opened: OpenDocument, failure: Failure) -> Sample:
    """Returns the record of a document that has no answer."""
    return _base(opened, failure)


def kept_sample(opened: OpenDocument, journal: Journal) -> Sample | None:
    """Returns the sample of an earlier sitting if it is of the same row and the same answers."""
    sample = journal.sample(opened.task.label, opened.index)
    if sample is None or sample.failure is not None or opened.document is None:
        return None
    same = sample.doc_hash == opened.document.digest and list(sample.request_keys) == opened.keys
    return sample if same else None


def values_of(sample: Sample) -> Mapping[str, float | None] | None:
    """Returns the score per metric; None for a failed sample."""
    if sample.failure is not None:
        return None
    return {name: score.value for name, score in sample.scores.items()}


def _base(opened: OpenDocument, failure: Failure | None = None) -> Sample:
    document = opened.document
    answered = [r for r in opened.responses if r is not None]
    return Sample(
        task=opened.task.label,
        doc_id=opened.index,
        document_id=document.id if document is not None else str(opened.index),
        doc_hash=document.digest if document is not None else "",
        input=opened.requests[0].prompt if opened.requests else "",
        target=_target(opened) if failure is not None else "",
        # Only a failed sample keeps these: scoring fills in its own.
        resps=[_raw(r) for r in answered] if failure is not None else [],
        filtered_resps=[],
        scores={},
        status="ok" if failure is None else "failed",
        failure=failure,
        media=tuple(_distinct(opened)),
        responses=tuple(_facts(r) for r in answered),
        request_keys=tuple(opened.keys),
    )


def _target(opened: OpenDocument) -> str:
    """The target of a document that was not scored; empty where it cannot be rendered either."""
    from lmms.requests.episode import target_of
    from lmms.tasks.template import fields_of

    if opened.document is None:
        return ""
    spec = opened.task.spec
    try:
        return target_of(spec, fields_of(spec, opened.document), origin=f"task {spec.name}")
    except LmmsError:
        return ""


def _distinct(opened: OpenDocument) -> list[dict[str, Any]]:
    """Media of all requests; what several requests share (the choices of a question) once."""
    shown: list[dict[str, Any]] = []
    for media in opened.media:
        for medium in media:
            if medium not in shown:
                shown.append(medium)
    return shown


def _facts(response: Response) -> dict[str, Any]:
    facts = response_to_json(response)
    facts.pop("text", None)
    return facts


def _raw(response: Response) -> Any:
    if response.loglikelihood is not None:
        return [response.loglikelihood, response.is_greedy]
    return response.text
