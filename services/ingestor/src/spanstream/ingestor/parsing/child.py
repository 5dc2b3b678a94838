"""The child process that reads untrusted formats: `python -m spanstream.ingestor.parsing.child FD LIMITS`.

It is a plain new interpreter, so it carries nothing of its parent but one connection. It says READY once; a request is
the media type, a newline and the document's bytes; an answer is a JSON object. JSON, because unpickling would trust the
child.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from multiprocessing.connection import Connection

import orjson

from spanstream.events.v1.failure_pb2 import REASON_PARSE_LIMIT
from spanstream.ingestor.parsing import confinement, formats, warming
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, ParseError

READY = b"ready"


def answer(request: bytes, limits: Limits) -> bytes:
    """The answer to one request; every failure is one."""
    media_type, _, data = request.partition(b"\n")
    try:
        parsed = formats.parse(Kind(media_type.decode()), data, limits)
    except ParseError as error:
        return orjson.dumps({"reason": error.reason, "detail": error.detail})
    except MemoryError:
        return orjson.dumps({"reason": REASON_PARSE_LIMIT, "detail": "the document needs too much memory to be read"})
    text = parsed.text[: limits.text_characters + 1].encode("utf-8", "replace").decode()
    return orjson.dumps({"text": text, "title": parsed.title[:1000], "parser": parsed.parser})


def _confine(limits: Limits) -> None:
    """Bound memory, and forbid files and core dumps. What a system does not know is left as it is."""
    for kind, bound in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(kind, (bound, bound))
        except (OSError, ValueError):
            continue


def _silence() -> None:
    """What libraries print may be a document's text, and our standard streams are the service's log."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _grant_cpu(seconds: float) -> None:
    """The next document may use so much more CPU; beyond it the kernel ends the process, whoever else is alive."""
    used = time.process_time()
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 2, hard))


def main() -> None:
    """Answer until the parent goes."""
    connection, limits = Connection(int(sys.argv[1])), Limits(**orjson.loads(sys.argv[2]))
    os.environ.clear()  # addresses and keys of the parent are none of a parser's business
    _confine(limits)
    warming.warm(limits)
    connection.send_bytes(READY)
    _silence()
    confinement.confine()
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        _grant_cpu(limits.seconds)
        connection.send_bytes(answer(request, limits))


if __name__ == "__main__":
    main()
