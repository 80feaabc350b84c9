"""Each way in which a call goes wrong, and what follows from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lmms.models.openai.failures import payload_failure, retry_after, status_failure, unreadable
from lmms.types import Failure

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


def failure(status: int, body: Any = "", *, before: bool = True, **headers: str) -> Failure:
    text = body if isinstance(body, str) else json.dumps(body)
    return status_failure(status, headers, text.encode(), answered_before=before, now=NOW)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 529])
def test_asked_again(status: int) -> None:
    found = failure(status, error("later"))
    assert (found.kind, found.retryable, found.fatal) == ("network", True, False)
    assert found.message.startswith(f"the endpoint answered {status}")
    assert found.message.endswith("later")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("This model's maximum context length is 8192 tokens", code="context_length")),
        (404, error("no such thing")),
        (413, "<html>too large</html>"),
        (422, {"detail": [{"msg": "field required"}]}),
        (501, ""),
    ],
)
def test_this_sample_only(status: int, body: Any) -> None:
    found = failure(status, body)
    assert (found.kind, found.retryable, found.fatal) == ("rejected", False, False)


@pytest.mark.parametrize(
    ("status", "body", "before"),
    [
        (401, error("Incorrect API key"), True),
        (402, error("Insufficient credits"), True),
        (403, error("Country not supported"), True),
        (404, {"detail": "Not Found"}, False),
        (404, error("The model `x` does not exist", code="model_not_found"), True),
        (429, error("You exceeded your current quota", code="insufficient_quota"), True),
        (301, "", True),
    ],
)
def test_ends_the_run(status: int, body: Any, before: bool) -> None:
    found = failure(status, body, before=before)
    assert (found.kind, found.retryable, found.fatal) == ("model", False, True)


@pytest.mark.parametrize(
    "found",
    [
        failure(400, error("filtered", code="content_filter")),
        failure(403, error("Your input was flagged")),
        payload_failure({"message": "no", "code": "content_policy_violation"}),
    ],
)
def test_refused(found: Failure) -> None:
    assert (found.kind, found.retryable, found.fatal) == ("refused", False, False)


def test_an_error_with_status_200() -> None:
    assert payload_failure({"message": "overloaded", "code": 503}).retryable
    assert payload_failure({"message": "bad", "code": 400}).kind == "rejected"
    assert payload_failure({"message": "engine died"}).retryable
    assert payload_failure("engine died").message.endswith("engine died")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Mon, 05 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 05 Jan 2026 11:00:00 GMT"}, 0.0),
        # The server's clock is an hour behind ours: what counts is the difference on its own.
        (
            {
                "retry-after": "Mon, 05 Jan 2026 11:00:10 GMT",
                "date": "Mon, 05 Jan 2026 11:00:00 GMT",
            },
            10.0,
        ),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == seconds
    assert failure(503, "", **headers).retry_after_seconds == seconds


def test_long_pages_are_shortened() -> None:
    page = "<html>\n" + "x" * 10_000 + "</html>"
    assert len(failure(502, page).message) < 500
    assert len(unreadable("not JSON", page.encode()).message) < 500


def test_a_refused_field_names_the_way_out() -> None:
    found = failure(400, error("Unsupported value: 'temperature' does not support 0.0"))
    assert "model.kwargs.omit=[temperature]" in found.message
    found = failure(400, error("Unsupported parameter: 'max_tokens'"))
    assert "model.kwargs.token_limit_field" in found.message
