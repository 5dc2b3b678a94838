"""The selector answers as the system's own one, for what is registered and for what is not."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator

import pytest

from spanstream.eventlog.kafka.selector import Selector

BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


@pytest.fixture(params=[Selector, selectors.DefaultSelector])
def selector(request: pytest.FixtureRequest) -> Iterator[selectors.BaseSelector]:
    with request.param() as made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_what_is_registered_is_found_as_it_is_now(
    selector: selectors.BaseSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    selector.register(one, selectors.EVENT_READ, "reader")
    assert selector.get_key(one).data == "reader"
    selector.modify(one, BOTH, "both")
    assert (selector.get_key(one).events, selector.get_key(one).data) == (BOTH, "both")
    other.send(b"x")
    assert [(key.fileobj, events) for key, events in selector.select(1)] == [(one, BOTH)]


def test_what_is_not_registered_or_not_any_more_raises_key_error(
    selector: selectors.BaseSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    with pytest.raises(KeyError):
        selector.get_key(one)
    selector.register(one, selectors.EVENT_READ)
    with pytest.raises(KeyError):
        selector.get_key(other)
    selector.unregister(one)
    with pytest.raises(KeyError):
        selector.get_key(one)
    selector.register(one, selectors.EVENT_READ, "again")
    assert selector.get_key(one).data == "again"
