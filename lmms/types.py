"""The few types that every layer speaks. All frozen, typed, and serialisable to JSON.

Nothing here imports anything heavy: `lmms ls` and `lmms --help` load this module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from lmms.frame_policy import FramePolicy as FramePolicy
from lmms.frame_policy import MediaControl as MediaControl

JSONValue: TypeAlias = "bool | int | float | str | list[JSONValue] | dict[str, JSONValue] | None"
RequestKind: TypeAlias = Literal["generate_until", "loglikelihood"]
MediaKind: TypeAlias = Literal["image", "video", "audio"]
Role: TypeAlias = Literal["system", "user", "assistant"]
ScoreStatus: TypeAlias = Literal["ok", "unparsed", "refused", "truncated", "failed"]
FailureKind: TypeAlias = Literal[
    "media", "model", "timeout", "refused", "rejected", "out_of_memory", "network", "scoring"
]


def canonical_json(value: Any) -> str:
    """Returns the one JSON text of `value` that digests are taken over.

    Keys sorted, no blanks, no NaN; bytes become their SHA-256, so that pictures inside a row
    count by content.

    Raises:
        TypeError: A value has no JSON form.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_json_default
    )


def _json_default(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"no canonical JSON form for {type(value).__name__}")


def digest_of(value: Any) -> str:
    """Returns the SHA-256 hex digest of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


# --------------------------------------------------------------------------------------- media


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRef:
    """One picture, clip or sound of a request: where it is, not what it holds.

    Either `path` (a resolved local file) or `data` (bytes held by the document) is given. A file
    that could not be resolved keeps its reference in `path`; loading it is what fails, so that
    one missing clip costs one sample.
    """

    kind: MediaKind
    path: str | None = None
    data: bytes | None = field(default=None, repr=False)
    policy: FramePolicy | None = None
    """How to choose frames; only for video."""
    frame: int | None = None
    """For `kind="image"` with a video in `path`: the one frame that is the image."""

    def to_json(self) -> dict[str, Any]:
        """Returns a small JSON form; bytes are replaced by their digest."""
        shown: dict[str, Any] = {"kind": self.kind}
        if self.path is not None:
            shown["path"] = self.path
        if self.data is not None:
            shown["sha256"] = hashlib.sha256(self.data).hexdigest()
        if self.policy is not None:
            shown["policy"] = self.policy.to_json()
        if self.frame is not None:
            shown["frame"] = self.frame
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMedia:
    """A media reference with its content, as a back end receives it."""

    ref: MediaRef
    digest: str
    """SHA-256 of the source bytes (file or data)."""
    frames: Any = None
    """uint8 array, (n, height, width, 3) for video, (height, width, 3) for an image."""
    indices: tuple[int, ...] = ()
    """Positions of the frames in presentation order of the source."""
    times: tuple[float, ...] = ()
    """True presentation times of the frames, seconds from the first frame of the clip."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """width, height, total_frames, duration_seconds, average_fps, codec … of the source."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the source although something could be read: `code: message`, as the
    journal keeps it (`decode` gives the two apart)."""

    @property
    def nbytes(self) -> int:
        """Bytes of decoded pixels held."""
        return int(getattr(self.frames, "nbytes", 0))

    def to_json(self) -> dict[str, Any]:
        """Returns what the results keep about it: everything but pixels."""
        shown = self.ref.to_json() | {"sha256": self.digest}
        if self.frames is not None:
            shown["shape"] = list(self.frames.shape)
        if self.indices:
            shown["indices"] = list(self.indices)
            shown["times"] = [round(t, 6) for t in self.times]
        if self.source:
            shown["source"] = dict(self.source)
        if self.warnings:
            shown["warnings"] = list(self.warnings)
        return shown


# --------------------------------------------------------------------------- documents, requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One row of a data set."""

    id: str
    """Stable identity: the row's own id where it has one, else its index as text."""
    index: int
    """Position in the evaluated split, counted before any limit."""
    fields: Mapping[str, Any]
    digest: str
    """SHA-256 of the canonical content; pictures inside count by their bytes."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text of a message."""

    text: str


