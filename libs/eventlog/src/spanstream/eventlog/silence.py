"""How long somebody has owed an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Silence:
    """Since the last answer, or since the first question that none came to. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._owed = 0
        self._since = 0.0
        self._lock = threading.Lock()

    def asked(self) -> None:
        """One answer more is owed."""
        with self._lock:
            if not self._owed:
                self._since = self._clock()
            self._owed += 1

    def answered(self, _outcome: object = None) -> None:
        """One less; as a callback, which is told an outcome."""
        with self._lock:
            self._owed -= 1
            self._since = self._clock()

    def seconds(self) -> float:
        """0 while nothing is owed."""
        with self._lock:
            return self._clock() - self._since if self._owed else 0.0
