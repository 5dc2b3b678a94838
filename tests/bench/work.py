"""What the product's encoder is asked for a record: cut by the product's own parse worker, so that a peer does the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from spanstream.embedder.embeddings import text_of
from spanstream.encoder.encoder import Encoder, Text
from spanstream.eventlog.log import Outgoing, Record
from spanstream.events import codec
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.handler import Handler
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Parsed
from spanstream.ingestor.settings import IngestorSettings

BATCH = (
    32  # documents that the bare encoder gets at once: more than a poll of the embedder has, which helps the peer alone
)


def _refuse(kind: Kind, body: bytes) -> Parsed:
    raise AssertionError("records are plain text")


def cutter(spans: str = "sentences") -> Callable[[Iterable[Mapping[str, str]]], list[PassageEvent]]:
    """A function from records {_id, title, text} to their passage events, with the product's default limits; `spans`: a value of SPANS."""
    cutting = IngestorSettings.read(log_url="memory:", blob_url="file:/", spans=spans).cutting
    handler = Handler(Blobs("memory://"), _refuse, cutting, remembered_keys=1)

    def cut(records: Iterable[Mapping[str, str]]) -> list[PassageEvent]:
        outputs = handler([_record(record, offset) for offset, record in enumerate(records)])
        return [PassageEvent.FromString(each.value) for each in outputs if isinstance(each, Outgoing)]

    return cut


def texts(events: Iterable[PassageEvent]) -> list[Text]:
    """What the embedder asks the encoder for these events."""
    return [text_of(event) for event in events]


def encode(encoder: Encoder, asked: Sequence[Text]) -> float:
    """Seconds for all texts, a batch at a time."""
    begun = time.perf_counter()
    for start in range(0, len(asked), BATCH):
        encoder.encode(asked[start : start + BATCH])
    return time.perf_counter() - begun


def _record(record: Mapping[str, str], offset: int) -> Record:
    event = DocumentEvent(
        tenant="default", source="bench", id=record["_id"], version=1, operation=OPERATION_UPSERT, title=record["title"]
    )
    event.text, event.content_type = record["text"], Kind.TEXT
    key = Key("default", "bench", record["_id"]).encode()
    return Record(DOCUMENTS.name, 0, offset, key, event.SerializeToString(), codec.headers(event))
