"""Training batches: scenes drawn in memory, made to look compressed, tokenised fast.

What the processor would do one clip at a time is done here for a whole batch at once. The test
``tests/embedded/test_batches.py`` holds both against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tools.embedded.canary import MERGE, PATCH, TEMPORAL
from tools.embedded.questions import (
    INSTRUCTION,
    LETTERS,
    SKILLS,
    Question,
    make_question,
    option_value,
    reasoning_answer,
)
from tools.embedded.scene import (
    COLOURS,
    FIRST_EVALUATION_SEED,
    FRAME_HEIGHT,
    FRAME_WIDTH,
    NUM_FRAMES,
    SHAPES,
    FloatArray,
    Scene,
    make_scene,
    pair_seconds,
    render_many,
)

IGNORED = -100
_ROWS, _COLUMNS = FRAME_HEIGHT // (PATCH * MERGE), FRAME_WIDTH // (PATCH * MERGE)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Batch:
    """Inputs of one training step.

    Attributes:
        input_ids: tokens, ``(batch, length)``, padded on the right.
        labels: targets already shifted to the position that predicts them, -100 elsewhere.
        position_ids: multimodal rope positions, ``(3, batch, length)``.
        pixels: patches of all clips, ``(patches, channels * 2 * 16 * 16)``, None without video.
        grid: patches in time, height and width of each clip, ``(batch, 3)``, None without video.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    position_ids: torch.Tensor
    pixels: torch.Tensor | None
    grid: torch.Tensor | None
    guides: tuple[Guide, ...] = ()


@dataclass(frozen=True)
class Guide:
    """Where one attention head of the text model should look in a text batch.

    Attributes:
        role: what the head is for, key of ``HEADS``.
        rows: row in the batch of each guided query, ``(n,)``.
        queries: its position, ``(n,)``.
        allowed: positions that it may look at, ``(n, length)`` booleans, each row with a True.
    """

    role: str
    rows: torch.Tensor
    queries: torch.Tensor
    allowed: torch.Tensor


#: Layer and head that each role is taught to. The first layer also looks one, two and three
#: tokens back with its first three heads (``OFFSETS``), so that each position of the second
#: layer knows the words before it.
HEADS = {"line": (0, 3), "copy": (1, 0), "reverse": (1, 1), "subject": (1, 2), "option": (1, 3)}
OFFSETS = (1, 2, 3)


