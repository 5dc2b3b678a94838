"""Where a document is parsed: plain text here, untrusted formats in the sandbox; and a memory of those that broke it."""

from __future__ import annotations

import hashlib

from spanstream.events.v1.failure_pb2 import REASON_HANDLER_CRASH, REASON_PARSE_LIMIT
from spanstream.ingestor.parsing import formats
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError
from spanstream.ingestor.parsing.sandbox import Sandbox
from spanstream.ingestor.recent import Recent

_INLINE_MARKDOWN_BYTES = 2**16  # a Markdown parser may take seconds for a megabyte of brackets


class Parser:
    """Thread-safe. A document that crashed or stalled the sandbox costs its time once, however often it is read again,
    so that a batch full of them still ends.
    """

    def __init__(self, limits: Limits, sandbox: Sandbox | None = None) -> None:
        self._limits = limits
        self._sandbox = sandbox or Sandbox(limits)
        self._broken: Recent[bytes, ParseError] = Recent(1_000)

    def start(self) -> None:
        """Start the child process. Raises ParserUnavailable: an installation that cannot read is found before a document."""
        self._sandbox.start()

    def parse(self, kind: Kind, data: bytes) -> Parsed:
        """Raises ParseError, and ParserUnavailable where the child process does not start."""
        if kind in (Kind.TEXT, Kind.JSON) or (kind is Kind.MARKDOWN and len(data) <= _INLINE_MARKDOWN_BYTES):
            return formats.parse(kind, data, self._limits)
        digest = hashlib.blake2b(data, digest_size=16, person=kind.name.encode()).digest()
        if known := self._broken.get(digest):
            raise ParseError(known.reason, known.detail)
        try:
            return self._sandbox.parse(kind, data)
        except ParseError as error:
            if error.reason in (REASON_HANDLER_CRASH, REASON_PARSE_LIMIT):
                self._broken.put(digest, error)
            raise

    def close(self) -> None:
        """End the child process; idempotent."""
        self._sandbox.close()
