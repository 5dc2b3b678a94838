from __future__ import annotations

import threading

import pytest

from spanstream.eventlog.errors import LogUnavailable
from spanstream.eventlog.room import Room


def test_what_does_not_fit_is_refused_until_something_is_given_back() -> None:
    room = Room(10)
    room.take(4, 0.0)
    room.take(6, 0.0)
    with pytest.raises(LogUnavailable, match="10 bytes wait"):
        room.take(1, 0.0)
    room.give(4)
    room.take(4, 0.0)


def test_what_does_not_fit_waits_for_room() -> None:
    room = Room(10)
    room.take(10, 0.0)
    waiting = threading.Thread(target=room.take, args=(5, 30.0))
    waiting.start()
    room.give(10)
    waiting.join(90)
    assert not waiting.is_alive()


def test_a_thing_larger_than_the_room_passes_alone() -> None:
    room = Room(10)
    room.take(25, 0.0)
    with pytest.raises(LogUnavailable):
        room.take(1, 0.0)
    room.give(25)
    room.take(1, 0.0)
    with pytest.raises(LogUnavailable):
        room.take(25, 0.0)
