"""Accepting documents: what the index already holds is answered, everything else is made durable in the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spanstream.eventlog.errors import EventLogError, TooLarge
from spanstream.eventlog.log import Outgoing, Producer
from spanstream.events import codec
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS
from spanstream.ingestor.backlog import Backlog
from spanstream.ingestor.blobs import Blobs, BlobsUnavailable
from spanstream.ingestor.documents import Delete, Upsert
from spanstream.ingestor.heads import Caller, Heads, HeadsUnavailable, Known
from spanstream.ingestor.in_flight import InFlight
from spanstream.ingestor.versions import Versions
from spanstream.runtime import metrics, tracing
from spanstream.runtime.free_space import FreeSpace
from spanstream.runtime.guard import Trail
from spanstream.runtime.problems import Problem
from spanstream.runtime.tenants import slot

RETRY_SECONDS = 5
PUBLISH_SECONDS = 10.0  # until a caller is told 503


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was accepted, and under which version; `unchanged`: the index holds it already, as this version."""

    key: Key
    version: int
    unchanged: bool = False


class Acceptance:
    """Thread-safe. Everything here blocks: call it from a thread."""

    def __init__(
        self,
        producer: Producer,
        blobs: Blobs,
        heads: Heads | None,
        in_flight: InFlight,
        versions: Versions,
        *,
        inline_text_bytes: int,
        backlog: Backlog | None = None,
        space: FreeSpace | None = None,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Texts above `inline_text_bytes` travel through the blob store. Without `heads` everything is published.

        No upsert is while `space` lacks.
        """
        self._producer = producer
        self._blobs = blobs
        self._heads = heads
        self._in_flight = in_flight
        self._versions = versions
        self._inline_text_bytes = inline_text_bytes
        self.backlog = backlog or Backlog(0)
        self._space = space or FreeSpace((), 0)
        self._now_us = now_us

    def accept(self, caller: Caller, documents: Sequence[Upsert | Delete]) -> list[Receipt]:
        """Receipts in order, once every document is durable. All are of one source of the caller's tenant.

        Raises Problem 503 when a disk has too little room for an upsert: then nothing was; and when the log or the blob store does not
        confirm: some may have been accepted all the same.
        """
        hashes = [document.hash() if isinstance(document, Upsert) else b"" for document in documents]
        held = self._held(caller, documents, hashes)
        receipts = [
            Receipt(document.key, held[i].version, unchanged=True)
            if i in held
            else Receipt(document.key, self._versions.next() if document.version is None else document.version)
            for i, document in enumerate(documents)
        ]
        new = [i for i in range(len(documents)) if i not in held]
        if any(isinstance(documents[i], Upsert) for i in new) and self._space.lack():
            raise Problem(503, "there is too little room on the disk; send it again later", retry_after=RETRY_SECONDS)
        try:
            messages = [self._message(documents[i], receipts[i].version, hashes[i]) for i in new]
            positions = self._producer.publish(messages, PUBLISH_SECONDS) if messages else []
        except TooLarge as error:
            raise Problem(413, "the document is too large for the log") from error
        except (EventLogError, BlobsUnavailable) as error:
            raise Problem(
                503, "the document could not be made durable; send it again", retry_after=RETRY_SECONDS
            ) from error
        for i, message, position in zip(new, messages, positions, strict=True):
            self._in_flight.accepted(message.key, position)
            self.backlog.accepted(caller.tenant, position.partition, position.offset, _size(documents[i]))
        deletes = sum(isinstance(documents[i], Delete) for i in new)
        metrics.INGESTOR_ACCEPTED.labels("delete").inc(deletes)
        metrics.INGESTOR_ACCEPTED.labels("upsert").inc(len(new) - deletes)
        metrics.INGESTOR_UNCHANGED.inc(len(held))
        metrics.TENANT_DOCUMENTS.labels(slot(caller.tenant)).inc(len(new))
        return receipts

    def _message(self, document: Upsert | Delete, version: int, hashed: bytes) -> Outgoing:
        if isinstance(document, Delete):
            event = document.event(version, self._now_us())
        else:
            stored = document.is_file or len(document.body) > self._inline_text_bytes
            blob = self._blobs.put(document.key, version, document.body) if stored else None
            event = document.event(version, hashed, blob, self._now_us())
        headers = codec.headers(event, tracing.current())
        return Outgoing(DOCUMENTS.name, document.key.encode(), event.SerializeToString(), headers)

    def _held(self, caller: Caller, documents: Sequence[Upsert | Delete], hashes: Sequence[bytes]) -> dict[int, Known]:
        """Index -> head, for the documents that the index holds already and that nothing in flight will change.

        1 heads, to find candidates cheaply; 2 what is in flight; 3 heads again, because only a head read after 2 is
        known to show everything that was before this request.
        """
        first: dict[Key, int] = {}  # only a key's first document: a later one must come after it in the log
        for i, document in enumerate(documents):
            first.setdefault(document.key, i)
        asked = {i: documents[i] for i in first.values() if isinstance(documents[i], Upsert)}
        try:
            asked = {i: asked[i] for i in self._matching(caller, asked, hashes)}  # 1
            if asked:
                encoded = {i: document.key.encode() for i, document in asked.items()}
                quiet = self._in_flight.quiet(list(encoded.values()))  # 2
                asked = {i: document for i, document in asked.items() if encoded[i] in quiet}
            return self._matching(caller, asked, hashes)  # 3
        except (HeadsUnavailable, EventLogError):
            return {}

    def _matching(
        self, caller: Caller, asked: Mapping[int, Upsert | Delete], hashes: Sequence[bytes]
    ) -> dict[int, Known]:
        """Those whose head is live, has the same content and is not older than the version asked for."""
        if self._heads is None or not asked:
            return {}
        source = next(iter(asked.values())).key.source
        heads = self._heads.lookup(caller, source, [document.key.id for document in asked.values()])
        found = {i: heads[document.key.id] for i, document in asked.items() if document.key.id in heads}
        return {
            i: head
            for i, head in found.items()
            if head.live and head.content_hash == hashes[i] and (asked[i].version or 0) <= head.version
        }


def accept_and_tell(
    acceptance: Acceptance, caller: Caller, documents: Sequence[Upsert | Delete], trail: Trail
) -> list[Receipt]:
    """Receipts, once the audit log tells of all that may have been written. Raises Problem."""
    try:
        receipts = acceptance.accept(caller, documents)
    except Problem as problem:  # some may be in the log all the same
        trail.documents([_row(each.key, each.version, problem.status) for each in documents])
        raise
    trail.documents([_row(each.key, each.version, 200 if each.unchanged else 202) for each in receipts])
    return receipts


def _row(key: Key, version: int | None, status: int) -> dict[str, Any]:
    return {"source": key.source, "id": key.id, "version": version, "status": status}


def _size(document: Upsert | Delete) -> int:
    return len(document.body) if isinstance(document, Upsert) else 0
