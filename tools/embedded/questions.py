"""Questions about a scene, their options, and the reasoning that leads to the letter.

Every wrong option is taken from the same clip (or, for colours, is chosen in complete
red/blue-exchange pairs), so the text alone does not favour any option.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.embedded.scene import SHAPES, SWAPPED, Scene, pair_seconds

SKILLS = ("order", "when", "colour", "shape")
LETTERS = "ABCD"
INSTRUCTION = "Answer with the option's letter from the given choices directly.\n"


@dataclass(frozen=True)
class Question:
    """One multiple-choice question.

    Attributes:
        skill: element of ``SKILLS``.
        text: the question.
        options: four option texts.
        answer: index of the right option.
        lookup: what the reasoning says between the list of events and the letter.
    """

    skill: str
    text: str
    options: tuple[str, ...]
    answer: int
    lookup: str

    @property
    def letter(self) -> str:
        """Letter of the right option."""
        return LETTERS[self.answer]

    @property
    def prompt(self) -> str:
        """The user's text, in LongVideoBench's wording."""
        lines = [f"{LETTERS[i]}. {option}" for i, option in enumerate(self.options)]
        return "\n".join([self.text, *lines, INSTRUCTION])


def event_list(scene: Scene, seconds: list[int]) -> str:
    """The dense list that opens the reasoning: colour, shape and second of each event."""
    return "".join(f" {e.name} {s}\n" for s, e in zip(seconds, scene.events, strict=True))


def reasoning_answer(scene: Scene, seconds: list[int], question: Question) -> tuple[str, str]:
    """The two parts of the expected answer: up to the end of the list, and the rest."""
    rest = f"{question.lookup} {question.letter}\n</think>\n\n{question.letter}"
    return f"<think>\n{event_list(scene, seconds)}", rest


def option_value(option: str) -> str:
    """What an option says, without the unit."""
    return option.removesuffix(" seconds")


def make_question(
    scene: Scene, skill: str, rng: np.random.Generator, seconds: list[int] | None = None
) -> Question | None:
    """A random question of one skill, or None if the scene does not allow one.

    Args:
        scene: the clip.
        skill: element of ``SKILLS``.
        rng: source of every choice.
        seconds: whole second of each event; by default from the scene's own frame times.
    """
    if seconds is None:
        seconds = pair_seconds(scene.sampled_times())
    make = {"order": _order, "when": _when, "colour": _colour, "shape": _shape}[skill]
    return make(scene, seconds, rng)


def _order(scene: Scene, seconds: list[int], rng: np.random.Generator) -> Question:
    names = [event.name for event in scene.events]
    known = int(rng.integers(len(names) - 1))
    others = [name for i, name in enumerate(names) if i not in (known, known + 1)]
    return _question(
        "order",
        f"Which object appears right after the {names[known]}?",
        names[known + 1],
        [str(name) for name in rng.choice(others, size=3, replace=False)],
        f"after: {names[known]} {seconds[known]}\n",
        rng,
    )


def _when(scene: Scene, seconds: list[int], rng: np.random.Generator) -> Question:
    known = int(rng.integers(len(seconds)))
    options = [f"{second} seconds" for second in seconds]
    others = [option for i, option in enumerate(options) if i != known]
    name = scene.events[known].name
    return _question(
        "when",
        f"At which time is the {name} on screen?",
        options[known],
        [str(option) for option in rng.choice(others, size=3, replace=False)],
        f"when: {name}",
        rng,
    )


def _colour(scene: Scene, seconds: list[int], rng: np.random.Generator) -> Question | None:
    shapes = [event.shape for event in scene.events]
    single = [event for event in scene.events if shapes.count(event.shape) == 1]
    if not single:
        return None
    event = single[int(rng.integers(len(single)))]
    partner = SWAPPED[event.colour]
    rest = [colour for colour in SWAPPED if colour not in (event.colour, partner)]
    second = str(rng.choice(rest))
    return _question(
        "colour",
        f"What is the colour of the {event.shape}?",
        event.colour,
        [partner, second, SWAPPED[second]],
        f"colour: {event.shape}",
        rng,
    )


def _shape(scene: Scene, seconds: list[int], rng: np.random.Generator) -> Question | None:
    colours = [event.colour for event in scene.events]
    single = [event for event in scene.events if colours.count(event.colour) == 1]
    if not single:
        return None
    event = single[int(rng.integers(len(single)))]
    others = [shape for shape in SHAPES if shape != event.shape]
    return _question(
        "shape",
        f"What is the shape of the {event.colour} object?",
        event.shape,
        [str(shape) for shape in rng.choice(others, size=3, replace=False)],
        f"shape: {event.colour}",
        rng,
    )


def _question(
    skill: str, text: str, right: str, wrong: list[str], lookup: str, rng: np.random.Generator
) -> Question:
    options = [right, *wrong]
    order = rng.permutation(len(options))
    shuffled = tuple(options[i] for i in order)
    return Question(skill, text, shuffled, shuffled.index(right), f"{lookup} {option_value(right)}")
