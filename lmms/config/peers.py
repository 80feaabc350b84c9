"""Run files in LMMs-Eval's keys (also lm-evaluation-harness's), translated to ours.

The peers hand most settings to the model's constructor as one text, `model_args: "a=1,b=2"`. Here
they are settings of several sections; what is none of ours goes to `model.kwargs` unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmms.errors import ConfigError, nearest

MODEL_NAMES: Mapping[str, str] = {
    "hf": "hf",
    "huggingface": "hf",
    "hf-auto": "hf",
    "hf-multimodal": "hf",
    "qwen2_5_vl": "qwen2_5_vl",
    "qwen2_5_vl_chat": "qwen2_5_vl",
    "qwen3_vl": "qwen3_vl",
    "qwen3_vl_chat": "qwen3_vl",
    "openai": "openai",
    "openai_compatible": "openai",
    "openai_compatible_chat": "openai",
    "async_openai": "openai",
    "async_openai_compatible_chat": "openai",
    "openai-chat-completions": "openai",
    "local-chat-completions": "openai",
    "local-completions": "openai",
    "dummy": "dummy",
    "replay": "replay",
}
"""The peers' model names to options of group `model`."""

_MODEL_KEYS = {
    "pretrained": "model.pretrained",
    "model": "model.pretrained",
    "model_version": "model.pretrained",
    "model_name": "model.pretrained",
    "model_id": "model.pretrained",
    "revision": "model.revision",
    "tokenizer": "model.tokenizer",
    "dtype": "model.dtype",
    "torch_dtype": "model.dtype",
    "device": "model.device",
    "device_map": "model.device_map",
    "attn_implementation": "model.attn_implementation",
    "peft": "model.adapter",
    "batch_size": "model.batch_size",
    "chat_template": "model.chat_template",
    "system_prompt": "model.system_prompt",
    "system_instruction": "model.system_prompt",
    "trust_remote_code": "model.trust_remote_code",
    "base_url": "model.base_url",
    "num_concurrent": "model.concurrency",
    "num_cpus": "model.concurrency",
    "max_retries": "model.max_retries",
    "timeout": "model.timeout_seconds",
    "max_pixels": "media.max_pixels",
    "min_pixels": "media.min_pixels",
    "max_num_frames": "media.num_frames",
    "max_frames_num": "media.num_frames",
    "num_frames": "media.num_frames",
    "fps": "media.fps",
}
"""Keys of `model_args` that are settings here; the others are `model.kwargs`."""

_GENERATION_KEYS = {
    "max_new_tokens": "max_new_tokens",
    "max_tokens": "max_new_tokens",
    "max_gen_toks": "max_new_tokens",
    "until": "until",
    "stop": "until",
    "do_sample": "do_sample",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "num_beams": "num_beams",
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
}

_PLAIN_KEYS = {
    "num_fewshot": "num_fewshot",
    "limit": "limit",
    "repeats": "repeats",
    "num_samples": "repeats",
    "batch_size": "model.batch_size",
    "device": "model.device",
    "system_instruction": "model.system_prompt",
    "trust_remote_code": "model.trust_remote_code",
    "log_samples": "output.log_samples",
    "output_path": "output.dir",
    "include_path": "env.task_paths",
    "bootstrap_iters": "statistics.bootstrap_samples",
}

_WITHOUT_EFFECT = frozenset(
    {"verbosity", "timezone", "show_config", "write_out", "check_integrity", "cache_requests"}
    | {"log_samples_suffix", "process_with_media", "process_docs_parallel", "max_batch_size"}
    | {"hf_hub_log_args", "launcher_args", "wandb_args", "wandb_log_samples", "swanlab_args"}
    | {"swanlab_log_samples", "force_simple", "use_cache", "config"}
)
"""Read and left aside, with a note: they change how the peers work, not what is measured."""

_SPECIAL = frozenset({"model", "model_args", "tasks", "gen_kwargs", "seed"})
_PEER_ONLY = (frozenset(_PLAIN_KEYS) | _WITHOUT_EFFECT | {"model_args", "gen_kwargs"}) - {
    "limit",
    "num_fewshot",
    "repeats",
}
_OURS = frozenset(
    {"env", "experiment", "executor", "generation", "media", "output", "run", "selector"}
    | {"statistics", "fewshot_seed", "task"}
)


def is_peer_style(entry: Mapping[str, Any]) -> bool:
    """Whether an entry uses keys that only the peers' run files have."""
    return any(k in _PEER_ONLY for k in entry) or isinstance(entry.get("tasks"), str | list)


