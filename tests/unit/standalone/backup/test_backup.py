"""A backup beside a log in memory: taken, damaged, refused, put back, caught up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from spanstream.eventlog.errors import EventLogError
from spanstream.eventlog.memory import MemoryLog
from spanstream.events.topics import ALL, DOCUMENTS, EMBEDDINGS, FAILURES
from spanstream.standalone.backup.manifest import FILE, Manifest, Unfit, check_files, read, write
from spanstream.standalone.backup.restoring import plan, restore
from spanstream.standalone.backup.taking import take
from spanstream.store import snapshots
from spanstream.store.compression import Compression
from spanstream.store.engine import Collection
from spanstream.store.index import Index
from spanstream.store.memory import MemoryEngine
from tests.fixtures.stepped import GENERATION, World, key


def fill(world: World) -> World:
    for number in range(5):
        world.put(f"d{number}")
    world.delete("d1", 2)
    world.flow()
    return world


class Kept(MemoryEngine):
    """An engine in memory with snapshots: two small files, and what they stand for."""

    taken: ClassVar[dict[str, dict[Collection, Any]]] = {}

    def snapshot(self, folder: Path) -> None:
        name = str(len(self.taken))
        (folder / "inner").mkdir()
        (folder / "inner" / "points").write_bytes(bytes(range(256)) * 40)
        (folder / "name").write_text(name)
        snapshots.write(folder, snapshots.Told("memory", self.generation, "1.0"))
        self.taken[name] = {collection: dict(points) for collection, points in self.points.items()}

    def restore(self, folder: Path) -> None:
        self.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
        for collection, points in self.taken[(folder / "name").read_text()].items():
            self.points[collection].update(points)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Some documents, applied."""
    return fill(World(tmp_path, store=Index(Kept())))


def backup(world: World, folder: Path) -> Manifest:
    return take(world.log, world.store, folder, 7, seconds=0.0)


def stop(world: World) -> None:
    """The stages leave their groups, and the index is gone."""
    world.close_stages()
    world.store.close()


def start(world: World, taken: Path, log: Any = None) -> None:
    """Put it back, where nothing is, and go on."""
    store = Index(Kept())
    restore(log or world.log, store, taken)
    world.store = store
    store.open_live()
    world.open_stages()
    world.flow()


def test_what_came_after_the_backup_is_caught_up_from_the_log(world: World, tmp_path: Path) -> None:
    backup(world, tmp_path / "taken")
    world.put("d2", 2, "Newer words.")
    world.put("later", 1)
    world.delete("d3", 2)
    world.flow()
    live = world.compare()
    stop(world)
    start(world, tmp_path / "taken")
    restored = world.compare()
    assert restored.equal
    assert (restored.heads_digest, restored.passages_digest) == (live.heads_digest, live.passages_digest)
    assert world.store.heads([key("d2")])[key("d2")].version == 2


def test_a_backup_older_than_the_embeddings_is_caught_up_from_the_documents(world: World, tmp_path: Path) -> None:
    backup(world, tmp_path / "taken")
    world.put("d2", 2, "Newer words.")
    world.delete("d3", 2)
    world.flow()
    stop(world)
    start(world, tmp_path / "taken", _Expired(world.log, EMBEDDINGS.name))
    assert world.compare().equal
    assert world.store.heads([key("d2")])[key("d2")].version == 2


def test_a_backup_of_another_generation_than_the_one_that_is_there_is_put_back_only_where_that_is_said(
    world: World, tmp_path: Path
) -> None:
    backup(world, taken := tmp_path / "taken")
    stop(world)
    there = Index(Kept())
    there.open("other", 8, Compression.NONE)
    there.close()
    before = {topic: world.log.committed("indexer", topic) for topic in (EMBEDDINGS.name, FAILURES.name)}
    for store, filled in ((there, None), (Index(Kept()), "other")):
        with pytest.raises(Unfit, match=f"generation {GENERATION.name}.*--other-release"):
            restore(world.log, store, taken, filled=filled)
    assert there.generations() == {"other": True}
    assert {topic: world.log.committed("indexer", topic) for topic in before} == before
    restore(world.log, there, taken, other=True)
    assert there.generations()[GENERATION.name]


def test_what_is_between_two_generations_takes_back_the_one_that_the_services_fill(
    world: World, tmp_path: Path
) -> None:
    backup(world, taken := tmp_path / "taken")
    stop(world)
    there = Index(Kept())
    there.open("new", 8, Compression.NONE)
    restore(world.log, there, taken, filled=GENERATION.name)
    assert there.generations()[GENERATION.name]


