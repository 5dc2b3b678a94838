"""Rolling digests: sums of hashes, so that the order in which things come does not matter. Pure.

Documents are put into buckets by the first bits of their head's point id, which is a hash of the key. A sum of 64 bits
hides a single difference with a chance of 2^-64.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

from spanstream.events.ids import Order

ID_BITS = 128
MIN_BITS, MAX_BITS = 4, 18  # 2^18 buckets of four sums are 8 MB
KEYS_PER_BUCKET = 64
_MASK = 2**64 - 1


def bits_for(keys: int) -> int:
    """How many bits name a bucket of about KEYS_PER_BUCKET keys."""
    return min(MAX_BITS, max(MIN_BITS, (keys // KEYS_PER_BUCKET).bit_length()))


class Buckets:
    """A sum for each bucket."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._sums = array("Q", bytes(8 << bits))

    def add(self, id: int, mark: int) -> None:
        """Something about the document of this head id."""
        bucket = self.bucket(id)
        self._sums[bucket] = (self._sums[bucket] + mark) & _MASK

    def bucket(self, id: int) -> int:
        """Which one a head id is in."""
        return id >> (ID_BITS - self.bits)

    def differing(self, other: Buckets) -> Iterator[int]:
        """The buckets whose sums are not equal."""
        return (number for number, (one, two) in enumerate(zip(self._sums, other._sums, strict=True)) if one != two)

    def bounds(self, bucket: int) -> tuple[int, int]:
        """The head ids of a bucket, as [first, end)."""
        width = ID_BITS - self.bits
        return bucket << width, (bucket + 1) << width

    @property
    def digest(self) -> str:
        """Of all of it."""
        return f"{sum(self._sums) & _MASK:016x}"


def order_mark(id: int, order: Order) -> int:
    """What a head, or the log, says of a document."""
    return _hashed(id.to_bytes(16, "big") + repr(tuple(order)).encode())


def point_mark(id: str) -> int:
    """That a point is there."""
    return _hashed(id.encode())


def passage_mark(id: int, content_hash: bytes, ordinal: int) -> int:
    """That a passage of this content is there, whichever version brought it."""
    return _hashed(id.to_bytes(16, "big") + content_hash + ordinal.to_bytes(8, "big"))


def _hashed(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
