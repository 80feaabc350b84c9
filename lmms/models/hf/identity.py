"""What makes an answer this model's answer, from files alone: no torch, nothing loaded."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lmms.config.locations import cache_folder
from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import MissingExtraError
from lmms.models.base import ModelIdentity
from lmms.models.hf.files import (
    CARD_FILE,
    ModelFiles,
    chat_template_text,
    locate,
    locate_reference,
    model_settings,
    weight_files,
)
from lmms.types import digest_of

# Whatever decides how text and pixels become the model's input.
_PROCESSOR_FILES = (
    "added_tokens.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
)
_SETTINGS_FILES = ("config.json", "generation_config.json")
_BLOCK_BYTES = 1 << 20


def model_card(config: ModelConfig, env: EnvConfig) -> dict[str, Any]:
    """Returns the model's card for the harness (`lmms.json` beside the weights), empty without one.

    Known keys: `name`, `reasoning_budget` (tokens of thinking on top of the answer) and `media`
    (fields of `FramePolicy` that the model was trained with).

    Raises:
        LmmsError: As `files.locate`.
    """
    return locate(config, env).read_json(CARD_FILE)


def build_identity(config: ModelConfig, env: EnvConfig, files: ModelFiles) -> ModelIdentity:
    """Returns the identity of a model that `files.locate` found.

    Raises:
        ModelError: No config.json, or a local folder without weights.
        MissingExtraError: transformers is not installed.
    """
    settings = model_settings(files)
    tokenizer = locate_reference(config.tokenizer, env) if config.tokenizer else files
    template = chat_template_text(config, tokenizer)
    return ModelIdentity(
        name=files.name,
        reference=files.reference,
        revision=files.commit or f"sha256:{_weights_digest(files, env)}",
        backend="hf",
        backend_version=f"transformers {_transformers_version()}",
        dtype=resolve_dtype(config, settings),
        quantization=None if config.quantization == "none" else config.quantization,
        adapters=(_adapter_identity(config.adapter, env),) if config.adapter else (),
        attention=config.attn_implementation,
        chat_template_digest=None if template is None else _text_digest(template),
        processor_digest=_files_digest(_processor_files(tokenizer)),
        kwargs=dict(config.kwargs),
    )


def require_packages() -> None:
    """Makes sure that torch and transformers can be imported, without importing them.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    for module in ("torch", "transformers"):
        if find_spec(module) is None:
            raise MissingExtraError("the hf back end", extra="hf", module=module)


def resolve_dtype(config: ModelConfig, settings: dict[str, Any]) -> str:
    """Returns the dtype in which the model is computed.

    `auto` is the checkpoint's own on an accelerator, and float32 on a CPU, where half precision is
    slower and less exact.

    Args:
        config: `dtype` and `device` decide.
        settings: config.json.
    """
    if config.dtype != "auto":
        return config.dtype
    on_cpu = config.device == "cpu" or (config.device == "auto" and not accelerator_expected())
    if on_cpu and config.device_map is None:
        return "float32"
    text = settings.get("text_config") or {}
    stored = settings.get("dtype") or settings.get("torch_dtype")
    stored = stored or text.get("dtype") or text.get("torch_dtype") or "float32"
    return str(stored).removeprefix("torch.")


def accelerator_expected() -> bool:
    """Whether torch, once imported, is expected to find a GPU.

    Reads the version file of the installed torch and looks for device nodes, because importing
    torch takes seconds and a plan must not.
    """
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in {"", "-1"}:
        return False
    nodes = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    if not any(Path(node).exists() for node in nodes):
        return False
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        built = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return True
    return any(
        line.startswith(("cuda", "hip")) and not line.rstrip().endswith("None")
        for line in built.splitlines()
    )


def _transformers_version() -> str:
    try:
        return version("transformers")
    except PackageNotFoundError as error:
        raise MissingExtraError("the hf back end", extra="hf", module="transformers") from error


def _adapter_identity(adapter: str, env: EnvConfig) -> str:
    files = locate_reference(adapter, env)
    if files.commit is not None:
        return f"{adapter}@{files.commit}"
    found = sorted(p for p in files.folder.glob("adapter_*") if p.is_file())
    return f"sha256:{_files_digest(found)}"


def _weights_digest(files: ModelFiles, env: EnvConfig) -> str:
    """Digest of weights, config.json and generation_config.json of a local folder."""
    weights = weight_files(files)
    others = [files.folder / n for n in _SETTINGS_FILES if (files.folder / n).is_file()]
    memo = _Memo(env)
    # Hashing releases the GIL, so shards of a large model are read side by side.
    with ThreadPoolExecutor(max_workers=min(8, len(weights))) as pool:
        digests = list(pool.map(memo.digest, weights))
    memo.save()
    named = {p.name: d for p, d in zip(weights, digests, strict=True)}
    return digest_of(named | {p.name: _file_digest(p) for p in others})


class _Memo:
    """Digests of large files, remembered by path, size, modification time and inode.

    Hashing 16 GB takes many seconds and every `lmms plan` asks for it.
    """

    def __init__(self, env: EnvConfig) -> None:
        self._path = cache_folder(env.cache_dir) / "weight-digests.json"
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, str] = known if isinstance(known, dict) else {}
        self._changed = False

    def digest(self, path: Path) -> str:
        """Returns the SHA-256 of a file's content."""
        state = path.stat()
        key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{state.st_ino}"
        if key not in self._known:
            self._known[key] = _file_digest(path)
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        """Writes what was learnt; a cache that cannot be written is no error."""
        if not self._changed:
            return
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _processor_files(tokenizer: ModelFiles) -> list[Path]:
    # A tokenizer of its own replaces tokenizer and processor; see `loading`.
    return [p for n in _PROCESSOR_FILES if (p := tokenizer.folder / n).is_file()]


def _files_digest(paths: Iterable[Path]) -> str:
    return digest_of([[p.name, _file_digest(p)] for p in paths])


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
