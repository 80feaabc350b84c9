"""The `openai` back end: one HTTP client, many requests in flight, no retries of its own.

Each failure says whether asking again may help (`Failure.retryable`, `retry_after_seconds`); the
engine asks again. An answer's bytes are read as they come, which is what times are measured by.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ConfigError, MediaError, ModelError
from lmms.models.base import ModelIdentity, PreparedRequest
from lmms.models.openai.answers import AnswerReader, EventDecoder
from lmms.models.openai.failures import status_failure
from lmms.models.openai.logprobs import NO_ECHO, NoEchoError, read_loglikelihood
from lmms.models.openai.options import EndpointOptions, call_url, read_base_url, read_options
from lmms.models.openai.payload import (
    EncodeFrames,
    chat_body,
    completion_body,
    loglikelihood_body,
    split_context,
)
from lmms.types import Failure, Outcome

if TYPE_CHECKING:
    import httpx

    ReadAnswer = Callable[[httpx.Response, float], Awaitable[Outcome]]

PROTOCOL_VERSION = "2"
"""Raised when a change here makes the same request ask something else."""

_IMAGE_FORMATS: Mapping[str, Literal["JPEG", "PNG", "WEBP"]] = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
}
_MAX_BODY_BYTES = 64 * 2**20
_CONNECT_SECONDS = 10.0
_DRAIN_SECONDS = 1.0
_ENCODING_THREADS = 4


class OpenAIModel:
    """An endpoint of OpenAI's protocol. See `lmms.models.base.Model` for the protocol.

    Args:
        config: The validated model config; `pretrained` is the endpoint's name of the model.

    Raises:
        ConfigError: The address, the model's name or an option is missing or wrong.
    """

    kind: Literal["compute", "wait"] = "wait"
    batch_size = 1
    supports = frozenset({"generate_until", "loglikelihood", "image", "video"})

    def __init__(self, config: ModelConfig) -> None:
        if not config.pretrained:
            raise ConfigError(
                "model.pretrained is not set: the endpoint needs the name of a model",
                origin=f"model={config.name}",
                hint="set model.pretrained=NAME; a server lists its names at /models",
            )
        self._model = config.pretrained
        self._base_url = read_base_url(config.base_url)
        self._options = read_options(config.kwargs)
        self._api_key_env = config.api_key_env
        self._api_key: str | None = None
        self._timeout = config.timeout_seconds
        self.concurrency = config.concurrency
        # The engine keeps to `concurrency`; this holds also for a caller who does not.
        self._places = asyncio.Semaphore(config.concurrency)
        self._client: httpx.AsyncClient | None = None
        self._encoders: ThreadPoolExecutor | None = None
        self._answered_before = False
        self._no_echo: str | None = None
        self.identity = ModelIdentity(
            name=self._model.rstrip("/").rpartition("/")[2] or self._model,
            reference=self._model,
            backend="openai",
            backend_version=PROTOCOL_VERSION,
            endpoint=self._base_url,
            kwargs=self._options.identity(),
        )

    def media_size(
        self, height: int, width: int, frames: int, request_media: str
    ) -> tuple[int, int]:
        """Returns the source's size, shrunk where `max_image_side` says so."""
        side, longest = self._options.max_image_side, max(height, width)
        if side is None or longest <= side:
            return height, width
        return max(1, round(height * side / longest)), max(1, round(width * side / longest))

    async def start(self) -> None:
        """Makes the client and waits until the endpoint can be reached.

        Raises:
            ModelError: The key is missing or refused, or nothing answers at the address.
        """
        import httpx

        self._api_key = self._read_key()
        headers = {"User-Agent": "lmms", "Accept": "application/json, text/event-stream"}
        if self._api_key and self._options.api_key_header:
            headers[self._options.api_key_header] = self._api_key
        elif self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            # Waiting for a connection of the pool would eat into the time limit of a request.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=self.concurrency),
            timeout=httpx.Timeout(
                self._timeout, connect=min(_CONNECT_SECONDS, self._timeout), pool=None
            ),
        )
        self._encoders = ThreadPoolExecutor(
            max_workers=min(_ENCODING_THREADS, os.cpu_count() or 1),
            thread_name_prefix="lmms-encode",
        )
        try:
            await self._reach(self._client)
        except BaseException:
            await self.close()
            raise

    async def respond(self, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        """Answers each request by one call; see `lmms.models.base.Model.respond`."""
        if len(batch) == 1:
            return [await self._answer(batch[0])]
        return await asyncio.gather(*(self._answer(prepared) for prepared in batch))

    def cost_hint(self, request: PreparedRequest) -> int:
        """Returns 0: requests are not batched, so their order does not matter."""
        return 0

    async def close(self) -> None:
        """Closes connections and ends the encoding threads."""
        client, self._client = self._client, None
        encoders, self._encoders = self._encoders, None
        if encoders is not None:
            encoders.shutdown(wait=False, cancel_futures=True)
        if client is not None:
            await client.aclose()

    # ------------------------------------------------------------------------------- start

    def _read_key(self) -> str | None:
        if self._api_key_env is None:
            return None
        key = os.environ.get(self._api_key_env, "").strip()
        if not key:
            raise ModelError(
                f"the environment variable {self._api_key_env} holds no API key",
                origin="model.api_key_env",
                hint=f"export {self._api_key_env}=…, or model.api_key_env=null for an open server",
            )
        return key

    async def _reach(self, client: httpx.AsyncClient) -> None:
        """Waits until the address answers anything; whether it lists models does not matter."""
        import httpx

        deadline = time.monotonic() + self._options.startup_wait_seconds
        pause = 0.1
        while True:
            try:
                async with client.stream("GET", call_url(self._base_url, "models")) as response:
                    if response.status_code == 401:
                        body = await _read_limited(response)
                        failure = self._status_failure(401, response.headers, body)
                        raise ModelError(failure.message, origin=self._base_url)
                return
            except httpx.ReadTimeout:
                return  # It took the connection; the calls have their own time limit.
            except httpx.TransportError as error:
                if time.monotonic() + pause > deadline:
                    raise ModelError(
                        f"no endpoint can be reached at {self._base_url}: {_reason(error)}",
                        origin="model.base_url",
                        hint="start the server, or set model.base_url=http://HOST:PORT/v1",
                    ) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)

    # ------------------------------------------------------------------------------ answers

    async def _answer(self, prepared: PreparedRequest) -> Outcome:
        try:
            if prepared.request.kind == "loglikelihood":
                return await self._loglikelihood(prepared)
            return await self._generate(prepared)
        except MediaError as error:
            return Failure(kind="media", message=str(error))
        except ModelError as error:
            return Failure(kind="rejected", message=str(error))

    async def _generate(self, prepared: PreparedRequest) -> Outcome:
        generation = prepared.request.generation
        call, content = await self._generation_call(prepared)

        async def read(response: httpx.Response, started: float) -> Outcome:
            reader = AnswerReader(
                until=generation.until,
                keep_reasoning=self._options.reasoning_text == "tags",
                started=started,
            )
            await _read_answer(response, reader)
            return reader.outcome(time.perf_counter())

        return await self._post(call, content, read)

    async def _loglikelihood(self, prepared: PreparedRequest) -> Outcome:
        if self._no_echo is not None:
            raise ModelError(self._no_echo)
        context, continuation = split_context(prepared.request)
        body = loglikelihood_body(context, continuation, model=self._model)

        async def read(response: httpx.Response, started: float) -> Outcome:
            data = await _read_limited(response)
            return read_loglikelihood(
                data,
                context=context,
                continuation=continuation,
                latency_seconds=time.perf_counter() - started,
            )

        try:
            outcome = await self._post("completions", _encoded(body), read)
        except NoEchoError as error:
            self._no_echo = str(error)
            raise
        if isinstance(outcome, Failure) and outcome.kind == "rejected":
            lowered = outcome.message.lower()
            if "echo" in lowered or "logprobs" in lowered:
                self._no_echo = f"{NO_ECHO}: {outcome.message}"
                outcome = replace(outcome, message=self._no_echo)
        return outcome

    async def _generation_call(self, prepared: PreparedRequest) -> tuple[str, bytes]:
        """Returns the call and its body; pictures are encoded off the event loop."""
        if not prepared.request.apply_chat_template:
            body = completion_body(prepared, model=self._model, options=self._options)
            return "completions", _encoded(body)
        if not prepared.media:
            return "chat/completions", self._chat_content(prepared)
        loop = asyncio.get_running_loop()
        return "chat/completions", await loop.run_in_executor(
            self._encoders, self._chat_content, prepared
        )

    def _chat_content(self, prepared: PreparedRequest) -> bytes:
        options = self._options
        return _encoded(
            chat_body(
                prepared,
                model=self._model,
                options=options,
                token_limit_field=options.token_limit_field or _token_limit_field(self._base_url),
                encode=_frame_encoder(options),
            )
        )

    async def _post(
        self,
        call: str,
        content: bytes,
        read: ReadAnswer,
    ) -> Outcome:
        """Makes one call and returns its outcome, whatever goes wrong."""
        import httpx

        if self._client is None:
            raise ModelError("the back end was asked before it was started")
        async with self._places:
            started = time.perf_counter()
            try:
                async with asyncio.timeout(self._timeout):
                    outcome = await self._exchange(self._client, call, content, read, started)
            except (TimeoutError, httpx.TimeoutException):
                return Failure(
                    kind="timeout",
                    message=f"no complete answer within {self._timeout:g} s",
                    retryable=True,
                )
            except httpx.HTTPError as error:
                return Failure(
                    kind="network",
                    message=f"the connection to {self._base_url} failed: {_reason(error)}",
                    retryable=True,
                )
            self._answered_before |= not isinstance(outcome, Failure)
            return outcome

    async def _exchange(
        self,
        client: httpx.AsyncClient,
        call: str,
        content: bytes,
        read: ReadAnswer,
        started: float,
    ) -> Outcome:
        async with client.stream(
            "POST",
            call_url(self._base_url, call),
            content=content,
            headers={"Content-Type": "application/json"},
        ) as response:
            status = response.status_code
            if status != 200:
                body = await _read_limited(response)
                return self._status_failure(status, response.headers, body)
            outcome = await read(response, started)
        if isinstance(outcome, Failure):
            outcome = replace(outcome, message=self._masked(outcome.message))
        return outcome

    def _status_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        failure = status_failure(status, headers, body, answered_before=self._answered_before)
        return replace(failure, message=self._masked(failure.message))

    def _masked(self, text: str) -> str:
        """Takes the key out of a text that an endpoint sent back."""
        return text.replace(self._api_key, "***") if self._api_key else text


