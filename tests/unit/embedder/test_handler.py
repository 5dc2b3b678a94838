from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from spanstream.embedder.handler import RETRY_SECONDS, Embedding
from spanstream.encoder.encoder import Encoded, EncoderInfo, Text
from spanstream.encoder.errors import EncoderFailed, EncoderRejected, EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog import sizes
from spanstream.eventlog.errors import Retry
from spanstream.eventlog.intervals import POLL_SECONDS
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.events import codec
from spanstream.events.ids import Key
from spanstream.events.topics import PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT
from spanstream.events.v1.embedding_pb2 import VECTOR_TYPE_FLOAT16, EmbeddingEvent
from spanstream.events.v1.failure_pb2 import (
    REASON_EMBED_INVALID,
    REASON_ENVELOPE_UNREADABLE,
    REASON_SCHEMA_INVALID,
    REASON_TOO_MANY_PASSAGES,
)
from spanstream.events.v1.passage_pb2 import Passage, PassageEvent

HASH = HashEncoder(32)


class Recording:
    """The hash encoder, which notes its calls and treats texts with certain words badly."""

    def __init__(self, dimension: int = 32) -> None:
        self.calls: list[int] = []
        self.failing = 0  # calls still to fail, whatever they ask
        self._inner = HashEncoder(dimension)

    def info(self) -> EncoderInfo:
        return self._inner.info()

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        self.calls.append(len(texts))
        if any("unavailable" in text.text for text in texts):
            raise EncoderUnavailable("down", after=7.0 if "full" in texts[0].text else None)
        if any("breaks" in text.text for text in texts) or self.failing > 0:
            self.failing -= 1
            raise EncoderFailed("the encoder answers 500")
        if any("refused" in text.text for text in texts):
            raise EncoderRejected("too odd")
        return [self._spoiled(text, result) for text, result in zip(texts, self._inner.encode(texts), strict=True)]

    def unready(self) -> list[str]:
        return []

    def close(self) -> None: ...

    def _spoiled(self, text: Text, result: Encoded) -> Encoded:
        if "poison" in text.text:
            return Encoded(result.whole * np.float32("nan"), result.ranges, result.tokens)
        if "narrow" in text.text:
            return Encoded(result.whole[:7], result.ranges[:, :7], result.tokens)
        return result


def event(text: str, *, id: str = "d", offset: int = 0, count: int | None = None, size: int = 20) -> PassageEvent:
    """Passages of `size` characters, each with two spans."""
    made = PassageEvent(
        tenant="t", source="s", id=id, version=3, operation=OPERATION_UPSERT, content_hash=b"h" * 32, title="Title"
    )
    made.metadata["colour"] = "red"
    made.groups.append("all")
    made.text, made.text_offset = text, offset
    for ordinal, start in enumerate(range(0, len(text), size)):
        first, end = start + offset, min(start + size, len(text)) + offset
        middle = (first + end) // 2
        made.passages.append(Passage(ordinal=ordinal, start=first, end=end, spans=[first, middle, middle, end]))
    made.passage_count = len(made.passages) if count is None else count
    return made


def record(value: PassageEvent | bytes, offset: int = 0, id: str = "d") -> Record:
    data = value if isinstance(value, bytes) else value.SerializeToString()
    key = Key("t", "s", id if isinstance(value, bytes) else value.id).encode()
    return Record(PASSAGES.name, 0, offset, key, data)


def read(result: Outgoing | Rejected) -> EmbeddingEvent:
    assert isinstance(result, Outgoing)
    return codec.decode(EmbeddingEvent, result.key, result.value, result.headers)


