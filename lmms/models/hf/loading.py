"""Loads weights, tokenizer and processor. Imports torch; runs in the back end's worker thread."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ConfigError, LmmsError, MissingExtraError, ModelError
from lmms.models.hf.families import FamilyTraits, traits_of
from lmms.models.hf.files import (
    ModelFiles,
    configured_template,
    fetch,
    locate_reference,
    model_settings,
)

_LOG = logging.getLogger("lmms.models.hf")

# Keys of `model.kwargs` that this back end reads; all others go to `from_pretrained`.
OWN_KWARGS = frozenset(
    {
        "add_bos_token",
        "chat_template_kwargs",
        "max_length",
        "patchify",
        "prefix_token_id",
        "processor_kwargs",
    }
)
_DEFAULT_MAX_LENGTH = 2048
_UNLIMITED = 10**9
# Below it a second thread was slower in every measurement; real checkpoints are far above.
_SMALL_MODEL_PARAMETERS = 20_000_000
_LENGTH_FIELDS = ("n_positions", "max_position_embeddings", "n_ctx")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """Everything that answering needs."""

    torch: Any
    model: Any
    tokenizer: Any
    processor: Any
    """None for text models."""
    traits: FamilyTraits
    device: Any
    """Where inputs go."""
    max_length: int
    """Tokens of prompt and answer together."""
    pad_id: int
    eos_ids: tuple[int, ...]
    chat_template: str | None
    """A configured template; None: the tokenizer's or processor's own."""


def load(config: ModelConfig, env: EnvConfig, files: ModelFiles, dtype: str) -> LoadedModel:
    """Loads a model as `config` asks.

    Args:
        config: The validated group `model`.
        env: Whether downloads are allowed.
        files: Where the model was found.
        dtype: Resolved dtype, as in the model's identity.

    Raises:
        ModelError: It cannot be loaded; the message says why and what to do.
        MissingExtraError: A package that the configuration needs is not installed.
        HubError: Weights have to be fetched and cannot be.
    """
    from lmms.models.hf.imports import import_transformers

    torch, transformers = import_transformers()
    job = _Job(torch, transformers, config, env, files)
    device = resolve_device(torch, config.device)
    if files.hub_id is not None:
        fetch(files.hub_id, env, revision=files.commit, patterns=None)
    try:
        settings = transformers.AutoConfig.from_pretrained(
            files.folder, trust_remote_code=config.trust_remote_code
        )
        model = _load_weights(job, settings, dtype, device)
        tokenizer, processor = _load_processor(job)
    except LmmsError:
        raise
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{files.name} in {dtype} does not fit into the memory of {device}",
            origin=files.reference,
            hint="try model.dtype=bfloat16, model.quantization=4bit or model.device_map=auto",
        ) from error
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ImportError …
        raise _explained(error, transformers, files) from error
    model.eval()
    _spare_threads(torch, model)
    return LoadedModel(
        torch=torch,
        model=model,
        tokenizer=tokenizer,
        processor=processor,
        traits=traits_of(settings.model_type),
        device=model.device,
        max_length=_max_length(config, settings, tokenizer),
        eos_ids=_eos_ids(model, tokenizer),
        pad_id=_pad_id(model, tokenizer),
        chat_template=configured_template(config.chat_template) if config.chat_template else None,
    )


def _spare_threads(torch: Any, model: Any) -> None:
    """Computes a very small model on one thread, unless OMP_NUM_THREADS says otherwise.

    Handing a matrix of a hundred columns to a second thread costs more than multiplying it, and on
    a busy machine each hand-over waits for a core: 112 answers of the embedded model took 4 s of
    model time on one thread and 70 s on two while something else was running.
    """
    if model.device.type != "cpu" or "OMP_NUM_THREADS" in os.environ:
        return
    if sum(p.numel() for p in model.parameters()) < _SMALL_MODEL_PARAMETERS:
        torch.set_num_threads(1)


def resolve_device(torch: Any, asked: str) -> Any:
    """Returns the torch device for `model.device`; `auto` is cuda, else mps, else cpu.

    Raises:
        ModelError: The device is absent.
        ConfigError: No such device name.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        available = ["cuda", *(f"cuda:{i}" for i in range(count)), *available]
    if asked == "auto":
        return torch.device(available[0])
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise ConfigError(
            f"unknown device {asked!r}",
            origin="model.device",
            allowed="auto, cpu, cuda, cuda:N, mps",
        ) from error
    if str(device) not in available:
        raise ModelError(
            f"device {asked!r} was asked for, but torch does not find it",
            origin="model.device",
            allowed=["auto", *available],
            hint="check the driver and that torch was installed with support for it",
        )
    return device


class _Job(NamedTuple):
    """What every step of loading needs."""

    torch: Any
    transformers: Any
    config: ModelConfig
    env: EnvConfig
    files: ModelFiles


def _load_weights(job: _Job, settings: Any, dtype: str, device: Any) -> Any:
    config = job.config
    options: dict[str, Any] = {k: v for k, v in config.kwargs.items() if k not in OWN_KWARGS}
    options["dtype"] = getattr(job.torch, dtype)
    options["trust_remote_code"] = config.trust_remote_code
    if config.attn_implementation is not None:
        options["attn_implementation"] = config.attn_implementation
    if config.quantization != "none":
        options["quantization_config"] = _quantization(job, dtype)
    # Quantised weights are made on their device; everything else is moved there once loaded.
    placed = config.device_map or ({"": str(device)} if config.quantization != "none" else None)
    if placed is not None:
        _require("accelerate", "model.device_map", extra="hf")
        options["device_map"] = placed
    model, found = _auto_class(job, settings).from_pretrained(
        job.files.folder, config=settings, output_loading_info=True, **options
    )
    _refuse_random_weights(found, job.files)
    if config.adapter is not None:
        _require("peft", "model.adapter", extra="peft")
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, _adapter_folder(config.adapter, job.env))
        if config.quantization == "none":
            model = model.merge_and_unload()
    return model if placed is not None else model.to(device)


