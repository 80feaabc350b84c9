"""Single decisions of the scheduler, on a simulated clock."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from lmms.scheduler import (
    WAIT,
    Choice,
    InOrder,
    Limits,
    Scheduler,
    SelectionState,
    TaskQueue,
)
from lmms.scheduler.messages import (
    Ask,
    ModelReady,
    Open,
    Recorded,
    Stepped,
)
from tests.scheduler.world import BROKEN, World


def limits(**changes: int) -> Limits:
    return Limits(
        **{"open_documents": 16, "media_bytes": 100, "batch_size": 4, **changes}  # type: ignore[arg-type]
    )


def single(batch_size: int = 1, **changes: int) -> World:
    """A world with one opened document that asked one request, submitted."""
    world = World({"a": 1}, limits(batch_size=batch_size, **changes))
    world.finish_open()
    return world


# ------------------------------------------------------------------------------------- documents


def test_opens_one_document_first_and_more_later() -> None:
    world = World({"a": 100}, limits(open_documents=64))
    sizes = []
    while world.opening:
        sizes.append(len(world.opening))
        for _ in range(len(world.opening)):
            world.finish_open()
    assert sizes == [1, 2, 4, 8, 16, 32, 1]


def test_never_opens_more_documents_than_allowed_and_goes_on_as_they_end() -> None:
    world = World({"a": 50}, limits(open_documents=3))
    world.finish_all()
    assert len(world.ended) == 50
    assert world.opened_order == [("a", i) for i in range(50)]


def test_pictures_inside_rows_count_against_the_budget() -> None:
    world = World({"a": 50}, limits(open_documents=32, media_bytes=100))
    slot = world.opening.pop(0).slot
    world.unanswered[slot] = set()
    world.round_of[slot] = 1
    world.send(Stepped(slot, (), held_bytes=1000))
    assert not world.opening, "a document that holds the whole budget is alone"
    world.finish_advance()
    assert world.opening


def test_two_tasks_take_turns() -> None:
    world = World({"a": 20, "b": 20, "c": 20}, limits(open_documents=8))
    for _ in range(8):
        if world.opening:
            world.finish_open()
    tasks = [task for task, _ in world.opened_order]
    assert tasks.count("a") == tasks.count("b") == 4
    assert "c" not in tasks


def test_a_stuck_task_does_not_take_all_places() -> None:
    """Documents of `a` never finish; those of `b` all do."""
    world = World({"a": 40, "b": 40}, limits(open_documents=8, batch_size=1, concurrency=8))
    for _ in range(2000):
        if world.opening:
            world.finish_open()
            continue
        movable = [
            number
            for number, requests in world.batches.items()
            if world.documents[world.slot_of[requests[0]]].task == "b"
        ]
        if world.advancing:
            world.finish_advance()
        elif movable:
            world.finish_batch(movable[0])
        else:
            break
    assert sum(task == "b" for task, _ in world.ended) == 40
    assert not any(task == "a" for task, _ in world.ended)


def test_empty_tasks_end_at_once() -> None:
    world = World({"a": 0, "b": 0}, limits())
    assert world.scheduler.finished
    assert world.tasks_ended == ["a", "b"]


class Adaptive:
    """Starts document 5, waits for its score, then takes two more and stops."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def next(self, state: SelectionState) -> Choice:
        if state.opened == 0:
            return 5
        if not self.seen:
            return WAIT
        return state.opened * 10 if state.opened < 3 else None

    def observe(self, index: int, values: Mapping[str, float | None] | None) -> None:
        self.seen.append(index)


def test_a_selector_may_wait_for_scores_and_choose_by_them() -> None:
    selector = Adaptive()
    scheduler = Scheduler([TaskQueue("a", selector)], limits=limits())
    (opened,) = scheduler.step([ModelReady()], 0.0)
    assert isinstance(opened, Open)
    assert [o.document for o in opened.openings] == [5]
    slot = opened.openings[0].slot
    assert not any(isinstance(a, Open) for a in scheduler.step([Stepped(slot, ())], 0.0))
    actions = scheduler.step([Recorded(slot, {"acc": 1.0})], 0.0)
    (later,) = [a for a in actions if isinstance(a, Open)]
    assert [o.document for o in later.openings] == [10, 20]
    assert selector.seen == [5]


def test_in_order_takes_the_first_documents() -> None:
    chosen = [InOrder(2).next(SelectionState(n, 0, 0)) for n in range(3)]
    assert chosen == [0, 1, None]


# --------------------------------------------------------------------------------------- batches


def submitted(world: World, asks: list[Ask]) -> list[tuple[int, ...]]:
    """Sends one round while the model is busy, then frees the model again and again."""
    slot = world.opening.pop(0).slot
    for ask in asks:
        world.slot_of[ask.request] = slot
        world.key_of[ask.request] = ask.key
    world.unanswered[slot] = {ask.request for ask in asks}
    world.send(Stepped(slot, tuple(asks)))
    order = []
    while world.batches:
        number, requests = next(iter(world.batches.items()))
        order.append(requests)
        world.finish_batch(number)
    return order


