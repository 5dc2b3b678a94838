from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from prometheus_client import REGISTRY

from spanstream.gateway.admission import Admission
from spanstream.runtime.problems import Problem


class Held:
    """Searches that run until they are let go; `order` says as what they began."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.order: list[str] = []

    def work(self, name: str) -> str:
        self.order.append(name)
        assert self.let.wait(60)
        return name


def begin(admission: Admission, held: Held, tenant: str, name: str) -> asyncio.Task[str]:
    return asyncio.create_task(admission.run(tenant, partial(held.work, name)))


def alone(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_tenants_take_turns_however_many_one_has_waiting() -> None:
    async def searched() -> None:
        held, admission = Held(), Admission(at_once=1, waiting=100)
        running = [begin(admission, held, "noisy", f"noisy {number}") for number in range(20)]
        await asyncio.sleep(0)
        running.append(begin(admission, held, "quiet", "quiet"))
        await asyncio.sleep(0)
        held.let.set()
        assert await asyncio.gather(*running) == [*(f"noisy {number}" for number in range(20)), "quiet"]
        assert held.order[:3] == ["noisy 0", "noisy 1", "quiet"]
        admission.close()

    alone(searched)


def test_a_tenant_has_as_many_places_as_are_free_and_others_still_find_one() -> None:
    async def searched() -> None:
        held, admission = Held(), Admission(at_once=1, waiting=8)
        running = [begin(admission, held, "noisy", str(number)) for number in range(12)]
        done, waiting = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        refused = [task.exception() for task in done]
        assert len(waiting) == 5  # one that runs, and half of the places
        assert {one.status for one in refused if isinstance(one, Problem)} == {429}
        others = [begin(admission, held, f"quiet {number}", "quiet") for number in range(5)]
        done, _ = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        (last,) = (task.exception() for task in done)
        assert isinstance(last, Problem)
        assert (last.status, last.retry_after) == (503, 1)
        held.let.set()
        await asyncio.gather(*waiting, *(set(others) - done))
        assert await admission.run("noisy", lambda: 9) == 9  # there is room again
        admission.close()

    alone(searched)


def test_how_long_to_wait_is_measured() -> None:
    time = [0.0]

    def search() -> None:
        time[0] += 40.0  # of which the mean learns a tenth: 4 s each

    async def searched() -> None:
        held, admission = Held(), Admission(at_once=1, waiting=6, clock=lambda: time[0])
        await admission.run("noisy", search)
        running = [begin(admission, held, "noisy", str(number)) for number in range(6)]
        done, waiting = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        problems = [task.exception() for task in done]
        assert {one.retry_after for one in problems if isinstance(one, Problem)} == {3 * 4}
        held.let.set()
        await asyncio.gather(*waiting)
        admission.close()

    alone(searched)


def test_no_tenant_runs_more_than_its_number_at_once() -> None:
    async def searched() -> None:
        held, admission = Held(), Admission(at_once=3, waiting=10, of_tenant=2)
        running = [begin(admission, held, "noisy", "noisy") for _ in range(4)]
        running.append(begin(admission, held, "quiet", "quiet"))
        await asyncio.sleep(0)
        assert admission._running == {"noisy": 2, "quiet": 1}
        held.let.set()
        await asyncio.gather(*running)
        assert not admission._running
        admission.close()

    alone(searched)


def test_who_gives_up_waiting_takes_no_turn() -> None:
    async def searched() -> None:
        held, admission = Held(), Admission(at_once=1, waiting=10)
        first, second, third = (begin(admission, held, "acme", name) for name in ("first", "second", "third"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        held.let.set()
        assert await asyncio.gather(first, third) == ["first", "third"]
        assert held.order == ["first", "third"]
        assert (admission._taken, len(admission._turns)) == (0, 0)
        admission.close()

    alone(searched)


def test_what_the_work_raises_reaches_the_caller_and_gives_its_place_back() -> None:
    def fail() -> None:
        raise LookupError("no")

    async def twice() -> None:
        admission = Admission(at_once=1, waiting=0)
        for _ in range(2):
            with pytest.raises(LookupError):
                await admission.run("acme", fail)
        admission.close()

    alone(twice)


def test_refusals_are_counted_from_zero() -> None:
    Admission().close()
    assert REGISTRY.get_sample_value("limits_requests_refused_total", {"limit": "searches-waiting"}) is not None
