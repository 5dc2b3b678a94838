from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import InvalidVectors
from spanstream.encoder.hashing import HashEncoder
from spanstream.gateway.query_cache import QueryCache

NO_RANGES = np.zeros((0, 2), np.int32)
ENTRY = 64 * 4 + 320


class Counted(HashEncoder):
    def __init__(self) -> None:
        super().__init__(64)
        self.asked: list[str] = []
        self.broken = False

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        self.asked += [text.text for text in texts]
        found = super().encode(texts, query=query)
        return [replace(each, whole=each.whole * 0) for each in found] if self.broken else found


def ask(cache: QueryCache, encoder: Counted, *texts: str, release: str = "r1", tenant: str = "acme") -> list[Encoded]:
    asked = [Text(text, NO_RANGES) for text in texts]
    return list(cache.before(encoder, release, tenant).encode(asked, query=True))


def test_what_was_asked_before_is_not_asked_again_and_the_answer_is_the_same() -> None:
    cache, encoder = QueryCache(), Counted()
    first = ask(cache, encoder, "red fish", "a bird")
    again = ask(cache, encoder, "a bird", "red fish", "a tree")
    assert encoder.asked == ["red fish", "a bird", "a tree"]
    assert np.array_equal(again[0].whole, first[1].whole)
    assert np.array_equal(again[1].whole, first[0].whole)
    assert again[0].ranges.shape == (0, 64)


@pytest.mark.parametrize("other", [{"release": "r2"}, {"tenant": "umbrella"}])
def test_another_release_and_another_tenant_meet_none_of_it(other: dict[str, str]) -> None:
    cache, encoder = QueryCache(), Counted()
    ask(cache, encoder, "red fish")
    ask(cache, encoder, "red fish", **other)
    assert encoder.asked == ["red fish"] * 2


def test_the_vectors_used_longest_ago_go_first_and_the_bound_holds() -> None:
    cache, encoder = QueryCache(2 * ENTRY), Counted()
    ask(cache, encoder, "a", "b")
    ask(cache, encoder, "a")
    ask(cache, encoder, "c")
    assert cache.held == 2 * ENTRY
    ask(cache, encoder, "a", "b")
    assert encoder.asked == ["a", "b", "c", "b"]


def test_a_cache_of_no_size_is_none() -> None:
    encoder = Counted()
    assert QueryCache(0).before(encoder, "r1", "acme") is encoder


def test_a_wrong_vector_is_not_kept() -> None:
    cache, encoder = QueryCache(), Counted()
    encoder.broken = True
    with pytest.raises(InvalidVectors):
        ask(cache, encoder, "red fish")
    encoder.broken = False
    assert ask(cache, encoder, "red fish")[0].whole.any()


def test_no_text_is_kept() -> None:
    cache, encoder = QueryCache(), Counted()
    ask(cache, encoder, "a secret question")
    assert "secret" not in repr(cache.__dict__)
