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
    budget = Budget(120)
    noisy, again = budget.share("noisy"), budget.share("noisy")
    assert [(taken, problem.status) for taken, problem in map(filled, (noisy, again))] == [(60, 429), (0, 429)]
    with budget.share("quiet") as quiet:
        quiet.take(30)
        assert filled(quiet)[1].status == 503  # it was not this one that filled it
        assert filled(budget.share("third"))[0] == 15
        noisy.give(60)
    assert [budget.has_room("other", size) for size in (105, 106)] == [True, False]  # 15 are the third's


@pytest.mark.parametrize(("limit", "made"), [("bytes-held", lambda: Budget(1)), ("backlog", lambda: Backlog(1.0))])
def test_refusals_are_counted_from_zero(limit: str, made: Callable[[], object]) -> None:
    made()
    assert REGISTRY.get_sample_value("limits_requests_refused_total", {"limit": limit}) is not None
