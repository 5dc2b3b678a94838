"""A TCP proxy on loopback that sits before any port and misbehaves as it is told, while it runs."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import Enum
from typing import Any, TypeVar

HOST = "127.0.0.1"
CHUNK_BYTES = 1 << 16
SWITCH_SECONDS = 30.0  # on a busy machine; a switch takes a millisecond


class Mode(Enum):
    """What becomes of connections, those that are there and those that come."""

    PASS = "pass"
    CUT = "cut"  # ended
    RESET = "reset"  # ended with a reset
    HALF_OPEN = "half-open"  # accepted and never answered: nothing passes either way
    ONE_WAY = "one-way"  # what is sent arrives, and no answer comes back


_ENDED = frozenset({Mode.CUT, Mode.RESET})
_SENT = frozenset({Mode.PASS, Mode.ONE_WAY})  # modes in which a client's bytes arrive
_ANSWERED = frozenset({Mode.PASS})
T = TypeVar("T")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close throws away what is left and sends a reset


class Proxy:
    """Listens on `port` and passes on to `target`. Bytes held by a mode go on with the next that lets them: as packets
    that were lost and sent again.

    `delay`: seconds that each piece is late, either way. `rate`: bytes a second of a connection, each way; 0: any number.
    `flips`: in so many of the next answers of 1 KiB or more one bit is turned over. All may be set while it runs.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.rate = 0
        self.flips = 0
        self._mode = Mode.PASS
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{target}", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._run(asyncio.start_server(self._accept, HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._tasks)

    def switch(self, mode: Mode) -> None:
        """When this returns, the mode holds for all connections. From any thread."""
        self._run(self._switched(mode))

    def close(self) -> None:
        """End all connections and stop listening; idempotent."""
        if not self._thread.is_alive():
            return
        self._run(self._closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SWITCH_SECONDS)

    async def _switched(self, mode: Mode) -> None:
        async with self._changed:
            self._mode = mode
            self._changed.notify_all()
        if mode in _ENDED:
            for writer in self._writers:
                self._end(writer)

    async def _closed(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self._mode in _ENDED:
                return
            await self._let(_SENT)
            their_reader, their_writer = await asyncio.open_connection(HOST, self.target)
            self._writers.add(their_writer)
            try:
                await self._both(self._pump(reader, their_writer, _SENT), self._pump(their_reader, writer, _ANSWERED))
            finally:
                self._forget(their_writer)
        except (OSError, asyncio.CancelledError):  # the target is away, or somebody ended it
            pass
        finally:
            self._forget(writer)
            self._tasks.discard(task)

    async def _both(self, *pumps: Coroutine[Any, Any, None]) -> None:
        """Until either side has ended."""
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, modes: frozenset[Mode]) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._let(modes)
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.rate:
                await asyncio.sleep(len(data) / self.rate)
            if self.flips and modes is _ANSWERED and len(data) >= 1024:
                self.flips -= 1
                data = _flipped(data)
            writer.write(data)
            await writer.drain()

    async def _let(self, modes: frozenset[Mode]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._mode in modes)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.RESET:
            with suppress(OSError):  # it has just ended by itself
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._end(writer)
        self._writers.discard(writer)


def _flipped(data: bytes) -> bytes:
    """With one bit turned over, late in it: there lies a record rather than a header of the protocol."""
    place = len(data) * 3 // 4
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
