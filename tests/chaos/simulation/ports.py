"""The product's ports with a place before every call: log, consumer, producer, engine of the store, encoder, blobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spanstream.encoder.encoder import Encoded, EncoderInfo, Text
from spanstream.encoder.errors import EncoderFailed, EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.log import Consumer, Outgoing, Position, Record
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.ids import Key
from spanstream.ingestor.blobs import Blobs, BlobsUnavailable
from spanstream.store.conditions import StoredCondition
from spanstream.store.engine import Collection, Operation, Search
from spanstream.store.engine import Record as Stored
from spanstream.store.errors import StoreUnavailable
from spanstream.store.memory import MemoryEngine
from tests.chaos.simulation.scheduler import Scheduler


class ScheduledConsumer:
    """A member of a group that may be given up while it is away: it learns of that at its next poll, as in Kafka."""

    def __init__(self, scheduler: Scheduler, role: str, join: Callable[[], Consumer]) -> None:
        self._scheduler, self._role, self._join = scheduler, role, join
        self._member = join()
        self._lost: frozenset[tuple[str, int]] | None = None  # what it still believes to hold
        self._handles = False  # what its last poll gave

    @property
    def astray(self) -> bool:
        """Whether it still works on what its group has given to others."""
        return self._lost is not None and self._handles

    def expel(self) -> None:
        if self._lost is None:
            self._lost = self._member.assignment()
            self._member.close()

    def poll(self, wait: float) -> Sequence[Record]:
        self._handles = False
        if self._scheduler.reach(f"{self._role}: poll") == "rebalance":
            self.expel()
        if self._lost is not None:
            self._member, self._lost = self._join(), None
        records = self._member.poll(wait)
        self._handles = bool(records)
        return records

    def rewind(self, records: Sequence[Record]) -> None:
        if self._lost is None:
            self._member.rewind(records)

    def pause(self) -> None:
        if self._lost is None:
            self._member.pause()

    def resume(self) -> None:
        if self._lost is None:
            self._member.resume()

    def commit(self, records: Sequence[Record]) -> bool:
        fault = self._scheduler.reach(f"{self._role}: commit")
        if fault == "lost" or self._lost is not None:
            return False
        return self._member.commit(records) and fault != "unheard"

    def assignment(self) -> frozenset[tuple[str, int]]:
        return self._member.assignment() if self._lost is None else self._lost

    def taken(self) -> frozenset[tuple[str, int]]:
        return self._member.taken()

    def lag(self) -> Mapping[tuple[str, int], int]:
        return self._member.lag()

    def close(self) -> None:
        self._member.close()


class ScheduledProducer:
    """Publishes message by message, so that a batch may be half sent."""

    def __init__(self, scheduler: Scheduler, role: str, log: MemoryLog) -> None:
        self._scheduler, self._role = scheduler, role
        self._producer = log.producer()

    def publish(self, messages: Sequence[Outgoing], deadline: float = 30.0) -> list[Position]:
        positions = []
        for message in messages:
            fault = self._scheduler.reach(f"{self._role}: publish")
            if fault == "lost":
                raise LogUnavailable("lost")
            positions += self._producer.publish([message], deadline)
            if fault == "unheard":
                raise LogUnavailable("unheard")
        return positions

    def close(self) -> None:
        self._producer.close()


class ScheduledOffsets:
    """What the ingest API asks of the log."""

    def __init__(self, scheduler: Scheduler, log: MemoryLog) -> None:
        self._scheduler, self._log = scheduler, log

    def end_offsets(self, topic: str) -> dict[int, int]:
        self._reach()
        return self._log.end_offsets(topic)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        self._reach()
        return self._log.committed(group, topic)

    def _reach(self) -> None:
        if self._scheduler.reach("api: offsets") == "lost":
            raise LogUnavailable("lost")


class Disk(MemoryEngine):
    """An engine whose power may be cut: since the last flush each collection keeps as much as its log happened to bring
    to the disk, whatever the others keep.
    """

    def __init__(self) -> None:
        super().__init__()
        self._flushed: dict[Collection, dict[str, Any]] = {}
        self._since: dict[Collection, list[Operation]] = {each: [] for each in Collection}

    def write(self, collection: Collection, operations: Sequence[Operation]) -> None:
        super().write(collection, operations)
        self._since[collection] += operations

    def flush(self) -> None:
        self._flushed = {collection: dict(points) for collection, points in self.points.items()}
        for since in self._since.values():
            since.clear()

    def cut_power(self, kept: Mapping[Collection, float]) -> None:
        """`kept`: which share of what was not flushed survives."""
        for collection, since in self._since.items():
            points = self.points[collection]
            points.clear()
            points.update(self._flushed.get(collection, {}))
            survived = since[: round(kept.get(collection, 1.0) * len(since))]
            super().write(collection, survived)
        self.flush()


class ScheduledEngine:
    """The disk as one role sees it, operation by operation. `written` is told after each."""

    def __init__(self, scheduler: Scheduler, role: str, disk: Disk, written: Callable[[], None] = lambda: None) -> None:
        self._scheduler, self._role, self._disk, self._written = scheduler, role, disk, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)  # open, ready, maintain, close

    def write(self, collection: Collection, operations: Sequence[Operation]) -> None:
        for operation in operations:
            fault = self._reach(f"write {collection}")
            self._disk.write(collection, [operation])
            self._written()
            if fault == "unheard":
                raise StoreUnavailable("unheard")

    def retrieve(
        self, collection: Collection, ids: Sequence[str], *, payload: bool = True, vectors: Sequence[str] = ()
    ) -> list[Stored]:
        self._reach(f"read {collection}")
        return self._disk.retrieve(collection, ids, payload=payload, vectors=vectors)

    def search(self, searches: Sequence[Search]) -> list[list[tuple[str, float]]]:
        self._reach("read passages")
        return self._disk.search(searches)

    def count(self, collection: Collection, condition: StoredCondition) -> int:
        self._reach(f"read {collection}")
        return self._disk.count(collection, condition)

    def tally(self, collection: Collection, field: str, condition: StoredCondition, limit: int) -> dict[str, int]:
        self._reach(f"read {collection}")
        return self._disk.tally(collection, field, condition, limit)

    def scroll(
        self,
        collection: Collection,
        condition: StoredCondition | None,
        fields: Sequence[str] | None = None,
        first: str | None = None,
    ) -> Iterator[Stored]:
        self._reach(f"read {collection}")
        return self._disk.scroll(collection, condition, fields, first)

    def flush(self) -> None:
        fault = self._reach("flush")
        self._disk.flush()
        if fault == "unheard":
            raise StoreUnavailable("unheard")

    def _reach(self, what: str) -> str | None:
        fault = self._scheduler.reach(f"{self._role}: {what}")
        if fault == "lost":
            raise StoreUnavailable("lost")
        return fault


class ScheduledEncoder:
    """The hash encoder, with faults, and with texts that it cannot read until `mended`. `spoilt` is told of each text whose
    vectors were wrong.
    """

    def __init__(self, scheduler: Scheduler, encoder: HashEncoder, spoilt: Callable[[str], None]) -> None:
        self._scheduler, self._encoder, self._spoilt = scheduler, encoder, spoilt
        self.mended = False

    def info(self) -> EncoderInfo:
        return self._encoder.info()

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        fault = None if query else self._scheduler.reach("embedder: encode")
        if fault == "lost":
            raise EncoderUnavailable("lost")
        poisoned = not self.mended and any("poison" in text.text for text in texts)
        if fault or poisoned:
            for text in texts:
                self._spoilt(text.text)
        if fault == "failed":
            raise EncoderFailed("failed")
        encoded = self._encoder.encode(texts)
        if fault == "few":
            return encoded[1:]
        if fault == "narrow":
            return [replace(each, whole=each.whole[1:], ranges=each.ranges[:, 1:]) for each in encoded]
        if fault == "nan" or poisoned:
            return [replace(each, ranges=np.full_like(each.ranges, np.nan)) for each in encoded]
        return encoded

    def unready(self) -> list[str]:
        return []

    def close(self) -> None: ...


class ScheduledBlobs:
    """The blob store as one role sees it. A fault `empty`: its volume is not mounted."""

    def __init__(self, scheduler: Scheduler, role: str, blobs: Blobs) -> None:
        self._scheduler, self._role, self._blobs = scheduler, role, blobs

    def put(self, of: Key, version: int, data: bytes) -> str:
        return self._reach().put(of, version, data)

    def existed(self, logged_ms: int) -> None:
        self._reach().existed(logged_ms)

    def forget(self, of: Key, version: int) -> None:
        self._reach().forget(of, version)

    def erased(self, of: Key, version: int) -> bool:
        return self._reach().erased(of, version)

    def get(self, key: str, max_bytes: int) -> bytes:
        return self._reach().get(key, max_bytes)

    def _reach(self) -> Blobs:
        fault = self._scheduler.reach(f"{self._role}: blob")
        if fault == "lost":
            raise BlobsUnavailable("lost")
        return Blobs("memory://simulation-without-its-volume") if fault == "empty" else self._blobs
