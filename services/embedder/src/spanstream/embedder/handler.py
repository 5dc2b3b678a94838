"""Passages in, embeddings out: one call of the encoder for all records of a poll."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from spanstream.embedder.embeddings import Unsplittable, embeddings, forwarded, text_of, thinned
from spanstream.encoder.encoder import Encoded, Encoder, Text, check, refuse_malformed
from spanstream.encoder.errors import EncoderFailed, EncoderRejected, EncoderUnavailable, InvalidVectors
from spanstream.eventlog import sizes, traces
from spanstream.eventlog.errors import Retry
from spanstream.eventlog.intervals import POLL_SECONDS
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.eventlog.unfinished import Unfinished
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
ATTEMPTS = 3  # at a text on which the encoder fails while it answers others
# A text of which nothing but an outage keeps an answer; with a title and ranges, as a document has.
CANARY = Text("The canary sings.", np.array([[0, 17], [4, 10]], np.int32), "Canary", context_ranges=1)
Result = Outgoing | Rejected


@dataclass(frozen=True, slots=True)
class _Job:
    """A record to encode."""

    record: Record
    event: PassageEvent = field(repr=False)
    text: Text = field(repr=False)


class Embedding:
    """The embedder's handler, of one loop. Raises Retry while the encoder does not answer, and for a poll that takes too
    long; rejects only what can never be encoded.
    """

    def __init__(
        self,
        encoder: Encoder,
        limit: int = EMBEDDINGS.max_message_bytes,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        *,
        span_similarity: float | None = None,
    ) -> None:
        """`limit`: bytes of a message; a larger event goes in parts. `sleep` waits between attempts, `clock` counts, both
        in seconds. `span_similarity`: none, or the cosine from which a span needs no vector of its own (`economy`).
        """
        self._span_similarity = span_similarity
        self._encoder = encoder
        self._limit = limit
        self._sleep = sleep
        self._clock = clock
        self._known: Unfinished[Encoded | Rejected] = Unfinished()  # of texts that were asked alone

    def __call__(self, records: Sequence[Record]) -> list[Result]:
        """1 read, 2 encode what needs it, all at once, 3 build the outputs in the order of the records."""
        self._known.begin(records)
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
        """In order. Once the poll is to be put back, texts are asked alone, and it goes on where it was."""
        if not jobs:
            return []
        end = self._clock() + POLL_SECONDS
        if all(self._known.get(job.record) is None for job in jobs):
            try:
                return list(self._ask([job.text for job in jobs]))
            except (EncoderRejected, InvalidVectors):
                pass  # whose fault it is shows one by one
            except EncoderFailed:
                self._sing()
        asked = 0
        for attempt in range(ATTEMPTS):  # all together, so that the waits do not add up
            due = [job for job in jobs if self._crashes(job) == attempt]
            if not due:
                continue
            if attempt:
                self._sleep(RETRY_SECONDS)
            for job in due:
                if asked and self._clock() >= end:
                    raise Retry(0.0, f"a poll of {len(jobs)} texts takes more than {POLL_SECONDS:.0f} seconds")
                self._known.put(job.record, self._alone(job, attempt))
                asked += 1
        return [self._known.take(job.record) for job in jobs]

    def _crashes(self, job: _Job) -> int | None:
        """How often the encoder failed on this text alone; None once that is over."""
        known = self._known.get(job.record)
        if known is None:
            return 0
        return known.crashes or None if isinstance(known, Rejected) else None

    def _alone(self, job: _Job, crashes: int) -> Encoded | Rejected:
        try:
            return self._ask([job.text])[0]
        except (EncoderRejected, InvalidVectors) as error:
            return Rejected(job.record, REASON_EMBED_INVALID, str(error))
        except EncoderFailed as error:
            self._sing()
            return Rejected(job.record, REASON_EMBED_INVALID, f"{error} to this text alone", crashes + 1)

    def _sing(self) -> None:
        """Raise Retry unless the encoder answers the canary: then it is an outage, and says nothing of a text."""
        try:
            self._ask([CANARY])
        except (EncoderFailed, EncoderRejected, InvalidVectors) as error:
            raise Retry(RETRY_SECONDS, f"{error}, to the canary too") from error

    def _ask(self, texts: Sequence[Text]) -> list[Encoded]:
        try:
            with metrics.EMBEDDER_SECONDS.time():
                encoded = self._encoder.encode(texts)
            check(texts, encoded, self._encoder.info().dimension)
        except EncoderFailed:
            raise
        except EncoderUnavailable as error:
            raise Retry(error.after or RETRY_SECONDS, str(error)) from error
        return encoded

    def _outputs(self, job: _Job, answer: Encoded | Rejected) -> list[Result]:
        if isinstance(answer, Rejected):
            return [answer]
        try:
            release = self._encoder.info().release
            event = job.event
            if self._span_similarity is not None:
                event, answer = thinned(event, answer, self._span_similarity)
            parts = list(embeddings(event, answer, release, self._fits(job.record)))
        except EncoderUnavailable as error:
            raise Retry(RETRY_SECONDS, str(error)) from error
        except Unsplittable as error:
            return [Rejected(job.record, REASON_TOO_MANY_PASSAGES, str(error))]
        return [_outgoing(job.record, part) for part in parts]

    def _fits(self, record: Record) -> Callable[[EmbeddingEvent], bool]:
        return lambda event: sizes.size(_outgoing(record, event)) + traces.RESERVE <= self._limit


def _outgoing(record: Record, event: EmbeddingEvent) -> Outgoing:
    assert record.key is not None  # decode refuses a record without one
    return Outgoing(EMBEDDINGS.name, record.key, event.SerializeToString(), codec.headers(event))
