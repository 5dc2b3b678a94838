"""Standing queries at the indexer: read now and then, met with what becomes searchable, published as matches."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from spanstream.eventlog.log import Outgoing
from spanstream.events.codec import headers
from spanstream.events.ids import match_id
from spanstream.events.topics import MATCHES
from spanstream.events.v1.match_pb2 import MatchEvent
from spanstream.indexer.matching import Matcher, Meeting, best_span
from spanstream.runtime import metrics
from spanstream.runtime.logs import get_logger
from spanstream.store.errors import StoreRejected
from spanstream.store.points import Head, Passage
from spanstream.store.standing import StandingQuery
from spanstream.store.store import Store

log = get_logger()

REFRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A document as its live head shows it: all passages, with their vectors."""

    head: Head
    passages: Sequence[Passage] = field(repr=False)


class Standing:
    """Raises StoreUnavailable. A saved query takes part in what is indexed `refresh_seconds` after it was saved, or earlier.

    Queries that are computed for another generation wait until the gateway has computed them for this one.
    """

    def __init__(
        self,
        store: Store,
        generation: str,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._generation = generation
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._read_at = float("-inf")
        self._mark: str | None = None
        self._matchers: dict[str, Matcher] = {}  # by tenant

    def watches(self, tenant: str) -> bool:
        """Whether the tenant has any query, as far as the last look knew; looks again where that is too long ago."""
        if self._clock() - self._read_at >= self._refresh_seconds:
            began = self._clock()
            self._refresh()
            self._read_at = began
        return tenant in self._matchers

    def matches(self, documents: Sequence[Shown]) -> Iterator[Outgoing]:
        """An event for each query and document that meet. The documents are watched."""
        by_tenant: dict[str, list[Shown]] = defaultdict(list)
        for document in documents:
            if document.passages:  # else another writer was quicker: that one tells
                by_tenant[document.head.key.tenant].append(document)
        for tenant, shown in by_tenant.items():
            matcher = self._matchers.get(tenant)
            if matcher is None:  # its last query has been deleted since
                continue
            with metrics.INDEXER_MATCH_SECONDS.time():
                found = list(matcher.meet([document.passages for document in shown]))
                found = self._admitted(found, shown)
            metrics.INDEXER_MATCHES.inc(len(found))
            for meeting in found:
                yield _outgoing(meeting, shown[meeting.document])

    def _refresh(self) -> None:
        queries = self._store.standing()
        mark = queries.mark()  # before the queries: a change in between moves it again
        if mark == self._mark:
            return
        by_tenant: dict[str, list[StandingQuery]] = defaultdict(list)
        for query in queries.all():
            if query.computed is not None and query.computed.generation == self._generation:
                by_tenant[query.scope.tenant].append(query)
        self._matchers = {tenant: Matcher(mine) for tenant, mine in by_tenant.items()}
        self._mark = mark
        metrics.INDEXER_STANDING_QUERIES.set(sum(map(len, by_tenant.values())))

    def _admitted(self, meetings: Sequence[Meeting], shown: Sequence[Shown]) -> list[Meeting]:
        """Those of documents that the query's owner may see and its filter admits, as a search would find them."""
        admitted: list[Meeting] = []
        for _, group in groupby(meetings, key=lambda meeting: meeting.query.uuid):
            found = list(group)
            query = found[0].query
            if query.where is not None or query.scope.groups is not None:
                keys = [shown[meeting.document].head.key for meeting in found]
                try:
                    seen = self._store.admitted(keys, query.scope, query.where)
                except StoreRejected:  # no fault of the documents
                    log.warning("standing_query_refused", query=str(query.uuid))
                    continue
                found = [meeting for meeting, key in zip(found, keys, strict=True) if key in seen]
            admitted += found
        return admitted


def _outgoing(meeting: Meeting, shown: Shown) -> Outgoing:
    query, head, passage = meeting.query, shown.head, shown.passages[meeting.passage]
    assert query.computed is not None
    start, end = best_span(passage, query.computed)
    # Of what was matched, not of what a bump made of it since: a repeat after a crash has to have the same id.
    id = str(match_id(query.uuid, query.revision, head.key, head.body_version, head.content_hash))
    event = MatchEvent(
        tenant=head.key.tenant,
        source=head.key.source,
        id=head.key.id,
        version=head.body_version,
        content_hash=head.content_hash,
        match_id=id,
        query_id=query.id,
        query_revision=query.revision,
        query_uid=str(query.uuid),
        score=meeting.score,
        title=head.title,
        groups=head.groups,
        ordinal=passage.ordinal,
        start=passage.start,
        end=passage.end,
        span_start=start,
        span_end=end,
        span_text=passage.text[start - passage.start : end - passage.start],
        indexed_at_us=head.indexed_at_us,
    )
    marked = (*headers(event), ("match_id", id.encode()))
    return Outgoing(MATCHES.name, head.key.encode(), event.SerializeToString(), marked)
