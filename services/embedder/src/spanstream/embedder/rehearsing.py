"""What the embedder does with a record but for asking the encoder, to be tried out in a child process."""

from __future__ import annotations

from spanstream.embedder.handler import Embedding
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Record
from spanstream.eventlog.loop import Handler
from spanstream.events import codec
from spanstream.events.topics import PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT
from spanstream.events.v1.passage_pb2 import Passage, PassageEvent


def handler() -> Handler:
    """Vectors are made up."""
    return Embedding(HashEncoder(8))


def canary() -> Record:
    """A document of one passage."""
    event = PassageEvent(
        tenant="canary",
        source="canary",
        id="canary",
        version=1,
        operation=OPERATION_UPSERT,
        content_hash=bytes(32),
        text="The canary sings.",
        passages=[Passage(ordinal=0, start=0, end=17, spans=[0, 17])],
        passage_count=1,
        segmenter="canary",
    )
    key = codec.key_of(event).encode()
    return Record(PASSAGES.name, 0, 0, key, event.SerializeToString(), codec.headers(event))