def test_batches_hold_one_group_only() -> None:
    world = World({"a": 1}, limits(batch_size=4))
    asks = [Ask(i, f"k{i}", f"g{i % 2}", 0) for i in range(6)]
    order = submitted(world, asks)
    assert [{r % 2 for r in batch} for batch in order] == [{0}, {1}]


def test_batches_hold_requests_of_like_length_and_always_the_oldest() -> None:
    world = World({"a": 1}, limits(batch_size=4))
    costs = [50, 1, 2, 51, 52, 3, 49, 4]
    order = submitted(world, [Ask(i, f"k{i}", "g", cost) for i, cost in enumerate(costs)])
    assert 0 in order[0]
    assert [sorted(costs[r] for r in batch) for batch in order] == [
        [49, 50, 51, 52],
        [1, 2, 3, 4],
    ]


def finish_in_random_order(world: World, rng: random.Random) -> None:
    while not world.scheduler.finished:
        kinds = [kind for kind in ("opening", "advancing", "batches") if getattr(world, kind)]
        match rng.choice(kinds) if kinds else None:
            case "opening":
                world.finish_open()
            case "advancing":
                world.finish_advance(rng.randrange(len(world.advancing)))
            case "batches":
                world.finish_batch(rng.choice(list(world.batches)))
            case _:
                world.now = world.scheduler.next_wake() or world.now
                world.send()


def test_what_is_asked_does_not_depend_on_batch_size_or_order_of_completion() -> None:
    ends = []
    for batch_size, concurrency, seed in [(1, 1, 0), (7, 2, 1), (32, 3, 2)]:
        bounds = limits(batch_size=batch_size, concurrency=concurrency)
        world = World({"a": 20, "b": 9}, bounds, rounds=2, asks=3)
        finish_in_random_order(world, random.Random(seed))
        ends.append((sorted(world.ended), sum(world.asked_keys.values())))
    assert ends[0] == ends[1] == ends[2]


def test_a_free_model_waits_a_little_for_a_full_batch() -> None:
    world = World({"a": 3}, limits(batch_size=2))
    world.finish_open()
    assert not world.batches, "a second request is on its way"
    assert world.scheduler.next_wake() == pytest.approx(0.02)
    world.now = 0.03
    world.send()
    assert world.batch_sizes == [1]


def test_a_full_batch_goes_at_once() -> None:
    world = World({"a": 3}, limits(batch_size=2))
    world.finish_open()
    world.finish_open()
    assert world.batch_sizes == [2]


def test_nothing_is_asked_before_the_model_is_ready() -> None:
    world = World({"a": 3}, limits(batch_size=1), ready=False)
    world.finish_open()
    assert not world.batches
    world.send(ModelReady())
    assert world.batches


def test_one_question_is_asked_once_at_a_time() -> None:
    world = World({"a": 4}, limits(batch_size=4, concurrency=4), key_pool=1)
    for _ in range(4):
        if world.opening:
            world.finish_open()
    world.now = 1.0
    world.send()
    world.finish_all()
    assert len(world.ended) == 4
    assert world.asked_keys["0"] < 4


def test_a_follower_asks_itself_when_the_first_document_fails() -> None:
    world = World({"a": 2}, limits(batch_size=1), rounds=1, key_pool=1, ready=False)
    world.finish_open()
    world.finish_open()
    first = min(world.documents)
    # The first document fails for another reason before anything was asked.
    world.scheduler._fail(world.scheduler._slots[first], BROKEN)
    world.send(ModelReady())
    assert [len(b) for b in world.batches.values()] == [1]
    world.finish_all()
    assert world.failed == {("a", 0)}
    assert len(world.ended) == 2


# ----------------------------------------------------------------------------------------- media


def test_loading_stays_within_the_byte_budget() -> None:
    world = World({"a": 20}, limits(media_bytes=100, batch_size=64), media_bytes=40, ready=False)
    while world.opening:
        world.finish_open()
    assert len(world.loads) == 2
    world.finish_load()
    assert len(world.loads) == 1, "loaded pixels that wait count as well"
    world.send(ModelReady())
    world.now = 1.0
    world.send()
    assert world.batches
    assert len(world.loads) == 2, "what the model has is no longer waiting"


def test_one_medium_above_the_budget_is_loaded_alone() -> None:
    world = World({"a": 3}, limits(media_bytes=100, batch_size=1), media_bytes=500)
    while world.opening:
        world.finish_open()
    assert len(world.loads) == 1
    world.finish_all()
    assert len(world.ended) == 3


def test_a_broken_medium_fails_its_document_only() -> None:
    world = World({"a": 3}, limits(batch_size=1), media_bytes=10)
    world.finish_open()
    world.finish_load(broken=True)
    world.finish_all()
    assert world.failed == {("a", 0)}
    assert len(world.ended) == 3
    assert world.scheduler.media_bytes == 0
