"""What went wrong with a call, as a typed failure: what to retry, what to give up, what ends a run.

Only the classification is here. The engine decides how often and when to ask again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from lmms.types import Failure

_MAX_MESSAGE = 400
_RETRYABLE_4XX = frozenset({408, 409, 425, 429})
_NOT_IMPLEMENTED = frozenset({501, 505})
_NO_CREDIT = ("insufficient_quota", "billing", "credit")
_FILTERED = ("content_filter", "content_policy_violation", "moderation", "flagged")
_UNKNOWN_MODEL = ("model_not_found", "does not exist", "unknown model", "model not found")


def status_failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    answered_before: bool,
    now: datetime | None = None,
) -> Failure:
    """Returns what an HTTP status other than 200 means for the request and for the run.

    Args:
        status: The HTTP status.
        headers: Response headers with lower-case names.
        body: Response body, as far as it was read.
        answered_before: Whether this endpoint has answered any request of this run; a 404 before
            that means a wrong address, after it one bad request.
        now: The present, for tests.
    """
    text, code = error_text(body)
    message = f"the endpoint answered {status} {_phrase(status)}: {text}".rstrip(": ")
    lowered = f"{code} {text}".lower()
    if status == HTTPStatus.TOO_MANY_REQUESTS and any(word in lowered for word in _NO_CREDIT):
        return Failure(kind="model", message=message, fatal=True)
    if status in _RETRYABLE_4XX or (status >= 500 and status not in _NOT_IMPLEMENTED):
        return Failure(
            kind="network",
            message=message,
            retryable=True,
            retry_after_seconds=retry_after(headers, now=now),
        )
    if status in (400, 403) and any(word in lowered for word in _FILTERED):
        return Failure(kind="refused", message=message)
    if status in (401, 402, 403) or 300 <= status < 400:
        return Failure(kind="model", message=message, fatal=True)
    if status == HTTPStatus.NOT_FOUND:
        wrong = not answered_before or any(word in lowered for word in _UNKNOWN_MODEL)
        kind = "model" if wrong else "rejected"
        return Failure(kind=kind, message=message, fatal=wrong)  # type: ignore[arg-type]
    return Failure(kind="rejected", message=message + _omission_hint(lowered))


def payload_failure(error: Any) -> Failure:
    """Returns what an `error` object inside a body or a stream of status 200 means."""
    body = json.dumps({"error": error}).encode()
    status = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(status, int) and 300 <= status < 600:
        return status_failure(status, {}, body, answered_before=True)
    text, code = error_text(body)
    if any(word in f"{code} {text}".lower() for word in _FILTERED):
        return Failure(kind="refused", message=f"the endpoint refused: {text}")
    return Failure(
        kind="network", message=f"the endpoint reported an error: {text}", retryable=True
    )


def unreadable(what: str, body: bytes = b"") -> Failure:
    """Returns the failure for a 200 that holds no answer: cut off, HTML, not JSON, no choices."""
    shown = _shortened(body.decode("utf-8", "replace"))
    return Failure(kind="network", message=f"{what}: {shown!r}" if shown else what, retryable=True)


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Returns the seconds that the endpoint asks to wait; None if it does not say.

    Reads `retry-after-ms`, then `Retry-After` as seconds or as an HTTP date (RFC 9110 §10.2.3). A
    date is compared with the server's own `Date` where it is sent, so that a wrong clock here does
    not matter.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None
    until = _http_date(headers.get("retry-after"))
    if until is None:
        return None
    present = _http_date(headers.get("date")) or now or datetime.now(UTC)
    return max(0.0, (until - present).total_seconds())


def error_text(body: bytes) -> tuple[str, str]:
    """Returns (message, code) of an error body in any of the usual shapes, or its beginning."""
    text = body.decode("utf-8", "replace")
    try:
        shown = json.loads(text)
    except ValueError:
        return _shortened(text), ""
    if not isinstance(shown, dict):
        return _shortened(text), ""
    error = shown.get("error", shown)
    if not isinstance(error, dict):
        return _shortened(str(error)), ""
    message = next((error[k] for k in ("message", "detail", "msg") if error.get(k)), text)
    code = " ".join(str(error[k]) for k in ("code", "type", "param") if error.get(k))
    return _shortened(message if isinstance(message, str) else json.dumps(message)), code


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_MESSAGE else line[:_MAX_MESSAGE] + " …"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _http_date(value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _omission_hint(lowered: str) -> str:
    """Says how to leave a field out where a model does not accept it."""
    if "unsupported" not in lowered and "not supported" not in lowered:
        return ""
    for name in ("temperature", "stop", "seed", "top_p", "stream_options", "max_tokens"):
        if name in lowered:
            more = " (or model.kwargs.token_limit_field)" if name == "max_tokens" else ""
            return f" — to leave it out: model.kwargs.omit=[{name}]{more}"
    return ""
