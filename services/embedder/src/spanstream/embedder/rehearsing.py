"""What the embedder does with a record but for asking the encoder, to be tried out in a child process."""

from __future__ import annotations

from spanstream.embedder.handler import Embedding
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Record
from spanstream.eventlog.loop import Handler
from spanstream.events import codec
from spanstream.events.topics import PASSAGES
from spanstream.runtime.canary import passages


def handler() -> Handler:
    """Vectors are made up."""
    return Embedding(HashEncoder(8))


def canary() -> Record:
    """A document of one passage."""
    event = passages()
    key = codec.key_of(event).encode()
    return Record(PASSAGES.name, 0, 0, key, event.SerializeToString(), codec.headers(event))
