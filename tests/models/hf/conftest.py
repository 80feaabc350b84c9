"""Tiny models with random weights, built once per session, and requests to ask them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.models.base import PreparedRequest
from lmms.models.hf import create
from lmms.types import (
    FramePolicy,
    GenerationArgs,
    LoadedMedia,
    MediaRef,
    Message,
    Outcome,
    Request,
    TextPart,
)

DATA = Path(__file__).parent / "data"
SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TEMPLATE = (
    "{%- for m in messages -%}{{- '<|im_start|>' + m.role + '\\n' -}}"
    "{%- if m.content is string -%}{{- m.content -}}{%- else -%}{%- for p in m.content -%}"
    "{%- if p.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif p.type == 'video' -%}{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}"
    "{%- else -%}{{- p.text -}}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def _tokenizer() -> Any:
    import tokenizers
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
    from transformers import AddedToken, Qwen2TokenizerFast

    raw = tokenizers.Tokenizer(models.BPE())
    split = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    raw.train_from_iterator(
        ["user assistant system", "What is shown? <1.0 seconds> Answer with a letter."] * 4, trainer
    )
    raw.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    raw.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    return Qwen2TokenizerFast(
        tokenizer_object=raw,
        bos_token=None,
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
    )


def _special_ids(tokenizer: Any) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _text_settings(tokenizer: Any, rope: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 24,
        "max_position_embeddings": 2048,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "rope_parameters": {"rope_theta": 10000.0, **rope},
    }


def _save(model: Any, processor: Any, tokenizer: Any, folder: Path) -> Path:
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=0.7,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def build_qwen3_vl(folder: Path) -> Path:
    """Saves a Qwen3-VL of some 60,000 random weights with tokenizer and processor."""
    import torch
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    tokenizer = _tokenizer()
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 48,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
        "initializer_range": 0.2,
    }
    rope = {"rope_type": "default", "mrope_section": [4, 4, 4], "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config=_text_settings(tokenizer, rope),
        vision_config=vision,
        tie_word_embeddings=False,
        **_special_ids(tokenizer),
    )
    shared: dict[str, Any] = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(
            size={"shortest_edge": 1024, "longest_edge": 65536}, **shared
        ),
        video_processor=Qwen3VLVideoProcessor(
            size={"shortest_edge": 4096, "longest_edge": 200_000},
            cap_pixels_per_frame=False,
            **shared,
        ),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    )
    torch.manual_seed(0)
    return _save(Qwen3VLForConditionalGeneration(config).float(), processor, tokenizer, folder)


def build_qwen2_5_vl(folder: Path) -> Path:
    """Saves a Qwen2.5-VL of random weights with tokenizer and processor."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = _tokenizer()
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 14,
        "spatial_patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 48,
        "window_size": 56,
        "fullatt_block_indexes": [1],
        "initializer_range": 0.2,
    }
    rope = {"rope_type": "default", "mrope_section": [4, 4, 4]}
    config = Qwen2_5_VLConfig(
        text_config=_text_settings(tokenizer, rope),
        vision_config=vision,
        tie_word_embeddings=False,
        **_special_ids(tokenizer),
    )
    size = {"shortest_edge": 56 * 56, "longest_edge": 100_000}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        video_processor=Qwen2VLVideoProcessor(size=size, cap_pixels_per_frame=False),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    )
    torch.manual_seed(0)
    return _save(Qwen2_5_VLForConditionalGeneration(config).float(), processor, tokenizer, folder)


def build_llava(folder: Path) -> Path:
    """Saves a LLaVA (CLIP and Llama) of random weights: a family without an entry of its own."""
    import torch
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = _tokenizer()
    text = _text_settings(tokenizer, {"rope_type": "default"}) | {"model_type": "llama"}
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
        "projection_dim": 32,
    }
    image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_id=image_id)
    tokenizer.image_token = "<|image_pad|>"
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
        ),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<|image_pad|>",
        chat_template=TEMPLATE,
    )
    torch.manual_seed(0)
    return _save(LlavaForConditionalGeneration(config).float(), processor, tokenizer, folder)