def test_where_a_restore_goes_on_follows_from_what_the_log_still_holds(world: World, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    manifest = backup(world, taken)
    assert plan(world.log, manifest) == {("indexer", topic): manifest.indexed[topic] for topic in manifest.indexed}
    expired = _Expired(world.log, EMBEDDINGS.name)
    assert plan(expired, manifest) == {("ingestor", DOCUMENTS.name): manifest.applied}
    with pytest.raises(Unfit, match="too old"):
        plan(_Expired(world.log, EMBEDDINGS.name, DOCUMENTS.name), manifest)


class _Expired:
    """A log that has given up the oldest records of some topics."""

    def __init__(self, log: Any, *topics: str) -> None:
        self._log, self._topics = log, topics

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def reader(self, topic: str, positions: Any) -> Any:
        first = {partition: offset + (topic in self._topics) for partition, offset in positions.items()}

        class Reader:
            def positions(self) -> Any:
                return first

            def close(self) -> None: ...

        return Reader()


def test_a_backup_of_another_log_is_refused(world: World, tmp_path: Path) -> None:
    manifest = backup(world, tmp_path / "taken")
    other = MemoryLog()
    other.ensure_topics(ALL)
    with pytest.raises(Unfit, match="another log"):
        plan(other, manifest)


def test_a_backup_newer_than_the_log_is_refused(world: World, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    manifest = backup(world, taken)
    for topic in (EMBEDDINGS.name, DOCUMENTS.name, FAILURES.name):
        for records in world.log.topics[topic]:  # type: ignore[attr-defined]
            records.clear()  # as a log that was itself put back from an older copy
    with pytest.raises(Unfit, match="newer than the log"):
        plan(world.log, manifest)


def test_groups_that_are_at_work_are_not_moved_and_nothing_is_replaced(world: World, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    backup(world, taken)
    engine = Kept()
    with pytest.raises(EventLogError, match="members"):
        restore(world.log, Index(engine), taken)
    assert engine.points == {}


def _flip(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def _any(folder: Path) -> Path:
    return max((path for path in (folder / "store").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda folder: _flip(_any(folder)), "not as it was written"),
    "a missing file": (lambda folder: _any(folder).unlink(), "missing"),
    "a file more": (lambda folder: (folder / "store" / "more").write_text("x"), "not of the backup"),
    "a link": (lambda folder: (folder / "store" / "more").symlink_to("/etc/passwd"), "link"),
    "no manifest": (lambda folder: (folder / FILE).unlink(), "not finished"),
    "half a manifest": (lambda folder: (folder / FILE).write_text((folder / FILE).read_text()[:100]), "cannot be read"),
    "another position": (lambda folder: _changed(folder, applied={"0": 99}), "not as it was written"),
    "a newer format": (lambda folder: _changed(folder, format=2), "newer version"),
    "not a manifest": (lambda folder: (folder / FILE).write_text('{"format": 1}'), "damaged"),
}


def _changed(folder: Path, **fields: object) -> None:
    told = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(told | fields))


def test_a_damaged_backup_is_refused_and_says_why(world: World, tmp_path: Path) -> None:
    backup(world, tmp_path / "taken")
    for number, (what, (damage, word)) in enumerate(DAMAGES.items()):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(tmp_path / "taken", copy)
        damage(copy)
        with pytest.raises(Unfit) as refusal:
            check_files(copy, read(copy), lambda done, total: None)
        assert word in str(refusal.value), what
        shutil.rmtree(copy)


def test_a_manifest_that_was_written_anew_is_told_by_its_seal(world: World, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    seal = backup(world, taken).seal
    assert read(taken, seal).seal == seal
    write(taken, Manifest(8, "other", {}, {}, {}))
    read(taken)
    with pytest.raises(Unfit, match="seal"):
        read(taken, seal)


def test_a_backup_needs_an_empty_folder(world: World, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(Unfit, match="not empty"):
        backup(world, tmp_path / "full")


def test_what_has_not_settled_is_caught_up_from_further_back(world: World, tmp_path: Path) -> None:
    world.put("late", 1)
    manifest = backup(world, tmp_path / "taken")
    ends = world.log.end_offsets(DOCUMENTS.name)
    late = {partition for partition, offset in manifest.applied.items() if offset < ends[partition]}
    assert len(late) == 1
    stop(world)
    start(world, tmp_path / "taken")
    assert world.compare().equal
