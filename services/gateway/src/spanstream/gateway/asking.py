"""What is asked for, as the index takes it: a vector and terms of each text and of each example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded, Text, check
from spanstream.events.ids import Key
from spanstream.gateway.meanings import Example, Leaf, Words
from spanstream.gateway.pool import Pool
from spanstream.gateway.timing import timed
from spanstream.gateway.visibility import admits
from spanstream.store.lexical import query_terms
from spanstream.store.points import Head, Sparse, State
from spanstream.store.queries import Scope
from spanstream.store.store import Store

EXAMPLE_PASSAGES = 64  # of a document, from its beginning, that say what it is about
EXAMPLE_CHARACTERS = 4000  # of a part of one
EXAMPLE_TERMS = 25  # that weigh most in it

_NO_RANGES = np.zeros((0, 2), np.int32)


class Encodes(Protocol):
    """What is needed of an encoder here."""

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """As `Encoder.encode`."""
        ...


class UnknownExample(LookupError):
    """There is no such document, or the caller may not see it, or it has no such part."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One leaf of a query. `vector` [dimension], none where only terms are asked for."""

    vector: NDArray[np.float32] | None = field(repr=False)
    terms: Sparse = field(repr=False)


def read(
    store: Store, encoder: Encodes | None, scope: Scope, wanted: Sequence[Leaf], dimension: int
) -> dict[Leaf, Asked]:
    """Each leaf's vector and terms; without an encoder terms alone.

    Raises UnknownExample, and what the ports raise.
    """
    examples = {leaf: _head(store, scope, leaf) for leaf in wanted if isinstance(leaf, Example)}
    texts: dict[Leaf, str] = {leaf: leaf.text for leaf in wanted if isinstance(leaf, Words)}
    texts |= {leaf: _part(store, head, leaf) for leaf, head in examples.items() if leaf.start is not None}
    vectors = _embedded(encoder, texts, dimension)
    asked = {leaf: Asked(vectors.get(leaf), query_terms(text)) for leaf, text in texts.items()}
    whole = {leaf: _whole(store, head) for leaf, head in examples.items() if leaf not in asked}
    return asked | {leaf: Asked(found.vector if encoder else None, found.terms) for leaf, found in whole.items()}


def whole(text: str) -> Text:
    """A text as the encoder takes it where no spans are wanted."""
    return Text(text, _NO_RANGES)


def _embedded(encoder: Encodes | None, texts: Mapping[Leaf, str], dimension: int) -> dict[Leaf, NDArray[np.float32]]:
    if encoder is None or not texts:
        return {}
    with timed("embed"):
        asked = [whole(text) for text in texts.values()]
        results = encoder.encode(asked, query=True)
        check(asked, results, dimension)
    return {leaf: result.whole for leaf, result in zip(texts, results, strict=True)}


def _head(store: Store, scope: Scope, example: Example) -> Head:
    key = Key(scope.tenant, example.source, example.id)
    head = store.heads([key]).get(key)
    if head is None or head.state is not State.LIVE or not admits(key, head.groups, scope) or not head.passage_count:
        raise UnknownExample(f"no document {example.source}/{example.id} is searchable")
    return head


def _part(store: Store, head: Head, example: Example) -> str:
    """The text between the offsets."""
    assert example.start is not None
    assert example.end is not None
    end = min(example.end, example.start + EXAMPLE_CHARACTERS)
    found = sorted(store.passages(head), key=lambda passage: passage.start)
    pieces = [each.text[max(0, example.start - each.start) : max(0, end - each.start)] for each in found]
    if not (text := " ".join(piece for piece in pieces if piece).strip()):
        raise UnknownExample(f"{head.key.source}/{head.key.id} has no text between 'start' and 'end'")
    return text


def _whole(store: Store, head: Head) -> Asked:
    """The mean of the document's passages, and its heaviest terms: the index makes the rare ones count more."""
    found = list(store.vectors(head.passage_ids(limit=EXAMPLE_PASSAGES)).values())
    if not found:
        raise UnknownExample(f"{head.key.source}/{head.key.id} is just being replaced; ask again")
    pool = Pool.of(found)
    mean = pool.dense.mean(axis=0)
    weights = pool.weights.mean(axis=0)
    heaviest = np.sort(np.argsort(-weights, kind="stable")[:EXAMPLE_TERMS])
    vector: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return Asked(vector, Sparse(pool.terms[heaviest], weights[heaviest]))
