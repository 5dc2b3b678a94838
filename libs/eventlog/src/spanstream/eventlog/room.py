"""A bound on the bytes that a producer holds."""

from __future__ import annotations

import threading

from spanstream.eventlog.errors import LogUnavailable


class Room:
    """For `max_bytes`, or for one larger thing alone. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._taken = 0
        self._changed = threading.Condition()

    def take(self, size: int, seconds: float) -> None:
        """Wait for room for `size` bytes and take it. Raises LogUnavailable after `seconds`."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._max_bytes, seconds):
                raise LogUnavailable(f"{self._taken} bytes wait to be acknowledged")
            self._taken += size

    def give(self, size: int, _outcome: object = None) -> None:
        """Give it back; also as a callback, which is told an outcome."""
        with self._changed:
            self._taken -= size
            self._changed.notify_all()
