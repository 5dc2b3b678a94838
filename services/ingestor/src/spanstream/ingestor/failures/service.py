"""The workbench put together: what the ingestor's composition includes as one piece."""

from __future__ import annotations

from fastapi import APIRouter

from spanstream.eventlog.log import Log, Producer
from spanstream.ingestor.failures import api
from spanstream.ingestor.failures.following import Following
from spanstream.ingestor.failures.lane import Lane
from spanstream.ingestor.failures.resolving import Resolving
from spanstream.runtime.auth import Authenticator

WAITING = 32  # requests that wait for their turn, of each kind


class Workbench:
    """The dead letters of a log, as routes."""

    def __init__(self, log: Log, producer: Producer, authenticator: Authenticator, *, max_bytes: int) -> None:
        """`max_bytes` of memory for dead letters, without their records."""
        self._following = Following(log, max_bytes)
        self._reading, self._acting = Lane("failures-reading", WAITING), Lane("failures-acting", WAITING)
        resolving = Resolving(log, producer, self._following)
        self.router: APIRouter = api.router(self._following, resolving, self._reading, self._acting, authenticator)

    def close(self) -> None:
        """Finish what runs, then close the connection; idempotent."""
        self._reading.close()
        self._acting.close()
        self._following.close()
