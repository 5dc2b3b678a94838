"""A child process that misbehaves as the document asks: `Sandbox(limits, module="tests.unit.ingestor.children")`."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

import orjson

from spanstream.events.v1.failure_pb2 import REASON_PARSE_LIMIT
from spanstream.ingestor.parsing import child, confinement
from spanstream.ingestor.parsing.parsed import Limits

# What a parser that somebody has taken over would try.
DEEDS: dict[bytes, Callable[[], object]] = {
    b"read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    b"write a file": lambda: os.open("/tmp/written by a parser", os.O_WRONLY | os.O_CREAT),
    b"delete a file": lambda: os.unlink("/tmp/nowhere"),
    b"connect": lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
    b"listen": lambda: socket.socket().bind(("127.0.0.1", 0)),
    b"ask a name server": lambda: socket.getaddrinfo("example.org", 80),
    b"fork": os.fork,
    b"run a program": lambda: os.execv("/bin/true", ["true"]),
    b"run a child": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    b"signal the parent": lambda: os.kill(os.getppid(), 0),
    b"limit the parent": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU),
}


def attempted(deed: Callable[[], object]) -> str:
    """How it went."""
    try:
        deed()
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return "done"


def main() -> None:
    connection, limits = Connection(int(sys.argv[1])), Limits(**orjson.loads(sys.argv[2]))
    child._confine(limits)
    connection.send_bytes(child.READY)
    child._silence()
    confinement.confine()
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        child._grant_cpu(limits.seconds)
        if b"die" in request:
            os.abort()
        if b"hang" in request:
            sys.stdin.close()
            while True:
                pass
        if b"stutter" in request:
            os.write(connection.fileno(), b"\0\0\1\0half an ans")
            while True:
                pass
        deed = next((each for name, each in DEEDS.items() if request.endswith(name)), None)
        if deed is not None:
            connection.send_bytes(orjson.dumps({"text": attempted(deed), "title": "", "parser": "fake/1"}))
        elif b"print" in request:
            print("a document's text", flush=True)
            os.write(2, b"a document's text")
            connection.send_bytes(orjson.dumps({"text": "said", "title": "", "parser": "fake/1"}))
        elif b"babble" in request:
            connection.send_bytes(b"not json")
        elif b"escape" in request:
            text = "\x01" * limits.text_characters
            connection.send_bytes(orjson.dumps({"text": text, "title": "", "parser": "fake/1"}))
        elif b"grow" in request:
            try:
                hoard = [bytes(2**20) for _ in range(10**6)]
                del hoard
            except MemoryError:
                connection.send_bytes(orjson.dumps({"reason": REASON_PARSE_LIMIT, "detail": "memory"}))
        else:
            connection.send_bytes(orjson.dumps({"text": str(os.getpid()), "title": "", "parser": "fake/1"}))


if __name__ == "__main__":
    main()
