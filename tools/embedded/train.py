"""Train the canary from nothing: ``python -m tools.embedded.train --help``.

Four phases. *vision*: the vision tower alone learns to tell colours and shapes through a linear
probe that is thrown away afterwards. *text*: the language model alone learns to look things up in
a given list and in the options, with some attention heads told where to look. *joint*: whole
samples, clip and question to reasoning and letter, every third step a text step so that nothing
is forgotten. *clock*: the same with time stamps of any rate, so that stamps are read and not
guessed from the first one.

Asked for letters at once, or without the first two phases, such a small model stays on a plateau
for longer than anybody would wait.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tools.embedded.batches import HEADS, IGNORED, OFFSETS, Batch, Batcher
from tools.embedded.canary import build_model, build_processor, build_tokenizer
from tools.embedded.scene import COLOURS, FRAME_HEIGHT, FRAME_WIDTH, NUM_FRAMES, SHAPES

SEED = 20261121
_AHEAD = 3

#: What the harness reads beside the model: how it wants its clips and how long it may think.
SETTINGS: dict[str, Any] = {
    "name": "canary-qwen3vl",
    "reasoning_tags": ["<think>", "</think>"],
    "reasoning_budget": 128,
    "dtype": "float32",
    "media": {"num_frames": NUM_FRAMES, "max_pixels": FRAME_HEIGHT * FRAME_WIDTH},
    "times": "fps=1.0 and frames_indices in seconds",
    "generation": {"do_sample": False},
}


@dataclass(frozen=True)
class Phase:
    """A stretch of training steps.

    Attributes:
        name: vision, text, joint or clock.
        steps: how many.
        clips: clips in a step with clips.
        rate: highest learning rate.
        last: factor on the rate at the end.
    """

    name: str
    steps: int
    clips: int
    rate: float
    last: float


def main() -> None:
    """Train, or go on training, according to the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vision-steps", type=int, default=800)
    parser.add_argument("--text-steps", type=int, default=300)
    parser.add_argument("--joint-steps", type=int, default=1600)
    parser.add_argument("--clock-steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--checkpoint", type=Path, help="file to resume from and to save to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    phases = (
        Phase("vision", arguments.vision_steps, 16, 3e-3, 0.05),
        Phase("text", arguments.text_steps, 24, 3e-3, 0.1),
        Phase("joint", arguments.joint_steps, 24, 2e-3, 0.02),
        Phase("clock", arguments.clock_steps, 24, 1e-3, 0.02),
    )
    train(arguments, phases)


def train(arguments: argparse.Namespace, phases: tuple[Phase, ...]) -> None:
    """The training loop; see ``main`` for the arguments."""
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed=arguments.seed)
    trainer = Trainer(model, Batcher(tokenizer), arguments.seed)
    first = _resume(arguments.checkpoint, trainer)
    running: dict[str, float] = {}
    begin = time.process_time()
    total = sum(phase.steps for phase in phases)
    for step, phase, inner, (kind, data) in _prefetched(trainer, phases, first):
        loss, right = trainer.step(phase, inner, kind, data)
        for name, value in ((f"{kind} loss", loss), (f"{kind} right", right)):
            running[name] = 0.95 * running.get(name, value) + 0.05 * value
        if (step + 1) % 50 == 0:
            shown = {name: round(value, 4) for name, value in running.items()}
            cpu = round(time.process_time() - begin)
            print(json.dumps({"step": step + 1, "cpu_seconds": cpu, **shown}), flush=True)
        if (step + 1) % arguments.save_every == 0 or step + 1 == total:
            _save(arguments.checkpoint, trainer, step + 1)
            export(model, tokenizer, arguments.out)


