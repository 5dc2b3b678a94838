from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from spanstream.eventlog.log import Position
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.ids import Key
from spanstream.events.topics import ALL
from spanstream.ingestor.in_flight import InFlight

STAGES = {"documents.v1": ("ingestor", "passages.v1"), "passages.v1": ("embedder", "embeddings.v1")}
TOPICS = ["documents.v1", "passages.v1", "embeddings.v1", "failures.v1"]
KEYS = [Key("t", "s", str(i)).encode() for i in range(4)]
A, B = KEYS[:2]


class Pipeline:
    """A memory log whose stages copy records on when told to, and what the index then shows."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.log.ensure_topics(ALL)
        self.applied: dict[bytes, int] = {}  # key -> number of its events that reached the index
        self.published: dict[bytes, int] = {}

    def publish(self, key: bytes) -> Position:
        self.published[key] = self.published.get(key, 0) + 1
        return self.log.append("documents.v1", key, b"%d" % self.published[key])

    def step(self, topic: str, at_most: int = 10**6, *, again: bool = False, fail: bool = False) -> None:
        """One stage handles some records: publishes, then commits. `again`: the indexer sends them round again."""
        group, onward = STAGES.get(topic, ("indexer", ""))
        consumer = self.log.consumer(group, [topic], max_records=at_most)
        for record in consumer.poll(0):
            assert record.key is not None
            assert record.value is not None
            if onward:
                self.log.append("failures.v1" if fail else onward, record.key, record.value)
            elif again and topic == "embeddings.v1":
                self.log.append("passages.v1", record.key, record.value)
            else:
                self.applied[record.key] = max(self.applied.get(record.key, 0), int(record.value))
            consumer.commit([record])
        consumer.close()

    def drain(self) -> None:
        for topic in TOPICS:
            self.step(topic)


class Moving:
    """The pipeline's log, on which a stage steps before each answer while there are steps left."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.steps: list[tuple[str, bool]] = []
        self._pipeline = pipeline

    def end_offsets(self, topic: str) -> dict[int, int]:
        self._move()
        return self._pipeline.log.end_offsets(topic)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        self._move()
        return self._pipeline.log.committed(group, topic)

    def _move(self) -> None:
        if self.steps:
            topic, again = self.steps.pop(0)
            self._pipeline.step(topic, 1, again=again)


def own(pipeline: Pipeline, in_flight: InFlight, key: bytes) -> None:
    in_flight.accepted(key, pipeline.publish(key))


def watch(pipeline: Pipeline, **settings: float) -> InFlight:
    return InFlight(pipeline.log, refresh_seconds=0, **settings)  # type: ignore[arg-type]


def test_an_idle_pipeline_is_quiet() -> None:
    pipeline = Pipeline()
    assert watch(pipeline).quiet(KEYS) == set(KEYS)


def test_an_own_event_is_in_flight_until_every_stage_has_committed() -> None:
    pipeline = Pipeline()
    in_flight = watch(pipeline)
    in_flight.quiet(KEYS)
    own(pipeline, in_flight, A)
    for topic in ("documents.v1", "passages.v1", "embeddings.v1"):
        assert in_flight.quiet([A]) == set()
        pipeline.step(topic)
    assert in_flight.quiet([A]) == {A}


def test_own_events_do_not_disturb_other_keys_of_their_partition() -> None:
    pipeline = Pipeline()
    in_flight = watch(pipeline)
    in_flight.quiet(KEYS)
    for _ in range(20):
        own(pipeline, in_flight, A)
    assert in_flight.quiet(KEYS) == set(KEYS) - {A}


def test_a_foreign_event_disturbs_its_partition_until_it_is_applied() -> None:
    pipeline = Pipeline()
    in_flight = watch(pipeline)
    in_flight.quiet(KEYS)
    pipeline.publish(A)
    assert A not in in_flight.quiet(KEYS)
    pipeline.drain()
    assert in_flight.quiet(KEYS) == set(KEYS)


