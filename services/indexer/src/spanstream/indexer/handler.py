"""Writes embeddings to the store and decides what is visible: the write protocol, over a whole poll at a time.

One poll holds records of many documents; the store is asked once per step for all of them. A document with several
changes in the poll takes part in several rounds, so that within a round every key occurs once and the steps below
hold for each key as if it were alone:

    1 decode; a record that cannot be read is rejected            per poll
    2 read the heads                                              per round
    3 skip what a head already supersedes; what a head shows is written again where passages of it lack: a power cut may
      have spared the head alone. Of a version that comes after its tombstone a blob is left, which a delete like that
      of the tombstone has erased (also of one that failed, in 10)
    4 write the passages, under ids that follow from their content
    5 count: a version is complete when the store holds exactly its `passage_count` passages. One that the poll
      brought whole needs no counting: the store has just taken them all
    6 flip the heads of complete versions and of deletes (tombstones, also for unknown documents), and re-read
    7 match what the heads now show with the standing queries (`standing.py`), also what they showed already: of a poll
      that ended between flip and publish nothing was told yet, and a repeat has the same id
    8 bump the heads of unchanged documents; a wrong guess goes back to be embedded
    9 delete the passages that the re-read heads leave behind, also those of parts that were written when another owner of
      the partition had long been further
    10 note failures on heads, and forget those whose records were sent again; of dead letters that a head has outrun,
      here or in 6 and 8, tell the dead-letter topic (`resolutions.py`)     per poll

Vectors of another release go back to be embedded too, in 4: while services get another encoder one by one, some still
send them. Each time the poll rests first, and after AGAIN_HOURS they are rejected: nobody gets another encoder. While the index
is being moved to that release they are not: until the services go back, or the move ends, a person may take a day.

Before the loop commits, it flushes the store. 4 before 6, else half a document shows; 6 before 9, else it vanishes
meanwhile; the commit last, else work is lost. A crash anywhere repeats from 1 with the same ids and changes nothing
that was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from google.protobuf.json_format import MessageToDict

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Outgoing, Record, Rejected, Slot
from spanstream.events.codec import decode_failure, envelope, headers, key_of, reason_name
from spanstream.events.errors import InvalidKey, Undecodable
from spanstream.events.ids import MAX_VERSION, Key
from spanstream.events.topics import FAILURES, PASSAGES
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.failure_pb2 import REASON_INDEX_REJECTED, REASON_VERSION_CONFLICT, FailureEvent
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.indexer.changes import Change, Kind, Part, rounds
from spanstream.indexer.deletes import delete
from spanstream.indexer.resolutions import outrun, replayed, superseded
from spanstream.indexer.standing import Shown, Standing
from spanstream.indexer.vectors import document_vector, passages
from spanstream.runtime import metrics
from spanstream.runtime.logs import get_logger
from spanstream.runtime.tenants import slot
from spanstream.store.errors import StoreRejected, StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.lexical import document_terms
from spanstream.store.points import Failure, Head, Passage, State
from spanstream.store.store import Store
from spanstream.store.switching import move

log = get_logger()
Result = Outgoing | Rejected

UNAVAILABLE_SECONDS = 1.0
AGAIN_SECONDS = 2.0  # that vectors of another release rest for
AGAIN_HOURS = 1.0
WAITING_SECONDS = 30.0  # a delete the store refuses waits for a person; it is never a dead letter
# Of a failure whose record cannot be read: a group that nobody is in, so that only callers without groups see it.
UNKNOWN_GROUPS = ("\0unknown",)


@dataclass(frozen=True, slots=True)
class _Upsert:
    """A version to write: its good parts, and what they hold."""

    change: Change
    passages: list[Passage]

    @property
    def origin(self) -> PassageEvent:
        return self.change.parts[0].event.origin

    @property
    def whole(self) -> bool:
        """Whether these are all passages of the version."""
        ordinals, count = {passage.ordinal for passage in self.passages}, self.origin.passage_count
        return len(ordinals) == count and ordinals == set(range(count))  # a count alone may state billions


class Indexer:
    """The handler of embeddings.v1 and failures.v1."""

    def __init__(
        self, store: Store, generation: Generation, now_us: Callable[[], int], standing: Standing | None = None
    ) -> None:
        """`now_us`: microseconds since 1970."""
        self._store = store
        self._generation = generation
        self._now_us = now_us
        self._standing = standing or Standing(store, generation.name)
        self._rested: dict[Slot, int] = {}  # the last offset of a poll that was put back for `_rest`
        metrics.from_zero(metrics.INDEXER_DOCUMENTS, ["live", "deleted", "unchanged", "superseded"])

    def __call__(self, records: Sequence[Record]) -> list[Result]:
        """Apply one poll. Raises Retry when the store does not answer; refused records are found one by one."""
        try:
            return list(self._apply(records))
        except StoreUnavailable as error:
            raise Retry(UNAVAILABLE_SECONDS, f"store: {error}") from error
        except StoreRejected as error:
            if len(records) > 1:
                return [result for record in records for result in self([record])]
            return self._refused(records[0], str(error))

    def _apply(self, records: Sequence[Record]) -> Iterator[Result]:
        parts: list[Part] = []
        failures: list[tuple[Key, Failure, bool]] = []
        replays: list[tuple[Key, int]] = []
        for record in records:  # 1
            if record.topic == FAILURES.name:
                with suppress(Undecodable, InvalidKey):  # then it does not say of which document it is
                    event = decode_failure(record.value)
                    failures.extend(_failure(event))
                    replays.extend(replayed(event, record.key))
                continue
            try:
                parts.append(Part.read(record))
            except Undecodable as error:
                yield Rejected(record, error.reason, error.detail)
        for changes in rounds(parts):
            yield from self._round(changes, records)
        if failures:
            self._store.record_failures([(key, failure) for key, failure, _ in failures])  # 10
            heads = self._store.heads([key for key, _, _ in failures])
            for key, failure, blob in failures:
                head = heads.get(key)
                if outrun(head, failure.version):
                    yield superseded(key, failure.version, self._now_us())
                if blob and head and head.state is State.DELETED and failure.version <= head.version:
                    yield delete(key, head.version, self._now_us())
        if replays:
            self._store.forget_failures(replays)

    def _round(self, changes: Sequence[Change], poll: Sequence[Record]) -> Iterator[Result]:
        """Steps 2 to 9 for changes of different documents, out of the records `poll`."""
        heads = self._store.heads([change.key for change in changes])  # 2
        news = [change for change in changes if change.beats(heads.get(change.key))]  # 3
        old = [change for change in changes if not change.beats(heads.get(change.key))]
        self._rest([part.record for change in news for part in change.parts if self._foreign(part)], poll)
        yield from _conflicts(old, heads, "the index holds other content of this version")
        for change in old:
            if change.parts[0].event.origin.blob and heads[change.key].state is State.DELETED:
                yield delete(change.key, heads[change.key].version, self._now_us())
        shown = [change for change in old if _shows(heads[change.key], change)]
        restored = self._restore(shown, heads) if shown else set()

        upserts, invalid = self._read(change for change in news if change.kind is Kind.UPSERT)
        yield from invalid
        if upserts:
            self._store.upsert_passages([passage for upsert in upserts for passage in upsert.passages])  # 4
        complete, refused = self._complete(upserts)  # 5
        yield from refused
        deletes = [change for change in news if change.kind is Kind.DELETE]
        flips = [self._live(upsert) for upsert in complete]
        flips += [self._tombstone(change, heads.get(change.key)) for change in deletes]
        flipped = self._store.flip_heads(flips) if flips else []  # 6
        yield from _conflicts(
            [upsert.change for upsert in complete], heads, "it replaced other content of this version"
        )

        again, _ = self._read(change for change in shown if self._watched(change))
        yield from self._matches(
            [*zip(complete, flipped, strict=False), *((each, heads[each.change.key]) for each in again)]
        )  # 7

        bumped, wrong = self._bump([change for change in news if change.kind is Kind.UNCHANGED], heads)  # 8
        for change in wrong:
            yield from map(_again, change.parts)

        for change in [*(upsert.change for upsert in complete), *deletes, *bumped]:
            before = heads.get(change.key)
            if before and before.failure and before.failure.version <= change.version:
                yield superseded(change.key, before.failure.version, self._now_us())

        # What was written of these no flip of ours looks after: meanwhile another version, or a delete, may have come.
        unflipped = restored | {upsert.change.key for upsert in upserts} - {upsert.change.key for upsert in complete}
        overtaken = self._store.heads(list(unflipped)).values() if unflipped else ()
        stale = [*flipped, *(heads[change.key] for change in old), *overtaken]
        if stale:
            self._store.delete_stale(stale)  # 9

        self._count("live", [upsert.change for upsert in complete])
        self._count("deleted", deletes)
        self._count("unchanged", bumped)
        self._count("superseded", old)
        for upsert in upserts:
            metrics.INDEXER_PASSAGES.inc(len(upsert.passages))
            metrics.TENANT_PASSAGES.labels(slot(upsert.change.key.tenant)).inc(len(upsert.passages))

    def _restore(self, shown: Sequence[Change], heads: Mapping[Key, Head]) -> set[Key]:
        """Write what these brought of a version that its head shows, unless the store holds all of it; whose was written."""
        counts = self._store.count_passages([(each.key, each.version, each.content_hash) for each in shown])
        lacking = [each for each, count in zip(shown, counts, strict=True) if count < heads[each.key].passage_count]
        upserts, _ = self._read(lacking)
        if upserts:
            self._store.upsert_passages([passage for upsert in upserts for passage in upsert.passages])
        return {upsert.change.key for upsert in upserts}

    def _foreign(self, part: Part) -> bool:
        """Whether its vectors are of another release."""
        return bool(part.event.release) and part.event.release != self._generation.release

    def _rest(self, foreign: Sequence[Record], poll: Sequence[Record]) -> None:
        """Raise Retry unless these have rested: who embeds them in vain must not do it as fast as it can.

        By offset: of a poll that fails for another reason they come back one by one, with others between them.
        """
        if any(record.offset > self._rested.get(record.slot, -1) for record in foreign):
            for record in poll:
                self._rested[record.slot] = max(record.offset, self._rested.get(record.slot, -1))
            raise Retry(AGAIN_SECONDS, "vectors of another release come in: they are made again")

    def _late(self, part: Part) -> bool:
        """Whether its vectors have been of another release for too long."""
        first = part.event.origin.embedded_again_us
        if not first or self._now_us() - first < AGAIN_HOURS * 3600e6:
            return False
        moved, own = move(self._store), self._generation
        of = Generation(part.event.release, part.event.dimension, own.segmenter).name
        return moved is None or of != moved.new

    def _read(self, changes: Iterable[Change]) -> tuple[list[_Upsert], list[Result]]:
        """What to write, and what becomes of the parts whose vectors or offsets are wrong."""
        upserts: list[_Upsert] = []
        rejected: list[Result] = []
        for change in changes:
            upsert = _Upsert(replace(change, parts=[]), [])
            for part in change.parts:
                if self._foreign(part) and not self._late(part):
                    rejected.append(_again(part, part.event.origin.embedded_again_us or self._now_us()))
                    continue
                try:
                    upsert.passages.extend(passages(part.event, self._generation))
                    upsert.change.parts.append(part)
                except Undecodable as error:
                    rejected.append(Rejected(_anew(part), error.reason, error.detail))
            if upsert.change.parts:
                upserts.append(upsert)
        return upserts, rejected

    def _complete(self, upserts: Sequence[_Upsert]) -> tuple[list[_Upsert], list[Rejected]]:
        """The versions whose passages are all stored; those of which more are stored than there can be are rejected.

        Raises Retry where the store holds fewer than were just written: write again.
        """
        complete = [upsert for upsert in upserts if upsert.whole]
        partial = [upsert for upsert in upserts if not upsert.whole]
        bodies = [(upsert.change.key, upsert.change.version, upsert.change.content_hash) for upsert in partial]
        counts = self._store.count_passages(bodies) if bodies else []
        rejected = []
        for upsert, count in zip(partial, counts, strict=True):
            total = upsert.origin.passage_count
            if count == total:
                complete.append(upsert)
            elif count > total:
                detail = f"the index holds {count} passages of this version, the event states {total}"
                rejected += [Rejected(part.record, REASON_INDEX_REJECTED, detail) for part in upsert.change.parts]
            elif count < len({passage.ordinal for passage in upsert.passages}):
                # An owner of the partition that is further may have deleted them, and this one may never see the record again.
                self._store.delete_stale(list(self._store.heads([upsert.change.key]).values()))
                raise Retry(UNAVAILABLE_SECONDS, "the store holds fewer passages than were written")
        return complete, rejected

    def _live(self, upsert: _Upsert) -> Head:
        """The head that makes a complete version visible."""
        change, origin = upsert.change, upsert.origin
        event = change.parts[0].event
        head = Head(
            key=change.key,
            version=change.version,
            state=State.LIVE,
            content_hash=change.content_hash,
            body_version=change.version,
            passage_count=origin.passage_count,
            title=origin.title,
            content_type=origin.content_type,
            metadata=MessageToDict(origin.metadata),
            groups=tuple(origin.groups),
            accepted_at_us=origin.accepted_at_us,
            indexed_at_us=self._now_us(),
            expires_at_us=origin.expires_at_us,
        )
        written: Sequence[Passage] = upsert.passages
        if not event.document_vector and len(written) < origin.passage_count:
            written = self._store.passages(head, vectors=True)  # earlier polls brought the other parts
        return replace(head, dense=document_vector(event, written))

    def _tombstone(self, change: Change, before: Head | None) -> Head:
        """A deleted document is known of to those who knew of it before, be it only that it had failed."""
        groups = before.groups if before else ()
        if before and before.state is State.ABSENT and before.failure:
            groups = before.failure.groups
        return Head(
            key=change.key,
            version=change.version,
            state=State.DELETED,
            content_hash=change.content_hash,
            body_version=change.version,
            groups=groups,
            accepted_at_us=change.parts[0].event.origin.accepted_at_us,
            indexed_at_us=self._now_us(),
        )

    def _watched(self, change: Change) -> bool:
        return self._standing.watches(change.key.tenant)

    def _matches(self, live: Sequence[tuple[_Upsert, Head]]) -> Iterator[Outgoing]:
        """Matches of the versions that their heads show; of another version, which was quicker, its own writer tells."""
        shown = [
            Shown(head, upsert.passages if upsert.whole else self._stored(head))
            for upsert, head in live
            if _shows(head, upsert.change) and self._watched(upsert.change)
        ]
        yield from self._standing.matches(shown)

    def _stored(self, head: Head) -> list[Passage]:
        """The passages that earlier polls brought too, as they came."""
        found = self._store.passages(head, vectors=True)
        spans = self._store.span_vectors([passage.id for passage in found])
        return [
            replace(each, spans=spans.get(each.id), lexical=document_terms(each.text, title=each.title))
            for each in found
        ]

    def _bump(self, guesses: Sequence[Change], heads: Mapping[Key, Head]) -> tuple[list[Change], list[Change]]:
        """Raise the versions of unchanged documents; returns the guesses that held and those that did not."""
        held = [change for change in guesses if _same_content(change, heads.get(change.key))]
        after = self._store.bump_heads([(heads[change.key], change.version) for change in held]) if held else []
        bumped = {change.key: change for change, head in zip(held, after, strict=True) if not change.beats(head)}
        return list(bumped.values()), [change for change in guesses if change.key not in bumped]

    def _count(self, outcome: str, changes: Sequence[Change]) -> None:
        """Count changes; those that made something visible also by how long that took since it was accepted."""
        metrics.INDEXER_DOCUMENTS.labels(outcome).inc(len(changes))
        if outcome == "superseded":
            return
        now_us = self._now_us()
        for change in changes:
            accepted_at_us = change.parts[0].event.origin.accepted_at_us
            if accepted_at_us:
                metrics.INDEXER_FRESHNESS.observe(max(0, now_us - accepted_at_us) / 1e6)

    def _refused(self, record: Record, detail: str) -> list[Result]:
        """What becomes of the one record that the store refuses."""
        if record.topic == FAILURES.name:
            log.warning("failure_not_noted", offset=record.offset, partition=record.partition)
            return []  # it stays on its topic; rejecting it would write it there again
        part = Part.read(record)
        if Change.of(part).kind is Kind.DELETE:
            raise Retry(WAITING_SECONDS, f"the store refuses a delete: {detail}")
        return [Rejected(record, REASON_INDEX_REJECTED, detail)]


def _shows(head: Head, change: Change) -> bool:
    """Whether searches see this very upsert, whatever bumped it since."""
    named = (head.body_version, head.content_hash) == (change.version, change.content_hash)
    return named and head.state is State.LIVE and change.kind is Kind.UPSERT


def _same_content(change: Change, head: Head | None) -> bool:
    return head is not None and head.state is State.LIVE and head.content_hash == change.content_hash


def _conflicts(changes: Iterable[Change], heads: Mapping[Key, Head], detail: str) -> Iterator[Rejected]:
    """Other content under the version that a head already showed: the source gave one version twice, and someone should
    know, whichever of the two wins. Best effort: of a poll that is put back after the flip nothing is told again.
    """
    for change in changes:
        head = heads.get(change.key)
        if head is None or head.state is not State.LIVE or change.kind is Kind.DELETE:
            continue
        if head.version == change.version and head.content_hash != change.content_hash:
            for part in change.parts:
                yield Rejected(part.record, REASON_VERSION_CONFLICT, detail)


def _anew(part: Part) -> Record:
    """Its record, to be sent again by a person as if it had never been embedded again."""
    if not part.event.origin.embedded_again_us:
        return part.record
    event = EmbeddingEvent()
    event.CopyFrom(part.event)
    event.origin.ClearField("embedded_again_us")
    return replace(part.record, value=event.SerializeToString())


def _again(part: Part, since_us: int = 0) -> Outgoing:
    """The event of a wrong guess, or of another release's vectors, to be embedded after all."""
    event = PassageEvent()
    event.CopyFrom(part.event.origin)
    event.unchanged, event.embedded_again_us = False, since_us
    key = part.record.key or b""
    return Outgoing(PASSAGES.name, key, event.SerializeToString(), headers(event))


def _failure(event: FailureEvent) -> Iterator[tuple[Key, Failure, bool]]:
    """What a dead letter says of a document, and whether that has a blob. Raises InvalidKey where it does not say which."""
    if not event.resolution and 0 <= event.version <= MAX_VERSION:
        key = key_of(event)
        failed = envelope(event.topic, event.value)
        readable = failed and (failed.tenant, failed.source, failed.id) == key
        groups = tuple(failed.groups) if failed and readable else UNKNOWN_GROUPS
        reason = reason_name(event.reason)
        failure = Failure(event.version, event.stage, reason, event.detail, event.failed_at_us, groups)
        yield key, failure, bool(failed and readable and failed.blob)
