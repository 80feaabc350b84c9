"""A real HTTP server that answers chat completions from the request's content, and counts.

Runs in a process of its own (`python chat_server.py [--port N]`), needs nothing but the standard
library, and prints its port as its first line. What it answers depends on the request alone, so
that two runs can be compared. Tests steer and watch it by HTTP:

    POST /script   {"delay": seconds, "rules": [{"match", "skip", "times", "do": {…}}]}
    POST /outage   {"seconds": n}   closes the port and every connection for a while;
                                    SIGUSR1 opens it again at once
    GET  /calls    what was asked how often

A rule applies to requests whose body contains `match` (all, without it), after `skip` of them, to
`times` of them. `do` may hold: status, headers, body, content_type, delay, stall, close, cut (bytes
of the usual response after which the connection ends), drip (seconds between its bytes), events
(`data` of each event of a stream), answer, finish_reason.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
from collections.abc import Mapping
from typing import Any

_SUM = re.compile(r"(\d+)\s*\+\s*(\d+)")
_OPTION = re.compile(r"^\(?([A-H])[.):]", re.MULTILINE)
_TOKEN = re.compile(r"\s*\S+|\s+")
_KEPT_BODIES = 64


def prompt_text(body: Mapping[str, Any]) -> str:
    """All text of a request, pictures shown as `<image>`."""
    if "prompt" in body:
        return str(body["prompt"])
    texts = []
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, str):
            texts.append(content)
        else:
            texts += [p["text"] if p["type"] == "text" else "<image>" for p in content]
    return "\n".join(texts)


def request_digest(body: Mapping[str, Any]) -> str:
    """Identity of a request: everything but how its answer travels."""
    asked = {k: v for k, v in body.items() if k not in {"stream", "stream_options"}}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def answer_text(body: Mapping[str, Any]) -> str:
    """The answer: a sum (wrong for one in five), a letter of the options, or a word."""
    text = prompt_text(body)
    chance = int(request_digest(body)[:8], 16)
    sums = _SUM.findall(text)
    if sums:
        left, right = sums[-1]
        wrong = hashlib.sha256(f"{left}+{right}".encode()).digest()[0] % 5 == 0
        total = int(left) + int(right) + wrong
        return f"{left} and {right} make {total}.\n#### {total}"
    letters = _OPTION.findall(text)
    if letters:
        return f"The answer is {letters[chance % len(letters)]}."
    return f"word{chance % 1000}"


def _usage(body: Mapping[str, Any], answer: str) -> dict[str, int]:
    given, made = len(prompt_text(body).split()), len(answer.split())
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def chat_response(body: Mapping[str, Any], do: Mapping[str, Any]) -> tuple[str, bytes]:
    """Content type and bytes of the usual answer to a chat completion."""
    answer, finish = do.get("answer", answer_text(body)), do.get("finish_reason", "stop")
    if not body.get("stream"):
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer},
            "finish_reason": finish,
        }
        whole = {"object": "chat.completion", "choices": [choice], "usage": _usage(body, answer)}
        return "application/json", json.dumps(whole).encode()
    events: list[str] = do.get("events") or [
        *(
            json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]})
            for piece in _TOKEN.findall(answer)
        ),
        json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}),
        json.dumps({"choices": [], "usage": _usage(body, answer)}),
        "[DONE]",
    ]
    return "text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode()


def completion_response(body: Mapping[str, Any], do: Mapping[str, Any]) -> tuple[str, bytes]:
    """Content type and bytes of the usual answer to a raw completion, probabilities included."""
    answer = do.get("answer", answer_text(body))
    choice: dict[str, Any] = {"index": 0, "text": answer, "finish_reason": "stop"}
    if body.get("echo") and "logprobs" in body:
        tokens = [*_TOKEN.findall(str(body["prompt"])), " end"]
        values = [-(hashlib.sha256(t.encode()).digest()[0] + 1) / 64 for t in tokens]
        offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
        choice["text"] = "".join(tokens)
        choice["logprobs"] = {
            "tokens": tokens,
            "token_logprobs": [None, *values[1:]],
            "top_logprobs": [None, *({t: v} for t, v in zip(tokens[1:], values[1:], strict=True))],
            "text_offset": offsets,
        }
    whole = {"object": "text_completion", "choices": [choice], "usage": _usage(body, answer)}
    return "application/json", json.dumps(whole).encode()


class Rule:
    """One line of the script with its counters."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.match: str = given.get("match", "")
        self.skip: int = given.get("skip", 0)
        self.times: float = given.get("times", float("inf"))
        self.do: Mapping[str, Any] = given["do"]

    def applies(self, body: str) -> bool:
        """Whether this request is one of those that the rule is about; counts it."""
        if self.match not in body:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