async def _read_answer(response: httpx.Response, reader: AnswerReader) -> None:
    """Reads a stream of events, or a whole body from an endpoint that does not stream."""
    if "text/event-stream" not in response.headers.get("content-type", ""):
        reader.add_body(await _read_limited(response))
        return
    events, size = EventDecoder(), 0
    chunks = response.aiter_bytes()
    async for chunk in chunks:
        at = time.perf_counter()
        size += len(chunk)
        if size > _MAX_BODY_BYTES:
            raise ModelError(f"the answer is longer than {_MAX_BODY_BYTES} bytes")
        for data in events.feed(chunk):
            reader.add_event(data, at)
        if reader.complete:
            await _drain(chunks)
            return
    for data in events.close():
        reader.add_event(data, time.perf_counter())


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Reads what is left, so that the connection can be used again, if that is at once.

    The answer is already here: how the connection ends after it does not matter.
    """
    import httpx

    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass


async def _read_limited(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise ModelError(f"the answer is longer than {_MAX_BODY_BYTES} bytes")
    return bytes(body)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        # ASCII, so that half a surrogate pair in a prompt travels as it is.
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise ModelError(f"the request has no JSON form: {error}") from None


def _token_limit_field(base_url: str) -> str:
    official = (urlsplit(base_url).hostname or "").endswith("api.openai.com")
    return "max_completion_tokens" if official else "max_tokens"


def _frame_encoder(options: EndpointOptions) -> EncodeFrames:
    name = _IMAGE_FORMATS[options.image_format]

    def encode(pictures: Sequence[Any]) -> Sequence[str]:
        # Loads the extension: only where there are pictures.
        from lmms.media import encode_images, shared_encode_cache

        # Questions on one clip share its frames; the cache knows them by content.
        return encode_images(
            pictures,
            format=name,
            quality=options.image_quality,
            data_url=True,
            cache=shared_encode_cache(),
        )

    return encode


def create(config: ModelConfig, *, env: EnvConfig) -> OpenAIModel:
    """Makes the back end; nothing is contacted and nothing heavy is imported.

    Raises:
        ConfigError: The address, the model's name or an option is missing or wrong.
    """
    return OpenAIModel(config)
