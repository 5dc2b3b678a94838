from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from spanstream.gateway.admission import RETRY_SECONDS, Admission
from spanstream.runtime.problems import Problem


def test_what_has_no_place_is_refused_and_the_rest_is_answered_in_order() -> None:
    let = threading.Event()
    order: list[int] = []

    def work(number: int) -> int:
        assert let.wait(30)
        order.append(number)
        return number

    async def all_at_once() -> list[int | BaseException]:
        admission = Admission(at_once=1, waiting=2)
        running = [asyncio.create_task(admission.run(partial(work, number))) for number in range(4)]
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        assert [task in done for task in running] == [False, False, False, True]
        let.set()
        answers = await asyncio.gather(*running, return_exceptions=True)
        assert await admission.run(lambda: work(9)) == 9  # there is room again
        admission.close()
        return answers

    *answers, refused = asyncio.run(all_at_once())
    assert answers == [0, 1, 2]
    assert order == [0, 1, 2, 9]
    assert isinstance(refused, Problem)
    assert (refused.status, refused.retry_after) == (503, RETRY_SECONDS)


def test_what_the_work_raises_reaches_the_caller_and_gives_its_place_back() -> None:
    def fail() -> None:
        raise LookupError("no")

    async def twice() -> None:
        admission = Admission(at_once=1, waiting=0)
        for _ in range(2):
            with pytest.raises(LookupError):
                await admission.run(fail)
        admission.close()

    asyncio.run(twice())
