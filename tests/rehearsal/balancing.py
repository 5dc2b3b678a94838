"""Services as a cluster's proxies play them: a connection to a Service's address goes to one of its pods, in turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from tests.rehearsal.kubelet import Pod

_CHUNK = 1 << 16
_LOOK_SECONDS = 0.05


@dataclass
class Service:
    """`ports`: of the Service to the container's. `pods`: those that get its requests now."""

    address: str
    ports: Mapping[int, str | int]
    pods: Callable[[], Sequence[Pod]]
    turns: count[int] = field(default_factory=count)
    connections: set[object] = field(default_factory=set)  # the event loop itself forgets tasks that wait


class Balancer:
    """Every Service's ports, in one thread. One without a pod to go to refuses connections."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True)
        self._thread.start()

    def serve(self, service: Service) -> None:
        """From now on, on all its ports."""
        for port, target in service.ports.items():
            asyncio.run_coroutine_threadsafe(_serve(service, port, target), self._loop)

    def close(self) -> None:
        """Stop listening, and drop what is open."""
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _serve(service: Service, port: int, target: str | int) -> None:
    """Listen while there are pods."""
    server: asyncio.Server | None = None

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        service.connections.add(task)
        try:
            await _connect(service, target, reader, writer)
        finally:
            service.connections.discard(task)
            writer.close()

    try:
        while True:
            if server is None and service.pods():
                server = await asyncio.start_server(accept, service.address, port)
            elif server is not None and not service.pods():
                server.close()
                server = None
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        if server is not None:
            server.close()


async def _connect(
    service: Service, target: str | int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    pods = service.pods()
    if not pods:  # the last one went in this moment
        writer.transport.abort()
        return
    pod = pods[next(service.turns) % len(pods)]
    try:
        there, back = await asyncio.open_connection(pod.address, pod.template.port(target))
    except OSError:
        writer.transport.abort()
        return
    try:
        await asyncio.gather(_pass(reader, back), _pass(there, writer))
    except OSError:  # a reset is handed on
        writer.transport.abort()
    finally:
        back.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until this side ends, which is handed on."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
