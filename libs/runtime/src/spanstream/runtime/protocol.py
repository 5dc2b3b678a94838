"""Connections: what is no request, is too long in its head or takes too long to come is answered like any other mistake."""

from __future__ import annotations

import asyncio
import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from spanstream.runtime import problems
from spanstream.runtime.problems import Problem

PATIENCE_SECONDS = 30.0
MOST_UNREAD = (
    2**20
)  # bytes of a request that is answered already; to close at once might take the answer from its reader
LEAST_BYTES = 1024  # of a request in that time; a modem of 1991 sends a hundred times as much


def patient(seconds: float) -> type[H11Protocol]:
    """The protocol, for uvicorn. A request of which less than LEAST_BYTES come in so many seconds is answered 408 within
    twice that; time in which we are the ones who do not read is not counted.
    """

    class Protocol(_Protocol):
        patience = seconds

    return Protocol


class _Protocol(H11Protocol):
    patience: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._came = self._unread = 0
        self._awaited: object = None  # what was still coming when last looked
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._came += len(data)
        super().data_received(data)
        answered = self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY
        self._unread = self._unread + len(data) if answered else 0
        if self._unread > MOST_UNREAD:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """In place of what uvicorn says in plain words, while it handles the error."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        if status == 431 and b"\n" not in self.conn.trailing_data[0]:
            status = 414
        self._refuse(Problem(status, _WORDS.get(status, "this is no HTTP request")))

    def _look_again(self) -> None:
        self._timer = self.loop.call_later(self.patience, self._look)

    def _look(self) -> None:
        came, self._came = self._came, 0
        before, self._awaited = self._awaited, self._coming()
        if self.transport.is_closing():
            return
        if self._awaited is not None and self._awaited == before and came < LEAST_BYTES:
            self._refuse(Problem(408, "the request takes too long to arrive"))
        else:
            self._look_again()

    def _coming(self) -> object:
        """Which request has not arrived yet; None where there is nothing to wait for, or we do not read."""
        state = self.conn.their_state
        idle = self.timeout_keep_alive_task is not None  # between two requests, which is uvicorn's to end
        if self.flow.read_paused or idle or state not in (h11.IDLE, h11.SEND_BODY):
            return None
        return state, id(self.cycle)

    def _refuse(self, problem: Problem) -> None:
        """Answer, if no answer has begun, and close; whoever reads the request is told that the caller has gone."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = problems.response(problem)
            headers = [*answer.raw_headers, (b"connection", b"close")]
            for event in (h11.Response(status_code=problem.status, headers=headers), h11.Data(data=bytes(answer.body))):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


_WORDS = {
    414: "the address of the request is too long",
    431: "the headers of the request are too long",
    501: "this transfer encoding is not supported",
}
