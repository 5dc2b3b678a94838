"""A generation is filled from the log beside the live one: it ends with the same heads, whatever came when and was killed where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spanstream.embedder.handler import Embedding
from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderRejected
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.errors import Retry
from spanstream.eventlog.intervals import MAX_POLL_INTERVAL
from spanstream.eventlog.log import Record
from spanstream.eventlog.loop import Loop
from spanstream.events.segmenter import PASSAGES
from spanstream.events.topics import DOCUMENTS, FAILURES
from spanstream.indexer.handler import Indexer
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.handler import Cutting, Handler
from spanstream.ingestor.parsing import formats
from spanstream.ingestor.parsing.parsed import Limits
from spanstream.standalone.migration.backfill import TOPICS, Backfill, Noting, Paced, Progress
from spanstream.standalone.migration.coverage import Coverage, cover
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.points import Head, State
from spanstream.store.store import Store
from tests.fixtures.stepped import World, key
from tests.unit.indexer.stores import Faulty

NEW = HashEncoder(24)
GENERATION = Generation(NEW.info().release, NEW.info().dimension, PASSAGES)


class Picky(HashEncoder):
    """Refuses texts that say so."""

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        if any("refuse me" in text.text for text in texts):
            raise EncoderRejected("no")
        return super().encode(texts, query=query)


class Beside:
    """A world with a generation that is filled beside its live one."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, store=MemoryStore())
        self.new = self.world.store.beside()
        self.new.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
        self.encoder = NEW
        self.encoded: list[str] = []

    def loop(self, store: Any = None, encoder: HashEncoder | None = None) -> tuple[Loop, Progress]:
        store, encoder = store or self.new, encoder or _Counting(self.encoded)
        index = Indexer(store, GENERATION, lambda: 1)
        parse = Handler(
            Blobs(f"file:{self.world.folder}"),
            lambda kind, data: formats.parse(kind, data, Limits()),
            Cutting(),
            remembered_keys=0,
        )
        backfill = Backfill(parse, Embedding(encoder), index, self.world.store.heads)
        progress = Progress(self.world.log, "new")
        consumer = self.world.log.consumer("new", TOPICS, max_records=4)
        return Loop("new", consumer, Noting(index), backfill, observer=progress, poll_wait=0.0), progress

    def fill(self, store: Any = None, encoder: HashEncoder | None = None) -> Progress:
        """Until it has all events."""
        loop, progress = self.loop(store, encoder)
        try:
            loop.step()
            while progress.behind(self.world.log.end_offsets(DOCUMENTS.name)):
                loop.step()
            for _ in range(3):
                loop.step()
        finally:
            loop._consumer.close()
        return progress

    def covered(self) -> Coverage:
        return cover(self.world.store, self.new, 0.0)


class _Counting(HashEncoder):
    def __init__(self, encoded: list[str]) -> None:
        super().__init__(24)
        self._encoded = encoded

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        self._encoded += [text.text for text in texts]
        return super().encode(texts, query=query)


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    made = Beside(tmp_path)
    for number in range(6):
        made.world.put(f"d{number}")
    made.world.put("d1", 2)
    made.world.put("d2", 2)
    made.world.delete("d2", 3)
    made.world.flow()
    return made


def shown(store: Store) -> dict[str, tuple[int, State, bytes]]:
    return {head.key.id: (head.version, head.state, head.content_hash) for head in store.scan_heads()}


def test_it_ends_with_the_same_documents_and_encodes_none_that_was_outrun(beside: Beside) -> None:
    beside.fill()
    assert shown(beside.new) == shown(beside.world.store)
    assert beside.covered() == Coverage(5, 0, 0)
    assert len(beside.encoded) == 5
    assert all("of d2" not in text and "Version 1 of d1" not in text for text in beside.encoded)


@pytest.mark.promise("I28")
def test_what_was_erased_is_not_written_once_more(beside: Beside) -> None:
    """An erasure deletes documents as the version that is shown."""
    beside.world.put("erased", 7)
    beside.world.delete("erased", 7)
    beside.world.flow()
    beside.fill()
    assert all("of erased" not in text for text in beside.encoded)
    assert beside.new.heads([key("erased")])[key("erased")].state is State.DELETED


def test_nothing_is_published(beside: Beside) -> None:
    topics = ("passages.v1", "embeddings.v1", "failures.v1", "matches.v1")
    before = [beside.world.log.end_offsets(topic) for topic in topics]
    beside.world.put("bad", text="   ")
    beside.fill()
    assert [beside.world.log.end_offsets(topic) for topic in topics] == before


def test_live_updates_that_come_meanwhile_are_in_both(beside: Beside) -> None:
    loop, _ = beside.loop()
    for _ in range(2):
        loop.step()
    beside.world.put("d0", 7)
    beside.world.delete("d3", 9)
    loop.step()
    beside.world.flow()
    loop._consumer.close()
    beside.fill()
    assert beside.covered() == Coverage(4, 0, 0)
    assert shown(beside.new) == shown(beside.world.store)


