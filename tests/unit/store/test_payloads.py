"""Values to payloads and back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.events.ids import MAX_VERSION, Key
from spanstream.store.payloads import body_text, head_from, head_payload, passage_from, passage_payload, plain, sound
from spanstream.store.points import Failure, Head, State
from tests.fixtures.store import hash_of, passage

KEYS = st.builds(
    Key, st.sampled_from(["acme", "b-1"]), st.sampled_from(["wiki", "x.y"]), st.text(min_size=1, max_size=20)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FAILURES = st.builds(Failure, st.integers(0, MAX_VERSION), st.text(), st.text(), st.text(), st.integers(0, 2**53))
HEADS = st.builds(
    Head,
    KEYS,
    st.integers(0, MAX_VERSION),
    st.sampled_from(State),
    st.binary(min_size=32, max_size=32),
    st.integers(0, MAX_VERSION),
    st.integers(0, 1000),
    st.text(),
    st.text(),
    st.dictionaries(st.text(), JSON, max_size=3),
    st.lists(st.text(), max_size=3).map(tuple),
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.none() | FAILURES,
)


@given(HEADS)
def test_a_head_survives_json(head: Head) -> None:
    known = head.failure if head.failure and head.failure.version > head.version else None
    assert head_from(json.loads(json.dumps(head_payload(head)))) == replace(head, failure=known)


@given(KEYS, st.integers(0, 50))
def test_a_passage_survives_json(key: Key, ordinal: int) -> None:
    before = passage(key, ordinal, groups=("a", "b"), metadata={"x": [1, {"y": None}]})
    after = passage_from(json.loads(json.dumps(passage_payload(before))))
    assert after.id == before.id
    assert after.span_offsets.dtype == np.int32
    assert after.span_offsets.tolist() == before.span_offsets.tolist()
    for name in ("key", "version", "content_hash", "start", "end", "text", "title", "metadata", "groups", "tokens"):
        assert getattr(after, name) == getattr(before, name)


def test_bodies_of_different_documents_never_meet() -> None:
    one, two = hash_of("one"), hash_of("two")
    bodies = {
        body_text(Key(tenant, source, id), version, content)
        for tenant in ("a", "b")
        for source in ("a", "b")
        for id in ("a", "b", "a/b", "a\n1", "1")
        for version in (1, 11)
        for content in (one, two)
    }
    assert len(bodies) == 2 * 2 * 5 * 2 * 2


def test_whole_doubles_become_integers_wherever_they_are() -> None:
    assert json.dumps(plain({"a": 1.0, "b": [2.0, {"c": 2.5}], "d": 1e300, "e": True})) == json.dumps(
        {"a": 1, "b": [2, {"c": 2.5}], "d": 1e300, "e": True}
    )


@pytest.mark.promise("I18")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "Bees?"),
        ("tenant", "acme2"),
        ("ordinal", 4),
        ("end", 7),
        ("groups", ["a", "c"]),
        ("spans", None),
        ("sum", 1),
    ],
)
def test_a_passage_that_the_disk_has_changed_is_told(name: str, value: object) -> None:
    payload = json.loads(json.dumps(passage_payload(passage(Key("acme", "wiki", "d"), 3, groups=("a", "b")))))
    assert sound(payload)
    assert not sound(payload | {name: value})
    del payload["text"]
    assert not sound(payload)


def test_a_passage_of_an_older_version_is_sound() -> None:
    payload = passage_payload(passage(Key("acme", "wiki", "d"), 3))
    del payload["sum"]
    assert sound(payload)
