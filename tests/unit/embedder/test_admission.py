from __future__ import annotations

from contextlib import ExitStack

import pytest

from spanstream.embedder.admission import Admission
from spanstream.runtime.problems import Problem


def test_bulk_leaves_room_for_queries_and_is_told_to_come_again() -> None:
    admission = Admission(3, 1, 1)
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(admission.request(query=False))
        with pytest.raises(Problem) as refused:
            held.enter_context(admission.request(query=False))
        assert (refused.value.status, refused.value.retry_after) == (503, 1)
        held.enter_context(admission.request(query=True))
        with pytest.raises(Problem):
            held.enter_context(admission.request(query=True))
    with admission.request(query=False):  # the places are free again
        pass


def test_queries_may_fill_every_place_and_bulk_waits_for_them() -> None:
    admission = Admission(2, 1, 1)
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(admission.request(query=True))
        with pytest.raises(Problem):
            held.enter_context(admission.request(query=False))


def test_a_request_that_fails_gives_its_place_back() -> None:
    admission = Admission(1, 0, 400)

    def ask_too_much() -> None:
        with admission.request(query=False) as place:
            place.ask(400)
            place.ask(1)

    for _ in range(3):
        with pytest.raises(Problem):
            ask_too_much()
    assert admission.tokens == 0


def test_ongoing_bodies_are_counted_as_tokens() -> None:
    admission = Admission(4, 0, 1000)
    with admission.request(query=False) as place:
        place.ask(300)
        place.ask(100)
        with admission.request(query=False) as other:
            other.ask(40)
            other.answer(400)
            assert admission.tokens == 110
        assert admission.tokens == 100


def test_bytes_are_bounded_over_all_requests_and_bulk_leaves_queries_their_share() -> None:
    admission = Admission(4, 1, 400)
    with admission.request(query=False) as bulk, admission.request(query=True) as query:
        bulk.ask(100)
        bulk.answer(200)
        for take in (bulk.ask, bulk.answer):
            with pytest.raises(Problem) as refused:
                take(1)
            assert (refused.value.status, refused.value.retry_after) == (503, 1)
        query.ask(100)
        with pytest.raises(Problem):
            query.answer(1)
        assert admission.tokens == 50


@pytest.mark.parametrize(("requests", "for_queries"), [(1, 1), (2, 5), (1, -1)])
def test_room_for_queries_alone_is_refused(requests: int, for_queries: int) -> None:
    with pytest.raises(ValueError, match="no query"):
        Admission(requests, for_queries, 1)
