"""The back end against a real HTTP server in another process."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ModelError
from lmms.models.base import PreparedRequest
from lmms.models.openai import OpenAIModel, create
from lmms.types import Failure, Outcome, Response
from tests.support.loopback import LoopbackServer
from tests.support.requests import generation_request, loaded, loglikelihood_request, picture

KEY = "sk-very-secret-123"


@pytest.fixture(scope="module")
def shared_server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


@pytest.fixture
def server(shared_server: LoopbackServer) -> LoopbackServer:
    shared_server.script()
    shared_server.reset()
    return shared_server


def model_for(server: LoopbackServer, **changes: Any) -> OpenAIModel:
    values: dict[str, Any] = {"pretrained": "loopback", "base_url": server.base_url} | changes
    return create(ModelConfig(name="openai", backend="openai", **values), env=EnvConfig())


def ask(
    server: LoopbackServer, requests: Sequence[PreparedRequest], **changes: Any
) -> list[Outcome]:
    """Starts the back end, asks everything at once, closes it."""

    async def run() -> list[Outcome]:
        model = model_for(server, **changes)
        await model.start()
        try:
            answers = await asyncio.gather(*(model.respond([request]) for request in requests))
        finally:
            await model.close()
        return [outcome for batch in answers for outcome in batch]

    return asyncio.run(run())


def ask_one(server: LoopbackServer, **changes: Any) -> Outcome:
    return ask(server, [generation_request("What is 3 + 4?")], **changes)[0]


def response(outcome: Outcome) -> Response:
    assert isinstance(outcome, Response), outcome
    return outcome


def failed(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer(server: LoopbackServer, stream: bool) -> None:
    answer = response(ask_one(server, kwargs={"stream": stream}))
    assert answer.text == "3 and 4 make 7.\n#### 7"
    assert (answer.tokens.input, answer.tokens.output, answer.finish_reason) == (5, 7, "stop")
    assert answer.latency_seconds is not None
    assert (answer.ttft_measured_at == "client") is stream
    assert server.calls()["bodies"][0].get("stream", False) is stream


def test_time_to_first_token_is_measured_here(server: LoopbackServer) -> None:
    server.script({"do": {"drip": 0.0005}}, delay=0.0)
    answer = response(ask_one(server))
    assert answer.text == "3 and 4 make 7.\n#### 7"
    assert answer.ttft_seconds is not None
    assert answer.latency_seconds is not None
    assert 0 < answer.ttft_seconds < answer.latency_seconds / 2
    assert answer.tpot_seconds is not None
    assert answer.tpot_seconds > 0


def test_raw_text_goes_to_completions(server: LoopbackServer) -> None:
    request = generation_request("1 + 1 =", template=False, until=("#",))
    assert response(ask(server, [request])[0]).text == "1 and 1 make 2.\n"
    assert server.calls()["bodies"][0]["prompt"] == "1 + 1 ="


def test_frames_arrive_as_pictures(server: LoopbackServer) -> None:
    image = pytest.importorskip("PIL.Image")
    frames = np.stack([picture(48, 64, value=30), picture(48, 64, value=220)])
    request = generation_request(loaded("video", frames, times=(0.0, 1.5)), "What is 1 + 2?")
    answer = response(ask(server, [request], kwargs={"frame_stamps": True})[0])
    assert answer.text is not None
    assert "1 and 2 make" in answer.text
    content = server.calls()["bodies"][0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    for part, value in zip(content[1::2], (30, 220), strict=True):
        head, _, data = part["image_url"]["url"].partition(",")
        assert head == "data:image/jpeg;base64"
        shown = np.asarray(image.open(io.BytesIO(base64.b64decode(data))))
        assert shown.shape == (48, 64, 3)
        assert np.abs(shown.astype(int) - value).max() <= 2


def test_connections_are_used_again_and_concurrency_is_kept(server: LoopbackServer) -> None:
    server.script(delay=0.01)
    requests = [generation_request(f"{i} + 1") for i in range(40)]
    texts = [response(o).text for o in ask(server, requests, concurrency=8)]
    assert all(text is not None and text.startswith(f"{i} and 1") for i, text in enumerate(texts))
    calls = server.calls()
    assert calls["most_in_flight"] == 8
    # Further ones: the first look at the endpoint, the script, and the counts.
    assert calls["connections"] <= 8 + 3


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, "network"),
        ({"status": 503, "body": "<html>"}, "network"),
        ({"close": True}, "network"),
        ({"cut": 0}, "network"),
        ({"cut": 60}, "network"),
        ({"body": "<html>maintenance</html>", "content_type": "text/html"}, "network"),
        ({"body": ""}, "network"),
        ({"body": '{"choices": [{"message": {"content": null}}]}'}, "network"),
        ({"events": ['{"choices": [{"delta": {"content": "a"}}]}']}, "network"),
        ({"stall": True}, "timeout"),
        ({"drip": 0.05}, "timeout"),
    ],
    ids=str,
)
def test_what_may_be_asked_again(server: LoopbackServer, do: dict[str, Any], kind: str) -> None:
    server.script({"do": do})
    found = failed(ask_one(server, timeout_seconds=0.4))
    assert (found.kind, found.retryable, found.fatal) == (kind, True, False)
    assert found.retry_after_seconds == (7.0 if "headers" in do else None)
    assert server.calls()["total"] == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "fatal"),
    [
        (400, {"error": {"message": "context too long"}}, "rejected", False),
        (400, {"error": {"message": "no", "code": "content_filter"}}, "refused", False),
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, "model", True),
        (403, {"error": {"message": "forbidden"}}, "model", True),
    ],
)
def test_what_is_given_up(
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: Any,
    kind: str,
    fatal: bool,
) -> None:
    monkeypatch.setenv("LOOPBACK_API_KEY", KEY)
    server.script({"do": {"status": status, "body": json.dumps(body)}})
    found = failed(ask_one(server, api_key_env="LOOPBACK_API_KEY"))
    assert (found.kind, found.retryable, found.fatal) == (kind, False, fatal)
    assert KEY not in found.message


def test_a_missing_page_ends_the_run_only_at_the_start(server: LoopbackServer) -> None:
    missing = {"match": "9 + 9", "do": {"status": 404, "body": '{"detail": "Not Found"}'}}
    server.script(missing)
    request = generation_request("9 + 9")
    assert failed(ask(server, [request])[0]).fatal

    async def run() -> Outcome:
        model = model_for(server)
        await model.start()
        await model.respond([generation_request("1 + 1")])
        (outcome,) = await model.respond([request])
        await model.close()
        return outcome

    assert not failed(asyncio.run(run())).fatal


def test_an_empty_answer_is_an_answer(server: LoopbackServer) -> None:
    server.script({"do": {"answer": ""}})
    assert [response(ask_one(server, kwargs={"stream": s})).text for s in (True, False)] == ["", ""]


def test_one_slow_request_does_not_hold_the_others(server: LoopbackServer) -> None:
    server.script({"match": "5 + 1", "do": {"stall": True}})
    outcomes = ask(server, [generation_request(f"{i} + 1") for i in range(10)], timeout_seconds=0.5)
    assert [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Failure)] == [5]


def test_an_answer_counts_even_if_the_connection_hangs_after_it(server: LoopbackServer) -> None:
    # The body is announced longer than what is sent; all of the answer is there.
    server.script({"do": {"events": [*_whole_stream("fine"), "x" * 10], "cut": _upto("fine")}})
    assert response(ask_one(server, timeout_seconds=5)).text == "fine"


def _whole_stream(text: str) -> list[str]:
    choice = {"delta": {"content": text}, "finish_reason": "stop"}
    return [json.dumps({"choices": [choice]}), "[DONE]"]


def _upto(text: str) -> int:
    return len("".join(f"data: {event}\n\n" for event in _whole_stream(text)))


def test_the_key_is_sent_and_shown_nowhere(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LOOPBACK_API_KEY", KEY)
    caplog.set_level("DEBUG")
    response(ask_one(server, api_key_env="LOOPBACK_API_KEY"))
    assert server.calls()["headers"][0]["authorization"] == f"Bearer {KEY}"
    server.reset()
    options = {"api_key_header": "api-key"}
    response(ask_one(server, api_key_env="LOOPBACK_API_KEY", kwargs=options))
    assert server.calls()["headers"][0]["api-key"] == KEY
    assert "authorization" not in server.calls()["headers"][0]
    assert KEY not in caplog.text
    assert KEY not in str(model_for(server, api_key_env="LOOPBACK_API_KEY").identity)


def test_a_key_that_is_not_there(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOOPBACK_API_KEY", raising=False)
    with pytest.raises(ModelError, match="LOOPBACK_API_KEY") as caught:
        ask_one(server, api_key_env="LOOPBACK_API_KEY")
    assert caught.value.exit_code == 5
    assert server.calls()["total"] == 0


def test_nothing_at_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    model = create(
        ModelConfig(
            name="openai",
            backend="openai",
            pretrained="m",
            base_url=f"http://127.0.0.1:{port}/v1",
            kwargs={"startup_wait_seconds": 0.2},
        ),
        env=EnvConfig(),
    )
    with pytest.raises(ModelError, match=f"no endpoint can be reached at .*{port}"):
        asyncio.run(model.start())


def test_a_server_that_is_still_starting_is_waited_for(server: LoopbackServer) -> None:
    server.outage(0.5)
    time.sleep(0.1)
    assert isinstance(ask_one(server), Response)


def test_loglikelihood(server: LoopbackServer) -> None:
    first, second = ask(
        server,
        [loglikelihood_request("The sky is", " blue"), loglikelihood_request("The sky is ", "red")],
    )
    for outcome in (response(first), response(second)):
        assert outcome.loglikelihood is not None
        assert outcome.loglikelihood < 0
        assert outcome.is_greedy is True
    assert server.calls()["bodies"][0]["echo"] is True


@pytest.mark.parametrize(
    "do",
    [
        {"status": 400, "body": '{"error": {"message": "echo is not supported with logprobs"}}'},
        {"body": '{"choices": [{"text": "x", "finish_reason": "stop"}]}'},
    ],
    ids=["refused", "ignored"],
)
def test_an_endpoint_without_echo_is_asked_once(server: LoopbackServer, do: dict[str, Any]) -> None:
    server.script({"do": do})

    async def run() -> list[Outcome]:
        model = model_for(server)
        await model.start()
        requests = [loglikelihood_request("a", f" {i}") for i in range(3)]
        outcomes = [outcome for r in requests for outcome in await model.respond([r])]
        await model.close()
        return outcomes

    for outcome in asyncio.run(run()):
        found = failed(outcome)
        assert (found.kind, found.retryable) == ("rejected", False)
        assert "does not return the probabilities of a prompt" in found.message
    assert server.calls()["total"] == 1


def test_chat_has_no_loglikelihood(server: LoopbackServer) -> None:
    (outcome,) = ask(server, [loglikelihood_request("a", " b", template=True)])
    assert "apply_chat_template=false" in failed(outcome).message
    assert server.calls()["total"] == 0


def test_a_batch_is_answered_in_order(server: LoopbackServer) -> None:
    async def run() -> Sequence[Outcome]:
        model = model_for(server)
        await model.start()
        outcomes = await model.respond([generation_request(f"{i} + 0") for i in range(5)])
        await model.close()
        return outcomes

    texts = [response(outcome).text or "" for outcome in asyncio.run(run())]
    assert [text.split()[0] for text in texts] == ["0", "1", "2", "3", "4"]