def test_vectors_come_in_the_order_of_passages_and_spans() -> None:
    given = event("the wing stalls now and a cat sleeps on the roof", offset=100, count=9)
    (result,) = Embedding(Recording())([record(given)])
    made = read(result)
    assert made.origin == given
    assert (made.release, made.dimension, made.vector_type) == ("hash-32", 32, VECTOR_TYPE_FLOAT16)
    ranges = [(p.start, p.end) for p in given.passages]
    spans = [(p.spans[i], p.spans[i + 1]) for p in given.passages for i in (0, 2)]
    text = Text(given.text, np.array(ranges + spans, np.int32) - 100, "Title", context_ranges=len(ranges))
    (expected,) = HASH.encode([text])
    vectors = np.frombuffer(made.passage_vectors + made.span_vectors, "<f2").reshape(-1, 32)
    np.testing.assert_array_equal(vectors, expected.ranges.astype(np.float16))
    assert list(made.passage_tokens) == expected.tokens[: len(ranges)].tolist()
    assert made.document_vector == b""  # the event holds 3 of 9 passages


def test_the_document_vector_is_there_when_the_event_holds_the_whole_document() -> None:
    given = event("the wing stalls now and a cat sleeps")
    made = read(Embedding(Recording())([record(given)])[0])
    (expected,) = HASH.encode([Text(given.text, np.empty((0, 2), np.int32), "Title")])
    np.testing.assert_array_equal(np.frombuffer(made.document_vector, "<f2"), expected.whole.astype(np.float16))


def test_one_call_for_all_records_and_outputs_in_their_order() -> None:
    encoder = Recording()
    events = [event(f"text number {i} here", id=f"d{i}") for i in range(5)]
    results = Embedding(encoder)([record(one, i) for i, one in enumerate(events)])
    assert encoder.calls == [5]
    assert [read(result).origin.id for result in results] == ["d0", "d1", "d2", "d3", "d4"]


def test_deletes_and_unchanged_documents_are_forwarded_without_encoding() -> None:
    encoder = Recording()
    deleted, unchanged = event(""), event("some text", id="e")
    deleted.operation, unchanged.unchanged = OPERATION_DELETE, True
    results = Embedding(encoder)([record(deleted), record(unchanged)])
    assert [read(result) for result in results] == [EmbeddingEvent(origin=deleted), EmbeddingEvent(origin=unchanged)]
    assert encoder.calls == []


def test_a_full_encoder_is_asked_again_when_it_said() -> None:
    with pytest.raises(Retry) as full:
        Embedding(Recording())([record(event("unavailable, being full"))])
    with pytest.raises(Retry) as down:
        Embedding(Recording())([record(event("unavailable"))])
    assert (full.value.after, down.value.after) == (7.0, RETRY_SECONDS)


def test_an_encoder_that_does_not_answer_is_waited_for() -> None:
    with pytest.raises(Retry):
        Embedding(Recording())([record(event("fine")), record(event("unavailable"))])


@pytest.mark.parametrize("word", ["poison", "narrow", "refused"])
def test_a_document_that_cannot_be_encoded_is_rejected_alone(word: str) -> None:
    encoder = Recording()
    events = [event("fine", id="a"), event(word, id="b"), event("good", id="c")]
    first, bad, last = Embedding(encoder)([record(one, i) for i, one in enumerate(events)])
    assert encoder.calls == [3, 1, 1, 1]
    assert isinstance(bad, Rejected)
    assert (bad.record.offset, bad.reason) == (1, REASON_EMBED_INVALID)
    assert word not in bad.detail
    assert [read(first).origin.id, read(last).origin.id] == ["a", "c"]


@pytest.mark.promise("I13")
def test_a_text_on_which_the_encoder_fails_is_rejected_while_it_answers_the_canary() -> None:
    encoder, waits = Recording(), list[float]()
    events = [event("fine", id="a"), event("it breaks", id="b"), event("good", id="c")]
    first, bad, last = Embedding(encoder, sleep=waits.append)([record(one, i) for i, one in enumerate(events)])
    assert isinstance(bad, Rejected)
    assert (bad.record.offset, bad.reason, bad.crashes) == (1, REASON_EMBED_INVALID, 3)
    assert "breaks" not in bad.detail
    assert [read(first).origin.id, read(last).origin.id] == ["a", "c"]
    assert encoder.calls == [3, 1, *(1, 1, 1, 1), *(1, 1), *(1, 1)]  # a canary after every failure
    assert waits == [1.0, 1.0]


