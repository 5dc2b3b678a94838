"""Where to go on in an answer: what was shown, so that it is not shown again. Pure.

A cursor names its question, the generation and the hits of all pages so far by short hashes: docs/decisions/0013-cursors.md.
It can only leave hits out, so it needs no signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from hashlib import blake2b

MAX_SHOWN = 1000  # hits after which no cursor is given
MAX_CHARACTERS = 12_000  # base64 of 1000 marks and more

_HASH_BYTES = 8  # of a hit: among 10,000 candidates one in 10^12 answers leaves out a wrong hit
_SUM_BYTES = 4
_HEAD_BYTES = 2 * _HASH_BYTES


class InvalidCursor(ValueError):
    """The message says why the cursor is none of this question's."""


def mark(hit: str) -> bytes:
    """What a cursor remembers of a hit, from what names it."""
    return blake2b(hit.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()


def write(question: str, generation: str, shown: Iterable[bytes]) -> str | None:
    """The cursor behind these hits; None where there are too many."""
    marks = sorted(set(shown))
    if len(marks) >= MAX_SHOWN:
        return None
    body = mark(question) + mark(generation) + b"".join(marks)
    return base64.urlsafe_b64encode(_sum(body) + body).decode().rstrip("=")


def read(cursor: str, question: str, generation: str) -> frozenset[bytes]:
    """The marks of what was shown; raises InvalidCursor."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    body = data[_SUM_BYTES:]
    if len(body) < _HEAD_BYTES or len(body) % _HASH_BYTES or data[:_SUM_BYTES] != _sum(body):
        raise InvalidCursor("is no cursor of an answer")
    if body[:_HASH_BYTES] != mark(question):
        raise InvalidCursor(
            "belongs to another question: only limit and what is shown of a hit may change between pages"
        )
    if body[_HASH_BYTES:_HEAD_BYTES] != mark(generation):
        raise InvalidCursor("belongs to an index that has been replaced since: ask again without it")
    marks = body[_HEAD_BYTES:]
    return frozenset(marks[start : start + _HASH_BYTES] for start in range(0, len(marks), _HASH_BYTES))


def _sum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_SUM_BYTES).digest()
