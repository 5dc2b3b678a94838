"""What each tenant asks of an API, in metrics: by slot, since a label that named tenants would grow with them and tell who they are."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from spanstream.runtime.metrics import TENANT_BYTES, TENANT_REQUESTS, TENANT_SECONDS, from_zero
from spanstream.runtime.problems import Problem

SLOTS = 32  # series of a metric, at most: times 9 for requests


def slot(tenant: str) -> str:
    """0 to 31: the same in every process and after every start. Tenants may share one."""
    return str(zlib.crc32(tenant.encode()) % SLOTS)


class Usage:
    """Of one request: its answer's status, None without an answer, and the bytes of its body."""

    status: int | None = None
    bytes: int = 0

    def outcome(self) -> str:
        """answered, refused for what the caller did, or failed for what we did."""
        if self.status is None or self.status >= 500:
            return "failed"
        return "refused" if self.status >= 400 else "answered"


@contextmanager
def used(tenant: str, scope: str) -> Iterator[Usage]:
    """Around one request; `scope`: of the route."""
    usage, label, began = Usage(), slot(tenant), time.monotonic()
    from_zero(TENANT_REQUESTS, [label], [scope], ["answered", "refused", "failed"])
    try:
        yield usage
    except Problem as problem:
        usage.status = usage.status or problem.status
        raise
    finally:
        TENANT_REQUESTS.labels(label, scope, usage.outcome()).inc()
        TENANT_SECONDS.labels(label).inc(time.monotonic() - began)
        TENANT_BYTES.labels(label).inc(usage.bytes)
