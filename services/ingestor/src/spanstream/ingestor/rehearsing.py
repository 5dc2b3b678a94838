"""What the parse worker does with a record in its own process, to be tried out in a child process."""

from __future__ import annotations

from typing import Any

from spanstream.eventlog.log import Record
from spanstream.eventlog.loop import Handler
from spanstream.events import codec
from spanstream.events.ids import Key
from spanstream.events.topics import DOCUMENTS
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.documents import Upsert
from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.handler import Handler as ParseHandler
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed
from spanstream.ingestor.parsing.parser import Parser
from spanstream.ingestor.parsing.sandbox import Sandbox


class _Elsewhere(Sandbox):
    """Other formats have a child process of their own."""

    def parse(self, kind: Kind, data: bytes) -> Parsed:
        """Nothing that matters."""
        return Parsed("It is read elsewhere.", "", "elsewhere")


def handler(blob_url: str, limits: dict[str, Any], cutting: dict[str, Any]) -> Handler:
    """As the worker's, but for what it remembers."""
    bounds = Limits(**limits)
    return ParseHandler(
        Blobs(blob_url), Parser(bounds, _Elsewhere(bounds)).parse, Cutting(**cutting), remembered_keys=1
    )


def canary() -> Record:
    """A short text."""
    key = Key("canary", "canary", "canary")
    document = Upsert(key, 1, Kind.TEXT.value, b"The canary sings.")
    event = document.event(1, document.hash(), None, 0)
    return Record(DOCUMENTS.name, 0, 0, key.encode(), event.SerializeToString(), codec.headers(event))
