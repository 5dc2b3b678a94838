"""Who watches a consumer loop: metrics, logs and traces reach it through this port, so that the loop imports none."""

# ruff: noqa: D102 (the port's docstrings are the contract)
from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Headers, Outgoing, Record, Rejected


class Observer(Protocol):
    """Told what happens, in the loop's thread. Must not raise."""

    def step(self, records: Sequence[Record]) -> AbstractContextManager[None]:
        """Surrounds handling, publishing and committing one poll's records."""
        ...

    def trace(self) -> Headers:
        """The trace context of the current step, as record headers; none outside a trace."""
        ...

    def published(self, messages: Sequence[Outgoing]) -> None:
        """The handler's messages are durable."""
        ...

    def handled(self, records: Sequence[Record]) -> None:
        """What they led to is published, or written: durable once their offsets are committed, see `flush` of the loop."""
        ...

    def crashed(self, record: Record, error: BaseException) -> None:
        """The handler raised on this record alone: it will be rejected."""
        ...

    def rejected(self, rejections: Sequence[Rejected]) -> None:
        """Their dead letters are durable."""
        ...

    def retried(self, records: Sequence[Record], wait: Retry) -> None:
        """They were put back and will be read again; or they were handled, and their commit waits for the flush."""
        ...

    def commit_unknown(self, records: Sequence[Record]) -> None:
        """The commit may or may not have happened; they may be seen again."""
        ...

    def lag(self, records: int, oldest_ms: int | None) -> None:
        """Records not yet read, and when the oldest one read but not finished, or not flushed, was stamped; None: nothing
        is waiting.
        """
        ...


class Silent:
    """Watches nothing."""

    def step(self, records: Sequence[Record]) -> AbstractContextManager[None]:
        return nullcontext()

    def trace(self) -> Headers:
        return ()

    def published(self, messages: Sequence[Outgoing]) -> None: ...

    def handled(self, records: Sequence[Record]) -> None: ...

    def crashed(self, record: Record, error: BaseException) -> None: ...

    def rejected(self, rejections: Sequence[Rejected]) -> None: ...

    def retried(self, records: Sequence[Record], wait: Retry) -> None: ...

    def commit_unknown(self, records: Sequence[Record]) -> None: ...

    def lag(self, records: int, oldest_ms: int | None) -> None: ...
