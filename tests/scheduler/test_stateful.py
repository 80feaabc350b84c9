"""Any order of completions, failures, passing time and interrupts: the bounds and promises hold."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lmms.scheduler import Limits, RetryPolicy
from lmms.types import Failure
from tests.scheduler.world import BROKEN, FLAKY, World

FAILURES = st.sampled_from(
    [
        BROKEN,
        FLAKY,
        Failure(kind="rejected", message="429", retryable=True, retry_after_seconds=3.0),
        Failure(kind="network", message="reset", retryable=True),
        Failure(kind="out_of_memory", message="oom", retryable=True),
    ]
)
PLACES = st.integers(0, 1000)


class SchedulerMachine(RuleBasedStateMachine):
    world: World

    @initialize(
        counts=st.lists(st.integers(0, 12), min_size=1, max_size=4),
        open_documents=st.integers(1, 8),
        batch_size=st.integers(1, 4),
        concurrency=st.integers(1, 3),
        rounds=st.integers(1, 3),
        asks=st.integers(1, 4),
        key_pool=st.sampled_from([None, 3, 1]),
        media_bytes=st.sampled_from([0, 10, 500]),
        max_retries=st.integers(0, 2),
    )
    def begin(
        self,
        counts: list[int],
        open_documents: int,
        batch_size: int,
        concurrency: int,
        rounds: int,
        asks: int,
        key_pool: int | None,
        media_bytes: int,
        max_retries: int,
    ) -> None:
        limits = Limits(
            open_documents=open_documents,
            media_bytes=35,
            batch_size=batch_size,
            concurrency=concurrency,
        )
        self.world = World(
            {f"task{i}": count for i, count in enumerate(counts)},
            limits,
            rounds=rounds,
            asks=asks,
            key_pool=key_pool,
            media_bytes=media_bytes,
            retry=RetryPolicy(max_retries=max_retries),
        )
        self.expected = {(f"task{i}", d) for i, count in enumerate(counts) for d in range(count)}

    @precondition(lambda self: self.world.opening)
    @rule(broken=st.sampled_from([False, False, False, True]))
    def open(self, broken: bool) -> None:
        self.world.finish_open(broken=broken)

    @precondition(lambda self: self.world.advancing)
    @rule(place=PLACES, broken=st.sampled_from([False, False, False, True]))
    def advance(self, place: int, broken: bool) -> None:
        self.world.finish_advance(place % len(self.world.advancing), broken=broken)

    @precondition(lambda self: self.world.recording)
    @rule(place=PLACES)
    def record(self, place: int) -> None:
        self.world.finish_record(place % len(self.world.recording))

    @precondition(lambda self: self.world.loads)
    @rule(place=PLACES, broken=st.sampled_from([False, False, False, True]))
    def load(self, place: int, broken: bool) -> None:
        self.world.finish_load(place % len(self.world.loads), broken=broken)

    @precondition(lambda self: self.world.batches)
    @rule(place=PLACES, failures=st.dictionaries(st.integers(0, 3), FAILURES, max_size=2))
    def answer(self, place: int, failures: dict[int, Failure]) -> None:
        batch = list(self.world.batches)[place % len(self.world.batches)]
        size = len(self.world.batches[batch])
        self.world.finish_batch(batch, {p: f for p, f in failures.items() if p < size})

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.send()

    @precondition(lambda self: not self.world.halted and self.world.ended)
    @rule(sure=st.sampled_from([False, False, False, False, True]))
    def halt(self, sure: bool) -> None:
        if sure:
            self.world.halt()

    @invariant()
    def no_document_ends_twice(self) -> None:
        if hasattr(self, "world"):
            assert all(count == 1 for count in self.world.ended.values())

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.finish_all()
        ended = set(world.ended)
        assert all(count == 1 for count in world.ended.values())
        assert not ended & world.abandoned
        assert not world.unreleased, "requests were never released"
        assert world.scheduler.media_bytes == 0
        if world.halted:
            assert ended | world.abandoned <= self.expected
        else:
            assert ended == self.expected
            assert not world.abandoned
            assert sorted(world.tasks_ended) == sorted(world.queues)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
