"""Counting what is settled."""

from __future__ import annotations

from spanstream.client import Receipt, Status
from spanstream.client.pending import Pending, Tally


def status(id: str, state: str) -> Status:
    return Status("docs", id, state)


def test_later_receipt_of_a_document_stands_for_the_earlier() -> None:
    tally = Tally()
    for version in (1, 2):
        tally.accept(Receipt("docs", "a", version))
    assert tally.pending.ask(10) == ("docs", [("a", 2)])
    tally.settle([status("a", "searchable")])
    assert tally.progress().searchable == 2
    assert not tally.pending


def test_slow_documents_do_not_hide_the_others() -> None:
    pending = Pending()
    for id in "abc":
        pending.add(Receipt("docs", id, 1))
    asked = pending.ask(2)[1]
    pending.settle([status(id, "pending") for id, _ in asked])
    assert pending.ask(2)[1] == [("c", 1), ("a", 1)]


def test_kept_failures_are_bounded_but_counted() -> None:
    tally = Tally()
    for number in range(1500):
        tally.accept(Receipt("docs", str(number), 1))
        tally.settle([status(str(number), "failed")])
    assert (len(tally.report().failures), tally.progress().failed) == (1000, 1500)


def test_status_of_something_else_is_ignored() -> None:
    tally = Tally()
    tally.accept(Receipt("docs", "a", 1))
    assert tally.settle([status("b", "searchable")]) == 0
