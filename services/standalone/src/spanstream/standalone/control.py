"""A running Spanstream is asked to look after its index: through a socket in the data folder, for whoever owns that folder.

The index of one machine is open in one process, so no other can compare or copy it. One question at a time: a line of JSON
with `ask` and `options`; back come lines with `progress`, and last `answer`, or `error`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spanstream.encoder.errors import EncoderError
from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.log import Log
from spanstream.runtime.logs import get_logger
from spanstream.runtime.service import ThreadService
from spanstream.standalone.backup.manifest import Unfit
from spanstream.standalone.migration.record import MigrationRefused
from spanstream.standalone.operations import OPERATIONS, Operation
from spanstream.store.errors import StoreError
from spanstream.store.store import Store

FOLDER = "control"  # below the data folder, for its owner alone
LOOK_SECONDS = 0.2  # between two looks whether to stop
LINE_BYTES = 1 << 16
HEAR_SECONDS = 10.0  # for the question, once someone has called

log = get_logger()


class Refused(Exception):
    """The running Spanstream does not do this; the message is its answer."""


class NobodyThere(Exception):
    """No Spanstream runs on the data folder."""


class _Ended(Exception):
    """Whoever asked is gone, or we are to stop."""


def service(
    folder: Path, events: Log, store: Store, known: Mapping[str, Operation] = MappingProxyType(OPERATIONS)
) -> ThreadService:
    """Answers until it is stopped. `known`: what can be asked."""

    def serve(stop: threading.Event) -> None:
        place = folder / FOLDER
        place.mkdir(mode=0o700, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as listening, _address(place) as address:
            unborn = address + "~"  # who finds the address can call it: it is there only once somebody listens
            with suppress(FileNotFoundError):
                os.unlink(unborn)  # of a process that was killed: the data folder is ours alone
            try:
                listening.bind(unborn)
                listening.listen()
                os.replace(unborn, address)
            except OSError as error:  # nothing else depends on it
                log.warning("control_unavailable", detail=str(error))
                return
            listening.settimeout(LOOK_SECONDS)
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection, _ = listening.accept()
                    with connection:
                        _answer(connection, events, store, stop, known)
            os.unlink(address)

    return ThreadService("control", [serve])


def ask(
    folder: Path, what: str, options: Mapping[str, Any], progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """The answer of the Spanstream that runs on this data folder. Raises NobodyThere or Refused."""
    with socket.socket(socket.AF_UNIX) as calling:
        try:
            with _address(folder / FOLDER) as address:
                calling.connect(address)
        except OSError as error:
            raise NobodyThere from error
        with calling.makefile("rwb") as lines:
            _say(lines, {"ask": what, "options": dict(options)})
            for line in lines:
                told = json.loads(line)
                if "progress" in told:
                    progress(*told["progress"])
                elif "error" in told:
                    raise Refused(told["error"])
                else:
                    answer: dict[str, Any] = told["answer"]
                    return answer
    raise Refused("it was stopped before it had answered")


def _answer(
    connection: socket.socket, events: Log, store: Store, stop: threading.Event, known: Mapping[str, Operation]
) -> None:
    connection.settimeout(HEAR_SECONDS)
    with suppress(OSError, _Ended), connection.makefile("rwb") as lines:

        def progress(what: str, done: int, total: int) -> None:
            if stop.is_set():
                raise _Ended
            _say(lines, {"progress": [what, done, total]})

        try:
            asked = json.loads(lines.readline(LINE_BYTES))
            operation, options = known[asked["ask"]], asked["options"]
        except (ValueError, KeyError, TypeError):
            return _say(lines, {"error": "this Spanstream does not know what was asked: it is of another version"})
        log.info("control", operation=asked["ask"])
        try:
            _say(lines, {"answer": operation(events, store, options, progress)})
        except (EventLogError, StoreError, EncoderError, Unfit, MigrationRefused, OSError) as error:
            if isinstance(error, BrokenPipeError | ConnectionError):
                raise
            _say(lines, {"error": str(error)})
        except (KeyError, TypeError, ValueError) as error:  # options of another version: no reason to stop the services
            log.warning("control_failed", operation=asked["ask"], error=type(error).__name__, exc_info=error)
            _say(lines, {"error": f"this Spanstream could not do it ({type(error).__name__}): its log says more"})


def _say(lines: BufferedIOBase, told: Mapping[str, Any]) -> None:
    lines.write(json.dumps(told).encode() + b"\n")
    lines.flush()


@contextmanager
def _address(place: Path) -> Iterator[str]:
    """The socket's address: a path of at most 107 bytes, so that of a deep folder goes through an open file of it."""
    path = str(place / "socket")
    if len(path.encode()) < 100:
        yield path
        return
    opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/socket"
    finally:
        os.close(opened)
