from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spanstream.events.ids import Key
from spanstream.standalone.audit.comparing import Limits
from spanstream.standalone.audit.verdicts import Kind
from spanstream.store.points import State
from tests.fixtures.stepped import World, key
from tests.fixtures.store import hash_of
from tests.fixtures.store import head as made_head

SOON = Limits(settle_seconds=0.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Twelve documents; some were edited, deleted, sent again, or are not to be read."""
    world = World(tmp_path)
    for number in range(12):
        world.put(f"d{number}")
    world.put("d1", 2)
    world.delete("d2", 2)
    world.put("d3", 2, "Version 1 of d3. ")  # shorter
    world.put("d4", 1)  # once more
    world.put("bad", 1, " \n ")
    world.put("half-bad", 1)
    world.put("half-bad", 2, " ")
    world.flow()
    return world


def test_an_index_that_is_what_the_log_says_is_equal_and_nothing_is_looked_at(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(30):
        world.put(f"d{number}")
    world.delete("d3", 5)
    world.flow()
    report = world.compare()
    assert report.equal
    assert (report.logged, report.heads, report.looked_at, report.buckets_differing) == (30, 30, 0, 0)


def test_what_failed_is_no_difference(world: World) -> None:
    report = world.compare()
    assert report.equal
    assert report.looked_at > 0
    assert world.found == []


def test_however_often_a_document_failed_what_it_was_before_is_right(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put("d", 1)
    world.flow()
    for version in range(2, 50):
        world.put("d", version, " ")
        world.flow()
    assert world.compare().equal
    world.lose_passages("d", [0])
    assert world.kinds() == {"d": "half"}


def test_of_two_contents_of_one_version_the_one_that_failed_excuses_nothing(world: World) -> None:
    world.put("d0", 1, " ")
    world.flow()
    assert world.compare().equal
    world.lose_head("d0")
    assert world.kinds() == {"d0": "missing"}


def test_each_kind_of_difference_is_found_and_mended_through_the_log(world: World) -> None:
    store = world.store
    before = world.compare()
    old, live, dead = (store.heads([key(id)])[key(id)] for id in ("d1", "d5", "d2"))
    world.lose_head("d0")
    world.lose_head("d1")
    store.flip_heads([replace(old, version=1)])
    world.lose_head("d2")
    store.flip_heads([replace(dead, version=1, state=State.LIVE, content_hash=live.content_hash, passage_count=0)])
    world.lose_passages("d6", [1])
    store.upsert_passages([replace(each, ordinal=9) for each in store.passages(store.heads([key("d7")])[key("d7")])])
    store.upsert_passages([replace(each, version=0) for each in store.passages(store.heads([key("d8")])[key("d8")])])
    assert world.kinds() == {
        "d0": "missing",
        "d1": "stale",
        "d2": "revived",
        "d6": "half",
        "d7": "extra",
        "d8": "extra",
    }
    assert world.mend() == 6
    world.flow()
    assert world.kinds() == {"d7": "extra"}  # of the version that is shown: only a newer one takes it away
    after = world.compare()
    assert after.heads_digest == before.heads_digest


def test_a_lost_tombstone_is_written_again(world: World) -> None:
    world.lose_head("d2")
    assert world.kinds() == {"d2": "forgotten"}
    world.mend()
    world.flow()
    assert world.compare().equal
    assert world.store.heads([key("d2")])[key("d2")].state is State.DELETED


def test_passages_without_a_head_are_told_from_a_missing_document(world: World) -> None:
    stray = Key("acme", "wiki", "stray")
    world.store.upsert_passages(
        [replace(each, key=stray) for each in world.store.passages(world.store.heads([key("d9")])[key("d9")])]
    )
    world.lose_head("d2")
    world.store.upsert_passages(
        [replace(each, key=key("d2")) for each in world.store.passages(world.store.heads([key("d9")])[key("d9")])]
    )
    assert world.kinds() == {"stray": "orphaned", "d2": "orphaned"}
    assert world.mend() == 1  # what the log does not know is left
    world.flow()
    assert world.kinds() == {"stray": "orphaned"}
    assert world.mend(delete_unlogged=True) == 1
    world.flow()
    assert world.compare().equal


def test_what_the_log_never_had_is_told_and_left_unless_asked_for(world: World) -> None:
    foreign = Key("acme", "wiki", "foreign")
    world.store.flip_heads([made_head(foreign, 7, count=0)])
    world.store.flip_heads([made_head(key("d9"), 9, content_hash=hash_of("another"), count=0)])
    assert world.kinds() == {"foreign": "unknown", "d9": "unknown"}
    assert world.mend() == 0
    assert world.mend(delete_unlogged=True) == 1
    world.flow()
    assert world.kinds() == {"d9": "unknown"}  # the index is ahead of the log: no event of it would win


def test_a_bumped_document_that_lacks_passages_gets_those_of_its_body(world: World) -> None:
    text = "The same words. " * 60
    for version in (1, 2, 3):
        world.put("same", version, text)
        world.flow()
    head = world.store.heads([key("same")])[key("same")]
    assert (head.version, head.body_version) == (3, 1)
    world.lose_passages("same", [0])
    assert world.kinds() == {"same": "half"}
    world.mend()
    world.flow()
    assert world.compare().equal
    assert world.store.heads([key("same")])[key("same")].version == 3


def test_a_newer_version_wins_against_a_repair(world: World) -> None:
    world.lose_head("d0")
    world.compare()
    world.put("d0", 5, "Newer by far.")
    world.mend()
    world.flow()
    assert world.store.heads([key("d0")])[key("d0")].version == 5
    assert world.compare().equal


def test_repairing_twice_changes_nothing_more(world: World) -> None:
    world.lose_head("d0")
    world.compare()
    world.mend()
    world.mend()
    world.flow()
    assert world.compare().equal


def test_what_is_still_on_its_way_is_undecided_not_wrong(world: World) -> None:
    world.put("late", 1)
    report = world.compare()
    assert not report.equal
    assert report.undecided >= 1  # with it those of its partition that had to be looked at
    assert world.found == []
    world.flow()
    assert world.compare().equal


def test_a_key_that_moves_while_it_is_compared_is_looked_at_again(world: World) -> None:
    """Between two reads of a look another version comes, and is applied: it is no difference, whenever that happens."""
    world.lose_head("d0")
    moves = iter(range(2, 4))
    heads = world.store.heads

    class Moving:
        def __getattr__(self, name: str) -> object:
            return getattr(world.store, name)

        def heads(self, keys: list[Key]) -> object:
            found = heads(keys)
            if (version := next(moves, None)) is not None:
                world.put("d0", version)
                world.flow()
            return found

    from spanstream.standalone.audit.comparing import compare

    found: list[object] = []
    report = compare(world.log, Moving(), found.extend, limits=SOON)  # type: ignore[arg-type]
    assert report.equal
    assert found == []
    assert next(moves, None) is None


def test_few_keys_at_a_time_find_the_same(world: World) -> None:
    world.lose_head("d0")
    world.lose_passages("d6", [0])
    whole = world.compare()
    kinds = {each.key.id: each.kind for each in world.found}
    small = world.compare(Limits(keys_held=3, looked_at_once=1, buckets_at_once=1, settle_seconds=0.0))
    assert {each.key.id: each.kind for each in world.found} == kinds == {"d0": Kind.MISSING, "d6": Kind.HALF}
    assert (small.logged, small.heads, small.passages) == (whole.logged, whole.heads, whole.passages)
    assert (small.heads_digest, small.passages_digest) == (whole.heads_digest, whole.passages_digest)


def test_more_than_may_be_looked_at_is_said(world: World) -> None:
    for number in range(5, 12):
        world.lose_head(f"d{number}")
    report = world.compare(Limits(most_differing=3, settle_seconds=0.0))
    assert report.left_out
    assert not report.equal


def test_a_digest_tells_indexes_apart_not_how_they_came_to_be(world: World, tmp_path: Path) -> None:
    other = World(tmp_path)
    other.delete("d2", 2)
    other.put("half-bad", 1)
    other.put("d3", 2, "Version 1 of d3. ")
    other.put("d1", 2)
    for number in (11, 10, 9, 8, 7, 6, 5, 4, 0):
        other.put(f"d{number}")
    other.flow()
    one, two = world.compare(), other.compare()
    assert (one.heads_digest, one.passages_digest) == (two.heads_digest, two.passages_digest)
    other.put("d0", 2)
    other.flow()
    two = other.compare()
    assert one.heads_digest != two.heads_digest
    assert one.passages_digest != two.passages_digest
