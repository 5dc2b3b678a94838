"""What the store's conditions look like to an engine, which is fast only with plain ones."""

from __future__ import annotations

from qdrant_client import models

from spanstream.store.conditions import visible
from spanstream.store.queries import AllOf, AnyOf, Match, Not, Scope
from spanstream.store.server import DIALECT


def word(field: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def test_all_that_has_to_hold_stands_side_by_side() -> None:
    a, b, c = (Match("source", (name,)) for name in "abc")
    built = DIALECT.build(visible(Scope("acme"), AllOf((a, AllOf((b, Not(c)))))))
    nested = models.Filter(must_not=[word("source", "c")])
    assert built == models.Filter(must=[word("tenant", "acme"), word("source", "a"), word("source", "b"), nested])


def test_one_value_is_asked_for_as_itself_and_several_as_any_of_them() -> None:
    built = DIALECT.build(AnyOf((Match("source", ("a", "b")), Match("rank", (1,)), Match("rank", (1, 2)))))
    number = models.FieldCondition(key="rank", match=models.MatchValue(value=1))
    words, numbers = models.MatchAny(any=["a", "b"]), models.MatchAny(any=[1, 2])
    either = [
        models.FieldCondition(key="source", match=words),
        number,
        models.FieldCondition(key="rank", match=numbers),
    ]
    assert built == models.Filter(must=[models.Filter(should=either)])


def test_nothing_to_choose_from_holds_for_nothing() -> None:
    assert DIALECT.build(Match("source", ())) == models.Filter(
        must=[models.Filter(should=[models.HasIdCondition(has_id=[])])]
    )
