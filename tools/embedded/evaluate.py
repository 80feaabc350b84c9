"""Score of the canary on the embedded long-video set, and under each control.

``python -m tools.embedded.evaluate`` asks every question in LongVideoBench's own prompt with
transformers alone; only the frames come from ``lmms.media``.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from lmms.media import frame_times, read_frames
from tools.embedded.make_data import EMBEDDED
from tools.embedded.questions import INSTRUCTION, LETTERS
from tools.embedded.scene import FRAME_HEIGHT, FRAME_WIDTH, NUM_FRAMES, sample_indices

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """What the model is given of a clip.

    Attributes:
        frames: ``(NUM_FRAMES, height, width, 3)`` bytes, None for no clip at all.
        times: seconds of the frames.
    """

    frames: Frames | None
    times: list[float]


def _shuffled(clip: Clip, _: Clip) -> Clip:
    """Frames in another order under the right times; pairs stay pairs, none at its place."""
    assert clip.frames is not None
    pairs = clip.frames.reshape(-1, 2, *clip.frames.shape[1:])
    order = np.roll(np.random.default_rng(0).permutation(len(pairs)), 1)
    while (order == np.arange(len(pairs))).any():
        order = np.random.default_rng(int(order[0]) + 1).permutation(order)
    return Clip(pairs[order].reshape(clip.frames.shape), clip.times)


def _reordered(clip: Clip, _: Clip) -> Clip:
    """Single frames in random order: every pair mixes two events."""
    assert clip.frames is not None
    order = np.random.default_rng(1).permutation(len(clip.frames))
    return Clip(clip.frames[order], clip.times)


def _black(clip: Clip, _: Clip) -> Clip:
    assert clip.frames is not None
    return Clip(np.zeros_like(clip.frames), clip.times)


def _swapped(clip: Clip, _: Clip) -> Clip:
    assert clip.frames is not None
    return Clip(clip.frames[..., ::-1].copy(), clip.times)


def _mirrored(clip: Clip, _: Clip) -> Clip:
    assert clip.frames is not None
    return Clip(clip.frames[:, :, ::-1].copy(), clip.times)


CONTROLS: dict[str, Callable[[Clip, Clip], Clip]] = {
    "none": lambda clip, other: clip,
    "black": _black,
    "other_clip": lambda clip, other: Clip(other.frames, other.times),
    "text_only": lambda clip, other: Clip(None, []),
    "shuffle_pairs": _shuffled,
    "shuffle_frames": _reordered,
    "double_times": lambda clip, other: Clip(clip.frames, [2 * t for t in clip.times]),
    "swap_red_blue": _swapped,
    "mirror": _mirrored,
}


def main() -> None:
    """Print one line of JSON per control."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=EMBEDDED / "longvideobench")
    parser.add_argument("--model", type=Path, default=EMBEDDED / "canary-qwen3vl")
    parser.add_argument("--controls", nargs="*", default=list(CONTROLS), choices=list(CONTROLS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--show", type=int, default=0, help="wrong answers to print")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = pq.read_table(arguments.data / "validation.parquet").to_pylist()
    clips = read_clips(arguments.data, rows)
    asker = Asker(arguments.model)
    for control in arguments.controls:
        begin, cpu = time.perf_counter(), time.process_time()
        answers, tokens = answer_all(asker, rows, clips, control, arguments.batch)
        shown = {
            "control": control,
            **scores(rows, answers),
            "tokens": round(tokens, 1),
            "wall": round(time.perf_counter() - begin, 1),
            "cpu": round(time.process_time() - cpu, 1),
        }
        print(json.dumps(shown), flush=True)
        wrong = [
            (row["question"], LETTERS[row["correct_choice"]], answer)
            for row, answer in zip(rows, answers, strict=True)
            if letter_of(answer) != LETTERS[row["correct_choice"]]
        ]
        for item in wrong[: arguments.show]:
            print(json.dumps(item))


def read_clips(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Clip]:
    """Frames and times of every clip, by file name."""
    clips = {}
    for name in dict.fromkeys(row["video_path"] for row in rows):
        path = folder / "videos" / name
        times = frame_times(path)
        indices = sample_indices(len(times), NUM_FRAMES)
        frames = read_frames(path, indices.tolist(), size=(FRAME_HEIGHT, FRAME_WIDTH))
        clips[name] = Clip(np.asarray(frames), [float(times[i]) for i in indices])
    return clips


class Asker:
    """The model and its processor, loaded as any other model."""

    def __init__(self, folder: Path) -> None:
        """Load from a local folder."""
        self._processor = AutoProcessor.from_pretrained(folder)
        self._model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        self._model.eval()
        settings = json.loads((folder / "lmms.json").read_text())
        self._longest = 32 + int(settings["reasoning_budget"])

    def inputs(self, prompts: list[str], clips: list[Clip]) -> Any:
        """Model inputs for prompts with a clip each, or for prompts without any."""
        texts, videos, metadata = [], [], []
        for prompt, clip in zip(prompts, clips, strict=True):
            content: list[dict[str, str]] = [{"type": "text", "text": prompt}]
            if clip.frames is not None:
                content.insert(0, {"type": "video"})
                videos.append(clip.frames)
                metadata.append(
                    {"fps": 1.0, "frames_indices": clip.times, "total_num_frames": NUM_FRAMES}
                )
            texts.append(
                self._processor.apply_chat_template(
                    [{"role": "user", "content": content}],
                    add_generation_prompt=True,
                    tokenize=False,
                )
            )
        media: dict[str, Any] = {}
        if videos:
            media = {
                "videos": videos,
                "video_metadata": metadata,
                "do_sample_frames": False,
                "do_resize": False,
            }
        return self._processor(text=texts, padding=True, return_tensors="pt", **media)

    def ask(self, prompts: list[str], clips: list[Clip]) -> tuple[list[str], int]:
        """Greedy answers and the number of tokens in all of them."""
        inputs = self.inputs(prompts, clips)
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=self._longest)
        new = output[:, inputs["input_ids"].shape[1] :]
        pad = self._processor.tokenizer.pad_token_id
        texts = self._processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return texts, int((new != pad).sum())


def prompt_of(row: dict[str, Any]) -> str:
    """LongVideoBench's prompt for a row."""
    options = [row[f"option{i}"] for i in range(5)]
    lines = [f"{LETTERS[i]}. {text}" for i, text in enumerate(options) if text != "N/A"]
    return "\n".join([row["question"], *lines, INSTRUCTION])


def answer_all(
    asker: Asker, rows: list[dict[str, Any]], clips: dict[str, Clip], control: str, batch: int
) -> tuple[list[str], float]:
    """Answers to all rows under a control, and the mean number of tokens."""
    names = list(clips)
    texts: list[str] = []
    total = 0
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        given = []
        for row in part:
            place = names.index(row["video_path"])
            other = clips[names[(place + 1) % len(names)]]
            given.append(CONTROLS[control](clips[row["video_path"]], other))
        answers, tokens = asker.ask([prompt_of(row) for row in part], given)
        texts += answers
        total += tokens
    return texts, total / len(rows)


def letter_of(answer: str) -> str:
    """The first option letter after the reasoning, empty if there is none."""
    found = re.search("[A-E]", answer.rsplit("</think>", 1)[-1]) if "</think>" in answer else None
    return found.group() if found else ""


def scores(rows: list[dict[str, Any]], answers: list[str]) -> dict[str, float]:
    """Accuracy over all rows and per skill, and the share of answers without a letter."""
    right: dict[str, list[bool]] = {"all": []}
    for row, answer in zip(rows, answers, strict=True):
        good = letter_of(answer) == LETTERS[row["correct_choice"]]
        right["all"].append(good)
        right.setdefault(row["skill"], []).append(good)
    result = {name: round(float(np.mean(values)), 3) for name, values in right.items()}
    result["no_letter"] = round(float(np.mean([letter_of(a) == "" for a in answers])), 3)
    return result


if __name__ == "__main__":
    main()
