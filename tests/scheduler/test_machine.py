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
    RetryPolicy,
    Scheduler,
    SelectionState,
    TaskQueue,
)
from lmms.scheduler.messages import (
    Ask,
    Fail,
    ModelReady,
    Open,
    Recorded,
    Retry,
    Returned,
    Stepped,
    Submit,
)
from lmms.scheduler.retry import Concurrency
from lmms.types import Failure
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


# --------------------------------------------------------------------------------------- retries


def flaky(**changes: object) -> Failure:
    values = {"kind": "timeout", "message": "slow", "retryable": True} | changes
    return Failure(**values)  # type: ignore[arg-type]


def test_back_off_doubles_is_capped_and_jittered() -> None:
    policy = RetryPolicy(base_seconds=1, cap_seconds=60)
    rng = random.Random(0)
    for attempt, ceiling in [(1, 1), (2, 2), (3, 4), (7, 60), (40, 60)]:
        delays = [policy.delay(attempt, None, rng) for _ in range(200)]
        assert ceiling / 2 <= min(delays) < max(delays) <= ceiling
        assert max(delays) - min(delays) > ceiling / 4


def test_retry_after_is_never_undercut() -> None:
    rng = random.Random(0)
    delays = [RetryPolicy().delay(1, 30.0, rng) for _ in range(100)]
    assert 30 <= min(delays) <= max(delays) <= 33


def test_gives_up_after_the_retries_and_fails_the_document() -> None:
    world = single()
    for attempt in range(6):
        ((batch, _),) = world.batches.items()
        world.finish_batch(batch, {0: flaky()})
        if attempt < 5:
            assert not world.batches, "it waits before it asks again"
            wake = world.scheduler.next_wake()
            assert wake is not None
            assert wake > world.now
            world.now = wake
            world.send()
    assert len(world.recording) == 1
    assert not world.batches


def test_what_cannot_be_retried_is_not() -> None:
    world = single()
    world.finish_batch(0, {0: flaky(retryable=False)})
    assert len(world.recording) == 1


def test_others_go_on_while_one_waits() -> None:
    world = World({"a": 5}, limits(batch_size=1))
    world.finish_open()
    world.finish_batch(0, {0: flaky(retry_after_seconds=1000.0)})
    while len(world.ended) < 4:
        if world.opening:
            world.finish_open()
        elif world.advancing:
            world.finish_advance()
        else:
            world.finish_batch(next(iter(world.batches)))
    assert world.now == 0.0
    world.finish_all()
    assert len(world.ended) == 5
    assert world.now >= 1000


def test_an_outage_of_ten_minutes_is_waited_out() -> None:
    world = World({"a": 8}, limits(batch_size=1, concurrency=4), retry=RetryPolicy(max_retries=2))
    refused = flaky(kind="network")
    world.send()
    attempts = 0
    while world.now < 600:
        if world.opening:
            world.finish_open()
        elif world.batches:
            attempts += 1
            world.finish_batch(next(iter(world.batches)), {0: refused})
        else:
            world.now = world.scheduler.next_wake() or world.now
            world.send()
    assert attempts < 8 * 25, "the waits grow"
    world.finish_all()
    assert len(world.ended) == 8
    assert not world.failed
    assert world.scheduler.fatal is None


def test_an_outage_without_end_stops_the_run_and_leaves_documents_for_later() -> None:
    world = World({"a": 8}, limits(batch_size=1), retry=RetryPolicy(outage_seconds=900))
    world.finish_open()
    world.finish_batch(0)
    world.finish_advance()
    while not world.scheduler.finished:
        world.halted = world.scheduler.halting
        if world.opening:
            world.finish_open()
        elif world.batches:
            world.finish_batch(next(iter(world.batches)), {0: flaky(kind="network")})
        else:
            world.now = world.scheduler.next_wake() or world.now
            world.send()
    assert world.scheduler.fatal is not None
    assert 900 < world.now < 1200
    assert len(world.ended) == 1
    assert not world.failed


