"""One stage of a search, as a span of its trace and in the metric of stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spanstream.runtime import tracing
from spanstream.runtime.metrics import GATEWAY_SECONDS


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Around the stage."""
    with tracing.span(f"search {name}"), GATEWAY_SECONDS.labels(name).time():
        yield
