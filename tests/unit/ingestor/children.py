"""A child process that misbehaves as the document asks: `Sandbox(limits, module="tests.unit.ingestor.children")`."""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection

import orjson

from spanstream.events.v1.failure_pb2 import REASON_PARSE_LIMIT
from spanstream.ingestor.parsing import child
from spanstream.ingestor.parsing.parsed import Limits


def main() -> None:
    connection, limits = Connection(int(sys.argv[1])), Limits(**orjson.loads(sys.argv[2]))
    child._confine(limits)
    connection.send_bytes(child.READY)
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
        if b"babble" in request:
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
