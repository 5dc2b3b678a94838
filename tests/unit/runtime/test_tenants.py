"""What is counted of a tenant's requests, and that labels neither grow nor name anyone."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from spanstream.runtime.metrics import TENANT_BYTES, TENANT_REQUESTS
from spanstream.runtime.problems import Problem
from spanstream.runtime.tenants import SLOTS, slot, used


def test_slots_are_few_and_always_the_same() -> None:
    assert {slot(f"tenant {number}") for number in range(10_000)} == {str(number) for number in range(SLOTS)}
    assert slot("acme") == "30"  # as the one line of docs/operations.md says, in any process


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "answered"), (404, "refused"), (429, "refused"), (503, "failed"), (None, "failed")]
)
def test_requests_are_counted_by_outcome(status: int | None, outcome: str) -> None:
    tenant = f"tenant-of-{status}"
    counted = TENANT_REQUESTS.labels(slot(tenant), "read", outcome)._value.get
    before, bytes_before = counted(), TENANT_BYTES.labels(slot(tenant))._value.get()
    with used(tenant, "read") as usage:
        usage.status, usage.bytes = status, 7
    assert counted() == before + 1
    assert TENANT_BYTES.labels(slot(tenant))._value.get() == bytes_before + 7
    assert tenant not in generate_latest().decode()


def test_a_request_over_its_tenants_limit_is_refused() -> None:
    counted = TENANT_REQUESTS.labels(slot("acme"), "write", "refused")._value.get
    before = counted()
    with pytest.raises(Problem), used("acme", "write"):
        raise Problem(429, "too many")
    assert counted() == before + 1
