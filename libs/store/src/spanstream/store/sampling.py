"""A few documents for all: their point ids are hashes, hence a run of them from a random place is a fair sample."""

from __future__ import annotations

from itertools import chain, islice
from random import Random

from spanstream.store.points import Head, State
from spanstream.store.store import Store

_IDS = 1 << 128


def drawn(store: Store, count: int, chance: Random) -> list[Head]:
    """About `count` live documents, or all where there are fewer. Raises what the store does."""
    first = chance.randrange(_IDS)
    ring = chain(store.scan_heads(first), store.scan_heads(0, first))
    marks = islice((mark for mark in ring if mark.state is State.LIVE), count)
    found = store.heads([mark.key for mark in marks])
    return [head for head in found.values() if head.state is State.LIVE]  # some may have gone since
