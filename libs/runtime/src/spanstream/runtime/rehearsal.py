"""Whether a process survives a record: its handler's pure part in a child process that may die, hang or grow.

The child is a new interpreter with limits on memory, and the parent's patience on time. It answers once the handler has returned or
raised, whatever came of it: an exception is for the consumer loop to find. What counts is that it answers. It begins with a
canary, a record that is good: where even that is too much, it says nothing of any record. Records go there pickled, as the
parent made them; nothing of the child is ever unpickled.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from typing import Any

from spanstream.eventlog.log import Record
from spanstream.runtime.logs import get_logger

log = get_logger()

SECONDS = 20.0  # for one record; two children that hang cost less than a minute
START_SECONDS = 60.0  # importing what the handler needs, on a busy machine
MEMORY_BYTES = 3 << 30  # of addresses, of which libraries reserve a good deal; less with few threads and heaps
_FEW = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
_READY, _DONE = b"ready", b"done"


class Rehearsal:
    """Of one consumer loop, in its thread. The child starts with the first record, and serves as long as it lives."""

    def __init__(self, module: str, options: Mapping[str, Any], seconds: float = SECONDS) -> None:
        """`module` has `handler(**options)`, options from JSON, and `canary()`, a record."""
        self._command = json.dumps({"module": module, "options": options})
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        # For what the child writes: it may have no time to remove it.
        self._folder: TemporaryDirectory[str] | None = None

    def survives(self, record: Record) -> bool:
        """Whether the child does; also where no child starts, or survives its canary, as that says nothing of the record."""
        connection = self._connection or self._start()
        if connection is None:
            log.warning("rehearsal_impossible", module=json.loads(self._command)["module"])
            return True
        try:
            connection.send(record)
            if connection.poll(self._seconds) and connection.recv_bytes(len(_DONE)) == _DONE:
                return True
        except (EOFError, OSError):
            pass
        self.close()
        return False

    def close(self) -> None:
        """End the child; idempotent."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()
        self._process = self._connection = self._folder = None

    def _start(self) -> Connection | None:
        try:
            self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
            self._connection, theirs = Pipe()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__, str(theirs.fileno()), self._command],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env=os.environ | _FEW | {"TMPDIR": self._folder.name},
                    process_group=0,  # Ctrl-C in a terminal is for us, who end it, also while it starts
                )
            if self._connection.poll(START_SECONDS) and self._connection.recv_bytes(len(_READY)) == _READY:
                return self._connection
        except (EOFError, OSError):  # also where the machine has no process, file, memory or disk left to give
            pass
        self.close()
        return None


def main() -> None:
    """The child: answer until the parent goes."""
    connection, asked = Connection(int(sys.argv[1])), json.loads(sys.argv[2])
    for kind, bound in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):  # what a system does not know is left as it is
            resource.setrlimit(kind, (bound, bound))
    module = import_module(asked["module"])
    handle = module.handler(**asked["options"])
    list(handle([module.canary()]))
    connection.send_bytes(_READY)
    while True:
        try:
            record = connection.recv()
        except EOFError:
            return
        with suppress(Exception):
            try:
                list(handle([record]))
            except MemoryError:  # the parent has no such limit, and would take the machine's
                sys.exit(1)
        connection.send_bytes(_DONE)


if __name__ == "__main__":
    main()
