"""An endpoint that fails: what is asked again, what is given up, what ends the run."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.durability.bed import CONCURRENCY, Bed, differences, question

NOTHING = '{"choices": [{"message": {"role": "assistant", "content": null}}]}'


def test_an_outage_is_waited_out(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    process = bed.start()
    bed.until_asked(8, process)
    bed.server.outage(1.0)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] <= bed.documents + CONCURRENCY


def test_an_endpoint_that_stays_away(bed: Bed, undisturbed: Any) -> None:
    bed.server.script(delay=0.02)
    bed.kill_after(8)
    asked = bed.server.calls()["total"]
    bed.server.outage(60)
    done = bed.run()
    assert done.returncode == 5
    assert "can be reached" in done.stderr
    kept = bed.journal_rows("answers")
    assert kept >= 8 - CONCURRENCY
    bed.server.end_outage()
    assert bed.server.calls()["total"] == asked
    bed.run_well()
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == asked + bed.documents - kept


def test_too_many_requests(bed: Bed, undisturbed: Any) -> None:
    refusal = {"status": 429, "headers": {"Retry-After": "1"}}
    bed.server.script({"times": 3, "do": refusal}, delay=0.01)
    begun = time.monotonic()
    bed.run_well()
    assert time.monotonic() - begun >= 1.0
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == bed.documents + 3


def test_what_is_no_answer_is_asked_again(bed: Bed, undisturbed: Any) -> None:
    broken: list[dict[str, Any]] = [
        {"cut": 40},
        {"close": True},
        {"body": ""},
        {"body": "<html>gateway</html>", "content_type": "text/html"},
        {"body": NOTHING},
        {"status": 503},
    ]
    rules = [{"match": question(number), "times": 1, "do": do} for number, do in enumerate(broken)]
    bed.server.script(*rules)
    bed.run_well("model.concurrency=16")
    results, samples = bed.outcome()
    assert samples == undisturbed[1]
    assert results["results"] == undisturbed[0]["results"]
    assert bed.server.calls()["total"] == bed.documents + len(broken)


def test_an_answer_after_the_time_limit_is_not_kept_twice(bed: Bed, undisturbed: Any) -> None:
    bed.server.script({"match": question(3), "times": 1, "do": {"delay": 1.2}}, delay=0.01)
    bed.run_well("model.timeout_seconds=0.8")
    assert differences(bed.outcome()[1], undisturbed[1]) == []
    assert bed.server.asked()[question(3)] == 2
    assert bed.journal_rows("answers") == bed.documents


def test_one_rejected_request_costs_one_sample(bed: Bed, undisturbed: Any) -> None:
    body = json.dumps({"error": {"message": "context too long", "code": "context_length_exceeded"}})
    bed.server.script({"match": question(3), "do": {"status": 400, "body": body}})
    done = bed.run()
    assert done.returncode == 3, done.stderr
    assert "context too long" in done.stdout + done.stderr
    statuses = bed.statuses()
    assert statuses.pop("q3") == "failed"
    assert "failed" not in statuses.values()
    assert len(statuses) == bed.documents - 1
    assert bed.results()["status"] == "incomplete"
    assert bed.server.asked()[question(3)] == 1
    # The endpoint got better: only that one is asked again.
    bed.server.script()
    bed.run_well()
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == bed.documents + 1


def test_refused_credentials_end_the_run_at_once(bed: Bed, undisturbed: Any) -> None:
    body = json.dumps({"error": {"message": "Incorrect API key provided"}})
    bed.server.script({"skip": 8, "do": {"status": 401, "body": body}})
    done = bed.run()
    assert done.returncode == 5, done.stderr
    assert "Incorrect API key" in done.stderr
    assert "Traceback" not in done.stderr
    assert bed.server.calls()["total"] <= 8 + CONCURRENCY
    assert bed.journal_rows("answers") == 8
    bed.server.script()
    bed.server.reset()
    bed.run_well()
    assert differences(bed.outcome(), undisturbed) == []
    assert bed.server.calls()["total"] == bed.documents - 8


def test_an_empty_answer_is_kept(bed: Bed) -> None:
    bed.server.script({"match": question(3), "do": {"answer": ""}})
    done = bed.run()
    assert done.returncode == 0, done.stderr
    assert bed.statuses()["q3"] == "unparsed"
    assert bed.journal_rows("answers") == bed.documents


def test_streaming_changes_no_answer(bed: Bed, undisturbed: Any) -> None:
    bed.run_well("+model.kwargs.stream=false")
    assert not any(body.get("stream") for body in bed.server.calls()["bodies"])
    assert differences(bed.outcome()[1], undisturbed[1]) == []