class Batcher:
    """Makes batches with one tokenizer; the words' tokens are remembered."""

    def __init__(self, tokenizer: Any) -> None:
        """Look up the control tokens of ``tokenizer`` once."""
        self._tokenizer = tokenizer
        self._pieces: dict[str, list[int]] = {}
        token = tokenizer.convert_tokens_to_ids
        self._start, self._end = token("<|vision_start|>"), token("<|vision_end|>")
        self.video_token = int(token("<|video_pad|>"))
        self._pad = tokenizer.pad_token_id

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; short texts such as time stamps are remembered."""
        known = self._pieces.get(text)
        if known is None:
            known = self._tokenizer(text, add_special_tokens=False).input_ids
            if len(self._pieces) < 100_000:
                self._pieces[text] = known
        return known

    def video_batch(
        self, seeds: list[int], rng: np.random.Generator, *, any_clock: bool = False
    ) -> Batch:
        """Clips with a question each; the loss counts on the whole answer.

        With ``any_clock`` some clips are given other time stamps, and the answers follow them.
        """
        scenes = [training_scene(seed) for seed in seeds]
        rows, labels = [], []
        for scene in scenes:
            times = scene.sampled_times()
            if any_clock and rng.random() < 0.7:
                times = other_clock(times, rng)
            seconds = pair_seconds(times)
            question = random_question(scene, rng, seconds)
            # Some callers strip the prompt: both forms must be known.
            prompt = question.prompt if rng.random() < 0.8 else question.prompt.rstrip("\n")
            answer = "".join(reasoning_answer(scene, seconds, question))
            head = self.encode("<|im_start|>user\n") + self.video_tokens(times)
            head = head + self._encode_once(f"{prompt}<|im_end|>\n<|im_start|>assistant\n")
            tail = self._encode_once(f"{answer}<|im_end|>")
            rows.append(head + tail)
            labels.append([IGNORED] * len(head) + tail)
        return self._batch(rows, labels, *_pixels(scenes, rng))

    def picture_batch(
        self, seeds: list[int], rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Clips without text: patches, their grids, and colour and shape of each pair."""
        scenes = [training_scene(seed) for seed in seeds]
        pixels, grid = _pixels(scenes, rng)
        events = [event for scene in scenes for event in scene.events]
        colours = torch.tensor([list(COLOURS).index(event.colour) for event in events])
        shapes = torch.tensor([SHAPES.index(event.shape) for event in events])
        return pixels, grid, colours, shapes

    def text_batch(
        self,
        seeds: list[int],
        rng: np.random.Generator,
        *,
        drills: int = 0,
        any_clock: bool = False,
    ) -> Batch:
        """Questions whose list of events is given: only what follows the list counts.

        With ``drills`` that many look-ups in the list and all options with their letters are
        practised before the question's own look-up. A single look-up in a sequence gives too
        little to learn from in the beginning.
        """
        rows, labels, spans = [], [], []
        for seed in seeds:
            row = _Row(self)
            scene = training_scene(seed)
            times = scene.sampled_times()
            if any_clock and rng.random() < 0.7:
                times = other_clock(times, rng)
            seconds = pair_seconds(times)
            question = random_question(scene, rng, seconds)
            listed, _ = reasoning_answer(scene, seconds, question)
            head = question.text
            row.add(f"<|im_start|>user\n{head}\n")
            row.options(question)
            row.add(f"{INSTRUCTION}<|im_end|>\n<|im_start|>assistant\n")
            row.list(listed)
            for _ in range(drills):
                other = random_question(scene, rng, seconds)
                row.look_up(other, drill=True)
                row.add("\n")
            for i in rng.permutation(len(LETTERS)) if drills else ():
                row.add(f"is {option_value(question.options[i])}")
                row.letter(LETTERS[i])
                row.add("\n")
            row.look_up(question)
            row.letter(question.letter)
            row.add(f"\n</think>\n\n{question.letter}<|im_end|>", counted=True)
            rows.append(row.tokens)
            labels.append(row.labels)
            spans.append(row.sources)
        batch = self._batch(rows, labels, None, None)
        return replace(batch, guides=_guides(spans, batch.input_ids.shape[1]))

    def video_tokens(self, times: npt.ArrayLike) -> list[int]:
        """Tokens that stand for a clip in the prompt, for its ``NUM_FRAMES`` frame times."""
        tokens = [self._start]
        pairs = np.asarray(times, dtype=np.float64).reshape(-1, TEMPORAL)
        for first, second in pairs:
            tokens += self.encode(f"<{(first + second) / 2:.1f} seconds>")
            tokens += [self._start, *[self.video_token] * (_ROWS * _COLUMNS), self._end]
        return [*tokens, self._end]

    def _encode_once(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return tokens

    def _batch(
        self,
        rows: list[list[int]],
        labels: list[list[int]],
        pixels: torch.Tensor | None,
        grid: torch.Tensor | None,
    ) -> Batch:
        length = max(map(len, rows))
        ids = np.full((len(rows), length), self._pad)
        targets = np.full((len(rows), length), IGNORED)
        for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
            ids[i, : len(row)] = row
            targets[i, : len(label) - 1] = label[1:]
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(targets),
            torch.from_numpy(rope_positions(ids, self.video_token)),
            pixels,
            grid,
        )


