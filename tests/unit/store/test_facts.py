"""What metadata says as facts, numbers and dates."""

from __future__ import annotations

import pytest

from spanstream.store.facts import DATES, MAX_FACTS, NUMBERS, facts_payload, field_fact, value_fact


def test_a_fact_for_each_value_and_for_each_field_of_numbers_or_dates() -> None:
    payload = facts_payload({"tags": ["x", "y"], "author": {"age": 41, "born": "1980-02-03"}, "draft": True})
    assert set(payload["facts"]) == {
        0,
        value_fact("tags", "x"),
        value_fact("tags", "y"),
        value_fact("author.age", 41),
        value_fact("author.born", "1980-02-03"),
        value_fact("draft", True),
        field_fact(NUMBERS, "author.age"),
        field_fact(DATES, "author.born"),
    }
    assert payload["numbers"] == {"author.age": [41]}
    assert payload["dates"] == {"author.born": ["1980-02-03"]}


def test_facts_tell_types_fields_and_values_apart() -> None:
    facts = [value_fact(*pair) for pair in (("a", 1), ("a", True), ("a", "1"), ("a", "True"), ("b", 1), ("a.b", 1))]
    facts += [value_fact("a", " b c"), value_fact("a ", "b c"), value_fact("a\0b", "c"), value_fact("a", "b\0c")]
    facts += [field_fact(NUMBERS, "a"), field_fact(DATES, "a"), value_fact("a", ""), 0]
    assert len(set(facts)) == len(facts)
    assert all(-(2**63) <= fact < 2**63 for fact in facts)


def test_a_fact_is_the_same_in_every_version() -> None:
    """Stored points hold them."""
    assert value_fact("year", 1990) == -2508246067585227167
    assert field_fact(NUMBERS, "year") == -3053988297958627273


def test_of_fractions_there_are_no_facts_but_of_their_field() -> None:
    payload = facts_payload({"price": [2.5, None, "cheap", 3]})
    assert set(payload["facts"]) == {
        0,
        value_fact("price", "cheap"),
        value_fact("price", 3),
        field_fact(NUMBERS, "price"),
    }
    assert payload["numbers"] == {"price": [2.5, 3]}
    assert "dates" not in payload


def test_metadata_without_values_is_known_to_have_none() -> None:
    assert facts_payload({}) == facts_payload({"a": None, "b": [], "c": {}, "d": [[1], {"e": 2}]}) == {"facts": [0]}


def test_names_that_no_filter_can_name_have_no_facts() -> None:
    assert facts_payload({"a.b": "x", 'c"': "x", "": "x"}) == {"facts": [0]}


@pytest.mark.parametrize("item", ["x{}", 0.5])
def test_too_much_metadata_has_no_facts_at_all(item: str | float) -> None:
    values = [item.format(n) if isinstance(item, str) else item + n for n in range(MAX_FACTS + 1)]
    assert facts_payload({"a": values, "n": 1}) == {}
    assert facts_payload({"a": values[:-1]}) != {}
