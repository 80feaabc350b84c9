"""What the hf back end adds to transformers: nothing to speak of, at the start and per answer.

Run with `pytest benches/test_hf.py -s`. Ratios of medians, interleaved, against transformers itself
in the same run; appended to benches/out/hf.jsonl.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

ROUNDS = 3
OUT = Path(__file__).parent / "out" / "hf.jsonl"

IMPORTS_ALONE = """
import time
import torch, transformers
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen3VLForConditionalGeneration
print(time.process_time())
"""

FIRST_ANSWER = """
import asyncio, time
import numpy as np
from lmms.config.schema import EnvConfig, ModelConfig
from lmms.models.base import PreparedRequest
from lmms.models.hf import create
from lmms.types import *

async def main():
    config = ModelConfig(name="m", backend="hf", embedded="canary-qwen3vl", device="cpu")
    model = create(config, env=EnvConfig())
    await model.start()
    height, width = model.media_size(96, 128, 12, "video")
    frames = np.zeros((12, height, width, 3), np.uint8)
    ref = MediaRef(kind="video", path="clip", policy=FramePolicy(num_frames=12))
    times = tuple(float(i) for i in range(12))
    medium = LoadedMedia(ref=ref, digest="0", frames=frames, indices=tuple(range(12)), times=times)
    turn = Message("user", (ref, TextPart("What is shown?")))
    request = Request(
        kind="generate_until", messages=(turn,), generation=GenerationArgs(max_new_tokens=32)
    )
    answers = await model.respond([PreparedRequest(key="k", request=request, media=(medium,))])
    assert answers[0].text is not None
    print(time.process_time())

asyncio.run(main())
"""


def _cpu_seconds(code: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    return float(done.stdout.split()[-1])


def _record(name: str, ours: list[float], theirs: list[float], unit: str) -> float:
    mine, base = statistics.median(ours), statistics.median(theirs)
    line = {
        "bench": name,
        "ours": mine,
        "transformers": base,
        "ratio": mine / base,
        "unit": unit,
        "rounds": len(ours),
    }
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(f"\n{name}: {mine:.3f} {unit}, transformers alone {base:.3f}, ratio {mine / base:.2f}")
    return mine / base


def test_from_nothing_to_the_first_video_answer() -> None:
    """Claim: loading and the first answer cost little beside the imports."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_cpu_seconds(FIRST_ANSWER))
        theirs.append(_cpu_seconds(IMPORTS_ALONE))
    assert _record("first video answer against bare imports", ours, theirs, "CPU s") <= 1.25


def test_cost_per_answer() -> None:
    """Claim: an answer through the protocol costs what processor and generate cost."""
    import torch

    from lmms.config.schema import EnvConfig, ModelConfig
    from lmms.models.base import PreparedRequest
    from lmms.models.hf import create
    from lmms.types import (
        FramePolicy,
        GenerationArgs,
        LoadedMedia,
        MediaRef,
        Message,
        Request,
        TextPart,
    )

    config = ModelConfig(name="m", backend="hf", embedded="canary-qwen3vl", device="cpu")
    model = create(config, env=EnvConfig())
    asyncio.run(model.start())
    size = model.media_size(96, 128, 12, "video")
    frames = np.random.default_rng(0).integers(0, 255, (12, *size, 3), np.uint8)
    ref = MediaRef(kind="video", path="clip", policy=FramePolicy(num_frames=12))
    medium = LoadedMedia(
        ref=ref,
        digest="0",
        frames=frames,
        indices=tuple(range(12)),
        times=tuple(float(i) for i in range(12)),
    )
    endless = {"suppress_tokens": list(model._loaded.eos_ids)}
    args = GenerationArgs(max_new_tokens=48, extra=endless)
    turn = Message("user", (ref, TextPart("What is shown?")))
    request = Request(kind="generate_until", messages=(turn,), generation=args)
    prepared = PreparedRequest(key="k", request=request, media=(medium,))
    loaded = model._loaded

    def plain() -> Any:
        content = [{"type": "video"}, {"type": "text", "text": "What is shown?"}]
        text = loaded.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = loaded.processor(
            text=[text],
            videos=[frames],
            video_metadata=[
                {"fps": 1.0, "frames_indices": list(range(12)), "total_num_frames": 12}
            ],
            do_sample_frames=False,
            return_tensors="pt",
        )
        with torch.inference_mode():
            output = loaded.model.generate(**inputs, do_sample=False, max_new_tokens=48, **endless)
        return loaded.tokenizer.decode(
            output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )

    def through() -> Any:
        return asyncio.run(model.respond([prepared]))[0].text

    assert plain() == through()
    ours, theirs = [], []
    for _ in range(7):
        for timings, work in ((ours, through), (theirs, plain)):
            begun = time.process_time()
            work()
            timings.append(time.process_time() - begun)
    asyncio.run(model.close())
    assert _record("one video answer of 48 tokens", ours, theirs, "CPU s") <= 1.2
