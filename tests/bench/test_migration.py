"""What the benchmark of a migration counts as a search's time, and which turns it compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from spanstream.client import Client
from tests.bench.migration import SEARCHES_PER_SECOND, _Searches, slower

SEARCH = 0.01  # seconds


class Clocked:
    """A client whose searches take SEARCH seconds, the third one more; and the clock."""

    def __init__(self, third: float = SEARCH) -> None:
        self.now, self.asked, self._third = 0.0, 0, third

    def search(self, question: str) -> None:
        self.asked += 1
        self.now += self._third if self.asked == 3 else SEARCH

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, going_on: Callable[[], bool] = lambda: True) -> list[float]:
        searches = _Searches(cast(Client, self), iter("abcdef"), clock=lambda: self.now, sleep=self.sleep)
        return searches.ask(6, going_on)


@pytest.mark.parametrize("seconds", [0.05, 0.15, 0.5])
def test_what_it_takes_to_look_whether_to_go_on_is_no_searchs_time(seconds: float) -> None:
    client = Clocked()

    def look() -> bool:
        client.sleep(seconds)
        return True

    assert client.ask(look) == pytest.approx([SEARCH] * 6)
    assert client.now >= 5 / SEARCHES_PER_SECOND


def test_a_search_that_is_late_because_of_the_last_one_counts_from_when_it_was_due() -> None:
    client = Clocked(third=0.5)

    def look() -> bool:
        client.sleep(0.01)
        return True

    assert client.ask(look) == pytest.approx([SEARCH, SEARCH, 0.5, 0.31, 0.12, SEARCH])


def test_a_turn_that_no_search_was_answered_in_is_compared_with_none() -> None:
    p99: dict[str, list[float | None]] = {
        "without": [10.0, 20.0, 5.0],
        "beside": [20.0, None, 10.0],
        "paced": [None] * 3,
    }
    assert slower(p99, "beside")["ratio"] == 2.0
    with pytest.raises(RuntimeError, match="no search was answered paced"):
        slower(p99, "paced")
