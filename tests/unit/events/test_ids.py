from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.events.errors import InvalidKey
from spanstream.events.ids import MAX_ID_CHARACTERS, Key, Order, content_hash, head_id, passage_id

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=MAX_ID_CHARACTERS).filter(
    lambda id: id not in (".", "..")
)
BODY = {"title": "t", "content_type": "text/plain", "body": b"b", "metadata": {"a": 1}, "groups": ["x"]}


@given(names, names, ids)
def test_key_survives_the_record_key(tenant: str, source: str, id: str) -> None:
    key = Key.checked(tenant, source, id)
    assert Key.decode(key.encode()) == key
    assert key.encode().count(b"/") == 2


@pytest.mark.parametrize(
    ("tenant", "source", "id"),
    [
        ("", "s", "i"),
        ("T", "s", "i"),
        ("t", "s/..", "i"),
        ("t", "-s", "i"),
        ("t", "s" * 65, "i"),
        ("t", "s", ""),
        ("t", "s", "i" * 513),
        ("t", "s", "a\nb"),
        ("t", "s", "a\x00"),
        ("t", "s", "\ud800"),
        ("t", "..", "i"),
    ],
)
def test_key_outside_the_limits_is_refused_without_its_value(tenant: str, source: str, id: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        Key.checked(tenant, source, id)
    assert id == "" or id == "i" or id not in str(caught.value)


@pytest.mark.parametrize("id", [".", ".."])
def test_id_that_no_url_can_carry_is_refused(id: str) -> None:
    with pytest.raises(InvalidKey, match="URL"):
        Key.checked("t", "s", id)
    assert Key.checked("t", "s", f"a/{id}/{id}x").id == f"a/{id}/{id}x"


@pytest.mark.parametrize("data", [b"", b"a/b", b"a/b/c/d", b"a/b/%FF", "a/b/é".encode(), b"A/b/c"])
def test_a_foreign_record_key_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidKey):
        Key.decode(data)


def test_order_is_version_then_delete_then_hash() -> None:
    low, high = b"\x00" * 32, b"\xff" * 32
    expected = [
        Order.of(1, high, True),
        Order.of(2, low, False),
        Order.of(2, high, False),
        Order.of(2, low, True),
        Order.of(2, high, True),
    ]
    for shuffled in itertools.permutations(expected):
        assert sorted(shuffled) == expected
    assert Order.of(0, high, False).hash52 == 2**52 - 1


@pytest.mark.parametrize(
    "change",
    [
        {"title": "u"},
        {"content_type": "text/html"},
        {"body": b"c"},
        {"metadata": {"a": 2}},
        {"metadata": {}},
        {"groups": []},
        {"groups": ["x", "y"]},
        {"title": "tb", "body": b""},
    ],
)
def test_content_hash_covers_everything_that_search_shows(change: dict[str, object]) -> None:
    assert content_hash(**BODY) != content_hash(**(BODY | change))  # type: ignore[arg-type]


def test_content_hash_ignores_the_order_of_metadata_and_groups() -> None:
    one = content_hash(**(BODY | {"metadata": {"a": 1, "b": 2}, "groups": ["x", "y"]}))  # type: ignore[arg-type]
    two = content_hash(**(BODY | {"metadata": {"b": 2, "a": 1}, "groups": ["y", "x", "x"]}))  # type: ignore[arg-type]
    assert one == two


def test_point_ids_are_stable_and_distinct() -> None:
    key = Key("t", "s", "i")
    made = {str(passage_id(key, v, h, n)) for v in (1, 2) for h in (b"a" * 32, b"b" * 32) for n in (0, 1)}
    assert len(made) == 8
    assert str(head_id(key)) == "08ea586b-019c-54ed-891b-c86a34deafee"  # stored in every index: it must never change
    assert head_id(Key("t", "s", "a/b")) != head_id(Key("t", "s", "a%2Fb"))
