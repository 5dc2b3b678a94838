"""Releases that run beside each other in an upgrade: whoever wrote a message and whoever reads it, what both know arrives (I22).

The release before lacks the newest field of every event, the next one has a field more in every message and a value more in every
enumeration. Both are made from ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from spanstream.embedder.handler import Embedding
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Outgoing, Record
from spanstream.events import codec
from spanstream.events.errors import Undecodable
from spanstream.events.ids import Key
from spanstream.events.topics import PASSAGES
from spanstream.events.v1 import document_pb2, embedding_pb2, failure_pb2, match_pb2, passage_pb2
from spanstream.events.v1.document_pb2 import DocumentEvent
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.failure_pb2 import REASON_SCHEMA_INVALID
from spanstream.events.v1.passage_pb2 import PassageEvent

GOLDEN = Path(__file__).parent / "golden"
FILES = (document_pb2, passage_pb2, embedding_pb2, failure_pb2, match_pb2)
EVENTS = ("DocumentEvent", "PassageEvent", "EmbeddingEvent", "FailureEvent", "MatchEvent")
LATER, NUMBER = "later", 1000


def older(file: FileDescriptorProto) -> None:
    for message in file.message_type:
        if message.name in EVENTS:
            message.field.remove(max(message.field, key=lambda field: field.number))


def newer(file: FileDescriptorProto) -> None:
    for message in file.message_type:
        _has_more(message)
    for enumeration in file.enum_type:
        enumeration.value.add(name=f"{enumeration.name.upper()}_LATER", number=NUMBER)


def _has_more(message: DescriptorProto) -> None:
    message.field.add(
        name=LATER, number=NUMBER, type=FieldDescriptorProto.TYPE_STRING, label=FieldDescriptorProto.LABEL_OPTIONAL
    )


@dataclass(frozen=True)
class Release:
    """Messages as one release knows them."""

    name: str
    changed: Callable[[FileDescriptorProto], None]

    @cached_property
    def pool(self) -> DescriptorPool:
        pool = DescriptorPool()
        pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
        for module in FILES:
            file = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
            self.changed(file)
            pool.Add(file)
        return pool

    def kind(self, event: str) -> type[Message]:
        return GetMessageClass(self.pool.FindMessageTypeByName(f"spanstream.events.v1.{event}"))

    def writes(self, event: str) -> Message:
        """All that it knows of what the golden bytes say, and more where it knows more."""
        message = self.kind(event).FromString((GOLDEN / f"{event}.v1.bin").read_bytes())
        message.DiscardUnknownFields()
        for part in _parts(message):
            if LATER in part.DESCRIPTOR.fields_by_name:
                setattr(part, LATER, "what nobody else knows")
        return message


RELEASES = (Release("before", older), Release("this", lambda file: None), Release("next", newer))
by_name = pytest.mark.parametrize("writer", RELEASES, ids=lambda release: release.name)


def _parts(message: Message) -> Iterator[Message]:
    """It and the messages of ours in it."""
    if message.DESCRIPTOR.file.package != "spanstream.events.v1":
        return
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _parts(part)


def _shared(one: Any, other: Any) -> Any:
    """What of `one` has a place in `other`."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _shared(value, other[name]) for name, value in one.items() if name in other}
    if isinstance(one, list) and isinstance(other, list):
        return [_shared(*pair) for pair in zip(one, other, strict=True)]
    return one


@pytest.mark.promise("I22")
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("reader", RELEASES, ids=lambda release: release.name)
@by_name
def test_what_both_know_arrives_and_what_the_reader_does_not_know_is_handed_on(
    writer: Release, reader: Release, event: str
) -> None:
    wrote = writer.writes(event)
    read = reader.kind(event).FromString(wrote.SerializeToString())
    sent, told = MessageToDict(wrote), MessageToDict(read)
    assert told == _shared(sent, told)
    # What is there for both: all that the reader would write itself, but for what the writer does not know.
    known = MessageToDict(reader.writes(event))
    assert _shared(known, sent).keys() <= told.keys()
    assert writer.kind(event).FromString(read.SerializeToString()) == wrote


@pytest.mark.promise("I22")
@by_name
def test_our_workers_take_the_events_of_each_release_and_hand_on_what_they_do_not_know(writer: Release) -> None:
    wrote = writer.writes("PassageEvent")
    wrote.unchanged = False  # type: ignore[attr-defined]
    key = Key("acme", "wiki", "tides/1").encode()
    record = Record(PASSAGES.name, 0, 0, key, wrote.SerializeToString())
    assert codec.decode(PassageEvent, key, record.value).text == "Tides rise. They fall."
    (result,) = Embedding(HashEncoder(16))([record])
    assert isinstance(result, Outgoing)
    made = writer.kind("EmbeddingEvent").FromString(result.value or b"")
    assert made.origin == wrote  # type: ignore[attr-defined]
    assert codec.decode(EmbeddingEvent, key, result.value).release == HashEncoder(16).info().release


@pytest.mark.promise("I22")
def test_an_operation_of_a_later_release_is_parked_and_a_later_reason_is_told_by_its_number() -> None:
    later = RELEASES[-1].writes("DocumentEvent")
    later.operation = NUMBER  # type: ignore[attr-defined]
    with pytest.raises(Undecodable) as refused:
        codec.decode(DocumentEvent, Key("acme", "wiki", "tides/1").encode(), later.SerializeToString())
    assert refused.value.reason == REASON_SCHEMA_INVALID
    failure = RELEASES[-1].writes("FailureEvent")
    failure.reason = NUMBER  # type: ignore[attr-defined]
    read = codec.decode_failure(failure.SerializeToString())
    assert codec.reason_name(read.reason) == str(NUMBER)
