"""What the store holds: heads and passages, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanstream.events.ids import Key, Order, passage_id


class State(StrEnum):
    """What a head says of its document. `ABSENT`: nothing was ever indexed, only a failure is known."""

    LIVE = "live"
    DELETED = "deleted"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of a document that is newer than what its head shows. `groups` of the version that failed: who
    may see it.
    """

    version: int
    stage: str
    reason: str
    detail: str
    at_us: int
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """One per document; it alone makes passages visible. A deleted head is the tombstone, with the groups of what it deleted.

    `version` is the newest applied; `body_version` names the passages (they differ after a bump of an unchanged
    document). `passage_count` counts the passages of (key, body_version, content_hash).
    """

    key: Key
    version: int
    state: State
    content_hash: bytes
    body_version: int
    passage_count: int = 0
    title: str = field(default="", repr=False)
    content_type: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    groups: tuple[str, ...] = ()
    accepted_at_us: int = 0
    indexed_at_us: int = 0
    expires_at_us: int = 0  # since 1970, from when on it is to be deleted; 0: never
    failure: Failure | None = None
    dense: NDArray[np.float32] | None = field(default=None, repr=False)  # [dimension]; not read back by heads()

    @property
    def order(self) -> Order:
        """Where this head stands among its key's events."""
        return Order.of(self.version, self.content_hash, self.state is State.DELETED)

    @property
    def newest(self) -> int:
        """The newest version that is known of, that of the failure too."""
        return max(self.version, self.failure.version if self.failure else 0)

    def passage_ids(self, first: int = 0, limit: int | None = None) -> list[str]:
        """The point ids of the passages that a live head names, by ordinal: at most `limit` from `first`."""
        end = self.passage_count if limit is None else min(first + limit, self.passage_count)
        return [str(passage_id(self.key, self.body_version, self.content_hash, i)) for i in range(first, end)]


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse vector: parallel arrays of term ids (unsigned 32 bit) and weights."""

    indices: NDArray[np.uint32] = field(repr=False)
    values: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a passage is compared with others by: its own vector [dimension] and its term weights."""

    dense: NDArray[np.float32] = field(repr=False)
    lexical: Sparse


@dataclass(frozen=True, slots=True)
class PassageMark:
    """Which passage a stored point is, without what it says. `id` is the point's own, whatever it should be."""

    id: str
    key: Key
    version: int
    content_hash: bytes
    ordinal: int


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of one version of a document. Offsets are characters of the normalised text, half-open."""

    key: Key
    version: int
    content_hash: bytes
    ordinal: int
    start: int
    end: int
    text: str = field(repr=False)
    title: str = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    groups: tuple[str, ...]
    tokens: int
    span_offsets: NDArray[np.int32] = field(repr=False)  # [spans, 2]
    dense: NDArray[np.float32] | None = field(default=None, repr=False)  # [dimension]
    spans: NDArray[np.float32] | None = field(default=None, repr=False)  # [spans, dimension]
    lexical: Sparse | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The point id, the same whenever the same event is written."""
        return str(passage_id(self.key, self.version, self.content_hash, self.ordinal))
