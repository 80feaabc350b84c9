"""The selector of adaptive runs, on a simulated clock: its course depends on answers alone."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.adaptive.bank import ItemBank
from lmms.adaptive.session import AdaptiveSession
from lmms.scheduler import WAIT, AdaptiveSelector, Limits, SelectionState, StoppingRule
from tests.scheduler.world import World

COUNT = 60
NOW = SelectionState(0, 0, 0)


def bank(count: int = COUNT) -> ItemBank:
    rng = np.random.default_rng(1)
    return ItemBank.from_arrays(rng.lognormal(0, 0.3, count), rng.normal(0, 1.2, count))


def response(values: Mapping[str, float | None]) -> int | None:
    value = values["acc"]
    return None if value is None else int(value)


def selector(
    *, batch_size: int = 1, documents: list[int] | None = None, **rule: float
) -> AdaptiveSelector:
    known = bank()
    return AdaptiveSelector(
        AdaptiveSession(known),
        documents or list(range(len(known))),
        rule=StoppingRule(**{"max_items": 20, **rule}),  # type: ignore[arg-type]
        batch_size=batch_size,
        response_of=response,
    )


def right(document: int, seed: int = 0) -> int:
    return random.Random(f"{seed}:{document}").randrange(2)


def run_alone(
    chosen: AdaptiveSelector, *, lost: frozenset[int] = frozenset(), seed: int = 0
) -> None:
    """Answers one document after the other."""
    while (document := chosen.next(NOW)) is not None:
        assert document != WAIT
        chosen.observe(
            document, None if document in lost else {"acc": float(right(document, seed))}
        )


def test_one_document_after_the_other_is_the_plain_session() -> None:
    chosen = selector()
    run_alone(chosen)
    session = AdaptiveSession(bank())
    for step in chosen.steps:
        (position,) = session.next()
        estimate = session.observe(position, right(position))
        assert (step.position, step.document) == (position, position)
        assert (step.ability, step.stderr) == (estimate.value, estimate.stderr)
    assert [step.number for step in chosen.steps] == list(range(20))
    assert chosen.stopped_because == "max_items"


def test_a_batch_is_not_followed_before_all_of_it_has_ended() -> None:
    chosen = selector(batch_size=4)
    batch = [chosen.next(NOW) for _ in range(4)]
    assert len(set(batch)) == 4
    for document in batch[:3]:
        assert chosen.next(NOW) == WAIT
        chosen.observe(int(document), {"acc": 1.0})  # type: ignore[arg-type]
        assert not chosen.steps
    chosen.observe(int(batch[3]), {"acc": 0.0})  # type: ignore[arg-type]
    assert [step.document for step in chosen.steps] == batch
    assert chosen.next(NOW) not in (*batch, WAIT)


@given(st.randoms(use_true_random=False), st.integers(1, 7), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_course_does_not_depend_on_what_ends_first(
    rng: random.Random, batch_size: int, seed: int
) -> None:
    def course(shuffled: bool) -> tuple[object, ...]:
        chosen = selector(batch_size=batch_size)
        lost = frozenset({3, 14, 15, 29})
        limits = Limits(open_documents=16, media_bytes=100, batch_size=3, concurrency=2)
        world = World(
            {},
            limits,
            selectors={"a": chosen},
            values=lambda document: {"acc": float(right(document[1], seed))},
        )
        while not world.scheduler.finished:
            moves = [
                *(["open"] * bool(world.opening)),
                *(["advance"] * bool(world.advancing)),
                *(["record"] * bool(world.recording)),
                *(["batch"] * bool(world.batches)),
            ]
            move = rng.choice(moves) if shuffled and moves else (moves or ["wait"])[0]
            if move == "open":
                world.finish_open(broken=world.opening[0].document in lost)
            elif move == "advance":
                world.finish_advance(rng.randrange(len(world.advancing)) if shuffled else 0)
            elif move == "record":
                world.finish_record()
            elif move == "batch":
                world.finish_batch(
                    rng.choice(list(world.batches)) if shuffled else min(world.batches)
                )
            else:
                world.now = max(world.now, world.scheduler.next_wake() or 0.0)
                world.send()
        assert world.tasks_ended == ["a"]
        assert set(chosen.asked) == {document for _, document in world.ended}
        return tuple(chosen.steps), tuple(chosen.failed), chosen.stopped_because

    assert course(shuffled=True) == course(shuffled=False)


def test_stops_at_the_standard_error_but_not_before_the_least_number() -> None:
    chosen = selector(max_items=60, stderr=0.45)
    run_alone(chosen)
    errors = [step.stderr for step in chosen.steps]
    assert chosen.stopped_because == "se"
    assert errors[-1] is not None
    assert errors[-1] <= 0.45 < errors[-2]  # type: ignore[operator]
    later = selector(max_items=60, stderr=0.45, min_items=len(errors) + 5)
    run_alone(later)
    assert len(later.steps) == len(errors) + 5
    assert later.stopped_because == "se"
    assert later.steps[: len(errors)] == chosen.steps


def test_more_answers_continue_the_same_course() -> None:
    short, long = selector(max_items=10), selector(max_items=25)
    run_alone(short)
    run_alone(long)
    assert long.steps[:10] == short.steps


def test_a_failed_document_is_replaced_and_a_score_that_says_nothing_too() -> None:
    chosen = selector(batch_size=2, max_items=6)
    first, second = chosen.next(NOW), chosen.next(NOW)
    chosen.observe(int(second), {"acc": None})  # type: ignore[arg-type]
    chosen.observe(int(first), None)  # type: ignore[arg-type]
    assert (chosen.failed, chosen.unscored) == ([first], [second])
    assert not chosen.steps
    while chosen.stopped_because is None:
        batch = []
        while isinstance(document := chosen.next(NOW), int):
            batch.append(document)
        for document in batch:
            chosen.observe(document, {"acc": 1.0})
    answered = {step.document for step in chosen.steps}
    assert len(answered) == 6
    assert not answered & {first, second}
    assert chosen.asked == answered | {first, second}


def test_stops_when_nothing_gives_an_answer() -> None:
    chosen = selector(max_items=5)
    run_alone(chosen, lost=frozenset(range(COUNT)))
    assert chosen.stopped_because == "failures"
    assert len(chosen.failed) == 5


def test_stops_when_the_bank_is_used_up() -> None:
    chosen = selector(max_items=1000, batch_size=1)
    run_alone(chosen)
    assert chosen.stopped_because == "bank_used_up"
    assert sorted(step.document for step in chosen.steps) == list(range(COUNT))


def test_items_are_asked_as_their_documents() -> None:
    documents = [1000 - i for i in range(COUNT)]
    chosen = selector(documents=documents)
    run_alone(chosen)
    assert all(step.document == documents[step.position] for step in chosen.steps)


def test_what_makes_no_answer_of_a_score_ends_the_run() -> None:
    chosen = selector()
    document = chosen.next(NOW)
    with pytest.raises(KeyError):
        chosen.observe(int(document), {"other": 1.0})  # type: ignore[arg-type]
