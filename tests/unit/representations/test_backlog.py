from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from spanstream.representations.backlog import SMALL_CALL, Backlog


@dataclass(frozen=True)
class Item:
    call: int
    length: int


def call(number: int, *lengths: int) -> list[Item]:
    return [Item(number, length) for length in lengths]


def test_a_small_call_overtakes_large_ones() -> None:
    backlog: Backlog[Item] = Backlog(1024)
    backlog.add(call(0, *[200] * 50))
    assert {item.call for item in backlog.take()} == {0}
    backlog.add(call(1, 12))
    assert backlog.take() == call(1, 12)


def test_a_large_query_overtakes_too() -> None:
    backlog: Backlog[Item] = Backlog(1024)
    backlog.add(call(0, *[200] * 50))
    backlog.add(call(1, *[200] * 5), query=True)
    assert {item.call for item in backlog.take()} == {1}


def test_queries_go_before_small_calls_and_can_be_taken_alone() -> None:
    backlog: Backlog[Item] = Backlog(1024)
    backlog.add(call(0, *[200] * 50))
    backlog.add(call(1, 12))
    assert backlog.take_queries() == []
    backlog.add(call(2, 12), query=True)
    backlog.add(call(3, 14), query=True)
    assert backlog.take_documents() == call(1, 12)
    assert {item.call for item in backlog.take_queries()} == {2, 3}
    backlog.add(call(3, 12))
    backlog.add(call(4, 12), query=True)
    assert [backlog.take()[0].call for _ in range(3)] == [4, 3, 0]
    backlog.add(call(5, 12), query=True)
    assert backlog.take_documents()[0].call == 0
    assert backlog.take_queries() == call(5, 12)


def test_small_calls_share_a_batch() -> None:
    backlog: Backlog[Item] = Backlog(1024)
    for number in range(5):
        backlog.add(call(number, 12))
    assert len(backlog.take()) == 5


def test_large_calls_get_a_turn_among_endless_small_ones() -> None:
    backlog: Backlog[Item] = Backlog(1024)
    backlog.add(call(0, *[200] * 50))
    turns = []
    for _ in range(20):
        backlog.add(call(1, 12))
        turns.append(backlog.take()[0].call)
    assert 0 in turns[:10]
    assert turns.count(0) >= 2


@given(st.lists(st.lists(st.integers(2, 256), min_size=1, max_size=30), max_size=12))
def test_every_row_is_taken_once_whatever_its_call(calls: list[list[int]]) -> None:
    backlog: Backlog[Item] = Backlog(512)
    items = [call(number, *lengths) for number, lengths in enumerate(calls)]
    for item in items:
        backlog.add(item)
    taken = []
    while batch := backlog.take():
        assert max(item.length for item in batch) * len(batch) <= 512 or len(batch) == 1
        taken.extend(batch)
    assert sorted(map(repr, taken)) == sorted(repr(item) for rows in items for item in rows)
    assert len(backlog) == 0


def test_clearing_takes_what_is_sorted_already_too() -> None:
    backlog: Backlog[Item] = Backlog(512)
    backlog.add(call(0, *[200] * 20))
    first = backlog.take()
    backlog.add(call(1, *[SMALL_CALL // 4] * 2))
    assert len(backlog.clear()) == 22 - len(first)
    assert len(backlog) == 0


def test_the_small_call_that_waited_longest_is_read_first_whatever_comes_after_it() -> None:
    backlog: Backlog[Item] = Backlog(1024)
    backlog.add(call(0, 8))
    for number in range(1, 4):
        backlog.add(call(number, 300))
    assert backlog.take() == call(0, 8)
    assert {item.call for item in backlog.take()} == {1, 2, 3}


@given(st.lists(st.lists(st.integers(2, 256), min_size=1, max_size=30), max_size=12))
def test_every_row_is_taken_once_where_rows_are_shared(calls: list[list[int]]) -> None:
    backlog: Backlog[Item] = Backlog(512, packs=True)
    items = [call(number, *lengths) for number, lengths in enumerate(calls)]
    for item in items:
        backlog.add(item)
    taken = []
    while batch := backlog.take():
        assert sum(item.length for item in batch) <= 512
        taken.extend(batch)
    assert sorted(map(repr, taken)) == sorted(repr(item) for rows in items for item in rows)
