from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from pydantic import TypeAdapter, ValidationError

from spanstream.events.ids import Key
from spanstream.gateway.after import MAX_RECEIPTS, Receipt, Receipts, settled
from spanstream.gateway.status import Watch
from spanstream.store.points import Head, State
from spanstream.store.queries import Scope
from tests.unit.gateway.test_status import KEY, Reads, head

RECEIPTS = TypeAdapter(Receipts)
ACME = Scope("acme")


def receipt(version: int, id: str = "a") -> Receipt:
    return Receipt(source="wiki", id=id, version=version)


def wait(reads: Reads, *receipts: Receipt, seconds: float = 0, scope: Scope = ACME, seen: type = dict) -> bool:
    return asyncio.run(settled(Watch(reads), scope, seen, receipts, seconds))


def test_nothing_to_wait_for_reads_nothing() -> None:
    reads = Reads({})
    assert wait(reads)
    assert reads.asked == []


def test_it_waits_until_the_version_is_shown() -> None:
    assert wait(Reads({}, {KEY: head(1)}, {KEY: head(2)}), receipt(2), seconds=30)


@pytest.mark.parametrize(
    "shown", [head(2), head(3), head(2, State.DELETED), head(1, failed=2), head(-1, State.ABSENT, failed=2)]
)
def test_superseded_deleted_and_failed_versions_are_settled(shown: Head) -> None:
    assert wait(Reads({KEY: shown}), receipt(2))


@pytest.mark.parametrize("world", [{}, {KEY: head(1)}])
def test_what_has_not_arrived_in_time_is_told(world: Mapping[Key, Head]) -> None:
    assert not wait(Reads(dict(world)), receipt(2))


def test_of_several_versions_of_a_document_the_newest_counts() -> None:
    assert not wait(Reads({KEY: head(2)}), receipt(3), receipt(1))


def test_every_receipt_is_waited_for() -> None:
    assert not wait(Reads({KEY: head(2)}), receipt(2), receipt(1, id="b"))


def test_the_caller_s_own_tenant_is_asked() -> None:
    reads = Reads({KEY: head(2)})
    assert not wait(reads, receipt(2), scope=Scope("umbrella"))
    assert all(key.tenant == "umbrella" for asked in reads.asked for key in asked)


def test_what_the_caller_may_not_see_is_like_what_is_unknown() -> None:
    assert not asyncio.run(settled(Watch(Reads({KEY: head(2)})), ACME, lambda heads: {}, [receipt(2)], 0))


def test_one_receipt_is_a_list_of_one() -> None:
    one = {"source": "wiki", "id": "a", "version": 2}
    assert RECEIPTS.validate_python(one) == RECEIPTS.validate_python([one]) == [receipt(2)]


@pytest.mark.parametrize(
    "wrong",
    [
        [{"source": "wiki", "id": "a", "version": 1}] * (MAX_RECEIPTS + 1),
        {"source": "Wiki!", "id": "a", "version": 1},
        {"source": "wiki", "id": "..", "version": 1},
        {"source": "wiki", "id": "a", "version": -1},
        {"source": "wiki", "id": "a"},
        {"source": "wiki", "id": "a", "version": 1, "tenant": "other"},
        "wiki/a",
        None,
    ],
)
def test_bad_receipts_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        RECEIPTS.validate_python(wrong)