@pytest.fixture(scope="session")
def qwen3_vl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_qwen3_vl(tmp_path_factory.mktemp("qwen3-vl"))


@pytest.fixture(scope="session")
def qwen2_5_vl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_qwen2_5_vl(tmp_path_factory.mktemp("qwen2.5-vl"))


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def tiny_llama() -> Path:
    return DATA / "tiny_model"


class Asker:
    """A started back end that is asked synchronously."""

    def __init__(self, model: Any) -> None:
        self.model = model
        asyncio.run(model.start())

    def __call__(self, *requests: PreparedRequest) -> list[Outcome]:
        return list(asyncio.run(self.model.respond(requests)))


HUB = EnvConfig(name="hub", weights="hub", data="hub", offline=True)


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., Asker]]:
    """Starts a back end over a folder; equal arguments share one, all are closed at the end."""
    running: dict[str, Asker] = {}

    def begin(folder: Path, **fields: Any) -> Asker:
        key = json.dumps([str(folder), fields], sort_keys=True)
        if key not in running:
            config = ModelConfig(
                name="tiny", backend="hf", pretrained=str(folder), device="cpu", **fields
            )
            running[key] = Asker(create(config, env=HUB))
        return running[key]

    yield begin
    for asker in running.values():
        asyncio.run(asker.model.close())


def clip(frames: int = 4, height: int = 64, width: int = 96, *, seed: int = 0, step: float = 1.0):
    """A clip of noise as the media layer hands it over."""
    pixels = np.random.default_rng(seed).integers(0, 255, (frames, height, width, 3), np.uint8)
    return LoadedMedia(
        ref=MediaRef(kind="video", path=f"/clip{seed}.mp4", policy=FramePolicy(num_frames=frames)),
        digest=hashlib.sha256(pixels.tobytes()).hexdigest(),
        frames=pixels,
        indices=tuple(range(0, 10 * frames, 10)),
        times=tuple(i * step for i in range(frames)),
        source={
            "total_frames": 10 * frames,
            "average_fps": 10 / step,
            "duration_seconds": frames * step,
        },
    )


def picture(height: int = 64, width: int = 64, *, seed: int = 0) -> LoadedMedia:
    """An image of noise as the media layer hands it over."""
    pixels = np.random.default_rng(100 + seed).integers(0, 255, (height, width, 3), np.uint8)
    return LoadedMedia(
        ref=MediaRef(kind="image", path=f"/image{seed}.png"),
        digest=hashlib.sha256(pixels.tobytes()).hexdigest(),
        frames=pixels,
    )


def ask(
    *parts: str | LoadedMedia,
    continuation: str | None = None,
    chat: bool = True,
    messages: Sequence[Message] | None = None,
    repeat: int = 0,
    **generation: Any,
) -> PreparedRequest:
    """A prepared request: one user turn of texts and media, or the given messages."""
    media = tuple(p for p in parts if isinstance(p, LoadedMedia))
    turn = Message("user", tuple(TextPart(p) if isinstance(p, str) else p.ref for p in parts))
    request = Request(
        kind="generate_until" if continuation is None else "loglikelihood",
        messages=tuple(messages) if messages is not None else (turn,),
        continuation=continuation,
        apply_chat_template=chat,
        generation=GenerationArgs(**({"max_new_tokens": 12} | generation)),
        repeat=repeat,
    )
    key = request.digest([m.digest for m in media])
    return PreparedRequest(key=key, request=request, media=media)


@pytest.fixture(scope="session")
def make() -> Any:
    """The builders of requests and media: make.ask, make.clip, make.picture."""

    class Make:
        pass

    Make.ask = staticmethod(ask)  # type: ignore[attr-defined]
    Make.clip = staticmethod(clip)  # type: ignore[attr-defined]
    Make.picture = staticmethod(picture)  # type: ignore[attr-defined]
    return Make


@pytest.fixture(scope="session")
def golden() -> Callable[[str], list[dict[str, Any]]]:
    """Reads the cases of a golden file."""

    def read(name: str) -> list[dict[str, Any]]:
        content = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
        return list(content["cases"])

    return read
