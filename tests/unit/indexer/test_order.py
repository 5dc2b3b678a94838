"""Whatever arrives, in whatever order and however often: the index shows what the order rule says, never half of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spanstream.eventlog.log import Outgoing, Record
from spanstream.events.codec import decode
from spanstream.events.ids import Key, Order
from spanstream.events.topics import FAILURES
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.indexer.handler import Indexer
from spanstream.store.points import State
from spanstream.store.queries import Dense, Query, Scope
from spanstream.store.store import Store
from tests.unit.indexer.documents import DIMENSION, GENERATION, Document, deleted, embedded, failed, record
from tests.unit.indexer.stores import Faulty, Killed, open_edge

IDS = ["a", "b/c"]
BODIES = [[["one."], ["two."], ["three."], ["four."], ["five."]][:n] for n in range(1, 6)]
ANYTHING = Dense(np.eye(DIMENSION, dtype=np.float32)[0])


_runs = count()


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    Arrivals.store = open_edge(tmp_path_factory.mktemp("store"))
    yield
    Arrivals.store.close()


class Arrivals(RuleBasedStateMachine):
    """The model remembers what was published of each key: that is all it takes, whatever happens on the way."""

    store: Store  # one for all runs; each has a tenant of its own

    @property
    def keys(self) -> list[Key]:
        return [self.key(id) for id in IDS]

    def key(self, id: str) -> Key:
        return Key(self.tenant, "wiki", id)

    @initialize()
    def open(self) -> None:
        self.tenant = f"tenant{next(_runs)}"
        self.waiting: list[Record] = []
        self.orders: dict[Key, dict[Order, Document | None]] = {key: {} for key in self.keys}  # None: a delete
        self.failures: dict[Key, list[int]] = {key: [] for key in self.keys}

    @rule(id=st.sampled_from(IDS), version=st.integers(1, 4), body=st.sampled_from(BODIES), parts=st.integers(1, 3))
    def upsert(self, id: str, version: int, body: list[list[str]], parts: int) -> None:
        self._publish(Document(self.key(id), version, body), parts)

    @rule(id=st.sampled_from(IDS), version=st.integers(1, 4))
    def delete(self, id: str, version: int) -> None:
        self.waiting.append(deleted(self.key(id), version))
        self.orders[self.key(id)][Order.of(version, bytes(32), True)] = None

    @rule(id=st.sampled_from(IDS), version=st.integers(1, 4), body=st.sampled_from(BODIES), parts=st.integers(1, 2))
    def unchanged(self, id: str, version: int, body: list[list[str]], parts: int) -> None:
        self._publish(Document(self.key(id), version, body), parts, unchanged=True)

    def _publish(self, document: Document, parts: int, unchanged: bool = False) -> None:
        self.waiting += document.records(parts, unchanged=unchanged)
        self.orders[document.key][Order.of(document.version, document.content_hash, False)] = document

    @rule(id=st.sampled_from(IDS), version=st.integers(1, 4))
    def fail(self, id: str, version: int) -> None:
        self.waiting.append(failed(self.key(id), version))
        self.failures[self.key(id)].append(version)

    @precondition(lambda self: len(self.waiting) > 1)
    @rule(data=st.data())
    def shuffle(self, data: st.DataObject) -> None:
        self.waiting = data.draw(st.permutations(self.waiting))

    @precondition(lambda self: self.waiting)
    @rule(repeat=st.booleans(), size=st.integers(1, 8), killed_at=st.none() | st.integers(0, 9), lost=st.booleans())
    def poll(self, repeat: bool, size: int, killed_at: int | None, lost: bool) -> None:
        """The next records, perhaps killed on the way and delivered again, perhaps delivered twice for no reason."""
        records, self.waiting = self.waiting[:size], self.waiting[size:]
        if killed_at is not None:
            try:
                Indexer(Faulty(self.store, at=killed_at, lost=lost), GENERATION, lambda: 1)(records)
            except Killed:
                self.nothing_is_half()
        for _ in range(2 if repeat else 1):
            results = Indexer(self.store, GENERATION, lambda: 1)(records)
            self.waiting += [self._back(result) for result in results if isinstance(result, Outgoing)]

    @rule()
    def settle(self) -> None:
        """Everything arrives; the index shows the greatest order of each key."""
        while self.waiting:
            self.poll(False, 8, None, False)
        heads = self.store.heads(self.keys)
        for hit in self.store.search([Query(ANYTHING, Scope(self.tenant), 1000)])[0]:
            named = heads[hit.passage.key]
            assert (named.body_version, named.content_hash) == (hit.passage.version, hit.passage.content_hash), "stale"
        for key, orders in self.orders.items():
            head = heads.get(key)
            greatest = max(orders, default=None)
            shown = head and head.state is not State.ABSENT
            assert bool(shown) == bool(greatest)
            if head and greatest:
                winner = orders[greatest]
                assert head.order == greatest
                assert head.state is (State.LIVE if winner else State.DELETED)
                assert head.passage_count == (len(winner.passages) if winner else 0)
            version = greatest.version if greatest else -1
            newer = max((failure for failure in self.failures[key] if failure > version), default=None)
            noted = head.failure.version if head and head.failure and head.failure.version > version else None
            assert noted == newer

    def teardown(self) -> None:
        self.settle()

    def _back(self, again: Outgoing) -> Record:
        """A wrong guess comes back with vectors, and what became of dead letters as it is."""
        if again.topic == FAILURES.name:
            return Record(again.topic, 0, 0, again.key, again.value, again.headers)
        event = decode(PassageEvent, again.key, again.value, again.headers)
        assert not event.unchanged
        return record(embedded(event, alone=len(event.passages) == event.passage_count))

    @invariant()
    def nothing_is_half(self) -> None:
        heads = self.store.heads(self.keys)
        seen: dict[Key, list[int]] = {}
        for hit in self.store.search([Query(ANYTHING, Scope(self.tenant), 1000)])[0]:
            passage, head = hit.passage, heads.get(hit.passage.key)
            named = head and (head.body_version, head.content_hash) == (passage.version, passage.content_hash)
            if head and head.state is State.LIVE and named:
                seen.setdefault(passage.key, []).append(passage.ordinal)
        for key, head in heads.items():
            if head.state is State.LIVE:
                assert sorted(seen.get(key, [])) == list(range(head.passage_count))
            else:
                assert key not in seen


TestArrivals = Arrivals.TestCase
TestArrivals.settings = settings(
    max_examples=60, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