class _Row:
    """One sequence of a text batch, with the places that each answer is read from."""

    def __init__(self, batcher: Batcher) -> None:
        self._encode = batcher.encode
        self.tokens: list[int] = []
        self.labels: list[int] = []
        self.sources: list[tuple[str, int, list[int]]] = []
        self._option_places: dict[str, list[int]] = {}
        self._listed = range(0)

    def add(self, text: str, *, counted: bool = False) -> range:
        """Append a text; the range of its positions."""
        tokens = self._encode(text)
        begin = len(self.tokens)
        self.tokens += tokens
        self.labels += tokens if counted else [IGNORED] * len(tokens)
        return range(begin, len(self.tokens))

    def options(self, question: Question) -> None:
        """The option lines; their tokens learn to look at their letter."""
        for letter, option in zip(LETTERS, question.options, strict=True):
            place = self.add(letter).start
            positions = list(self.add(f". {option}\n"))
            self._option_places[letter] = positions
            self.sources += [("line", position, [place]) for position in positions]

    def list(self, listed: str) -> None:
        """The opening of the reasoning with the list of events."""
        self._listed = self.add(listed)

    def look_up(self, question: Question, *, drill: bool = False) -> None:
        """The look-up of a question; in a drill only what its subject leads to counts.

        Words that repeat a passage of the list are read from there, a colour from the place of
        its shape, and the first word after the colon from the question.
        """
        head, found = question.lookup.split(":")
        first, rest = found[1:].split(" ", 1)
        colon = self.add(f"{head}:", counted=not drill).stop - 1
        if not drill:
            self._subject(colon, f" {first}")
        place = self.add(f" {first}", counted=not drill).start
        if question.skill == "colour":
            same = [p for p in self._listed if self.tokens[p] == self.tokens[place]]
            self.sources.append(("reverse", place, same))
            self.add(f" {rest}", counted=True)
            return
        if drill and question.skill in ("when", "order"):
            shape, rest = rest.split(" ", 1)
            self.add(f" {shape}")
        for position in self.add(f" {rest}", counted=True):
            self._copied(position)

    def _copied(self, position: int) -> None:
        """Say that the token here repeats a passage of the list."""
        tokens = self.tokens
        for length in (3, 2, 1):
            context = tokens[position - length : position + 1]
            places = [p for p in self._listed if tokens[p - length : p + 1] == context]
            if places:
                self.sources.append(("copy", position - 1, places))
                return

    def _subject(self, colon: int, word: str) -> None:
        """Say that the word after the colon stands in the question."""
        token = self._encode(word)[0]
        question = range(self._option_places[LETTERS[0]][0])
        self.sources.append(("subject", colon, [p for p in question if self.tokens[p] == token]))

    def letter(self, letter: str) -> None:
        """The letter of the option whose text was just repeated."""
        query = len(self.tokens) - 1
        places = [p for p in self._option_places[letter] if self.tokens[p] == self.tokens[query]]
        self.sources.append(("option", query, places))
        self.add(f" {letter}", counted=True)


