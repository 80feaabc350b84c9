"""Records of the journal to JSON and back. Plain JSON only: reading a journal never runs code."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from lmms.types import Failure, Response, Sample, SampleScore, Score, TokenCounts

_RESPONSE_FIELDS = tuple(f for f in Response.__dataclass_fields__ if f != "tokens")
_TOKEN_FIELDS = tuple(TokenCounts.__dataclass_fields__)
_SCORE_FIELDS = tuple(Score.__dataclass_fields__)
_FAILURE_FIELDS = tuple(Failure.__dataclass_fields__)

# One encoder for all rows: building one per call costs more than encoding a small row.
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=lambda v: _plain(v))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def encode(value: Any) -> str:
    """Returns compact JSON; what task code put into a record is made plain where it must be."""
    text = _ENCODER.encode(value)
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            # Half of a surrogate pair, as byte-level tokenizers can emit it, has no UTF-8 form.
            return json.dumps(value, separators=(",", ":"), default=_plain)
    return text


def decode(text: str) -> Any:
    """Returns the value of a JSON text."""
    return json.loads(text)


def response_to_json(response: Response) -> dict[str, Any]:
    """Returns what `Response.to_json` returns, without its deep copy (16 µs a response)."""
    shown: dict[str, Any] = {}
    for name in _RESPONSE_FIELDS:
        value = getattr(response, name)
        if value is not None:
            shown[name] = value
    counts = response.tokens
    tokens = {name: getattr(counts, name) for name in _TOKEN_FIELDS}
    tokens = {name: value for name, value in tokens.items() if value is not None}
    if tokens:
        shown["tokens"] = tokens
    return shown


def failure_to_json(failure: Failure) -> dict[str, Any]:
    """Returns the fields of a failure that are set."""
    shown = {name: getattr(failure, name) for name in _FAILURE_FIELDS}
    return {name: value for name, value in shown.items() if value is not None}


def failure_from_json(shown: Mapping[str, Any]) -> Failure:
    """Reads what `failure_to_json` wrote."""
    return Failure(**{k: v for k, v in shown.items() if k in _FAILURE_FIELDS})


def _score_to_json(score: Score) -> dict[str, Any]:
    shown: dict[str, Any] = {"value": score.value}
    for name in _SCORE_FIELDS[1:]:
        value = getattr(score, name)
        if value is not None and not (name == "status" and value == "ok"):
            shown[name] = value
    return shown


def sample_to_json(sample: Sample) -> dict[str, Any]:
    """Returns a sample as the journal keeps it; equal lists are written once."""
    shown: dict[str, Any] = {
        "document_id": sample.document_id,
        "doc_hash": sample.doc_hash,
        "input": sample.input,
        "target": sample.target,
        "resps": sample.resps,
        "scores": {name: _score_to_json(score) for name, score in sample.scores.items()},
        "status": sample.status,
        "request_keys": sample.request_keys,
    }
    if sample.filtered_resps != sample.resps:
        shown["filtered_resps"] = sample.filtered_resps
    if sample.cluster is not None:
        shown["cluster"] = sample.cluster
    if sample.failure is not None:
        shown["failure"] = failure_to_json(sample.failure)
    if sample.media:
        shown["media"] = sample.media
    if sample.responses:
        shown["responses"] = sample.responses
    return shown


def sample_from_json(task: str, doc_id: int, shown: Mapping[str, Any]) -> Sample:
    """Reads what `sample_to_json` wrote."""
    failure = shown.get("failure")
    return Sample(
        task=task,
        doc_id=doc_id,
        document_id=shown["document_id"],
        doc_hash=shown["doc_hash"],
        input=shown["input"],
        target=shown["target"],
        resps=shown["resps"],
        filtered_resps=shown.get("filtered_resps", shown["resps"]),
        scores={name: Score(**score) for name, score in shown["scores"].items()},
        status=shown["status"],
        cluster=shown.get("cluster"),
        failure=failure_from_json(failure) if failure is not None else None,
        media=tuple(shown.get("media", ())),
        responses=tuple(shown.get("responses", ())),
        request_keys=tuple(shown["request_keys"]),
    )


def with_score(base: Sample, scored: SampleScore) -> Sample:
    """Returns `base` with everything that scoring says filled in."""
    return dataclasses.replace(
        base,
        target=scored.target,
        resps=scored.resps,
        filtered_resps=scored.filtered_resps,
        scores=scored.scores,
        status=scored.status,
        cluster=scored.cluster,
    )
