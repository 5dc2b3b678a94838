"""Passages in, embeddings out: one call of the encoder for all records of a poll."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spanstream.embedder.embeddings import Unsplittable, embeddings, forwarded, text_of
from spanstream.encoder.encoder import Encoded, Encoder, Text, check, refuse_malformed
from spanstream.encoder.errors import EncoderRejected, EncoderUnavailable, InvalidVectors
from spanstream.eventlog import sizes, traces
from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.events import codec
from spanstream.events.errors import Undecodable
from spanstream.events.topics import EMBEDDINGS
from spanstream.events.v1.document_pb2 import OPERATION_DELETE
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.failure_pb2 import (
    REASON_EMBED_INVALID,
    REASON_SCHEMA_INVALID,
    REASON_TOO_MANY_PASSAGES,
)
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.runtime import metrics

RETRY_SECONDS = 1.0
Result = Outgoing | Rejected


@dataclass(frozen=True, slots=True)
class _Job:
    """A record to encode."""

    record: Record
    event: PassageEvent = field(repr=False)
    text: Text = field(repr=False)


class Embedding:
    """The embedder's handler. Raises Retry while the encoder does not answer; rejects only what can never be encoded."""

    def __init__(self, encoder: Encoder, limit: int = EMBEDDINGS.max_message_bytes) -> None:
        """`limit`: bytes of a message; a larger event goes in parts."""
        self._encoder = encoder
        self._limit = limit

    def __call__(self, records: Sequence[Record]) -> list[Result]:
        """1 read, 2 encode what needs it, all at once, 3 build the outputs in the order of the records."""
        read = [self._read(record) for record in records]  # 1
        jobs = [item for item in read if isinstance(item, _Job)]
        answers = iter(self._encode(jobs))  # 2
        results: list[Result] = []
        for item in read:  # 3
            results.extend(self._outputs(item, next(answers)) if isinstance(item, _Job) else [item])
        return results

    def _read(self, record: Record) -> _Job | Result:
        try:
            event = codec.decode(PassageEvent, record.key, record.value, record.headers)
        except Undecodable as error:
            return Rejected(record, error.reason, error.detail)
        if event.operation == OPERATION_DELETE or event.unchanged:
            return _outgoing(record, forwarded(event))
        try:
            text = text_of(event)
            refuse_malformed([text])
        except (EncoderRejected, ValueError) as error:
            return Rejected(record, REASON_SCHEMA_INVALID, str(error))
        return _Job(record, event, text)

    def _encode(self, jobs: Sequence[_Job]) -> list[Encoded | Rejected]:
        if not jobs:
            return []
        try:
            return list(self._ask(jobs))
        except (EncoderRejected, InvalidVectors):
            return [self._alone(job) for job in jobs]  # whose fault it is shows one by one

    def _alone(self, job: _Job) -> Encoded | Rejected:
        try:
            return self._ask([job])[0]
        except (EncoderRejected, InvalidVectors) as error:
            return Rejected(job.record, REASON_EMBED_INVALID, str(error))

    def _ask(self, jobs: Sequence[_Job]) -> list[Encoded]:
        texts = [job.text for job in jobs]
        try:
            with metrics.EMBEDDER_SECONDS.time():
                encoded = self._encoder.encode(texts)
            check(texts, encoded, self._encoder.info().dimension)
        except EncoderUnavailable as error:
            raise Retry(RETRY_SECONDS, str(error)) from error
        return encoded

    def _outputs(self, job: _Job, answer: Encoded | Rejected) -> list[Result]:
        if isinstance(answer, Rejected):
            return [answer]
        try:
            release = self._encoder.info().release
            parts = list(embeddings(job.event, answer, release, self._fits(job.record)))
        except EncoderUnavailable as error:
            raise Retry(RETRY_SECONDS, str(error)) from error
        except Unsplittable as error:
            return [Rejected(job.record, REASON_TOO_MANY_PASSAGES, str(error))]
        metrics.EMBEDDER_DOCUMENTS.inc()
        return [_outgoing(job.record, part) for part in parts]

    def _fits(self, record: Record) -> Callable[[EmbeddingEvent], bool]:
        return lambda event: sizes.size(_outgoing(record, event)) + traces.RESERVE <= self._limit


def _outgoing(record: Record, event: EmbeddingEvent) -> Outgoing:
    assert record.key is not None  # decode refuses a record without one
    return Outgoing(EMBEDDINGS.name, record.key, event.SerializeToString(), codec.headers(event))