def test_a_request_that_only_itself_kills_the_line_is_given_up() -> None:
    """Others are answered between its failures, so the endpoint is alive."""
    world = World({"a": 40}, limits(batch_size=1, concurrency=2), retry=RetryPolicy(max_retries=2))
    poison = 0
    while not world.scheduler.finished:
        if world.opening:
            world.finish_open()
        elif world.advancing:
            world.finish_advance()
        elif world.recording:
            world.finish_record()
        elif world.batches:
            batch, requests = min(world.batches.items())
            failing = world.documents[world.slot_of[requests[0]]].document == 3
            poison += failing
            world.now += 0.5
            world.finish_batch(batch, {0: flaky(kind="network")} if failing else None)
        else:
            world.now = world.scheduler.next_wake() or world.now
            world.send()
    assert world.failed == {("a", 3)}
    assert poison == 3


def test_a_fatal_failure_stops_the_run() -> None:
    world = World({"a": 8}, limits(batch_size=1))
    world.finish_open()
    world.halted = True
    world.finish_batch(0, {0: flaky(kind="refused", retryable=False, fatal=True)})
    world.finish_all()
    assert world.scheduler.fatal is not None
    assert not world.ended
    assert not world.failed


def test_out_of_memory_halves_the_batch_and_asks_again_at_once() -> None:
    world = World({"a": 8}, limits(batch_size=4), ready=False)
    while world.opening:
        world.finish_open()
    world.send(ModelReady())
    assert world.batch_sizes == [4]
    oom = flaky(kind="out_of_memory")
    world.finish_batch(0, {0: oom, 1: oom, 2: oom, 3: oom})
    world.finish_all()
    assert world.now == 0.0
    assert len(world.ended) == 8
    assert not world.failed
    assert world.batch_sizes == [4, 2, 2, 2, 2]


def test_too_many_requests_lowers_concurrency_which_is_regained() -> None:
    concurrency = Concurrency(16)
    concurrency.rejected(10, newest=12)
    assert concurrency.width == 8
    concurrency.rejected(11, newest=14)
    assert concurrency.width == 8, "it was sent before the first cut"
    concurrency.rejected(13, newest=20)
    assert concurrency.width == 4
    for _ in range(400):
        concurrency.answered()
    assert concurrency.width == 16


def test_retries_are_announced() -> None:
    scheduler = Scheduler([TaskQueue("a", InOrder(1))], limits=limits(batch_size=1))
    (opened,) = scheduler.step([ModelReady()], 0.0)
    assert isinstance(opened, Open)
    ask = Ask(7, "key", "group", 0)
    (submit,) = scheduler.step([Stepped(opened.openings[0].slot, (ask,))], 0.0)
    assert submit == Submit(0, (7,))
    (retry,) = scheduler.step([Returned(0, (flaky(retry_after_seconds=2.0),))], 0.0)
    assert isinstance(retry, Retry)
    assert retry.request == 7
    assert 2.0 <= retry.seconds <= 2.2


def test_the_failed_request_is_named() -> None:
    scheduler = Scheduler([TaskQueue("a", InOrder(1))], limits=limits(batch_size=1))
    (opened,) = scheduler.step([ModelReady()], 0.0)
    assert isinstance(opened, Open)
    slot = opened.openings[0].slot
    scheduler.step([Stepped(slot, (Ask(7, "key", "group", 0),))], 0.0)
    actions = scheduler.step([Returned(0, (BROKEN,))], 0.0)
    assert Fail(slot, BROKEN, 7) in actions


# ------------------------------------------------------------------------------------- interrupt


def test_a_halt_drains_what_is_in_flight_and_abandons_the_rest() -> None:
    world = World({"a": 20}, limits(batch_size=2))
    while world.opening:
        world.finish_open()
    assert len(world.batches) == 1
    world.halt()
    assert len(world.documents) == 2, "only what the model has is still in work"
    assert not world.scheduler.finished
    world.finish_batch(0)
    world.finish_advance()
    world.finish_advance()
    assert world.scheduler.finished
    assert len(world.ended) == 2
    assert not world.failed


def test_a_halt_during_a_back_off_does_not_wait_for_it() -> None:
    world = single()
    world.finish_batch(0, {0: flaky(retry_after_seconds=1000.0)})
    world.halt()
    assert world.scheduler.finished
    assert world.scheduler.next_wake() is None


def test_a_second_round_is_not_asked_after_a_halt() -> None:
    world = World({"a": 1}, limits(batch_size=1), rounds=2)
    world.finish_open()
    world.halt()
    world.finish_batch(0)
    world.finish_advance()
    assert world.scheduler.finished
    assert world.abandoned == {("a", 0)}
