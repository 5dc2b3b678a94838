"""What the parse worker does with a record in its own process, to be tried out in a child process."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import Any

from spanstream.eventlog.log import Record
from spanstream.eventlog.loop import Handler
from spanstream.events import codec
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS
from spanstream.ingestor.blobs import BlobError, Blobs, BlobsUnavailable
from spanstream.ingestor.documents import Upsert
from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.handler import Handler as ParseHandler
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.parsing.sandbox import Sandbox
from spanstream.runtime.rehearsal import SECONDS


class _Elsewhere(Sandbox):
    """Other formats have a child process of their own."""

    def parse(self, kind: Kind, data: bytes) -> Parsed:
        """Nothing that matters."""
        return Parsed("It is read elsewhere.", "", "elsewhere")


class Looking(Blobs):
    """A blob store in which nothing changes, and that is waited for half of the time alone that a record has: one that
    hangs says nothing of the record.
    """

    def __init__(self, url: str, seconds: float = SECONDS / 2) -> None:
        super().__init__(url)
        self._seconds = seconds

    def get(self, key: str, max_bytes: int) -> bytes:
        """As the base class, in a thread that may be left behind."""
        found: Future[bytes] = Future()

        def look() -> None:
            try:
                found.set_result(super(Looking, self).get(key, max_bytes))
            except (BlobError, ValueError, MemoryError) as error:
                found.set_exception(error)

        Thread(target=look, daemon=True).start()
        try:
            return found.result(self._seconds)
        except TimeoutError as error:
            raise BlobsUnavailable(f"no answer in {self._seconds:.0f} seconds") from error

    def existed(self, logged_ms: int) -> None:
        """As good as yes: that would be waited for without a bound."""

    def forget(self, of: Key, version: int) -> None:
        """Nothing."""

    def erased(self, of: Key, version: int) -> bool:
        """As good as no."""
        return False


def handler(blob_url: str, limits: dict[str, Any], cutting: dict[str, Any]) -> Handler:
    """As the worker's, but for what it remembers."""
    bounds = Limits(**limits)
    return ParseHandler(
        Looking(blob_url), Parser(bounds, _Elsewhere(bounds)).parse, Cutting(**cutting), remembered_keys=1
    )


def canary() -> Record:
    """A short text."""
    key = Key("canary", "canary", "canary")
    document = Upsert(key, 1, Kind.TEXT.value, b"The canary sings.")
    event = document.event(1, document.hash(), None, 0)
    return Record(DOCUMENTS.name, 0, 0, key.encode(), event.SerializeToString(), codec.headers(event))
