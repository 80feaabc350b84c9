"""Retries, outages, interrupts: when something is asked again, and when no more."""

from __future__ import annotations

import random

from lmms.scheduler import (
    InOrder,
    Limits,
    RetryPolicy,
    Scheduler,
    TaskQueue,
)
from lmms.scheduler.messages import (
    Ask,
    Fail,
    ModelReady,
    Open,
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
