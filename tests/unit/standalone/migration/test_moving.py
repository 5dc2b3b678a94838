"""The process that moves the index of separate services: how it begins, ends, gives way and is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spanstream.encoder.encoder import Encoder, EncoderInfo
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.opening import open_encoder
from spanstream.eventlog.errors import Fatal
from spanstream.ingestor.settings import IngestorSettings
from spanstream.standalone.migration import finishing, service
from spanstream.standalone.migration.course import Course
from spanstream.standalone.migration.generations import Generations
from spanstream.standalone.migration.migrations import Migrations
from spanstream.standalone.migration.record import Migration, MigrationRefused, Stage
from spanstream.standalone.migration.room import Room
from spanstream.standalone.migration.service import Moving
from spanstream.standalone.migration.settings import MigrationSettings
from spanstream.standalone.migration.side import Surroundings
from spanstream.store import switching
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.memory import MemoryStore
from spanstream.store.presence import Presence
from spanstream.store.store import Store
from spanstream.store.switching import ENDED, HOLD, MOVE, MOVER, Superseded, move, unfilled
from tests.fixtures.stepped import GENERATION, SEGMENTER, World, key

OLD, NEW = "hash:16", "hash:24"
SECONDS = 60.0


class Process:
    """One such process, and what it died of."""

    def __init__(self, world: World, home: Store, folder: Path, encoder: str = OLD, to: str = NEW, **more: Any) -> None:
        addresses = {"LOG_URL": "memory:", "BLOB_URL": f"file:{folder}"}
        settings = MigrationSettings.read(
            **addresses,
            STORE_URL="http://index",
            ENCODER_URL=encoder,
            NEXT_ENCODER_URL=to,
            **{"overlap": 0.0, "success_drop": 1.0} | more,
        )
        around = Surroundings(
            world.log, home, IngestorSettings.read(**addresses), SEGMENTER, None, 24.0, open_encoder, Room(None, 0)
        )
        self.ended, self.stop = threading.Event(), threading.Event()
        self.moving = Moving(settings, around, home, open_encoder(encoder), self.ended)
        self.died: list[BaseException] = []
        self.thread = threading.Thread(target=self._run)

    def ask(self, what: str, **options: Any) -> dict[str, Any]:
        """As `spanstream migrate`."""
        around = self.moving._around
        return self.moving.asked()[f"migrate {what}"](around.log, around.home, options, lambda *_: None)

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


def stage(home: Store) -> str | None:
    """What is on record."""
    told = home.memos().read(MOVE)
    return None if told is None else told["record"]["stage"]


def migrations(process: Process) -> Generations:
    part = process.moving._part
    assert isinstance(part, Migrations)
    return part.both


def killed(*_: object) -> None:
    raise KeyboardInterrupt


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


def test_one_that_starts_after_the_switch_tells_how_far_it_is(world: World, home: MemoryStore, tmp_path: Path) -> None:
    process = Process(world, home, tmp_path).start()
    until(lambda: stage(home) == "switched", process)
    process.end()
    process = Process(world, home.beside(), tmp_path).start()  # which nobody has opened yet, as in any process
    until(lambda: not process.moving.unready(), process)
    assert process.ask("status")["migration"]["stage"] == "switched"
    process.end()
    assert process.died == []


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
    monkeypatch.setattr(service, "SUPERSEDED_SECONDS", 0.0)
    first = Process(world, home, tmp_path).start()
    until(lambda: not first.moving.unready(), first)
    second = Process(world, home, tmp_path).start()
    first.thread.join(SECONDS)
    assert isinstance(first.died[0], Superseded | Fatal)
    assert "another process moves the index now" in str(first.died[0])
    assert "may still be at it" in " ".join(second.moving.unready())
    second.end()
    assert second.died == []


def test_one_that_another_has_taken_over_from_waits_and_writes_nothing_so_that_the_other_gets_on(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "ALONE_SECONDS", 1.0)
    first = Process(world, home, tmp_path, begin=False).start()
    until(lambda: not first.moving.unready(), first)
    second = Process(world, home, tmp_path).start()
    until(lambda: "so that the other one gets on" in " ".join(first.moving.unready()), first)
    with pytest.raises(MigrationRefused, match="another process moves the index now"):
        first.ask("apply", encoder=NEW)
    until(lambda: stage(home) == "switched", second)
    first.end()
    assert (first.died, first.moving.over, second.died, stage(home)) == ([], False, [], "switched")
    second.end()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_cancellation_that_was_cut_short_is_ended_and_nothing_begins_anew(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    monkeypatch.setattr(Course, "_compared", lambda *_: ({}, False))
    process = Process(world, home, tmp_path).start()
    until(lambda: stage(home) == "refused", process)
    away = threading.Event()
    away.set()
    drop = home.drop

    def dropped(generation: str) -> None:
        if away.is_set():
            raise StoreUnavailable("timed out")
        drop(generation)

    monkeypatch.setattr(home, "drop", dropped)
    for _ in range(2):  # it is asked again
        with pytest.raises(StoreUnavailable):
            process.ask("cancel")
    with pytest.raises(MigrationRefused, match="cancelled"):
        process.ask("apply", encoder=NEW)
    assert (stage(home), len(home.generations()), process.moving.over) == ("cancelled", 2, False)
    until(lambda: "not removed yet: timed out" in " ".join(process.moving.unready()), process)
    if restarted:
        process.end()
        process = Process(world, home, tmp_path).start()
        until(lambda: "not removed yet: timed out" in " ".join(process.moving.unready()), process)
    away.clear()
    until(lambda: process.moving.over, process)
    process.end()
    assert (home.generations(), move(home), process.died) == ({GENERATION.name: True}, None, [])


def test_after_the_old_index_is_given_up_the_old_encoder_makes_and_shows_nothing(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upgrade that ends it is taken back while it ends."""
    process = Process(world, home, tmp_path).start()
    until(lambda: stage(home) == "switched", process)
    process.end()
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "Side", killed)
        process = Process(world, home, tmp_path, NEW).start()
        process.thread.join(SECONDS)
    assert isinstance(process.died[0], KeyboardInterrupt)
    there = home.generations()
    notes = [home.memos().read(name) for name in (MOVER, ENDED)]
    process = Process(world, home, tmp_path).start()
    until(lambda: "the old index is given up" in " ".join(process.moving.unready()), process)
    process.end()
    assert (home.generations(), list(there.values()), stage(home)) == (there, [True], "retired")
    assert [home.memos().read(name) for name in (MOVER, ENDED)] == notes  # one that could end it need not give way