def test_a_failure_is_in_flight_until_the_indexer_has_noted_it() -> None:
    pipeline = Pipeline()
    in_flight = watch(pipeline)
    own(pipeline, in_flight, A)
    pipeline.step("documents.v1", fail=True)
    pipeline.step("passages.v1")
    pipeline.step("embeddings.v1")
    assert A not in in_flight.quiet([A])
    pipeline.step("failures.v1")
    assert A in in_flight.quiet([A])


def test_an_event_sent_round_again_is_still_in_flight() -> None:
    pipeline = Pipeline()
    in_flight = watch(pipeline)
    own(pipeline, in_flight, A)
    pipeline.step("documents.v1")
    pipeline.step("passages.v1")
    pipeline.step("embeddings.v1", again=True)
    assert A not in in_flight.quiet([A])
    pipeline.drain()
    assert A in in_flight.quiet([A])


def test_an_event_sent_round_again_while_it_looks_is_in_flight() -> None:
    pipeline = Pipeline()
    log = Moving(pipeline)
    in_flight = InFlight(log, refresh_seconds=0)  # type: ignore[arg-type]
    in_flight.quiet([])
    own(pipeline, in_flight, A)
    pipeline.step("documents.v1")
    pipeline.step("passages.v1")
    # Between the fifth and the sixth of its questions: after passages.v1 was found applied, before embeddings.v1 is.
    log.steps = [("failures.v1", False)] * 5 + [("embeddings.v1", True)]
    assert in_flight.quiet([A]) == set()


def test_beyond_its_memory_everything_counts_as_in_flight() -> None:
    pipeline = Pipeline()
    in_flight = watch(pipeline, max_accepts=2)
    in_flight.quiet(KEYS)
    for key in (A, A, B):
        own(pipeline, in_flight, key)
    assert in_flight.quiet([A, B]) == set()
    pipeline.drain()
    assert in_flight.quiet([A, B]) == {A, B}


def test_it_looks_at_the_pipeline_only_so_often() -> None:
    pipeline = Pipeline()
    now = 0.0
    in_flight = InFlight(pipeline.log, refresh_seconds=1.0, clock=lambda: now)
    own(pipeline, in_flight, A)
    assert in_flight.quiet([A]) == set()
    pipeline.drain()
    assert in_flight.quiet([A]) == set()
    now = 1.0
    assert in_flight.quiet([A]) == {A}


class Machine(RuleBasedStateMachine):
    """Whatever the order of publishing and of the stages: a quiet key's events have all reached the index."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = Pipeline()
        self.log = Moving(self.pipeline)
        self.in_flight = InFlight(self.log, max_accepts=6, refresh_seconds=0)  # type: ignore[arg-type]
        self.unacknowledged: list[tuple[bytes, Position]] = []

    @rule(key=st.sampled_from(KEYS))
    def publish_own(self, key: bytes) -> None:
        own(self.pipeline, self.in_flight, key)

    @rule(key=st.sampled_from(KEYS))
    def publish_unacknowledged(self, key: bytes) -> None:
        self.unacknowledged.append((key, self.pipeline.publish(key)))

    @rule()
    def acknowledge(self) -> None:
        while self.unacknowledged:
            self.in_flight.accepted(*self.unacknowledged.pop())

    @rule(key=st.sampled_from(KEYS))
    def publish_foreign(self, key: bytes) -> None:
        self.pipeline.publish(key)

    @rule(
        topic=st.sampled_from(TOPICS),
        at_most=st.integers(1, 5),
        again=st.booleans(),
        fail=st.booleans(),
    )
    def stage(self, topic: str, at_most: int, again: bool, fail: bool) -> None:
        self.pipeline.step(topic, at_most, again=again, fail=fail)

    @rule(steps=st.lists(st.tuples(st.sampled_from(TOPICS), st.booleans()), max_size=9))
    def move_during_the_next_question(self, steps: list[tuple[str, bool]]) -> None:
        self.log.steps = steps

    @rule()
    def drain(self) -> None:
        self.pipeline.drain()

    @invariant()
    def quiet_keys_are_applied(self) -> None:
        for key in self.in_flight.quiet(KEYS):
            assert self.pipeline.applied.get(key, 0) == self.pipeline.published.get(key, 0)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
