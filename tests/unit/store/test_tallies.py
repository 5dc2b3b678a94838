from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spanstream.store.tallies import tallies

VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.5]) | st.sampled_from("abc")
PAYLOADS = st.lists(st.fixed_dictionaries({"m": st.fixed_dictionaries({"f": VALUES | st.lists(VALUES, max_size=4)})}))


@given(PAYLOADS)
def test_each_value_is_counted_once_a_payload(payloads: list) -> None:
    found = tallies(payloads, {"m.f": 100})["m.f"]
    for value, count in found:
        held = [each["m"]["f"] if isinstance(each["m"]["f"], list) else [each["m"]["f"]] for each in payloads]
        assert count == sum(any(type(item) is type(value) and item == value for item in items) for items in held)
    assert len({(type(value), value) for value, _ in found}) == len(found)


@given(PAYLOADS, st.integers(1, 5), st.randoms())
def test_order_is_by_count_and_says_nothing_of_the_payloads_order(payloads: list, limit: int, random: object) -> None:
    found = tallies(payloads, {"m.f": 100})["m.f"]
    random.shuffle(payloads)  # type: ignore[attr-defined]
    again = tallies(payloads, {"m.f": limit})["m.f"]
    assert [(type(v), v, n) for v, n in again] == [(type(v), v, n) for v, n in found[:limit]]
    assert [n for _, n in found] == sorted((n for _, n in found), reverse=True)


def test_no_payload_gives_no_value() -> None:
    assert tallies([], {"m.f": 3}) == {"m.f": []}
