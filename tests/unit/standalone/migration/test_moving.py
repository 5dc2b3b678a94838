"""The process that moves the index of separate services: how it begins, ends, gives way and is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spanstream.encoder.opening import open_encoder
from spanstream.eventlog.errors import Fatal
from spanstream.ingestor.settings import IngestorSettings
from spanstream.standalone.migration import service
from spanstream.standalone.migration.record import MigrationRefused
from spanstream.standalone.migration.room import Room
from spanstream.standalone.migration.service import Moving
from spanstream.standalone.migration.settings import MigrationSettings
from spanstream.standalone.migration.side import Surroundings
from spanstream.store.compression import Compression
from spanstream.store.memory import MemoryStore
from spanstream.store.presence import Presence
from spanstream.store.store import Store
from spanstream.store.switching import HOLD, MOVE, Superseded, move
from tests.fixtures.stepped import GENERATION, SEGMENTER, World, key

OLD, NEW = "hash:16", "hash:24"
SECONDS = 60.0


class Process:
    """One such process, and what it died of."""

    def __init__(self, world: World, home: Store, folder: Path, encoder: str = OLD, to: str = NEW) -> None:
        addresses = {"LOG_URL": "memory:", "BLOB_URL": f"file:{folder}"}
        settings = MigrationSettings.read(
            **addresses,
            STORE_URL="http://index",
            ENCODER_URL=encoder,
            NEXT_ENCODER_URL=to,
            overlap=0.0,
            success_drop=1.0,
        )
        around = Surroundings(
            world.log, home, IngestorSettings.read(**addresses), SEGMENTER, None, 24.0, open_encoder, Room(None, 0)
        )
        self.ended, self.stop = threading.Event(), threading.Event()
        self.moving = Moving(settings, around, home, open_encoder(encoder), self.ended)
        self.died: list[BaseException] = []
        self.thread = threading.Thread(target=self._run)

    def start(self) -> Process:
        self.thread.start()
        return self

    def end(self) -> None:
        self.stop.set()
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()

    def _run(self) -> None:
        try:
            self.moving.run(self.stop)
        except BaseException as error:  # noqa: BLE001 a process dies of it
            self.died.append(error)


@pytest.fixture
def home() -> MemoryStore:
    home = MemoryStore()
    home.open(GENERATION.name, GENERATION.dimension, Compression.NONE)
    return home


@pytest.fixture
def world(tmp_path: Path, home: MemoryStore) -> World:
    world = World(tmp_path, store=home.beside())
    for number in range(4):
        world.put(f"d{number}")
    world.flow()
    return world


def until(wanted: Callable[[], object], process: Process) -> None:
    deadline = time.monotonic() + SECONDS
    while not wanted():
        assert not process.died, process.died
        assert time.monotonic() < deadline, process.moving.unready()
        time.sleep(0.02)


def test_it_switches_by_itself_and_ends_once_the_services_have_the_new_encoder(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    process = Process(world, home, tmp_path).start()
    until(lambda: home.live() != GENERATION.name, process)
    new = home.live()
    until(lambda: (home.memos().read(MOVE) or {})["record"]["stage"] == "switched", process)
    with pytest.raises(MigrationRefused, match="ENCODER_URL"):
        process.moving.asked()["migrate retire"](world.log, home, {}, lambda *_: None)
    process.end()
    assert (process.died, process.moving.over, process.ended.is_set()) == ([], False, False)
    world.put("late")  # and no old indexer is there for it
    process = Process(world, home, tmp_path, NEW).start()
    process.thread.join(SECONDS)
    assert (process.died, process.moving.over, process.ended.is_set()) == ([], True, True)
    assert home.generations() == {new: True}
    assert move(home) is None
    home.open_live()
    assert len(home.heads([key("d1"), key("late")])) == 2


def test_stopped_in_the_middle_of_a_switch_it_switches_nothing_and_holds_nobody(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    process = Process(world, home, tmp_path).start()
    until(lambda: home.memos().read(HOLD), process)
    process.end()
    assert (process.died, process.moving.over) == ([], False)
    assert home.live() == GENERATION.name
    assert home.memos().read(HOLD) is None


def test_where_the_services_have_the_new_encoder_too_early_it_waits_and_gives_nothing_up(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    process = Process(world, home, tmp_path, NEW).start()
    until(lambda: "it is not what the services have" in " ".join(process.moving.unready()), process)
    process.end()
    assert (home.generations(), process.moving.over) == ({GENERATION.name: True}, False)


def test_it_waits_for_gateways_that_could_not_answer_after_the_switch(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    presence = Presence()
    presence.tell(home, [GENERATION.name])
    process = Process(world, home, tmp_path).start()

    def waits_for() -> str:
        try:
            told = process.moving.asked()["migrate status"](world.log, home, {}, lambda *_: None)
        except MigrationRefused:
            return ""
        return str((told["migration"] or {}).get("waits_for"))

    until(lambda: "gateways cannot answer" in waits_for(), process)
    assert home.live() == GENERATION.name
    presence.end(home)
    until(lambda: home.live() != GENERATION.name, process)
    process.end()


def test_turned_round_after_the_switch_it_gives_nothing_up_and_says_what_to_put_back(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    process = Process(world, home, tmp_path).start()
    until(lambda: ((home.memos().read(MOVE) or {}).get("record") or {}).get("stage") == "switched", process)
    process.end()
    there = home.generations()
    process = Process(world, home, tmp_path, OLD, to=OLD).start()
    until(lambda: "put NEXT_ENCODER_URL" in " ".join(process.moving.unready()), process)
    process.end()
    assert (home.generations(), process.moving.over, len(there)) == (there, False, 2)


def test_the_last_one_to_begin_goes_on_and_the_other_one_ends(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AGAIN_SECONDS", 3600.0)  # neither begins by itself
    first = Process(world, home, tmp_path).start()
    until(lambda: not first.moving.unready(), first)
    second = Process(world, home, tmp_path).start()
    first.thread.join(SECONDS)
    assert isinstance(first.died[0], Superseded | Fatal)
    assert "another process moves the index now" in str(first.died[0])
    assert "may still be at it" in " ".join(second.moving.unready())
    second.end()
    assert second.died == []