class ChatServer:
    """The server's state and its connections."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.rules: list[Rule] = []
        self.port = 0
        self.outage_over = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.reset()

    def reset(self) -> None:
        """Forgets what was asked."""
        self.asked: dict[str, dict[str, Any]] = {}
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.total = self.answered = self.in_flight = self.most_in_flight = self.connections = 0

    async def listen(self, port: int = 0) -> None:
        """Opens the port."""
        self._server = await asyncio.start_server(
            self._connection, "127.0.0.1", port or self.port, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def outage(self, seconds: float) -> None:
        """Closes the port and all connections, and opens the port again after a while."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        self.outage_over.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.outage_over.wait(), seconds)
        await self.listen()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._handle(method, path, headers, body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _handle(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Answers one request; returns whether the connection stays open."""
        path = path.partition("?")[0]
        if path.endswith(("/chat/completions", "/completions")):
            return await self._complete(path, headers, body, writer)
        answer: Any = {}
        if path.endswith("/models"):
            answer = {"object": "list", "data": [{"id": "loopback"}]}
        elif path == "/script":
            given = json.loads(body)
            self.delay = given.get("delay", 0.0)
            self.rules = [Rule(rule) for rule in given.get("rules", [])]
        elif path == "/reset":
            self.reset()
        elif path == "/outage":
            task = asyncio.create_task(self.outage(json.loads(body)["seconds"]))
            self._outage = task  # The loop keeps no strong reference of its own.
        elif path == "/calls":
            answer = self._counts()
        _send(writer, 200, "application/json", json.dumps(answer).encode())
        await writer.drain()
        return True

    def _counts(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "answered": self.answered,
            "most_in_flight": self.most_in_flight,
            "connections": self.connections,
            "asked": list(self.asked.values()),
            "bodies": self.bodies,
            "headers": self.headers,
        }

    async def _complete(
        self, path: str, headers: dict[str, str], raw: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        body = json.loads(raw)
        entry = self.asked.setdefault(
            request_digest(body), {"prompt": prompt_text(body), "calls": 0, "answered": 0}
        )
        entry["calls"] += 1
        self.total += 1
        if len(self.bodies) < _KEPT_BODIES:
            self.bodies.append(body)
            self.headers.append(headers)
        text = raw.decode()
        do = next((rule.do for rule in self.rules if rule.applies(text)), {})
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            kept = await self._respond(path, body, do, writer)
        finally:
            self.in_flight -= 1
        if kept and do.get("status", 200) == 200:
            entry["answered"] += 1
            self.answered += 1
        return kept

    async def _respond(
        self,
        path: str,
        body: Mapping[str, Any],
        do: Mapping[str, Any],
        writer: asyncio.StreamWriter,
    ) -> bool:
        delay = do.get("delay", self.delay)
        if delay:
            await asyncio.sleep(delay)
        if do.get("stall"):
            await asyncio.sleep(3600)
        if do.get("close"):
            return False
        make = chat_response if path.endswith("/chat/completions") else completion_response
        kind, content = make(body, do)
        if "body" in do or do.get("status", 200) != 200:
            kind, content = do.get("content_type", "application/json"), do.get("body", "").encode()
        if "cut" in do:
            _send(writer, 200, kind, content, upto=do["cut"])
            await writer.drain()
            return False
        if "drip" in do:
            _send(writer, 200, kind, content, upto=0)
            for byte in content:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(do["drip"])
            return True
        _send(writer, do.get("status", 200), kind, content, headers=do.get("headers"))
        await writer.drain()
        return True


def _send(
    writer: asyncio.StreamWriter,
    status: int,
    kind: str,
    content: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    upto: int | None = None,
) -> None:
    lines = [
        f"HTTP/1.1 {status} Status",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content[:upto])


async def _main(port: int) -> None:
    server = ChatServer()
    await server.listen(port)
    print(server.port, flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, server.outage_over.set)
    await stopped.wait()
    os._exit(0)  # Nothing to close in order; asyncio would report each open connection.


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(_main(parser.parse_args().port))
