"""Accept-time versions: microseconds since 1970 that never repeat nor step back in one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Versions:
    """Thread-safe. Another replica's versions are only as well ordered as the clocks: who needs more supplies versions."""

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """`clock` gives microseconds since 1970."""
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """max(last + 1, now)."""
        with self._lock:
            self._last = max(self._last + 1, self._clock())
            return self._last
