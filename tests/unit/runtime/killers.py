"""A handler that does to its process what its record says."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator, Sequence

from spanstream.eventlog.log import Outgoing, Record
from spanstream.eventlog.loop import Handler


def handler(canary_dies: bool = False) -> Handler:
    def handle(records: Sequence[Record]) -> Iterator[Outgoing]:
        for record in records:
            match record.value:
                case b"canary" if canary_dies:
                    sys.exit(1)
                case b"raise":
                    raise ValueError("no")
                case b"loop":
                    while True:
                        pass
                case b"4 GB":
                    yield Outgoing("t", b"", bytes(4 << 30))
                case b"segfault":
                    ctypes.string_at(0)
                case b"exit(0)":
                    sys.exit(0)
                case b"silence":
                    time.sleep(3600)

    return handle


def canary() -> Record:
    return Record("t", 0, 0, b"canary", b"canary")