def test_killed_at_any_call_of_the_store_it_ends_the_same(beside: Beside) -> None:
    expected = shown(beside.world.store)
    killed_at, killed = 0, True
    while killed:
        store = Faulty(beside.new, at=killed_at, lost=killed_at % 2 == 0, error=KeyboardInterrupt())  # type: ignore[arg-type]
        try:
            beside.fill(store)
            killed = False
        except KeyboardInterrupt:
            killed_at += 1
    assert killed_at > 4
    assert shown(beside.new) == expected
    assert beside.covered().whole


def test_what_the_new_release_refuses_is_noted_there_counted_and_lacking(beside: Beside) -> None:
    beside.world.put("odd", text="Please refuse me. I am a text.")
    beside.world.flow()
    before = beside.world.log.end_offsets(FAILURES.name)
    progress = beside.fill(encoder=Picky(24))
    assert progress.failed == {"EMBED_INVALID": 1}
    assert beside.covered() == Coverage(6, 1, 0, (key("odd"),))
    failure = beside.new.heads([key("odd")])[key("odd")].failure
    assert failure is not None
    assert failure.reason == "EMBED_INVALID"
    assert beside.world.store.heads([key("odd")])[key("odd")].failure is None
    assert beside.world.log.end_offsets(FAILURES.name) == before


def test_dead_letters_of_the_services_are_noted_on_the_new_heads_too(beside: Beside) -> None:
    beside.world.put("empty", text="   ")
    beside.world.flow()
    beside.fill()
    noted = beside.new.heads([key("empty")])[key("empty")].failure
    assert noted is not None
    assert noted.reason == "EMPTY_TEXT"


def test_it_waits_while_the_live_index_does_not_answer(beside: Beside) -> None:
    def away(keys: Sequence[object]) -> dict[Any, Head]:
        raise StoreUnavailable("away")

    backfill = Backfill(lambda _: [], lambda _: [], lambda _: [], away)
    with pytest.raises(Retry, match="away"):
        backfill([Record(DOCUMENTS.name, 0, 0, b"k", b"")])


def test_a_deleted_document_that_is_still_shown_is_stale(beside: Beside) -> None:
    beside.fill()
    beside.world.delete("d4", 5)
    beside.world.put("d5", 6)
    beside.world.flow()
    found = beside.covered()
    assert (found.live, found.lacking, found.stale, set(found.named)) == (4, 1, 1, {key("d4"), key("d5")})
    assert not beside.covered().whole


class Endless:
    """A consumer that always has records, unless it is paused: then it waits, by a clock of its own."""

    def __init__(self) -> None:
        self.now, self.polled, self.longest, self.paused = 0.0, 0.0, 0.0, False

    def poll(self, wait: float) -> list[Record]:
        self.longest, self.polled = max(self.longest, self.now - self.polled), self.now
        if self.paused:
            self.now += wait
            return []
        return [Record(DOCUMENTS.name, 0, 0, None, None)] * 4

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def test_a_pace_is_kept_and_lifted() -> None:
    rate, consumer = [2.0], Endless()
    paced = Paced(consumer, lambda: rate[0], lambda: consumer.now)  # type: ignore[arg-type]
    got = 0
    while consumer.now < 100:
        got += len(paced.poll(0.2))
    assert 195 <= got <= 205
    rate[0] = 0.0
    assert all(len(paced.poll(0.2)) == 4 for _ in range(10))
    assert consumer.now < 101


def test_at_the_lowest_pace_it_stays_a_member_of_its_group() -> None:
    rate, got, consumer = 0.1 / 64, 0, Endless()
    paced = Paced(consumer, lambda: rate, lambda: consumer.now)  # type: ignore[arg-type]
    while consumer.now < 4 * 4 / rate - 1.0:
        if not (records := paced.poll(100.0)):
            consumer.now += 1.0  # of a loop that has other things to do, too
        got += len(records)
    assert got == 16
    assert 0 < consumer.longest < MAX_POLL_INTERVAL / 5


def test_one_that_is_paused_by_its_loop_is_not_resumed_by_its_pace() -> None:
    consumer = Endless()
    paced = Paced(consumer, lambda: 2.0, lambda: consumer.now)  # type: ignore[arg-type]
    assert len(paced.poll(0.2)) == 4  # for two seconds
    paced.pause()
    for _ in range(20):
        assert not paced.poll(0.2)
    assert consumer.now > 3
    paced.resume()
    assert len(paced.poll(0.2)) == 4


@pytest.mark.parametrize("at", range(5))
def test_a_store_without_room_for_a_while_is_waited_for(tmp_path: Path, at: int) -> None:
    beside = Beside(tmp_path)
    for number in range(6):
        beside.world.put(f"d{number}")
    beside.world.flow()
    beside.fill(Faulty(beside.new, at=at, lost=True, error=StoreUnavailable("the disk is full")))
    assert beside.covered() == Coverage(6, 0, 0)
