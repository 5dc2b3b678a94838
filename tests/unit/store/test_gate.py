from __future__ import annotations

import threading

from spanstream.store.gate import Gate

SECONDS = 60.0  # for what happens at once


def test_many_are_inside_at_once_and_one_is_alone() -> None:
    gate, told = Gate(), []
    inside, leave = threading.Event(), threading.Event()

    def visit() -> None:
        with gate.inside():
            inside.set()
            leave.wait(SECONDS)
            told.append("left")

    def renew() -> None:
        with gate.alone():
            told.append("alone")

    visitor, renewer = threading.Thread(target=visit), threading.Thread(target=renew)
    visitor.start()
    assert inside.wait(SECONDS)
    with gate.inside():  # beside the visitor
        told.append("beside")
    renewer.start()
    leave.set()
    for thread in (visitor, renewer):
        thread.join(SECONDS)
    assert told == ["beside", "left", "alone"]


def test_who_comes_while_somebody_is_alone_waits() -> None:
    gate, told = Gate(), []
    came = threading.Event()

    def visit() -> None:
        came.set()
        with gate.inside():
            told.append("inside")

    with gate.alone():
        visitor = threading.Thread(target=visit)
        visitor.start()
        assert came.wait(SECONDS)
        told.append("alone")
    visitor.join(SECONDS)
    assert told == ["alone", "inside"]


def test_an_error_opens_the_gate_again() -> None:
    gate = Gate()
    for enter in (gate.inside, gate.alone, gate.inside):
        try:
            with enter():
                raise ValueError
        except ValueError:
            pass
