from __future__ import annotations

import asyncio

import pytest

from spanstream.runtime.limits import MAX_TENANTS, Bucket, Limits, Rates
from spanstream.runtime.problems import Problem


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def limits(time: Time, **rates: float) -> Limits:
    return Limits(Rates(**rates), time, time.sleep)  # type: ignore[arg-type]


def refused(of: Limits, tenant: str = "acme") -> int | None:
    """Retry-After, or none."""
    try:
        with of.admit(tenant):
            return None
    except Problem as problem:
        return problem.retry_after if problem.status == 429 else -1


def test_requests_per_second_with_a_burst() -> None:
    time = Time()
    of = limits(time, requests_per_second=2, burst_seconds=2)
    assert [refused(of) for _ in range(5)] == [None] * 4 + [1]
    time.now += 0.5
    assert [refused(of) for _ in range(2)] == [None, 1]
    time.now += 1000
    assert [refused(of) for _ in range(5)] == [None] * 4 + [1]


def test_slow_rates_say_when_to_come_again() -> None:
    time = Time()
    of = limits(time, requests_per_second=0.1, burst_seconds=1)
    assert refused(of) is None
    assert refused(of) == 10
    time.now += 10
    assert refused(of) is None


@pytest.mark.promise("I15")
def test_one_tenant_takes_nothing_from_another() -> None:
    of = limits(Time(), requests_per_second=1, burst_seconds=1)
    assert [refused(of), refused(of), refused(of, "globex")] == [None, 1, None]


def test_a_refused_request_costs_nothing() -> None:
    time = Time()
    of = limits(time, requests_per_second=1, burst_seconds=1)
    assert [refused(of) for _ in range(50)] == [None, *[1] * 49]
    time.now += 1
    assert refused(of) is None


def test_bytes_beyond_the_burst_are_slowed_and_then_refused() -> None:
    time = Time()
    of = limits(time, bytes_per_second=100, burst_seconds=2)

    async def send() -> None:
        with of.admit("acme") as place, of.admit("acme") as other:
            await place.received(200)
            assert time.slept == []
            await place.received(50)
            await other.received(100)

    asyncio.run(send())
    assert time.slept == [0.5, 1.0]
    assert refused(of) is None  # nothing is owed any more


def test_who_owes_bytes_waits() -> None:
    async def no_sleep(_seconds: float) -> None: ...

    of = Limits(Rates(bytes_per_second=100, burst_seconds=2), Time(), no_sleep)

    async def send() -> None:
        with of.admit("acme") as place:
            await place.received(700)

    asyncio.run(send())
    assert refused(of) == 5
    assert refused(of, "globex") is None


def test_requests_at_once() -> None:
    of = limits(Time(), requests_at_once=2)
    with of.admit("acme"), of.admit("acme"):
        assert refused(of) == 1
        assert refused(of, "globex") is None
    assert refused(of) is None


def test_place_is_free_again_after_an_error() -> None:
    of = limits(Time(), requests_at_once=1)
    with pytest.raises(ValueError, match="broken"), of.admit("acme"):
        raise ValueError("broken")
    assert refused(of) is None


def test_without_rates_nothing_is_refused() -> None:
    of = limits(Time())
    assert {refused(of) for _ in range(1000)} == {None}


def test_tenants_that_ask_for_nothing_are_forgotten_and_no_other() -> None:
    time = Time()
    of = limits(time, requests_per_second=1, burst_seconds=1)
    with of.admit("running"):
        for number in range(MAX_TENANTS):
            refused(of, f"t{number}")
        time.now += 0.5
        refused(of, "recent")
        time.now += 0.9
        refused(of, "new")
        assert set(of._tenants) == {"running", "recent", "new"}


def test_bucket_is_full_once_nothing_is_used() -> None:
    bucket = Bucket(1, 3)
    bucket.take(2)
    assert not bucket.full(0)
    assert bucket.full(2)
