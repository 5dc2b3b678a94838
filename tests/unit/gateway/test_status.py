from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from spanstream.events.ids import Key
from spanstream.gateway.status import AT_ONCE, Outcome, Watch, status
from spanstream.store.points import Failure, Head, State

KEY = Key("acme", "wiki", "a")


def head(version: int, state: State = State.LIVE, failed: int | None = None) -> Head:
    failure = None if failed is None else Failure(failed, "embedder", "EMBED_INVALID", "no", 1)
    return Head(KEY, version, state, b"\1" * 32, version, failure=failure)


@pytest.mark.parametrize(
    ("shown", "version", "outcome"),
    [
        (None, None, Outcome.PENDING),
        (None, 3, Outcome.PENDING),
        (head(3), None, Outcome.SEARCHABLE),
        (head(3), 3, Outcome.SEARCHABLE),
        (head(3), 2, Outcome.SEARCHABLE),
        (head(3), 4, Outcome.PENDING),
        (head(3, State.DELETED), None, Outcome.DELETED),
        (head(3, State.DELETED), 2, Outcome.DELETED),
        (head(3, State.DELETED), 4, Outcome.PENDING),
        (head(3, failed=4), None, Outcome.FAILED),
        (head(3, failed=4), 4, Outcome.FAILED),
        (head(3, failed=4), 3, Outcome.SEARCHABLE),
        (head(3, failed=4), 5, Outcome.PENDING),
        (head(3, failed=3), None, Outcome.SEARCHABLE),
        (head(-1, State.ABSENT, failed=0), None, Outcome.FAILED),
        (head(-1, State.ABSENT, failed=2), 2, Outcome.FAILED),
        (head(-1, State.ABSENT, failed=2), 3, Outcome.PENDING),
    ],
)
@pytest.mark.promise("I26")
def test_status_follows_from_the_head(shown: Head | None, version: int | None, outcome: Outcome) -> None:
    result = status(shown, version)
    assert result.outcome is outcome
    assert (result.failure is not None) == (outcome is Outcome.FAILED)
    visible = shown is not None and shown.state is not State.ABSENT
    assert bool(result.content_hash) == visible


class Reads:
    """Answers with the n-th state of the world at the n-th read."""

    def __init__(self, *worlds: dict[Key, Head]) -> None:
        self.worlds = worlds
        self.asked: list[set[Key]] = []

    def __call__(self, keys: Sequence[Key]) -> dict[Key, Head]:
        world = self.worlds[min(len(self.asked), len(self.worlds) - 1)]
        self.asked.append(set(keys))
        return {key: world[key] for key in keys if key in world}


def test_waiter_reads_until_all_are_settled_and_asks_only_for_the_rest() -> None:
    other = KEY._replace(id="b")
    reads = Reads({KEY: head(1)}, {KEY: head(1)}, {KEY: head(1), other: head(5)})
    heads = asyncio.run(Watch(reads).heads({KEY: 1, other: 5}, 30, dict))
    assert heads == {KEY: head(1), other: head(5)}
    assert reads.asked == [{KEY, other}, {other}, {other}]


def test_waiters_of_one_tick_share_a_read() -> None:
    keys = [KEY._replace(id=str(i)) for i in range(10)]
    reads = Reads(*[{}] * 10, dict.fromkeys(keys, head(1)))

    async def wait() -> None:
        watch = Watch(reads)
        await asyncio.gather(*(watch.heads({key: 1}, 30, dict) for key in keys))

    asyncio.run(wait())
    assert reads.asked[10:] == [set(keys)]


def test_a_waiter_for_very_many_reads_few_at_a_time_and_all_at_its_end() -> None:
    keys = [KEY._replace(id=str(i)) for i in range(1000)]
    never = dict.fromkeys(keys[500:], head(1))  # the first ones are never settled
    reads = Reads({}, *[never] * 1000)
    heads = asyncio.run(Watch(reads).heads(dict.fromkeys(keys, 1), 0.1, dict))
    assert heads == never
    assert [len(asked) for asked in (reads.asked[0], reads.asked[-1])] == [1000, 1000]
    assert {len(asked) for asked in reads.asked[1:-1]} == {AT_ONCE}


def test_who_does_not_wait_reads_once() -> None:
    reads = Reads({})
    assert asyncio.run(Watch(reads).heads({KEY: 1}, 0, dict)) == {}
    assert reads.asked == [{KEY}]


def test_waiter_stops_at_its_deadline() -> None:
    assert asyncio.run(Watch(Reads({})).heads({KEY: 1}, 0.05, dict)) == {}


def test_what_the_caller_may_not_know_of_is_waited_for_as_if_it_were_unknown() -> None:
    reads = Reads({KEY: head(1)})
    assert asyncio.run(Watch(reads).heads({KEY: 1}, 0.05, lambda heads: {})) == {}
    assert len(reads.asked) > 1


def test_a_read_that_waits_itself_is_not_rested_from_like_work() -> None:
    """Nineteen times 50 ms would leave one second with two reads."""
    reads = Reads({})

    def slow(keys: Sequence[Key]) -> dict[Key, Head]:
        time.sleep(0.05)
        return reads(keys)

    asyncio.run(Watch(slow).heads({KEY: 1}, 1, dict))
    assert len(reads.asked) >= 4


def test_failing_read_reaches_every_waiter() -> None:
    def fail(keys: Sequence[Key]) -> dict[Key, Head]:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        asyncio.run(Watch(fail).heads({KEY: 1}, 1, dict))
