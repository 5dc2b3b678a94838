from __future__ import annotations

import threading

from spanstream.store.gate import Gate

SECONDS = 60.0


def test_who_comes_alone_waits_for_those_inside_and_holds_up_the_next() -> None:
    gate, order = Gate(), []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with gate.together():
            inside.set()
            assert leave.wait(SECONDS)
            order.append("first")

    def alone() -> None:
        with gate.alone():
            order.append("alone")

    threads = [threading.Thread(target=first), threading.Thread(target=alone)]
    threads[0].start()
    assert inside.wait(SECONDS)
    with gate.together():  # with the first
        pass
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join(SECONDS)
    with gate.together():
        order.append("after")
    assert order == ["first", "alone", "after"]


def test_one_alone_after_another() -> None:
    gate, held, most = Gate(), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal held, most
        for _ in range(200):
            with gate.alone():
                with lock:
                    held += 1
                    most = max(most, held)
                with lock:
                    held -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert most == 1
