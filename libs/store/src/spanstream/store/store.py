"""The store port. Two adapters: `edge.EdgeStore` (Qdrant's engine in this process) and `server.ServerStore`; for tests and
simulations also `memory.MemoryStore`.

A store holds one *generation* (encoder release x transforms x segmenter): a collection of heads and one of passages. Beside
it are the standing queries, which belong to no generation.
Writes return when they are applied and durable against a kill of the process; `flush` makes them survive power loss.
Methods may be called from several threads. Writes to one document come from one thread at a time (its partition's
owner); the conditional flip decides all the same when two owners overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.holdings import Holdings
from spanstream.store.kept import Kept
from spanstream.store.memos import Memos
from spanstream.store.points import Failure, Head, Passage, PassageMark, Vectors
from spanstream.store.queries import Condition, Hit, Query, Scope
from spanstream.store.retention import Retention
from spanstream.store.standing_index import StandingQueries
from spanstream.store.tallies import Tally


class Store(Protocol):
    """See the module's docstring. Every method may raise StoreUnavailable; writes also StoreRejected."""

    def open(self, generation: str, dimension: int, compression: Compression) -> None:
        """Create the generation's collections and payload indexes where missing, and make it the live one. Idempotent.

        Vectors that are kept with another compression are compressed anew, from their originals.
        """
        ...

    def open_live(self) -> str:
        """Open the generation that was opened last, as it is, and return its name. Raises StoreUnavailable where there is none."""
        ...

    def beside(self) -> Store:
        """Another store in the same place, still to be opened, for another generation or the same: opening it makes nothing
        live, and it stays with what it has opened whatever becomes live. Closed with this one at the latest.
        """
        ...

    def generations(self) -> dict[str, bool]:
        """All that are kept here: name -> whether it is the live one."""
        ...

    def live(self) -> str | None:
        """The name of the live one, as of now, whatever is open; None: there is none."""
        ...

    def kept(self) -> list[Kept]:
        """The generations by name, with their live documents. Raises StoreUnavailable, as everything does before `open`."""
        ...

    def replaced(self, generation: str) -> Kept | None:
        """What `open` of this one would take the place of: the live generation, where it is another one and holds live
        documents. None for a store beside, which makes nothing live. Asked before `open`.
        """
        ...

    def make_live(self, generation: str) -> None:
        """Make one that is kept the live one, atomically and durably; this store is a view of it from then on.

        Whoever asks meanwhile sees the one or the other. Raises StoreRejected where there is none of that name.
        """
        ...

    def drop(self, generation: str) -> None:
        """Remove one with all that it holds, or what is left of it after a crash; stores that are open on it answer no more.

        Idempotent. Raises StoreRejected for the live one.
        """
        ...

    def upsert_passages(self, passages: Sequence[Passage]) -> None:
        """Write passages with their vectors; the same id is overwritten. Any number: the adapter cuts batches."""
        ...

    def count_passages(self, bodies: Sequence[tuple[Key, int, bytes]]) -> list[int]:
        """For each (key, version, content hash): how many of its passages are stored, exactly."""
        ...

    def flip_heads(self, heads: Sequence[Head]) -> list[Head]:
        """Write each head where its `order` is above the stored one's (an absent head is inserted), then re-read all.

        Returns the heads as stored afterwards: whoever won. Writing a head forgets the failure of older versions.
        """
        ...

    def bump_heads(self, bumps: Sequence[tuple[Head, int]]) -> list[Head | None]:
        """Raise `version` to the given number where the stored head is live, has the same content hash and a lower version.

        Update-only. Returns the heads as stored afterwards, None where there is none.
        """
        ...

    def record_failures(self, failures: Sequence[tuple[Key, Failure]]) -> None:
        """Note a failure on each document's head where it is newer than the head's version; an ABSENT head is made."""
        ...

    def forget_failures(self, failures: Sequence[tuple[Key, int]]) -> None:
        """Take the failure with this `at_us` off each document's head; an ABSENT head goes with it. Any other stays."""
        ...

    def heads(self, keys: Sequence[Key]) -> dict[Key, Head]:
        """The heads that exist, as status and search see them (strong read), without vectors."""
        ...

    def delete_stale(self, heads: Sequence[Head]) -> None:
        """For each head: delete the key's passages whose order is below the head's and which it does not name."""
        ...

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """Answer several queries in one call: for each, hits by falling score (ties by id), at most `limit`."""
        ...

    def rank(self, queries: Sequence[Query]) -> list[list[tuple[str, float]]]:
        """As `search`, but only passage ids with scores: for candidates of which few are looked at."""
        ...

    def fetch(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages that exist, by id, without their vectors."""
        ...

    def passages(self, head: Head, *, vectors: bool = False) -> list[Passage]:
        """All passages that the head names, by ordinal; with `dense` (and `tokens`) where `vectors`."""
        ...

    def span_vectors(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Passage id -> [spans, dimension], for the few hits whose best span is to be named."""
        ...

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """Passage id -> its vectors but the spans', for the few that are to be compared with each other."""
        ...

    def count(self, scope: Scope, where: Condition | None = None) -> int:
        """How many live documents the scope and condition admit."""
        ...

    def admitted(self, keys: Sequence[Key], scope: Scope, where: Condition | None = None) -> set[Key]:
        """Those of these live documents that the scope and condition admit."""
        ...

    def standing(self) -> StandingQueries:
        """The standing queries of all tenants, which no change of the generation touches."""
        ...

    def memos(self) -> Memos:
        """What services that share the store tell each other, which no change of the generation touches."""
        ...

    def retention(self) -> Retention:
        """What is due to go, of all tenants."""
        ...

    def sources(self, scope: Scope, among: Sequence[str] | None = None) -> Mapping[str, int]:
        """Source -> number of live documents, of at most 10,000 sources; with `among` of those of these that have any."""
        ...

    def facets(self, scope: Scope, limits: Mapping[str, int], where: Condition | None = None) -> dict[str, Tally]:
        """Field ("source", or below metadata) -> how many live documents have which value, exactly, at most so many values.

        Values are texts of up to 512 characters, numbers and booleans; a document counts once for each item of a list.
        Raises TooLarge where the metadata of more than 200,000 documents would have to be read.
        """
        ...

    def matching(self, scope: Scope, where: Condition, ids: Sequence[str]) -> set[str]:
        """Those of these passage ids that the scope and condition admit."""
        ...

    def scan_heads(self, first: int = 0, end: int = 1 << 128) -> Iterator[Head]:
        """The heads whose point ids, as numbers, are in [first, end), by id: without what search shows of them.

        Not of one moment: what is written meanwhile may be seen or not.
        """
        ...

    def scan_passages(self, keys: Sequence[Key] | None = None) -> Iterator[PassageMark]:
        """What is stored of these documents' passages, or of all, whatever their heads name. Not of one moment."""
        ...

    def snapshot(self, folder: Path) -> None:
        """Write all of the live generation and the standing queries into an empty folder, as they are during the call.

        Heads and passages may be of two moments of it: what was written between them has to be done again, from the log.
        Searches go on meanwhile; writes may wait. Raises StoreRejected where there is no such thing.
        """
        ...

    def restore(self, folder: Path) -> None:
        """Put what `snapshot` wrote in the place of the generation and of the standing queries, durably, before `open`.

        Done again after it was interrupted it is done; until then the store may refuse to open. Raises StoreRejected for
        another adapter's, or another version's, snapshot.
        """
        ...

    def holdings(self) -> Holdings:
        """What is still held of a document, a source or a tenant."""
        ...

    def vacuum(self, before_us: int) -> bool:
        """Take what was deleted out of the engine's files, unless that was done since then or no document was deleted since;
        True if it was done now. Long, and seldom: the engine in process lets no other thread work meanwhile. Called by the
        thread that calls `maintain`.
        """
        ...

    def maintain(self) -> bool:
        """Do pending housekeeping (merge segments, build indexes); True if anything was done. Called by one thread, often."""
        ...

    def flush(self) -> None:
        """Make all acknowledged writes survive power loss."""
        ...

    def unready(self) -> list[str]:
        """Why the store does not answer now, in words; nothing: it does."""
        ...

    def close(self) -> None:
        """Flush and release; idempotent."""
        ...