def _refuse_random_weights(found: Mapping[str, Any], files: ModelFiles) -> None:
    """The library fills weights that a checkpoint lacks with random numbers; scores mean nothing.

    Raises:
        ModelError: Weights are missing or of another shape.
    """
    absent = sorted(str(k) for k in found.get("missing_keys") or ())
    absent += sorted(str(k) for k in found.get("mismatched_keys") or ())
    if absent:
        raise ModelError(
            f"the checkpoint {files.name} lacks {len(absent)} weights of its own architecture, "
            f"first {absent[0]}",
            origin=files.reference,
            hint="config.json and the weight files do not belong together",
        )


def _auto_class(job: _Job, settings: Any) -> Any:
    """The auto class whose table has this configuration; multimodal ones come first."""
    from transformers.models.auto import modeling_auto

    multimodal = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    remote = getattr(settings, "auto_map", None) or {}
    if type(settings) in multimodal or "AutoModelForImageTextToText" in remote:
        return job.transformers.AutoModelForImageTextToText
    if type(settings) in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING or (
        "AutoModelForCausalLM" in remote and job.config.trust_remote_code
    ):
        return job.transformers.AutoModelForCausalLM
    raise ModelError(
        f"architecture {settings.model_type!r} cannot generate text from text or images",
        origin="config.json",
        allowed="models of AutoModelForImageTextToText or AutoModelForCausalLM",
        hint="a model with its own code needs model.trust_remote_code=true" if remote else None,
    )


def _quantization(job: _Job, dtype: str) -> Any:
    asked = job.config.quantization
    _require("bitsandbytes", f"model.quantization={asked}", extra="quantization")
    if asked == "8bit":
        return job.transformers.BitsAndBytesConfig(load_in_8bit=True)
    return job.transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(job.torch, dtype),
    )


def _adapter_folder(adapter: str, env: EnvConfig) -> Path:
    files = locate_reference(adapter, env)
    folder = (
        fetch(files.hub_id, env, revision=files.commit, patterns=None)
        if files.hub_id
        else files.folder
    )
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{adapter!r} is not an adapter: it has no adapter_config.json", origin="model.adapter"
        )
    return folder


def _load_processor(job: _Job) -> tuple[Any, Any]:
    """Returns (tokenizer, processor); the processor is None for text models."""
    config, folder = job.config, job.files.folder
    if config.tokenizer is not None:
        folder = locate_reference(config.tokenizer, job.env).folder
    options = {"trust_remote_code": config.trust_remote_code}
    names = ("processor_config.json", "preprocessor_config.json")
    if any((folder / name).is_file() for name in names):
        extra = dict(config.kwargs.get("processor_kwargs") or {})
        processor = job.transformers.AutoProcessor.from_pretrained(folder, **options, **extra)
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is not None:
            return tokenizer, processor
    return job.transformers.AutoTokenizer.from_pretrained(folder, **options), None


def _require(module: str, feature: str, *, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtraError(feature, extra=extra, module=module)


def _max_length(config: ModelConfig, settings: Any, tokenizer: Any) -> int:
    """Context length: `model.kwargs.max_length`, the model's own, the tokenizer's, else 2048."""
    given = config.kwargs.get("max_length")
    if given is not None:
        return int(given)
    text = settings.get_text_config()
    for field in _LENGTH_FIELDS:
        length = getattr(text, field, None)
        if isinstance(length, int):
            return length
    length = getattr(tokenizer, "model_max_length", None)
    return length if isinstance(length, int) and length < _UNLIMITED else _DEFAULT_MAX_LENGTH


def _eos_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """All ids that end an answer: generation_config's (one or a list) and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    ids = list(configured) if isinstance(configured, list | tuple) else [configured]
    ids.append(tokenizer.eos_token_id)
    return tuple(dict.fromkeys(int(i) for i in ids if i is not None))


def _pad_id(model: Any, tokenizer: Any) -> int:
    for candidate in (tokenizer.pad_token_id, model.generation_config.pad_token_id):
        if candidate is not None:
            return int(candidate)
    eos = _eos_ids(model, tokenizer)
    return eos[0] if eos else 0


def _explained(error: Exception, transformers: Any, files: ModelFiles) -> ModelError:
    text = str(error).strip() or type(error).__name__
    first = text.splitlines()[0]
    settings = model_settings(files)
    kind = settings.get("model_type")
    _LOG.debug("loading %s failed", files.reference, exc_info=error)
    if "does not recognize this architecture" in text or "Unrecognized model" in text:
        return ModelError(
            f"transformers {transformers.__version__} does not know the architecture {kind!r}",
            origin=files.reference,
            hint="a newer transformers may (pip install -U transformers); a model with its own "
            "code needs model.trust_remote_code=true",
        )
    return ModelError(
        f"{files.name} cannot be loaded: {type(error).__name__}: {first}", origin=files.reference
    )
