"""Which gateways there are, and what each can answer from: notes that they write again and again, for whoever moves the index.

One that could not answer from what becomes live would fail every search, or answer from what no longer is.
No clocks are compared: whose note stands still for GONE_SECONDS of the reader's own time is gone.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from spanstream.store.memos import unreadable
from spanstream.store.store import Store

GATEWAY = "gateway"
BEAT_SECONDS = 10.0  # between two notes that say the same
GONE_SECONDS = 45.0


class Presence:
    """A gateway's own note. Used by one thread; raises what the store does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name = f"{GATEWAY}/{uuid.uuid4().hex}"
        self._told: tuple[float, list[str]] | None = None

    def tell(self, store: Store, answers: Sequence[str]) -> None:
        """`answers`: the generations that it can answer from."""
        now, known = self._clock(), sorted(answers)
        if self._told is None or self._told[1] != known or now - self._told[0] >= BEAT_SECONDS:
            store.memos().write(
                self._name, {"id": self._name, "host": socket.gethostname(), "answers": known, "beat": uuid.uuid4().hex}
            )
            self._told = (now, known)

    def end(self, store: Store) -> None:
        """It answers nothing any more."""
        store.memos().forget(self._name)
        self._told = None


class Gateways:
    """All of them, as one process sees them. Used by one thread at a time; raises what the store does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, Any]] = {}  # when its note was first as it is

    def unable(self, store: Store, generation: str) -> list[str]:
        """The hosts of those that cannot answer from this generation."""
        now, memos = self._clock(), store.memos()
        try:
            notes = {note["id"]: (note["host"], note["answers"], note["beat"]) for note in memos.all(GATEWAY)}
        except KeyError as error:
            raise unreadable() from error
        self._seen = {
            name: seen if (seen := self._seen.get(name)) and seen[1] == note else (now, note)
            for name, note in notes.items()
        }
        gone = {name for name, (since, _) in self._seen.items() if now - since >= GONE_SECONDS}
        for name in gone:
            memos.forget(name)
        return sorted(
            host for name, (host, answers, _) in notes.items() if name not in gone and generation not in answers
        )
