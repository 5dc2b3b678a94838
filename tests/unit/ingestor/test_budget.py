"""Bytes of bodies by tenant: dynamic thresholds, so that who comes finds room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from spanstream.ingestor.backlog import Backlog
from spanstream.ingestor.budget import Budget, Share
from spanstream.runtime.problems import Problem


def filled(share: Share) -> tuple[int, Problem]:
    """How many bytes it could take, one after another, and why no more."""
    for taken in range(1_000):
        try:
            share.take(1)
        except Problem as problem:
            return taken, problem
    raise AssertionError


@pytest.mark.promise("I15")
def test_one_tenants_bodies_leave_room_for_the_others() -> None:
    budget = Budget(120, 0)
    noisy, again = budget.share("noisy"), budget.share("noisy")
    assert [(taken, problem.status) for taken, problem in map(filled, (noisy, again))] == [(60, 429), (0, 429)]
    with budget.share("quiet") as quiet:
        quiet.take(30)
        assert filled(quiet)[1].status == 503  # it was not this one that filled it
        assert filled(budget.share("third"))[0] == 15
        noisy.give(60)
    assert [budget.has_room("other", size) for size in (105, 106)] == [True, False]  # 15 are the third's


@pytest.mark.promise("I15")
def test_one_largest_request_passes_whatever_the_others_send() -> None:
    budget = Budget(200, 100)
    with budget.share("noisy") as noisy, budget.share("other") as other:
        assert filled(noisy)[0] == 100  # 50 of what is shared, and then all of what is kept
        assert filled(other)[0] == 50  # the first one's moved
        with budget.share("third") as third:
            assert filled(third)[1].status == 503
    with budget.share("noisy") as noisy, budget.share("noisy") as again:
        noisy.take(40)
        assert filled(again)[0] == 10  # no second request of a tenant
        with budget.share("quiet") as quiet:
            for _ in range(100):
                quiet.take(1)
            assert filled(quiet)[0] == 0
            quiet.give(60)
            quiet.take(60)
            with budget.share("late") as late:
                assert filled(late)[0] == 25
        with budget.share("late") as late:
            assert filled(late)[0] == 100
    assert budget.has_room("noisy", 100)


@pytest.mark.parametrize(("limit", "made"), [("bytes-held", lambda: Budget(1, 0)), ("backlog", lambda: Backlog(1.0))])
def test_refusals_are_counted_from_zero(limit: str, made: Callable[[], object]) -> None:
    made()
    assert REGISTRY.get_sample_value("limits_requests_refused_total", {"limit": limit}) is not None