def translate(entry: Mapping[str, Any], where: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns an entry in our keys, and notes on what had to be decided.

    Args:
        entry: Keys of LMMs-Eval's run files; ours may stand beside them. `env` is a mapping of
            our keys.
        where: The file, for messages.

    Raises:
        ConfigError: A key is neither theirs nor ours, or a value cannot be read.
    """
    _check_keys(entry, where)
    native: dict[str, Any] = {k: v for k, v in entry.items() if k in _OURS}
    notes: list[str] = []
    for key, path in _PLAIN_KEYS.items():
        if key in entry and entry[key] is not None:
            _put(native, path, _plain(key, entry[key], where, notes))
    _translate_model(entry, native, where, notes)
    _translate_tasks(entry.get("tasks"), native, where)
    for key, value in pairs(entry.get("gen_kwargs"), f"file {where} key gen_kwargs").items():
        name = _GENERATION_KEYS.get(key)
        _put(native, f"generation.{name or f'extra.{key}'}", _listed(name, value))
    if entry.get("seed") is not None:
        _translate_seed(entry["seed"], native, where)
    ignored = sorted(k for k in entry if k in _WITHOUT_EFFECT and entry[k])
    if ignored:
        notes.append(f"without effect here: {', '.join(ignored)} (file {where})")
    return native, tuple(notes)


def _check_keys(entry: Mapping[str, Any], where: str) -> None:
    known = _SPECIAL | set(_PLAIN_KEYS) | _WITHOUT_EFFECT | _OURS
    for key in entry:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r}",
                origin=f"file {where}",
                suggestions=nearest(key, known),
                allowed=", ".join(sorted(known - _WITHOUT_EFFECT)),
            )


def _plain(key: str, value: Any, where: str, notes: list[str]) -> Any:
    origin = f"file {where} key {key}"
    if key == "batch_size" and isinstance(value, str) and value.startswith("auto"):
        notes.append(f"batch_size: {value} is left to the model's own default (file {where})")
        return None
    if key == "limit" and isinstance(value, float) and not value.is_integer():
        raise ConfigError(
            f"limit: {value} is a share of the documents", origin=origin, allowed="a whole number"
        )
    if key == "limit" and isinstance(value, float):
        return int(value)
    if key == "include_path":
        return value if isinstance(value, list) else [p.strip() for p in str(value).split(",")]
    if isinstance(value, str) and key not in ("device", "system_instruction", "output_path"):
        return typed(value)
    return value


def _translate_model(
    entry: Mapping[str, Any], native: dict[str, Any], where: str, notes: list[str]
) -> None:
    name = entry.get("model")
    arguments = pairs(entry.get("model_args"), f"file {where} key model_args")
    if isinstance(name, Mapping):
        native["model"] = dict(name) | native.get("model", {})
    elif name is not None:
        native.setdefault("model", {})["name"] = MODEL_NAMES.get(str(name), str(name))
    for key, value in arguments.items():
        path = _MODEL_KEYS.get(key, f"model.kwargs.{key}")
        if key == "base_url":
            value = re.sub(r"/(chat/)?completions/?$", "", str(value))
        elif key in ("load_in_4bit", "load_in_8bit"):
            if not value:
                continue
            path, value = "model.quantization", "4bit" if "4" in key else "8bit"
        elif key == "batch_size" and str(value).startswith("auto"):
            continue
        _put(native, path, value)
    local = native.get("model", {}).get("name") in ("hf", "qwen2_5_vl", "qwen3_vl")
    if "pretrained" in arguments and local and "name" not in native["env"]:
        _put(native, "env.name", "hub")
        notes.append(f"env=hub was chosen because model_args names own weights (file {where})")


def _translate_tasks(tasks: Any, native: dict[str, Any], where: str) -> None:
    if isinstance(tasks, Mapping):
        native["tasks"] = dict(tasks)
        return
    if tasks is None:
        return
    names = tasks.split(",") if isinstance(tasks, str) else tasks
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ConfigError('tasks must be names: "a,b" or [a, b]', origin=f"file {where} key tasks")
    native["task"] = [n.strip() for n in names if n.strip()]


def _translate_seed(seed: Any, native: dict[str, Any], where: str) -> None:
    """One number for everything, or the peers' four: Python, NumPy, torch, few-shot."""
    parts = seed.split(",") if isinstance(seed, str) else seed if isinstance(seed, list) else [seed]
    numbers = [typed(p.strip()) if isinstance(p, str) else p for p in parts]
    valid = all(n is None or (isinstance(n, int) and not isinstance(n, bool)) for n in numbers)
    if not valid or len(numbers) not in (1, 3, 4):
        raise ConfigError(
            f"seed: {seed!r} cannot be read",
            origin=f"file {where} key seed",
            allowed='one whole number, or four: "42,42,42,42" (Python, NumPy, torch, few-shot)',
        )
    if numbers[0] is not None:
        native["seed"] = numbers[0]
    fewshot = numbers[0] if len(numbers) == 1 else numbers[3] if len(numbers) == 4 else None
    if fewshot is not None:
        native.setdefault("fewshot_seed", fewshot)


def _listed(name: str | None, value: Any) -> Any:
    return [value] if name == "until" and isinstance(value, str) else value


def _put(native: dict[str, Any], path: str, value: Any) -> None:
    if value is None:
        return
    *sections, last = path.split(".")
    holder = native
    for section in sections:
        inner = holder.get(section)
        if isinstance(inner, str):
            inner = {"name": inner}
        holder[section] = inner = dict(inner or {})
        holder = inner
    holder[last] = value


def pairs(value: Any, origin: str) -> dict[str, Any]:
    """Reads `"a=1,b=x"`, a mapping, or nothing. Commas inside brackets and quotes do not split.

    Raises:
        ConfigError: It is none of these, or a piece has no equals sign.
    """
    if value is None or value == "":
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, str):
        raise ConfigError("must be a mapping or text like a=1,b=2", origin=origin)
    found = {}
    for piece in _split(value):
        key, sign, text = piece.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"{piece!r} is not key=value", origin=origin)
        found[key.strip()] = typed(text.strip())
    return found


def _split(text: str) -> list[str]:
    pieces, depth, quote, current = [], 0, "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and depth <= 0:
            pieces.append(current)
            current = ""
            continue
        current += character
    return [p for p in (*pieces, current) if p.strip()]


def typed(text: str) -> Any:
    """Returns the number, truth value, list or text that `text` spells."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    lowered = text.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("none", "null"):
        return None
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?", text):
        return float(text)
    if text[:1] in "[{" and text[-1:] in "]}":
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text
