"""Scenes and questions: the same seed gives the same thing, and no answer can be guessed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from tools.embedded.questions import LETTERS, SKILLS, make_question, reasoning_answer
from tools.embedded.scene import (
    FIRST_EVALUATION_SEED,
    NUM_EVENTS,
    NUM_FRAMES,
    SHAPES,
    SWAPPED,
    Scene,
    make_scene,
    pair_seconds,
    render,
    sample_indices,
)

GOLDEN_FRAMES = 653
GOLDEN_EVENTS = [
    "orange square",
    "yellow J",
    "cyan square",
    "yellow circle",
    "orange J",
    "blue square",
]


def description_digest(scene: Scene) -> str:
    return hashlib.sha256(json.dumps(asdict(scene), sort_keys=True).encode()).hexdigest()


def test_a_seed_always_gives_the_same_scene() -> None:
    first = make_scene(FIRST_EVALUATION_SEED)
    assert description_digest(make_scene(FIRST_EVALUATION_SEED)) == description_digest(first)
    assert description_digest(make_scene(FIRST_EVALUATION_SEED + 1)) != description_digest(first)


def test_the_first_evaluation_scene_is_what_was_shipped() -> None:
    scene = make_scene(FIRST_EVALUATION_SEED, frame_rate=8.0, stretch=0.0)
    assert [event.name for event in scene.events] == GOLDEN_EVENTS
    assert scene.num_frames == GOLDEN_FRAMES


@pytest.mark.parametrize("seed", range(40))
def test_every_event_is_seen_by_its_own_pair_of_frames(seed: int) -> None:
    scene = make_scene(seed)
    times = scene.sampled_times()
    assert 60 <= times[-1] <= 121
    assert len({event.name for event in scene.events}) == NUM_EVENTS
    for number, time in enumerate(times):
        shown = [event for event in scene.events if event.start <= time < event.end]
        assert shown == [scene.events[number // 2]]


def test_sampling_truncates_and_keeps_both_ends() -> None:
    assert sample_indices(24).tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23]
    assert len(sample_indices(1000)) == NUM_FRAMES


def test_pair_seconds_are_the_whole_part_of_the_printed_stamp() -> None:
    assert pair_seconds([0.0, 5.0, 9.0, 10.96, 19.98, 19.94]) == [2, 10, 20]


def test_pictures_show_what_the_description_says() -> None:
    scene = make_scene(3)
    frames = render(scene, scene.sampled_times())
    again = render(make_scene(3), scene.sampled_times())
    assert frames.shape == (NUM_FRAMES, 64, 96, 3)
    assert np.array_equal(frames, again)
    for frame, event in zip(frames[::2], scene.events, strict=True):
        row, column = round(event.y * 64), round(event.x * 64)
        patch = frame[row - 2 : row + 2, column - 2 : column + 2].reshape(-1, 3)
        if event.shape not in ("L", "J"):  # their centre is empty
            red, _, blue = patch.mean(axis=0)
            assert (red > blue) == (event.colour in ("red", "yellow", "orange"))


def test_l_and_j_are_mirror_images_and_the_exchange_of_colours_has_no_fixed_point() -> None:
    assert {"L", "J"} <= set(SHAPES)
    assert all(SWAPPED[SWAPPED[colour]] == colour != SWAPPED[colour] for colour in SWAPPED)


@pytest.mark.parametrize("skill", SKILLS)
def test_the_text_alone_favours_no_option(skill: str) -> None:
    rng = np.random.default_rng(0)
    letters: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    distractors: Counter[str] = Counter()
    total = 0
    for seed in range(1500):
        question = make_question(make_scene(seed), skill, rng)
        if question is None:
            continue
        total += 1
        letters[question.letter] += 1
        right = question.options[question.answer]
        answers[right] += 1
        distractors.update(option for option in question.options if option != right)
        assert len(set(question.options)) == len(LETTERS)
    # Five standard deviations of a fair draw.
    margin = 5 * (total * 0.25 * 0.75) ** 0.5
    assert all(abs(letters[letter] - total / 4) < margin for letter in LETTERS)
    for option, count in answers.items():
        offered = count + distractors[option]
        if offered > 100:
            assert abs(count - offered / 4) < 5 * (offered * 0.25 * 0.75) ** 0.5, option


def test_when_options_stay_apart_and_double_times_hit_no_right_option() -> None:
    for seed in range(100):
        seconds = pair_seconds(make_scene(seed).sampled_times())
        assert min(np.diff(seconds)) >= 9
        doubled = pair_seconds(2 * make_scene(seed).sampled_times())
        assert all(one != two for one, two in zip(seconds, doubled, strict=True))


def test_the_reasoning_ends_in_the_right_letter() -> None:
    scene = make_scene(11)
    rng = np.random.default_rng(0)
    question = make_question(scene, "order", rng)
    assert question is not None
    listed, rest = reasoning_answer(scene, pair_seconds(scene.sampled_times()), question)
    assert listed.count("\n") == NUM_EVENTS + 1
    assert rest.endswith(f"</think>\n\n{question.letter}")