Part: TypeAlias = TextPart | MediaRef


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All text of the turn, media left out."""
        return "".join(p.text for p in self.parts if isinstance(p, TextPart))


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationArgs:
    """Everything that decides what a model generates. All of it enters the request's digest."""

    max_new_tokens: int = 1024
    """Tokens of the visible answer."""
    reasoning_budget: int = 0
    """Further tokens allowed to a model that reasons before it answers."""
    until: tuple[str, ...] = ()
    """Texts at which generation stops; they are not part of the answer."""
    do_sample: bool = False
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    num_beams: int = 1
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Arguments passed through to the back end as they are."""

    @property
    def token_limit(self) -> int:
        """Tokens that may be generated in all, reasoning included."""
        return self.max_new_tokens + self.reasoning_budget

    @property
    def deterministic(self) -> bool:
        """Whether the same request must give the same answer."""
        return not self.do_sample and self.temperature == 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns only what differs from the defaults, so that new fields keep old digests."""
        shown = {
            name: getattr(self, name)
            for name, spec in self.__dataclass_fields__.items()
            if name != "extra" and getattr(self, name) != spec.default
        }
        shown["max_new_tokens"] = self.max_new_tokens
        if self.extra:
            shown["extra"] = dict(self.extra)
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to a model."""

    kind: RequestKind
    messages: tuple[Message, ...]
    continuation: str | None = None
    """For `loglikelihood`: the text whose probability after the messages is asked."""
    generation: GenerationArgs = field(default_factory=GenerationArgs)
    apply_chat_template: bool = True
    """False: the texts of the messages are concatenated and given raw, as base models expect."""
    repeat: int = 0
    """Which of several samples of the same question this is."""

    @property
    def media(self) -> tuple[MediaRef, ...]:
        """All media in order of appearance."""
        return tuple(p for m in self.messages for p in m.parts if isinstance(p, MediaRef))

    @property
    def prompt(self) -> str:
        """The text of all messages, media shown as `<image>`, `<video>`, `<audio>`."""
        return "".join(
            p.text if isinstance(p, TextPart) else f"<{p.kind}>"
            for m in self.messages
            for p in m.parts
        )

    def digest(self, media_digests: Sequence[str]) -> str:
        """Returns the digest of the rendered request.

        Args:
            media_digests: SHA-256 of each medium's source, in the order of `media`.

        Raises:
            ValueError: The number of digests is not the number of media.
        """
        if len(media_digests) != len(self.media):
            raise ValueError(f"{len(media_digests)} digests for {len(self.media)} media")
        digests = iter(media_digests)
        messages = [
            {"role": m.role, "parts": [_part_identity(p, digests) for p in m.parts]}
            for m in self.messages
        ]
        identity: dict[str, Any] = {"kind": self.kind, "messages": messages, "repeat": self.repeat}
        if self.kind == "loglikelihood":
            identity["continuation"] = self.continuation
        else:
            identity["generation"] = self.generation.to_json()
        if not self.apply_chat_template:
            identity["raw"] = True
        return digest_of(identity)


def _part_identity(part: Part, digests: Any) -> Any:
    if isinstance(part, TextPart):
        return part.text
    shown: dict[str, Any] = {"kind": part.kind, "sha256": next(digests)}
    if part.policy is not None:
        shown["policy"] = part.policy.to_json()
    if part.frame is not None:
        shown["frame"] = part.frame
    return shown


# ------------------------------------------------------------------------------------ responses


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens of one response; None where the back end does not tell."""

    input: int | None = None
    output: int | None = None
    """Generated tokens, reasoning included."""
    reasoning: int | None = None
    """Of these, tokens of reasoning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a model answered to one request."""

    text: str | None = None
    """For `generate_until`. An empty text is an answer."""
    loglikelihood: float | None = None
    """For `loglikelihood`: natural logarithm of the continuation's probability."""
    is_greedy: bool | None = None
    """For `loglikelihood`: whether greedy decoding would have produced the continuation."""
    tokens: TokenCounts = field(default_factory=TokenCounts)
    finish_reason: Literal["stop", "length", "filter"] | None = None
    ttft_seconds: float | None = None
    """Time to first token, measured at `ttft_measured_at`."""
    ttft_measured_at: Literal["model", "client"] | None = None
    tpot_seconds: float | None = None
    """Mean time per output token after the first."""
    latency_seconds: float | None = None
    attempts: int = 1
    batch_size: int = 1
    """Requests that were computed together with this one (itself included)."""

    def to_json(self) -> dict[str, Any]:
        """Returns the fields that are set."""
        shown = {k: v for k, v in asdict(self).items() if v is not None and k != "tokens"}
        tokens = {k: v for k, v in asdict(self.tokens).items() if v is not None}
        if tokens:
            shown["tokens"] = tokens
        return shown

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> Response:
        """Reads what `to_json` wrote."""
        values = dict(shown)
        tokens = TokenCounts(**values.pop("tokens", {}))
        return cls(tokens=tokens, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a request has no answer. Never an answer, never cached, asked again on resume."""

    kind: FailureKind
    message: str
    attempts: int = 1
    retryable: bool = False
    """Whether asking again at once may help; the engine decides how often."""
    retry_after_seconds: float | None = None
    fatal: bool = False
    """Whether no other request can succeed either (credentials refused, model gone)."""

    def to_json(self) -> dict[str, Any]:
        """Returns the fields that are set."""
        return {k: v for k, v in asdict(self).items() if v is not None}


Outcome: TypeAlias = Response | Failure

Episode: TypeAlias = Generator[Sequence[Request], Sequence[Response], None]
"""A sample as a small coroutine over a document: it yields rounds of requests that may be asked
together, receives their responses in the same order, and returns. Every request and response of
all rounds is handed to the scorer. If a request fails for good the generator is closed and the
sample counts as failed."""


# --------------------------------------------------------------------------------------- scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric's verdict on one sample."""

    value: float | None
    """None: the metric says nothing about this sample (e.g. a category that it does not cover)."""
    status: ScoreStatus = "ok"
    answer: str | None = None
    """The text that was compared; None if nothing could be extracted."""
    explanation: str | None = None
    record: Mapping[str, Any] | None = None
    """What the aggregation needs beyond the value (group keys, pairs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleScore:
    """All that scoring says of one sample."""

    scores: Mapping[str, Score]
    """Key `metric` or `metric,filter`."""
    target: str
    resps: list[Any]
    """Raw text of each response, in order; loglikelihood: [value, is_greedy]."""
    filtered_resps: list[Any]
    """What was scored, after reasoning removal and filters."""
    status: ScoreStatus = "ok"
    cluster: str | None = None
    """Samples of one cluster (video, passage) are not independent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line of `samples_<task>.jsonl`, and one row of the journal's `samples` table."""

    task: str
    doc_id: int
    """The document's index in the split (`doc_id` of the peers' files)."""
    document_id: str
    doc_hash: str
    input: str
    """The prompt of the first request, media shown as `<video>` and so on."""
    target: str
    resps: list[Any]
    filtered_resps: list[Any]
    scores: Mapping[str, Score]
    status: ScoreStatus
    cluster: str | None = None
    failure: Failure | None = None
    media: tuple[Mapping[str, Any], ...] = ()
    """`LoadedMedia.to_json()` of each medium that the model was given."""
    responses: tuple[Mapping[str, Any], ...] = ()
    """`Response.to_json()` less text: tokens, times, finish reason."""
    request_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricResult:
    """One number of a task."""

    name: str
    value: float | None
    """None: not available (no sample to compute it from)."""
    filter: str = "none"
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    confidence: float = 0.95
    interval_method: str | None = None
    n: int = 0
    """Samples that entered the value."""
    clusters: int | None = None
    n_unparsed: int = 0
    n_failed: int = 0
    higher_is_better: bool = True
    maximum: float | None = None
    """Largest possible value where the task declares one; None for shares and open scales."""
    breakdown: Mapping[str, Any] = field(default_factory=dict)
    """Per category: {"value": …, "n": …}. Under `repeats`, of questions asked several times:
    stability, variance, pass@k and pass^k, majority (`lmms.scoring.repeats`)."""

    def to_json(self) -> dict[str, Any]:
        """Returns all fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """All numbers of one task."""

    task: str
    label: str
    """Name as shown: `mme`, or `mme@embedded`."""
    version: str
    num_fewshot: int
    metrics: tuple[MetricResult, ...]
    n_original: int
    n_effective: int
    status_counts: Mapping[str, int] = field(default_factory=dict)
    """Samples per `ScoreStatus`."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed samples per `FailureKind`."""
    failure_reasons: tuple[Mapping[str, Any], ...] = ()
    """Distinct reasons, most frequent first: `kind`, `reason`, `count`, ids of some `documents`."""
    efficiency: Mapping[str, Any] = field(default_factory=dict)
    """Seconds (wall, media wait, model busy), tokens, TTFT and TPOT medians, frames decoded …"""
    warnings: tuple[str, ...] = ()
    adaptive: Mapping[str, Any] | None = None
    """Of an adaptive run: ability, course, predicted full score, what was saved; see
    `lmms.runner.adaptive_task`. None: every document was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A finished or running run, as `results.json` holds it."""

    path: str
    """The run's folder."""
    status: Literal["running", "complete", "incomplete", "interrupted"]
    model: str
    """Name as shown: `canary-qwen3vl` or the model's own."""
    tasks: Mapping[str, TaskResult]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The whole content of `results.json`."""

    def __getitem__(self, task: str) -> TaskResult:
        return self.tasks[task]


__all__ = [name for name in globals() if name[0].isupper()] + [
    "canonical_json",
    "digest_of",
    "replace",
]
