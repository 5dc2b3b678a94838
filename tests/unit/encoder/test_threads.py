"""Which threads of a process get a core first."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from spanstream.encoder.threads import give_way


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
def test_a_thread_gives_way_alone_and_as_often_as_it_likes() -> None:
    before, found = niceness(), list[int]()

    def work() -> None:
        for _ in range(3):
            give_way()
            found.append(niceness())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [min(before + 10 * times, 19) for times in (1, 2, 3)]
    assert niceness() == before


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