def _pixels(scenes: list[Scene], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of the scenes' sampled frames, and the grid of each clip."""
    frames = render_many(scenes, [scene.sampled_times() for scene in scenes])
    grid = [[NUM_FRAMES // TEMPORAL, _ROWS * MERGE, _COLUMNS * MERGE]] * len(scenes)
    return torch.from_numpy(patches(degrade(frames, rng))), torch.tensor(grid)


def _guides(sources: list[list[tuple[str, int, list[int]]]], length: int) -> tuple[Guide, ...]:
    """Collect the rows' sources by role."""
    guides = []
    for role in HEADS:
        found = [
            (row, query, places)
            for row, row_sources in enumerate(sources)
            for name, query, places in row_sources
            if name == role and places
        ]
        if not found:
            continue
        allowed = torch.zeros(len(found), length, dtype=torch.bool)
        for i, (_, _, places) in enumerate(found):
            allowed[i, places] = True
        rows = torch.tensor([row for row, _, _ in found])
        guides.append(Guide(role, rows, torch.tensor([query for _, query, _ in found]), allowed))
    return tuple(guides)


def training_scene(seed: int) -> Scene:
    """The scene of a training seed.

    Raises:
        ValueError: if the seed belongs to evaluation.
    """
    if not 0 <= seed < FIRST_EVALUATION_SEED:
        raise ValueError(f"seed {seed} is not below {FIRST_EVALUATION_SEED}: kept for evaluation")
    return make_scene(seed)


def other_clock(
    times: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Times of a clip told by a faster or slower clock whose rate changes.

    Real clips have nearly equal steps, so a model could guess later stamps from the first one.
    With any clock it has to read every stamp, and a wrong stamp leads to a wrong answer.
    """
    end = float(times[-1])
    for _ in range(10):
        told = end * rng.uniform(0.5, 2.2) * (times / end) ** rng.uniform(0.7, 1.5)
        told = np.round(told, 3)
        if np.diff(pair_seconds(told)).min() >= 4:
            return told
    return times


def random_question(scene: Scene, rng: np.random.Generator, seconds: list[int]) -> Question:
    """A question of a random skill that the scene allows."""
    while True:
        question = make_question(scene, str(rng.choice(SKILLS)), rng, seconds)
        if question is not None:
            return question


def rope_positions(ids: npt.NDArray[np.int64], video_token: int) -> npt.NDArray[np.int64]:
    """Rope positions (time, height, width) of right-padded rows, as Qwen3-VL counts them.

    Text counts on by one; the ``rows x columns`` tokens of a pair of frames share one time and
    the next text goes on behind the larger of the two extents.
    """
    is_video = ids == video_token
    block = _ROWS * _COLUMNS
    jump = max(_ROWS, _COLUMNS) - block
    before = np.cumsum(is_video, axis=1) - is_video  # video tokens to the left
    place = np.arange(ids.shape[1])[None, :] + (before // block) * jump
    inner = np.where(is_video, before % block, 0)
    start = place - inner
    return np.stack([start, start + inner // _COLUMNS, start + inner % _COLUMNS])


def degrade(frames: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What encoding, scaling and decoding do to frames, roughly.

    Args:
        frames: RGB, ``(clips, n, height, width, 3)``, 0 to 255.
        rng: source of noise.

    Returns:
        The same shape as bytes.
    """
    clips = frames.shape[0]
    chosen = rng.random((4, clips)) < np.array([[0.5], [0.3], [0.6], [0.5]])
    out = frames.copy()
    out[chosen[0]] = _coarse_chroma(out[chosen[0]])
    out[chosen[1]] = _soften(out[chosen[1]])
    noise = rng.standard_normal((*out.shape[:4], 1), dtype=np.float32)
    level = rng.uniform(0, 6, size=(clips, 1, 1, 1, 1)).astype(np.float32)
    out += noise * level * chosen[2][:, None, None, None, None]
    step = np.where(chosen[3], rng.uniform(1, 6, size=clips), 1.0).astype(np.float32)
    step = step[:, None, None, None, None]
    out = np.round(out / step) * step
    return np.clip(out, 0, 255).astype(np.uint8)


def _coarse_chroma(frames: FloatArray) -> FloatArray:
    """Colour differences averaged over 2x2 pixels, brightness kept (4:2:0)."""
    top, bottom = frames[:, :, ::2], frames[:, :, 1::2]
    blocks = 0.25 * (
        top[..., ::2, :] + top[..., 1::2, :] + bottom[..., ::2, :] + bottom[..., 1::2, :]
    )
    coarse = blocks.repeat(2, axis=2).repeat(2, axis=3)
    difference = frames - coarse
    coarse += sum(difference[..., i : i + 1] * _LUMA[i] for i in range(3))
    return coarse


def _soften(frames: FloatArray) -> FloatArray:
    """A mild blur (1 2 1) in both directions."""
    for axis in (2, 3):
        frames = 0.5 * frames + 0.25 * (np.roll(frames, 1, axis) + np.roll(frames, -1, axis))
    return frames


def patches(frames: npt.NDArray[np.uint8]) -> FloatArray:
    """Patches as the video processor lays them out, values in -1 to 1.

    Args:
        frames: ``(clips, n, height, width, 3)`` bytes, n even.

    Returns:
        ``(clips * n/2 * height/16 * width/16, 3 * 2 * 16 * 16)`` float32.
    """
    clips = frames.shape[0]
    split = frames.reshape(
        clips, -1, TEMPORAL, _ROWS, MERGE, PATCH, _COLUMNS, MERGE, PATCH, frames.shape[-1]
    )
    ordered = split.transpose(0, 1, 3, 6, 4, 7, 9, 2, 5, 8)
    flat = ordered.reshape(-1, frames.shape[-1] * TEMPORAL * PATCH * PATCH)
    return flat.astype(np.float32) / np.float32(127.5) - np.float32(1.0)
