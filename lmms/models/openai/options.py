"""What `model.kwargs` may hold for the `openai` back end, and how the endpoint is named."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmms.errors import ConfigError, UnknownNameError

DEFAULT_BASE_URL = "https://api.openai.com/v1"
_ORIGIN = "model.kwargs of back end openai"
_CALLS = ("/chat/completions", "/completions")


class EndpointOptions(BaseModel):
    """Options of the endpoint and of what is sent to it. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    stream: bool = True
    """Reads the answer as it is made, which is what gives time to first token."""
    stream_usage: bool = True
    """Asks for token counts at the end of a stream (`stream_options.include_usage`)."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """Name of the field with the token limit; None: `max_completion_tokens` for api.openai.com,
    `max_tokens`, which every other server knows, elsewhere."""
    omit: list[str] = Field(default_factory=list)
    """Fields that are never sent, e.g. [temperature, stop] for models that refuse them."""
    max_stop_sequences: Annotated[int, Field(ge=0)] = 4
    """Stop texts sent with a chat completion (OpenAI accepts 4). An answer ends at each of them in
    any case: it is cut here."""
    image_format: Literal["jpeg", "png", "webp"] = "jpeg"
    """Encoding of pictures and frames. JPEG is a tenth of PNG's size and loses a little."""
    image_quality: Annotated[int, Field(ge=1, le=100)] = 90
    """Quality of JPEG; from 90 on colour is kept at full resolution."""
    image_detail: Literal["auto", "low", "high"] | None = None
    """OpenAI's `detail` of a picture; None: not sent."""
    max_image_side: Annotated[int, Field(ge=1)] | None = None
    """Pixels of the longer side above which pictures and frames are shrunk; None: never."""
    frame_stamps: bool = False
    """Writes `<12.3 seconds>` before each frame of a video. Off, as in published API results."""
    reasoning_text: Literal["drop", "tags"] = "drop"
    """What becomes of reasoning that the endpoint returns apart from the answer: left out, or put
    in front of the answer between <think> and </think>."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body, e.g. {reasoning_effort: low}."""
    api_key_header: str | None = None
    """Header that carries the bare key; None: `Authorization: Bearer KEY`."""
    startup_wait_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long to wait at the start for an endpoint that refuses connections."""

    def identity(self) -> dict[str, Any]:
        """Returns the options that can change an answer, as far as they are not the defaults."""
        return self.model_dump(mode="json", exclude=_TRANSPORT_ONLY, exclude_defaults=True)


# How an answer travels, not what is asked; everything else enters the model's identity.
_TRANSPORT_ONLY = {
    "stream",
    "stream_usage",
    "token_limit_field",
    "api_key_header",
    "startup_wait_seconds",
}


def read_options(kwargs: dict[str, Any]) -> EndpointOptions:
    """Returns `model.kwargs` as typed options.

    Raises:
        UnknownNameError: A key is not an option.
        ConfigError: A value has the wrong type or is out of range.
    """
    known = list(EndpointOptions.model_fields)
    for key in kwargs:
        if key not in known:
            raise UnknownNameError("option", key, known, origin=_ORIGIN, list_all=True)
    try:
        return EndpointOptions.model_validate(kwargs)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{where}={first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}",
            origin=_ORIGIN,
        ) from None


def read_base_url(base_url: str | None) -> str:
    """Returns the address below which the calls are, without a slash at its end.

    The full address of a call, as some harnesses want it, is accepted and shortened.

    Raises:
        ConfigError: It is not an http(s) address, or it carries credentials.
    """
    received = base_url or DEFAULT_BASE_URL
    try:
        parts = urlsplit(received.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # A port that is no number, half an IPv6 address.
        usable = False
    if not usable:
        raise ConfigError(
            f"model.base_url={received!r} is not an address of an endpoint",
            allowed="http(s)://HOST[:PORT]/PATH, for example http://127.0.0.1:8000/v1",
        )
    if parts.username or parts.password:
        raise ConfigError(
            f"model.base_url for {parts.hostname} carries credentials, which would be in the plan",
            hint="name the environment variable that holds the key: model.api_key_env=NAME",
        )
    path = parts.path.rstrip("/")
    for call in _CALLS:
        path = path.removesuffix(call)
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def call_url(base_url: str, call: str) -> str:
    """Returns the address of `call`, e.g. "chat/completions"; a query of the base stays last."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=f"{parts.path}/{call}"))
