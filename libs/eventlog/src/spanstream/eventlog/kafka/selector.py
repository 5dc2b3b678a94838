"""The selector that kafka-python waits with."""

from __future__ import annotations

import selectors
from typing import Any


class Selector(selectors.DefaultSelector):
    """The system's best, with a cheap answer for what is not registered.

    kafka-python 3.0.12 asks for a socket's key before each wait, and mostly it has none. The base class then says so in
    an error that describes the socket, twice, with four system calls: a third of the work of the client's threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._registered: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the base class."""
        key = self._registered[fileobj] = super().register(fileobj, events, data)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the base class."""
        key = self._registered[fileobj] = super().modify(fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As the base class."""
        self._registered.pop(fileobj, None)
        return super().unregister(fileobj)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """As the base class, but what the KeyError says is for nobody's eyes."""
        return self._registered[fileobj]
