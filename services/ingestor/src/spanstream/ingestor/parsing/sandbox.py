"""Parsers of untrusted binary formats run in a child process that may die, hang or grow without harm to the worker.

One child, used again and again (a start costs about half a second, a document about a millisecond). A child that dies
or is late costs its document, and is replaced.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import asdict
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock, Timer

import orjson

from spanstream.events.v1.failure_pb2 import REASON_HANDLER_CRASH, REASON_PARSE_LIMIT
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError, ParserUnavailable

START_SECONDS = 90.0  # importing the parsers takes 1 s, and half a minute where all of a node's pods start at once
ESCAPED_BYTES = 6  # of a character in JSON at most: a control character is \u0001


class Sandbox:
    """`parse` as in `formats`, elsewhere. Thread-safe: one document at a time."""

    def __init__(
        self,
        limits: Limits,
        *,
        module: str = "spanstream.ingestor.parsing.child",
        start_seconds: float = START_SECONDS,
    ) -> None:
        """`module` is run as the child; it must say that it is ready within `start_seconds`."""
        self._limits = limits
        self._module = module
        self._start_seconds = start_seconds
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        """Start the child now; otherwise the first document does. Raises ParserUnavailable."""
        with self._lock:
            self._child()

    def parse(self, kind: Kind, data: bytes) -> Parsed:
        """Raises ParserUnavailable, or ParseError: also PARSE_LIMIT for a document that takes too long and HANDLER_CRASH
        for one that kills.
        """
        with self._lock:
            connection, process = self._child()
            end = time.monotonic() + self._limits.seconds
            alarm = Timer(self._limits.seconds, process.kill)  # ends what follows, wherever it waits for the child
            alarm.start()
            try:
                connection.send_bytes(kind.value.encode() + b"\n" + data)
                answer = orjson.loads(connection.recv_bytes(self._limits.text_characters * ESCAPED_BYTES + 2**16))
            except (EOFError, OSError, orjson.JSONDecodeError) as error:
                self._end()
                if time.monotonic() >= end:
                    detail = f"not read within {self._limits.seconds:g} seconds"
                    raise ParseError(REASON_PARSE_LIMIT, detail) from error
                raise ParseError(REASON_HANDLER_CRASH, "the parser's process died on this document") from error
            finally:
                alarm.cancel()
            if time.monotonic() >= end:  # answered at the last moment: the alarm may have gone off
                self._end()
        if "reason" in answer:
            raise ParseError(answer["reason"], answer["detail"])
        return Parsed(answer["text"], answer["title"], answer["parser"])

    def close(self) -> None:
        """End the child; idempotent."""
        with self._lock:
            self._end()

    def _child(self) -> tuple[Connection, subprocess.Popen[bytes]]:
        """The one that runs, or a new one that is ready."""
        if self._connection is None or self._process is None or self._process.poll() is not None:
            self._end()
            limits = orjson.dumps(asdict(self._limits)).decode()
            try:
                self._connection, theirs = Pipe()
                with theirs:
                    command = [sys.executable, "-m", self._module, str(theirs.fileno()), limits]
                    # A group of its own: Ctrl-C in a terminal is for us, who end it, also while it starts.
                    self._process = subprocess.Popen(
                        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, process_group=0
                    )
                if not self._connection.poll(self._start_seconds):
                    raise EOFError
                self._connection.recv_bytes()
            except (EOFError, OSError) as error:  # also where the machine has no process, file or memory left to give
                self._end()
                raise ParserUnavailable("the parsers' process does not start") from error
        return self._connection, self._process

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None