def test_until_the_new_index_has_all_that_the_old_one_had_no_indexer_begins_with_it(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(world, home, tmp_path).start()
    until(lambda: stage(home) == "switched", process)
    process.end()
    world.put("late")
    world.flow()  # and an indexer with the old encoder has committed it
    monkeypatch.setattr(switching, "ALONE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "Side", killed)
        process = Process(world, home, tmp_path, NEW).start()
        process.thread.join(SECONDS)
    new = home.live()
    assert new is not None
    home.open_live()
    assert (list(home.generations()), len(home.heads([key("late")]))) == ([new], 0)
    assert "has to end first" in unfilled(home, new)
    process = Process(world, home, tmp_path, NEW).start()
    until(lambda: process.moving.over, process)
    process.end()
    assert (unfilled(home, new), len(home.heads([key("late")]))) == ("", 1)


def test_while_the_old_index_is_given_up_nobody_goes_back_to_it(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    process = Process(world, home, tmp_path).start()
    until(lambda: stage(home) == "switched", process)
    new, made = home.live(), migrations(process)
    retired = replace(made.recorded.migration, stage=Stage.RETIRED)
    with made.changing:
        made.write(retired)
        made.side.problem = "it was stopped"
    until(lambda: process.moving.unready() == ["it was stopped"], process)
    course = process.moving._part._course
    with made.changing:
        course._look()
    process.end()
    assert (home.live(), stage(home), process.died) == (new, "retired", [])


def test_where_only_the_record_of_the_switch_is_lost_it_is_written_and_nothing_compared(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, compared, lost = Generations.write, Course._compared, threading.Event()

    def losing(both: Generations, migration: Migration | None) -> None:
        if migration and migration.stage is Stage.SWITCHED and not lost.is_set():
            lost.set()
            raise StoreUnavailable("once")
        write(both, migration)

    monkeypatch.setattr(Generations, "write", losing)
    monkeypatch.setattr(Course, "_compared", lambda *of: ({}, False) if lost.is_set() else compared(*of))
    process = Process(world, home, tmp_path).start()
    until(lambda: lost.is_set() and stage(home) != "filling", process)
    assert stage(home) == "switched"
    assert process.ask("rollback", wait=0.0)["migration"]["stage"] == "rolled back"
    process.end()


def test_what_the_store_refuses_of_the_new_release_is_said_and_ends_no_thread(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    class Odd(HashEncoder):
        def info(self) -> EncoderInfo:
            return replace(super().info(), precision="float3")

    process = Process(world, home, tmp_path)
    process.moving._around = replace(process.moving._around, open_encoder=lambda _: Odd(24))
    process.start()
    until(lambda: "float3" in " ".join(process.moving.unready()), process)
    assert "migration-begin" in [each.name for each in threading.enumerate()]
    process.end()


def test_one_that_is_refused_says_so_and_is_compared_again_where_other_values_ask_for_that(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[float] = []

    def never(course: Course, migration: Migration, _: object) -> tuple[dict[str, Any], bool]:
        compared.append(migration.overlap)
        return {}, False

    monkeypatch.setattr(Course, "_compared", never)
    process = Process(world, home, tmp_path, overlap=0.5).start()
    until(lambda: "was not good enough" in " ".join(process.moving.unready()), process)
    process.end()
    process = Process(world, home, tmp_path, overlap=0.5).start()
    until(lambda: "was not good enough" in " ".join(process.moving.unready()), process)
    process.end()
    process = Process(world, home, tmp_path, overlap=0.25, rate=7.0).start()
    until(lambda: len(compared) > 1 and stage(home) == "refused", process)
    process.end()
    found = home.memos().read(MOVE)["record"]
    assert (compared, found["overlap"], found["rate"]) == ([0.5, 0.25], 0.25, 7.0)


def test_with_an_encoder_that_the_record_does_not_know_it_waits_and_says_which_there_was(
    world: World, home: MemoryStore, tmp_path: Path
) -> None:
    process = Process(world, home, tmp_path).start()
    until(lambda: stage(home) == "switched", process)
    process.end()
    process = Process(world, home, tmp_path, "hash:32").start()
    until(lambda: "one of its encoders was" in " ".join(process.moving.unready()), process)
    process.end()
    assert process.died == []


def test_a_cancellation_that_another_release_left_behind_is_ended_and_keeps_nobody_from_beginning(
    world: World, home: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: MemoryStore, generation: str) -> None:
        raise StoreUnavailable("away")

    process = Process(world, home, tmp_path, overlap=1.0, success_drop=0.0).start()
    until(lambda: stage(home) in ("refused", "filling"), process)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "drop", away)
        with pytest.raises(StoreUnavailable):
            process.ask("cancel")
        process.end()
    assert stage(home) == "cancelled"
    process = Process(world, home, tmp_path, to="hash:32").start()
    until(lambda: stage(home) == "switched", process)
    process.end()
    assert [name.partition("-")[2].partition("-")[0] for name, live in home.generations().items() if live] == ["32"]


def test_an_error_that_nobody_knows_ends_the_process(world: World, home: MemoryStore, tmp_path: Path) -> None:
    process = Process(world, home, tmp_path)

    def broken(url: str) -> Encoder:
        raise OSError("too many open files")

    process.moving._around = replace(process.moving._around, open_encoder=broken)
    process.start()
    assert process.ended.wait(SECONDS)
    process.end()
    assert not process.moving.over  # the next one begins anew


def test_whoever_asks_one_that_was_taken_over_from_is_told_so(world: World, home: MemoryStore, tmp_path: Path) -> None:
    process = Process(world, home, tmp_path, begin=False).start()
    until(lambda: not process.moving.unready(), process)
    home.memos().write(MOVER, {"id": "another"})
    with pytest.raises(MigrationRefused, match=r"another process|this one ends"):
        process.ask("apply", encoder=NEW)
    process.end()
