"""An index in a folder, filled as the product fills one but without a log: parse worker, embedder and indexer one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from spanstream.embedder.handler import Embedding
from spanstream.encoder.encoder import Encoder
from spanstream.eventlog.log import Outgoing, Record
from spanstream.events import codec
from spanstream.events.ids import Key
from spanstream.events.segmenter import segmenter
from spanstream.events.topics import EMBEDDINGS, PASSAGES
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.gateway.found import Found
from spanstream.gateway.meanings import Words
from spanstream.gateway.question import Mode, Question
from spanstream.indexer.handler import Indexer
from spanstream.store.edge import EdgeStore
from spanstream.store.generation import Generation, opened
from spanstream.store.queries import Scope
from tests.bench import work

SCOPE = Scope("default")
SEGMENTER = segmenter("sentences")
POLL = 64


@contextmanager
def filled(encoder: Encoder, records: Sequence[Mapping[str, str]], folder: Path | None = None) -> Iterator[EdgeStore]:
    """The open store with these records {_id, title, text}, in `folder` or in one that vanishes at the end."""
    with TemporaryDirectory(prefix="spanstream-index-") as temporary:
        store = EdgeStore(folder or Path(temporary))
        try:
            generation = opened(store, encoder.info(), SEGMENTER, None)
            write(store, generation, encoder, records)
            store.maintain()
            yield store
        finally:
            store.close()


def write(store: EdgeStore, generation: Generation, encoder: Encoder, records: Sequence[Mapping[str, str]]) -> None:
    """Index records, a poll at a time; raises AssertionError where one is rejected."""
    embedding = Embedding(encoder)
    indexer = Indexer(store, generation, lambda: time.time_ns() // 1000)
    events = work.cutter()(records)
    for start in range(0, len(events), POLL):
        outputs = embedding([passages(event) for event in events[start : start + POLL]])
        assert indexer([embeddings(each) for each in outputs if isinstance(each, Outgoing)]) == []


def ids(hits: Sequence[Found]) -> list[str]:
    """The documents, best first."""
    return [hit.head.key.id for hit in hits]


def question(text: str, mode: Mode, **more: object) -> Question:
    """One text."""
    return Question(Words(text), mode, **more)  # type: ignore[arg-type]


def passages(event: PassageEvent) -> Record:
    """As the embedder reads it."""
    key = Key(event.tenant, event.source, event.id).encode()
    return Record(PASSAGES.name, 0, 0, key, event.SerializeToString(), codec.headers(event))


def embeddings(out: Outgoing) -> Record:
    """As the indexer reads it."""
    return Record(EMBEDDINGS.name, 0, 0, out.key, out.value, out.headers)