def test_slow_poison_is_put_back_in_time_and_its_attempts_are_remembered() -> None:
    now = 0.0

    class Slow(Recording):
        """Takes 55 s to fail, and no time otherwise."""

        def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
            nonlocal now
            try:
                return super().encode(texts)
            except EncoderFailed:
                now += 55
                raise

    encoder = Slow()
    embedding = Embedding(encoder, sleep=lambda seconds: None, clock=lambda: now)
    texts = ["it breaks", "fine", "breaks too", "breaks as well", "breaks at last"]
    records = [record(event(text, id=f"d{i}"), i) for i, text in enumerate(texts)]
    polls = 0
    while True:
        before, polls = now, polls + 1
        try:
            results = embedding(records)
            break
        except Retry:
            assert now - before < POLL_SECONDS + 55
    assert polls > 3
    assert [result.crashes if isinstance(result, Rejected) else 0 for result in results] == [3, 0, 3, 3, 3]
    assert now == 55 * (1 + 4 * 3)  # once together, then each three times
    embedding([records[1]])
    assert encoder.calls[-1] == 1  # nothing is remembered of a poll that was finished


@pytest.mark.promise("I14")
def test_an_encoder_that_fails_on_the_canary_too_is_waited_for() -> None:
    encoder = Recording()
    encoder.failing = 2
    with pytest.raises(Retry):
        Embedding(encoder)([record(event("fine"))])
    encoder.failing = 1  # a hiccup: the canary is answered, and so is the text
    (result,) = Embedding(encoder)([record(event("fine"))])
    assert read(result).origin.id == "d"


def test_unreadable_records_and_offsets_outside_the_text_are_rejected() -> None:
    outside, negative, odd, good = (
        event("text", id="a"),
        event("text", id="b"),
        event("text", id="c"),
        event("text", id="g"),
    )
    outside.passages[0].end = 5
    negative.text_offset = 2  # now the passage starts before the text does
    odd.passages[0].spans.append(1)
    batch = [record(b"\xff\xff", 0), *(record(one, i) for i, one in enumerate([outside, negative, odd, good], 1))]
    results = Embedding(Recording())(batch)
    reasons = [result.reason for result in results if isinstance(result, Rejected)]
    assert reasons == [REASON_ENVELOPE_UNREADABLE, *[REASON_SCHEMA_INVALID] * 3]
    assert read(results[4]).origin == good


@pytest.mark.parametrize("count", [None, 500])
def test_a_large_event_goes_in_parts_that_make_up_the_whole(count: int | None) -> None:
    text = "".join(f"\U0001f600 word{i:04d} " for i in range(400))
    given = event(text, offset=50, count=count)
    limit = 20_000
    results = Embedding(Recording(), limit)([record(given)])
    parts = [read(result) for result in results]
    assert len(parts) > 3
    assert all(isinstance(result, Outgoing) and sizes.size(result) <= limit for result in results)
    (entire,) = (read(result) for result in Embedding(Recording())([record(given)]))
    assert [p for part in parts for p in part.origin.passages] == list(given.passages)
    assert b"".join(part.passage_vectors for part in parts) == entire.passage_vectors
    assert b"".join(part.span_vectors for part in parts) == entire.span_vectors
    assert [n for part in parts for n in part.passage_tokens] == list(entire.passage_tokens)
    for part in parts:
        assert part.document_vector == b""
        assert part.origin.passage_count == given.passage_count
        assert (part.origin.title, part.origin.metadata, part.origin.groups) == ("Title", given.metadata, ["all"])
        for passage in part.origin.passages:
            start, end = passage.start - part.origin.text_offset, passage.end - part.origin.text_offset
            assert part.origin.text[start:end] == text[passage.start - 50 : passage.end - 50]


def test_a_passage_too_large_for_any_message_is_rejected() -> None:
    (result,) = Embedding(Recording(), 900)([record(event("word " * 60, size=300))])
    assert isinstance(result, Rejected)
    assert result.reason == REASON_TOO_MANY_PASSAGES
