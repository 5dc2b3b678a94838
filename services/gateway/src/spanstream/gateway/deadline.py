"""The time that a caller gives a search: what does not fit into it is left out, and named in the answer.

Looked at between steps. A step that has begun is finished, but for the calls of a model or a writer: these run in threads that
nobody waits for any longer, because a model in this process cannot be stopped; one behind HTTP ends at its own timeout.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.gateway.asking import Encodes

MIN_MILLISECONDS, MAX_MILLISECONDS = 10, 60_000
ENCODER_SHARE = 0.8  # of what is left when it is asked; the rest is for a search by words alone
ENCODER_CALLS = 16  # at once, of searches with a deadline, abandoned ones among them
# What an answer may call unfinished.
STEPS = ("after", "encoder", "feedback", "neighbours", "expand", "refill", "rerank", "spans", "facets")

Clock = Callable[[], float]
T = TypeVar("T")


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

    def call(
        self, pool: ThreadPoolExecutor, work: Callable[[], T], step: str, share: float = 1.0, most: float = math.inf
    ) -> T:
        """What `work` returns within this share of what is left, and within `most` seconds; else it is left behind in its
        thread, the step is noted as left out and EncoderLate raised.
        """
        seconds = min(self.left() * share, most)
        if math.isinf(seconds):
            return work()
        if seconds > 0:
            try:
                running = pool.submit(copy_context().run, work)  # within the search's trace
            except RuntimeError as error:  # the gateway is stopping
                raise EncoderUnavailable("the gateway is stopping") from error
            try:
                return running.result(seconds)
            except TimeoutError:
                running.cancel()
        self.leave_out(step)
        raise EncoderLate(f"the step {step} was not done in time")


class _Within:
    def __init__(self, encoder: Encodes, pool: ThreadPoolExecutor, deadline: Deadline) -> None:
        self._encoder, self._pool, self._deadline = encoder, pool, deadline

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        work = partial(self._encoder.encode, texts, query=query)
        return self._deadline.call(self._pool, work, "encoder", ENCODER_SHARE)