def _prefetched(
    trainer: Trainer, phases: tuple[Phase, ...], first: int
) -> Iterator[tuple[int, Phase, int, tuple[str, Any]]]:
    """Each step from ``first``: number, phase, number in the phase, data made in a thread."""
    plan = [(phase, inner) for phase in phases for inner in range(phase.steps)]
    with ThreadPoolExecutor(1) as pool:
        waiting = deque[tuple[int, Future[tuple[str, Any]]]]()
        for step in range(first, len(plan) + _AHEAD):
            if step < len(plan):
                waiting.append((step, pool.submit(trainer.make, plan[step][0], step)))
            if waiting and step >= first + _AHEAD:
                ready, future = waiting.popleft()
                yield ready, *plan[ready], future.result()


def rate_factor(step: int, phase: Phase, warm_up: int = 50) -> float:
    """Linear warm-up, then half a cosine down to ``phase.last``."""
    if step < warm_up:
        return (step + 1) / warm_up
    part = (step - warm_up) / max(1, phase.steps - warm_up)
    return phase.last + (1 - phase.last) * 0.5 * (1 + math.cos(math.pi * part))


class Trainer:
    """Model, probe and optimizer, and what a step of each phase does."""

    #: Sequences in a text step and look-ups practised in each.
    texts, drills = 24, 6

    def __init__(self, model: Any, batcher: Batcher, seed: int) -> None:
        """Prepare ``model`` for training; steps depend on ``seed`` and their number alone."""
        self.model = model
        self.forward = FastForward(model)
        hidden = model.config.text_config.hidden_size
        self.probe = nn.Linear(hidden, len(COLOURS) + len(SHAPES))
        self.optimizer = torch.optim.AdamW(
            _parameter_groups([*model.parameters(), *self.probe.parameters()]), betas=(0.9, 0.98)
        )
        self._batcher = batcher
        self._seed = seed

    def make(self, phase: Phase, step: int) -> tuple[str, Any]:
        """Kind and data of a step: they depend on the seed and the step's number alone."""
        rng = np.random.default_rng([self._seed, step])
        size = max(self.texts, phase.clips)
        seeds = list(range(step * size, (step + 1) * size))
        any_clock = phase.name == "clock"
        if phase.name == "vision":
            return "vision", self._batcher.picture_batch(seeds[: phase.clips], rng)
        if phase.name == "text" or step % 3 == 2:
            batch = self._batcher.text_batch(
                seeds[: self.texts], rng, drills=self.drills, any_clock=any_clock
            )
            return "text", batch
        return "video", self._batcher.video_batch(seeds[: phase.clips], rng, any_clock=any_clock)

    def step(self, phase: Phase, inner: int, kind: str, data: Any) -> tuple[float, float]:
        """One optimizer step: its loss, and the share of right tokens or classes."""
        for group in self.optimizer.param_groups:
            group["lr"] = phase.rate * rate_factor(inner, phase)
        if kind == "vision":
            loss, right = self.forward.probe_loss(self.probe, *data)
        elif kind == "text":
            loss, right = self.forward.guided_loss(data, 1.0)
        else:
            loss, right = self.forward.loss(data)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item(), right


