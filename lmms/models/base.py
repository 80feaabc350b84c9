"""The protocol that every back end follows, and the registry of back ends.

A back end receives batches of requests whose media are already decoded and sized, and returns one
outcome per request, in order. It knows nothing of tasks, journals or scores. Back ends that compute
(`kind="compute"`) are called with one batch at a time and must not block the event loop: they own a
worker thread. Back ends that wait (`kind="wait"`) are called concurrently up to `concurrency`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from lmms.registry import Registry
from lmms.types import LoadedMedia, Outcome, Request, digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """What makes an answer this model's answer. Each field enters the request key.

    Known without loading weights into memory and without importing torch.
    """

    name: str
    """Name as shown in results: the last part of the path or hub id, or `canary-qwen3vl`."""
    reference: str
    """Hub id, folder or endpoint model name. A folder's path is not part of the digest."""
    revision: str | None = None
    """Hub commit; for a local folder the digest of its weight files."""
    backend: str = ""
    backend_version: str = ""
    dtype: str | None = None
    quantization: str | None = None
    adapters: tuple[str, ...] = ()
    attention: str | None = None
    chat_template_digest: str | None = None
    processor_digest: str | None = None
    endpoint: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields that are set."""
        return {k: v for k, v in asdict(self).items() if v not in (None, (), {}, "")}

    @property
    def digest(self) -> str:
        """SHA-256 over everything but display names and, for folders, the path."""
        shown = self.to_json()
        shown.pop("name", None)
        if self.revision and self.revision.startswith("sha256:"):
            shown.pop("reference", None)
        return digest_of(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """A request with its media loaded, and its key."""

    key: str
    """Identity of the answer: SHA-256 over model identity and rendered request."""
    request: Request
    media: tuple[LoadedMedia, ...] = ()


@runtime_checkable
class Model(Protocol):
    """A back end.

    `start` may take long (it loads weights) and is awaited once; `respond` is then called with
    requests of one kind and the same generation arguments, at most `batch_size` of them.
    """

    identity: ModelIdentity
    kind: Literal["compute", "wait"]
    batch_size: int
    concurrency: int
    """Batches in flight at once: 1 for a local model, many for an API."""
    supports: frozenset[str]
    """Subset of {"generate_until", "loglikelihood", "image", "video", "audio"}."""

    def media_size(
        self, height: int, width: int, frames: int, request_media: str
    ) -> tuple[int, int]:
        """Returns (height, width) to which the media layer resizes, before the model sees pixels.

        Args:
            height: Source height in pixels, after rotation.
            width: Source width in pixels.
            frames: Number of frames chosen (1 for an image).
            request_media: "image" or "video".
        """
        ...

    async def start(self) -> None:
        """Loads weights or checks the endpoint.

        Raises:
            ModelError: It cannot be loaded, with what to do.
        """
        ...

    async def respond(self, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        """Answers a batch; one outcome per request, in order. Never raises for one bad request."""
        ...

    def cost_hint(self, request: PreparedRequest) -> int:
        """Returns a length by which the engine may sort requests so that batches are even."""
        ...

    async def close(self) -> None:
        """Releases memory, connections and threads."""
        ...


class ModelFactory(Protocol):
    """Makes a back end from the validated model config; must not load weights."""

    def __call__(self, config: Any, *, env: Any) -> Model:
        """Makes the back end of a `ModelConfig` under an `EnvConfig`."""
        ...


MODELS: Registry[ModelFactory] = Registry(
    "model back end", group="lmms.models", hint="list models: lmms ls models"
)
MODELS.register("hf", "lmms.models.hf:create")
MODELS.register("dummy", "lmms.models.dummy:create")
MODELS.register("replay", "lmms.models.replay:create")
MODELS.register("openai", "lmms.models.openai:create")


def request_key(identity_digest: str, request: Request, media_digests: Sequence[str]) -> str:
    """Returns the identity of an answer: model and rendered request, nothing else."""
    return digest_of({"model": identity_digest, "request": request.digest(media_digests)})
