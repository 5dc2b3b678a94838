"""What a deletion receipt says, from what was read back. Pure.

A place is *clear* if nothing was found there, or if nobody can look into it but whatever is in it goes by a known time.
`erased` means that every place is clear; `gone_by` is then when the last of those times has come. That is so too of what
never was here: `known` tells whether anything says that it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel

from spanstream.events.topics import FAILURES
from spanstream.ingestor.erasure.holdings import Held
from spanstream.ingestor.erasure.letters import Letters

SETTLE_US = 60_000_000  # passages go after the tombstone is written, and the files are cleared of those that had gone
NOT_LOOKED_AT = (
    "The tombstone of a deleted document keeps its id, its groups and its version until older versions can come no more.",
    "The encoder's cache of windows keeps vectors under hashes that name no document; unused ones go after ENCODER_CACHE_DAYS.",
    "The gateway's cache of queries holds vectors of queries alone, in memory.",
    "The audit log names sources and ids, never a text.",
    "Dead letters without a key, whose records nobody could attribute.",
    "Blobs that direct producers keep at places of their own choice.",
    "Backups, snapshots and copies outside of this installation.",
)
_SERVER = "The files of the Qdrant server: what it has deleted stays there until its optimizer writes the segment anew."
_FILES = "what was deleted is taken out of the files once in INDEXER_VACUUM_HOURS"
_OTHER_FILES = (
    "deleted there and still in its files: they go with it, or once in INDEXER_VACUUM_HOURS while it is written"
)
_FOR_EVER = "this topic keeps its records for ever: give it a retention"


class Place(BaseModel):
    """`found`: how many of the thing's parts; null: it cannot be looked into. `gone_by`: what is there is gone by then, at
    the latest; null: nobody can say when.
    """

    place: str
    found: int | None
    gone_by: AwareDatetime | None = None
    note: str = ""

    @property
    def clear(self) -> bool:
        """See the module's docstring."""
        return self.found == 0 or (self.found is None and self.gone_by is not None)


class Signature(BaseModel):
    """`key`: the beginning of the SHA-256 of the public key. `value`: base64, over the rest as canonical JSON."""

    algorithm: str
    key: str
    value: str


class Receipt(BaseModel):
    """What was read back at that moment of a document, a source (`id` null) or a tenant (both null). `known`: it, or its
    tombstone, was found; false: it never was here, its tombstone is forgotten by now, or it is still on its way.
    """

    format: Literal["spanstream.erasure.1"] = "spanstream.erasure.1"
    tenant: str
    source: str | None
    id: str | None
    at: AwareDatetime
    state: Literal["erased", "remaining"]
    gone_by: AwareDatetime | None
    known: bool
    tombstones: int
    places: list[Place]
    not_looked_at: list[str]
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was read back. `letters` None: there were too many to read. `kept`: topic -> seconds, None: for ever."""

    held: Held
    blobs: int
    letters: Letters | None
    kept: Mapping[str, float | None]


def receipt(tenant: str, source: str | None, id: str | None, seen: Seen, now: float) -> Receipt:
    """Not signed yet. `now`: seconds since 1970."""
    places = list(_places(seen, now))
    erased = all(place.clear for place in places)
    times = [place.gone_by for place in places if place.gone_by is not None]
    unseen = [*NOT_LOOKED_AT, *([_SERVER] if seen.held.cleared_at_us is None else [])]
    return Receipt(
        tenant=tenant,
        source=source,
        id=id,
        at=_moment(now),
        state="erased" if erased else "remaining",
        gone_by=max(times, default=_moment(now)) if erased else None,
        known=bool(seen.held.tombstones or seen.held.uncleared or any(place.found for place in places)),
        tombstones=seen.held.tombstones,
        places=places,
        not_looked_at=unseen,
    )


def _places(seen: Seen, now: float) -> Iterator[Place]:
    held = seen.held
    yield Place(place="index: documents", found=held.documents)
    yield Place(place="index: passages", found=held.passages)
    for name, found in held.elsewhere.items():
        note = "an index that is not the live one: remove it" if found else ""
        yield Place(place=f"index: generation {name}", found=found, note=note)
    for name, tombstones in held.uncleared.items():
        if tombstones:
            yield Place(place=f"index: files of generation {name}", found=None, note=_OTHER_FILES)
    if held.cleared_at_us is not None:
        cleared = not held.deleted_at_us or held.cleared_at_us > held.deleted_at_us + SETTLE_US
        yield Place(place="index: files", found=0 if cleared else None, note="" if cleared else _FILES)
    yield Place(place="blobs", found=seen.blobs)
    yield _letters(seen)
    for topic, seconds in seen.kept.items():
        if topic == FAILURES.name:
            continue
        gone_by = None if seconds is None else _moment(now + seconds)
        yield Place(place=f"log: {topic}", found=None, gone_by=gone_by, note=_FOR_EVER if seconds is None else "")


def _letters(seen: Seen) -> Place:
    place, letters = f"log: {FAILURES.name}", seen.letters
    if letters is None:
        return Place(place=place, found=None, note="there are more dead letters than could be read in time")
    if not letters.count:
        return Place(place=place, found=0)
    seconds = seen.kept[FAILURES.name]
    gone_by = None if seconds is None else _moment(letters.newest_ms / 1000 + seconds)
    return Place(place=place, found=letters.count, gone_by=gone_by, note=_FOR_EVER if seconds is None else "")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)