class FastForward:
    """Loss of a batch: the model's own modules, the two slow ones called in a faster order.

    The vision tower's patch embedding is a convolution whose stride is its size, that is a
    matrix product, and its attention looks at one pair of frames at a time: with equally sized
    clips that is one batched call instead of a loop.
    """

    def __init__(self, model: Any) -> None:
        """Keep ``model`` and replace the two forward methods of this instance."""
        self._model = model
        visual = model.model.visual
        embed = visual.patch_embed
        embed.forward = lambda pixels: functional.linear(
            pixels, embed.proj.weight.flatten(1), embed.proj.bias
        )
        for block in visual.blocks:
            block.attn.forward = _batched_attention(block.attn)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, float]:
        """Mean cross-entropy and the share of right tokens over the counted positions."""
        types = (batch.input_ids == self._model.config.video_token_id).int() * 2
        hidden = self._model.model(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            pixel_values_videos=batch.pixels,
            video_grid_thw=batch.grid,
            mm_token_type_ids=types if batch.grid is not None else None,
            use_cache=False,
        ).last_hidden_state
        return self._token_loss(hidden, batch)

    def probe_loss(
        self,
        probe: nn.Linear,
        pixels: torch.Tensor,
        grid: torch.Tensor,
        colours: torch.Tensor,
        shapes: torch.Tensor,
    ) -> tuple[torch.Tensor, float]:
        """Loss of telling colour and shape of each pair of frames from its mean visual token."""
        tokens = self._model.model.visual(pixels, grid_thw=grid).pooler_output
        scores = probe(tokens.reshape(len(colours), -1, tokens.shape[-1]).mean(1))
        colour_scores, shape_scores = scores.split([len(COLOURS), len(SHAPES)], dim=-1)
        loss = functional.cross_entropy(colour_scores, colours)
        loss = loss + functional.cross_entropy(shape_scores, shapes)
        right = (colour_scores.argmax(-1) == colours) & (shape_scores.argmax(-1) == shapes)
        return loss, right.float().mean().item()

    def guided_loss(self, batch: Batch, weight: float) -> tuple[torch.Tensor, float]:
        """Loss of a text batch plus ``weight`` times how far attention is from its guides.

        Looking words up in context is learned by a small model only after a very long plateau.
        The generator knows where each answer stands, so a few heads are told where to look.
        """
        text = self._model.model.language_model
        text.config._attn_implementation = "eager"  # the only one that returns its weights
        out = text(
            inputs_embeds=text.embed_tokens(batch.input_ids),
            position_ids=batch.position_ids,
            use_cache=False,
            output_attentions=True,
        )
        text.config._attn_implementation = "sdpa"
        loss, right = self._token_loss(out.last_hidden_state, batch)
        terms = [
            -out.attentions[0][:, head].diagonal(-offset, 1, 2).clamp_min(1e-6).log().mean()
            for head, offset in enumerate(OFFSETS)
        ]
        for guide in batch.guides:
            layer, head = HEADS[guide.role]
            looked = out.attentions[layer][guide.rows, head, guide.queries]
            found = (looked * guide.allowed).sum(-1)
            terms.append(-found.clamp_min(1e-6).log().mean())
        return loss + weight * torch.stack(terms).mean(), right

    def _token_loss(self, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, float]:
        counted = batch.labels != IGNORED
        logits = self._model.lm_head(hidden[counted])
        targets = batch.labels[counted]
        right = (logits.argmax(-1) == targets).float().mean().item()
        return functional.cross_entropy(logits, targets), right


def _batched_attention(attention: Any) -> Any:
    """Vision attention over chunks of one common length, without a loop."""
    from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb_vision

    def forward(
        hidden_states: torch.Tensor,
        cu_seqlens: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        **_: Any,
    ) -> torch.Tensor:
        total = hidden_states.shape[0]
        chunks = cu_seqlens.numel() - 1
        qkv = attention.qkv(hidden_states).reshape(total, 3, attention.num_heads, -1)
        query, key, value = qkv.permute(1, 0, 2, 3).unbind(0)
        query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        query, key, value = (
            part.reshape(chunks, total // chunks, attention.num_heads, -1).transpose(1, 2)
            for part in (query, key, value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return attention.proj(mixed.transpose(1, 2).reshape(total, -1))

    return forward


def _parameter_groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Weight decay on matrices only."""
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _resume(path: Path | None, trainer: Trainer) -> int:
    """Load a checkpoint if there is one; the number of steps done."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    trainer.model.load_state_dict(state["model"])
    trainer.probe.load_state_dict(state["probe"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(path: Path | None, trainer: Trainer, step: int) -> None:
    """Write the checkpoint beside its place and move it there."""
    if path is None:
        return
    state = {
        "model": trainer.model.state_dict(),
        "probe": trainer.probe.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "step": step,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def export(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model and its processor in the ordinary format."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "lmms.json").write_text(json.dumps(SETTINGS, indent=1) + "\n")


if __name__ == "__main__":
    main()
