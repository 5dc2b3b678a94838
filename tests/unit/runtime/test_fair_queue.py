from __future__ import annotations

import random
from collections import Counter

import pytest

from spanstream.runtime.fair_queue import FairQueue


def test_who_asks_for_little_waits_for_one_round_only() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(1000):
        queue.put("noisy", f"noisy {number}")
    queue.put("quiet", "quiet")
    assert [queue.take(), queue.take()] == ["noisy 0", "quiet"]
    assert (len(queue), queue.waiting("noisy"), queue.waiting("quiet")) == (999, 999, 0)


def test_whoever_comes_goes_first_and_gains_nothing_by_asking_in_small_pieces() -> None:
    queue: FairQueue[str] = FairQueue()
    for name in ("noisy", "other"):
        for _ in range(100):
            queue.put(name, name)
    assert [queue.take() for _ in range(5)] == ["noisy", "other", "noisy", "other", "noisy"]
    queue.put("quiet", "quiet")
    assert queue.take() == "quiet"
    taken = Counter[str]()
    for _ in range(90):
        if not queue.waiting("quiet"):
            queue.put("quiet", "quiet")
        taken[queue.take()] += 1
    assert taken == {"noisy": 30, "other": 30, "quiet": 30}


def test_shares_are_of_cost_and_not_of_items() -> None:
    queue: FairQueue[str] = FairQueue(quantum=10)
    for _ in range(100):
        queue.put("large", "large", 40)
        queue.put("small", "small", 10)
    taken = Counter(queue.take() for _ in range(50))
    assert taken == {"small": 40, "large": 10}


def test_who_was_away_saved_nothing_up() -> None:
    queue: FairQueue[str] = FairQueue(quantum=100)
    queue.put("a", "a")
    assert queue.take() == "a"
    for _ in range(300):
        queue.put("a", "a")
        queue.put("b", "b")
    assert Counter(queue.take() for _ in range(200)) == {"a": 100, "b": 100}


def test_nothing_waits() -> None:
    queue: FairQueue[str] = FairQueue()
    with pytest.raises(IndexError):
        queue.take()
    queue.put("a", "x")
    queue.put("b", "y")
    queue.keep(lambda item: item == "y")
    assert (list(queue), len(queue), queue.take()) == (["y"], 1, "y")


@pytest.mark.parametrize("seed", range(20))
def test_flows_that_always_wait_differ_by_no_more_than_the_paper_says(seed: int) -> None:
    """Between any two flows: two quanta and the largest item (its theorem on fairness)."""
    chance = random.Random(seed)
    quantum = chance.randint(1, 100)
    flows = {str(number): [chance.randint(1, 60) for _ in range(100)] for number in range(chance.randint(2, 6))}
    queue: FairQueue[tuple[str, int]] = FairQueue(quantum)
    for name, costs in flows.items():
        for cost in costs:
            queue.put(name, (name, cost), cost)
    served: dict[str, list[int]] = {name: [] for name in flows}
    while all(queue.waiting(name) for name in flows):
        name, cost = queue.take()
        served[name].append(cost)
        sums = [sum(each) for each in served.values()]
        assert max(sums) - min(sums) <= 2 * quantum + 60
    assert all(served[name] == costs[: len(served[name])] for name, costs in flows.items())
