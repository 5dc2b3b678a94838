"""The time that a caller gives a search: what does not fit into it is left out, and named in the answer.

Looked at between steps. A step that has begun is finished, but for the call of the encoder: it runs in a thread that nobody
waits for any longer, because a model in this process cannot be stopped; one behind HTTP ends at its own timeout.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.gateway.asking import Encodes

MIN_MILLISECONDS, MAX_MILLISECONDS = 10, 60_000
ENCODER_SHARE = 0.8  # of what is left when it is asked; the rest is for a search by words alone
ENCODER_CALLS = 16  # at once, of searches with a deadline, abandoned ones among them

Clock = Callable[[], float]


class EncoderLate(EncoderUnavailable):
    """No vectors within the time there is."""


class Deadline:
    """Of one search, from its making. `unfinished`: the steps that were left out, in order. Used by one thread at a time."""

    def __init__(self, milliseconds: int | None = None, clock: Clock = time.monotonic) -> None:
        """None: there is all the time in the world."""
        self._clock = clock
        self._ends = math.inf if milliseconds is None else clock() + milliseconds / 1000
        self.unfinished: list[str] = []

    def left(self) -> float:
        """Seconds, perhaps below 0."""
        return self._ends - self._clock()

    def allows(self, step: str) -> bool:
        """Whether there is time for it; else it is noted as left out."""
        if self.left() > 0:
            return True
        self.leave_out(step)
        return False

    def leave_out(self, step: str) -> None:
        """Note it, once."""
        if step not in self.unfinished:
            self.unfinished.append(step)

    def within(self, encoder: Encodes, pool: ThreadPoolExecutor) -> Encodes:
        """The encoder itself where there is no deadline; else one that raises EncoderLate."""
        return encoder if math.isinf(self._ends) else _Within(encoder, pool, self)


class _Within:
    def __init__(self, encoder: Encodes, pool: ThreadPoolExecutor, deadline: Deadline) -> None:
        self._encoder, self._pool, self._deadline = encoder, pool, deadline

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        seconds = self._deadline.left() * ENCODER_SHARE
        if seconds > 0:
            call = self._pool.submit(self._encoder.encode, texts, query=query)
            try:
                return call.result(seconds)
            except TimeoutError:
                call.cancel()
        self._deadline.leave_out("encoder")
        raise EncoderLate("no vectors within the deadline")
