"""The hf back end: local models through transformers, in one worker thread."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ModelError
from lmms.models.base import ModelIdentity, PreparedRequest
from lmms.models.hf.families import Sizes, traits_of
from lmms.models.hf.files import ModelFiles, locate, model_settings, processor_settings
from lmms.models.hf.identity import build_identity, require_packages
from lmms.types import Failure, Outcome, Response

if TYPE_CHECKING:
    from lmms.models.hf.inputs import EncodedInput, InputBuilder
    from lmms.models.hf.loading import LoadedModel

T = TypeVar("T")


class HFModel:
    """A local model behind the `Model` protocol.

    Everything that touches torch runs in one thread that this object owns. A model of less than 20
    million parameters on a CPU computes on one thread, larger ones on as many as torch chooses;
    OMP_NUM_THREADS overrides both. CPU, CUDA and MPS take the same path; the project's tests run
    it on a CPU.

    Args:
        config: The validated group `model`.
        env: Where weights may come from.

    Raises:
        LmmsError: The model's files are missing or torch is not installed.
    """

    kind: Literal["compute", "wait"] = "compute"
    concurrency: int = 1

    def __init__(self, config: ModelConfig, env: EnvConfig) -> None:
        require_packages()
        self._config = config
        self._env = env
        self._files: ModelFiles = locate(config, env)
        settings = model_settings(self._files)
        processor = _with_overrides(config, processor_settings(self._files))
        self.identity: ModelIdentity = build_identity(config, env, self._files)
        self.batch_size: int = config.batch_size
        self.supports: frozenset[str] = _abilities(settings, processor)
        self._sizes = Sizes.from_files(traits_of(str(settings.get("model_type"))), processor)
        self._worker: ThreadPoolExecutor | None = None
        self._loaded: LoadedModel | None = None
        self._builder: InputBuilder | None = None
        self._cancelled = threading.Event()

    def media_size(
        self, height: int, width: int, frames: int, request_media: str
    ) -> tuple[int, int]:
        """Returns the (height, width) that the checkpoint's processor would resize to.

        Raises:
            MediaError: The picture cannot be sized.
        """
        return self._sizes.fit(height, width, frames, request_media)

    async def start(self) -> None:
        """Imports torch and loads the weights in the worker thread.

        Raises:
            ModelError: They cannot be loaded.
            MissingExtraError: A package is missing.
        """
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="lmms-hf")
        await self._in_worker(self._load)

    async def respond(self, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        """Answers requests of one kind with equal generation arguments, in order."""
        # One flag per call: a cancelled batch may still be ending when the next one is handed in.
        self._cancelled = cancelled = threading.Event()
        try:
            return await self._in_worker(lambda: self._answer(list(batch), cancelled.is_set))
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def cost_hint(self, request: PreparedRequest) -> int:
        """Returns a length that grows with the prompt: bytes of text and of decoded pixels."""
        text = sum(len(m.text) for m in request.request.messages)
        pixels = sum(m.nbytes for m in request.media) // 3
        # A patch of 32 x 32 pixels in two frames is about one token, and so are four letters.
        return text // 4 + pixels // 2048 + len(request.request.continuation or "") // 4

    async def close(self) -> None:
        """Ends the worker thread and frees the weights."""
        self._cancelled.set()
        if self._worker is not None:
            await self._in_worker(self._release)
            self._worker.shutdown(wait=True)
            self._worker = None

    # ---------------------------------------------------------------- in the worker thread

    async def _in_worker(self, work: Callable[[], T]) -> T:
        if self._worker is None:
            raise ModelError(f"{self.identity.name} was not started")
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _load(self) -> None:
        from lmms.models.hf.inputs import InputBuilder
        from lmms.models.hf.loading import load

        if self._loaded is not None:
            return
        dtype = self.identity.dtype or "float32"
        self._loaded = load(self._config, self._env, self._files, dtype)
        self._builder = InputBuilder(self._loaded, self._config.kwargs)

    def _release(self) -> None:
        torch = self._loaded.torch if self._loaded is not None else None
        self._loaded = self._builder = None
        gc.collect()
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _answer(self, batch: list[PreparedRequest], cancelled: Callable[[], bool]) -> list[Outcome]:
        if self._loaded is None or self._builder is None:
            raise ModelError(f"{self.identity.name} was not started")
        if batch[0].request.kind == "loglikelihood":
            return self._score(self._loaded, self._builder, batch)
        return self._generate(self._loaded, self._builder, batch, cancelled)

    def _generate(
        self,
        loaded: LoadedModel,
        builder: InputBuilder,
        batch: list[PreparedRequest],
        cancelled: Callable[[], bool],
    ) -> list[Outcome]:
        from lmms.models.hf.batching import attempt, run_groups
        from lmms.models.hf.generate import GenerationJob, encode_prompt, generate

        started = time.perf_counter()
        rows = [attempt(encode_prompt, loaded, builder, prepared) for prepared in batch]

        def compute(chosen: Sequence[tuple[PreparedRequest, EncodedInput]]) -> list[Response]:
            job = GenerationJob(
                requests=[prepared for prepared, _ in chosen],
                rows=[row for _, row in chosen],
                started=started,
            )
            return generate(loaded, builder, job, cancelled=cancelled)

        paired = [
            row if isinstance(row, Failure) else (prepared, row)
            for prepared, row in zip(batch, rows, strict=True)
        ]
        joins = loaded.traits.concatenates
        return run_groups(
            loaded.torch, paired, compute, alone=lambda pair: pair[1].has_media and not joins
        )

    def _score(
        self, loaded: LoadedModel, builder: InputBuilder, batch: list[PreparedRequest]
    ) -> list[Outcome]:
        from lmms.models.hf.batching import run_groups
        from lmms.models.hf.loglikelihood import ScoredPair, encode_pairs, score

        started = time.perf_counter()
        pairs = encode_pairs(loaded, builder, batch)

        def compute(chosen: Sequence[ScoredPair]) -> list[Response]:
            return score(loaded, builder, chosen, started=started)

        joins = loaded.traits.concatenates
        return run_groups(
            loaded.torch, pairs, compute, alone=lambda pair: pair.context.has_media and not joins
        )


def _with_overrides(
    config: ModelConfig, settings: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Processor settings under `model.kwargs.processor_kwargs`, as `from_pretrained` has them."""
    extra = dict(config.kwargs.get("processor_kwargs") or {})
    return {kind: {**values, **extra} for kind, values in settings.items()}


def _abilities(settings: dict[str, Any], processor: dict[str, dict[str, Any]]) -> frozenset[str]:
    abilities = {"generate_until", "loglikelihood"}
    if processor or "vision_config" in settings:
        # Processors without video are given the frames as images.
        abilities |= {"image", "video"}
    return frozenset(abilities)
