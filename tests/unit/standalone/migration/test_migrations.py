"""One migration from beginning to end: what is refused changes nothing, and what is cut short anywhere goes on."""

from __future__ import annotations

import errno
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded, Encoder, EncoderInfo, Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.opening import open_encoder
from spanstream.events.segmenter import PASSAGES
from spanstream.events.topics import DOCUMENTS
from spanstream.events.topics import PASSAGES as PASSAGES_TOPIC
from spanstream.gateway.live import Live, Shown
from spanstream.gateway.meanings import Words
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.search import Searcher
from spanstream.ingestor.settings import IngestorSettings
from spanstream.representations.bridge import Bridge
from spanstream.standalone.audit.reading import silent
from spanstream.standalone.migration import record
from spanstream.standalone.migration.handover import Handover
from spanstream.standalone.migration.migrations import Migrations, operations
from spanstream.standalone.migration.record import MigrationRefused, Recorded, Stage
from spanstream.standalone.migration.room import Room
from spanstream.standalone.migration.side import Surroundings
from spanstream.standalone.migration.starting import filled_with, opener
from spanstream.standalone.trouble import Trouble, explain
from spanstream.store.errors import StoreUnavailable
from spanstream.store.memory import MemoryStore
from spanstream.store.queries import Scope
from spanstream.store.store import Store
from tests.fixtures.stepped import ENCODER, GENERATION, World, key
from tests.unit.indexer.stores import Faulty, Killed

NEW = "hash:24"
SECONDS = 300.0
Told = dict[str, Any]


@dataclass
class Machine:
    """What survives its process: the log, the store, the data folder; and the services, stepped."""

    folder: Path
    home: MemoryStore
    world: World
    free: int = 1 << 40  # bytes of the disk
    replaces: str = ""

    def around(self, home: Store | None = None, load: Callable[[str], Encoder] = open_encoder) -> Surroundings:
        settings = IngestorSettings.read(LOG_URL="memory:", BLOB_URL=f"file:{self.folder}")
        room = Room(self.folder, 512 << 20, lambda _: self.free)
        of = (self.world.log, home or self.home, settings, PASSAGES, None, 24.0, opener(load), room)
        return Surroundings(*of, self.replaces)

    def process(self, home: Store | None = None, encoder: Encoder = ENCODER, **more: Any) -> Process:
        live = Live() if record.read(self.folder).migration is None else Live("being opened")
        around = self.around(home, **more)
        held, records = threading.Lock(), record.InFolder(self.folder)
        made = Migrations(records, around, self.world.store, encoder, live, lambda: held, look_seconds=0.02)
        return Process(made, live)

    @contextmanager
    def running(self, home: Store | None = None, **more: Any) -> Iterator[Process]:
        process = self.process(home, **more)
        process.start()
        try:
            process.until(lambda: not process.migrations.unready())
            yield process
        finally:
            process.stop()

    @property
    def live(self) -> str:
        return next(name for name, live in self.world.store.generations().items() if live)


class Process:
    """The migrations' thread, and what it died of."""

    def __init__(self, migrations: Migrations, live: Live) -> None:
        self.migrations, self.live = migrations, live
        self.died: list[BaseException] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def apply(self, encoder: str = NEW, **more: Any) -> Told:
        gates = {"rate": 0.0, "overlap": 0.0, "success_drop": 1.0} | more
        return self.migrations.apply(encoder, gates)

    def until(self, wanted: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not self.died and not wanted():
            assert time.monotonic() < deadline, self.migrations.status()
            time.sleep(0.01)

    def reach(self, stage: Stage) -> Told:
        self.until(lambda: self.migrations.status()["migration"]["stage"] == stage.value)
        assert not self.died
        return self.migrations.status()

    def _run(self) -> None:
        try:
            self.migrations.run(self._stop)
        except BaseException as error:  # noqa: BLE001 a process dies of it
            self.died.append(error)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    home = MemoryStore()
    machine = Machine(tmp_path, home, World(tmp_path, store=home.beside()))
    for number in range(8):
        machine.world.put(f"d{number}")
    machine.world.delete("d3", 2)
    machine.world.flow()
    return machine


def test_it_fills_compares_switches_and_goes_back_and_forth(machine: Machine) -> None:
    with machine.running() as process:
        assert machine.live == GENERATION.name
        process.apply()
        told = process.reach(Stage.SWITCHED)
        assert told["release"] == "hash-24"
        assert told["migration"]["report"]["coverage"] == {"live": 7, "lacking": 0, "stale": 0, "named": []}
        assert told["migration"]["report"]["shadow"]["new_success"] == 1.0
        shown = process.live()
        assert shown is not None
        assert shown.generation.release == "hash-24"
        assert machine.live == shown.generation.name
        assert machine.home.heads([key("d1")]) == shown.store.heads([key("d1")])
        back = process.migrations.rollback(5.0)
        assert (back["release"], back["settled"], process.live()) == (ENCODER.info().release, True, None)
        assert machine.live == GENERATION.name
        process.apply()
        process.reach(Stage.SWITCHED)
    assert process.died == []


def test_it_switches_while_documents_keep_coming_and_the_new_index_is_always_some_batches_behind(
    machine: Machine,
) -> None:
    """Each batch takes several looks, and has the next document come in."""
    numbers, switched = itertools.count(), threading.Event()

    class Slow(HashEncoder):
        def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
            if not query and not switched.is_set():
                machine.world.put(f"late-{next(numbers)}")
                switched.wait(0.1)
            return super().encode(texts, query=query)

    with machine.running(load=lambda _: Slow(24)) as process:
        process.apply("slow")
        try:
            process.reach(Stage.SWITCHED)
        finally:
            switched.set()
    assert process.died == []


def test_to_go_back_while_the_services_are_behind_says_so(machine: Machine) -> None:
    with machine.running() as process:
        process.apply()
        process.reach(Stage.SWITCHED)
        machine.world.put("late")
        assert process.migrations.rollback(0.0)["settled"] is False
        assert machine.live == GENERATION.name


@pytest.mark.parametrize("encoder", ["hash:16", "hash:x", "/there/is/no/such/folder"])
def test_what_cannot_be_moved_to_is_refused_and_nothing_is_changed(machine: Machine, encoder: str) -> None:
    def load(name: str) -> Encoder:
        raise FileNotFoundError(f"no such folder: {name}")

    with machine.running(load=load) as process:
        for ask in (lambda: process.apply(encoder), lambda: process.migrations.plan(encoder, 0.0)):
            with pytest.raises(MigrationRefused, match=r"live release already|cannot be opened"):
                ask()
        assert process.migrations.status()["migration"] is None
        assert list(machine.home.generations()) == [GENERATION.name]
    assert record.read(machine.folder) == Recorded()


@pytest.mark.parametrize("error", [RuntimeError("not enough memory"), MemoryError()])
def test_a_release_that_breaks_off_while_it_is_tried_is_refused_and_ends_nothing(
    machine: Machine, error: Exception
) -> None:
    class Broken(Turned):
        def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
            raise error

    def load(name: str) -> Encoder:
        if name == "large":
            raise error
        return Broken()

    with machine.running(load=load) as process:
        for ask in (
            lambda: process.migrations.plan("large", 0.0),
            lambda: process.apply("large"),
            lambda: process.migrations.plan("broken", 0.0),
            lambda: process.apply("broken", bridge=bridge(machine.folder)),
        ):
            with pytest.raises(MigrationRefused, match=r"cannot be used here: (not enough memory|MemoryError)"):
                ask()
        assert list(machine.home.generations()) == [GENERATION.name]
    assert record.read(machine.folder) == Recorded()
    assert process.died == []


def test_a_release_that_breaks_off_while_both_are_compared_is_waited_for(machine: Machine) -> None:
    broken = threading.Event()
    broken.set()

    class Broken(HashEncoder):
        def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
            if query and broken.is_set():
                raise RuntimeError("not enough memory")
            return super().encode(texts, query=query)

    with machine.running(load=lambda _: Broken(24)) as process:
        process.apply("release")
        process.until(lambda: "not enough memory" in process.migrations.status()["migration"]["waits_for"])
        broken.clear()
        process.reach(Stage.SWITCHED)
    assert process.died == []


def test_a_second_migration_is_refused_and_so_is_what_does_not_fit_the_stage(machine: Machine) -> None:
    with machine.running() as process:
        for never in (process.migrations.retire, process.migrations.cancel, lambda: process.migrations.rollback(0.0)):
            with pytest.raises(MigrationRefused, match="no migration"):
                never()
        process.apply(rate=0.1)
        with pytest.raises(MigrationRefused, match="a migration to hash-24 is there already"):
            process.apply("hash:40")
        with pytest.raises(MigrationRefused, match="filling, not switched"):
            process.migrations.rollback(0.0)
        process.apply()
        process.reach(Stage.SWITCHED)
        assert process.apply()["migration"]["stage"] == "switched"  # called again to look on, it was quicker
        with pytest.raises(MigrationRefused, match="roll back first"):
            process.migrations.cancel()
        with pytest.raises(MigrationRefused, match="between two generations"):
            process.migrations.backup({"folder": str(machine.folder / "taken"), "wait": 0.0}, lambda *_: None)


def test_one_that_is_not_good_enough_does_not_take_over_until_that_is_enough(machine: Machine) -> None:
    with machine.running() as process:
        process.apply(success_drop=-0.5)  # to find more than all
        told = process.reach(Stage.REFUSED)
        assert (machine.live, process.live()) == (GENERATION.name, None)
        assert told["migration"]["report"]["shadow"]["queries"] > 0
        process.apply()
        process.reach(Stage.SWITCHED)


class Garbage(HashEncoder):
    """The words of a query have nothing to do with those of a document."""

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        if query:
            texts = [Text(f"nonsense {number}", text.ranges[:0]) for number, text in enumerate(texts)]
        return super().encode(texts)


@pytest.mark.parametrize(
    "text",
    [
        lambda number: " ".join(f"word{number}{letter}" for letter in "abcdefgh"),
        lambda number: "".join(chr(0x4E00 + 8 * number + each) for each in range(8)),  # Chinese: no spaces
        lambda number: f"word{number}",  # no document has more
    ],
)
def test_a_release_whose_vectors_mean_nothing_does_not_take_over_though_words_find_all(
    machine: Machine, text: Callable[[int], str]
) -> None:
    for number in range(60):  # enough for chance to find little; each with words of its own
        machine.world.put(f"d{number}", 9, text(number))
    machine.world.flow()
    with machine.running(load=lambda _: Garbage(24)) as process:
        process.apply("release", success_drop=0.05)
        told = process.reach(Stage.REFUSED)
        assert told["migration"]["report"]["shadow"]["new_success"] < 0.8
        assert machine.live == GENERATION.name


class Turned(HashEncoder):
    """The same vectors in other directions, of twice as many components: over a bridge nothing is lost."""

    TURN = np.linalg.qr(np.random.default_rng(0).standard_normal((32, 16)))[0].T.astype(np.float32)

    def __init__(self) -> None:
        super().__init__(16)
        self.asked: list[str] = []

    def info(self) -> EncoderInfo:
        return replace(super().info(), release="turned", dimension=32)

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        self.asked += [text.text for text in texts if query]
        found = super().encode(texts)
        return [replace(each, whole=each.whole @ self.TURN, ranges=each.ranges @ self.TURN) for each in found]


def bridge(folder: Path, weight: NDArray[np.float32] = Turned.TURN, target: str = "turned") -> str:
    path = folder / f"bridge-to-{target}-{weight.shape[1]}.safetensors"
    Bridge(weight, np.full(weight.shape[1], 0.5, np.float32), ENCODER.info().release, target, 1).save(path)
    return str(path)


def found(shown: Shown, text: str) -> list[str]:
    searcher = Searcher(shown.store, shown.encoder, {})
    question = Question(Words(text), mode=Mode.DENSE, limit=3, spans_per_passage=0)
    try:
        answer = searcher.search(Scope("acme"), question, shown.generation.dimension)
    finally:
        searcher.close()
    return [hit.head.key.id for hit in answer.hits]


def test_over_a_bridge_the_new_release_answers_from_the_old_vectors_until_its_own_are_there(machine: Machine) -> None:
    release = Turned()
    with machine.running(load=lambda _: release) as process:
        told = process.apply("release", bridge=bridge(machine.folder), rate=0.1)
        assert told["migration"]["bridge_used"]
        over = told["migration"]["over_bridge"]
        assert (over["queries"], over["overlap"], over["new_success"]) == (7, 1.0, over["old_success"])
        shown = process.live()
        assert shown is not None
        assert shown.generation.name not in machine.home.generations()  # of its own, for cursors
        assert (shown.generation.release, shown.generation.dimension) == ("turned-over-hash-16", 16)
        own = Shown(GENERATION, machine.world.store, ENCODER)
        asked = len(release.asked)
        question = [Text("the moon and the tide", np.zeros((0, 2), np.int32))]
        vectors = [each.encoder.encode(question, query=True)[0].whole for each in (shown, own)]
        assert np.allclose(vectors[0], vectors[1], atol=1e-5)
        assert len(release.asked) == asked + 1
        assert machine.live == GENERATION.name
        machine.world.put("late", text="Quinces ripen late.")
        machine.world.flow()
        assert found(shown, "Quinces ripen late.")[0] == "late"
        process.apply("release", rate=0.0)
        told = process.reach(Stage.SWITCHED)
        assert told["migration"]["report"]["bridge"]["overlap"] == 1.0
        assert not told["migration"]["bridge_used"]
        shown = process.live()
        assert shown is not None
        assert shown.generation.release == "turned"
        process.migrations.rollback(5.0)
        assert process.live() is None
    assert process.died == []


def test_a_bridge_is_crossed_again_after_a_crash_and_not_where_it_is_gone(machine: Machine) -> None:
    path = bridge(machine.folder)
    with machine.running(load=lambda _: Turned()) as process:
        process.apply("release", bridge=path, rate=0.1)
    with machine.running(load=lambda _: Turned()) as process:
        process.until(lambda: process.live() is not None)
        assert process.migrations.status()["migration"]["bridge_used"]
    Path(path).unlink()
    with machine.running(load=lambda _: Turned()) as process:
        process.until(lambda: "events" in process.migrations.status()["migration"])
        assert process.live() is None
        record_kept = process.migrations.status()["migration"]
        assert (record_kept["stage"], record_kept["bridge_used"]) == ("filling", False)
    assert process.died == []


def test_when_the_new_release_is_not_good_enough_or_is_given_up_the_old_one_answers(machine: Machine) -> None:
    with machine.running(load=lambda _: Turned()) as process:
        process.apply("release", bridge=bridge(machine.folder), rate=0.1)
        assert process.live() is not None
        process.migrations.cancel()
        assert process.live() is None
        process.apply("release", bridge=bridge(machine.folder), overlap=0.0, success_drop=0.0)
        machine.free = 1 << 40
        process.reach(Stage.SWITCHED)
        process.migrations.rollback(5.0)
        assert process.migrations.both.side is not None
        process.apply("release", rate=0.1)
        process.until(lambda: process.migrations.status()["migration"]["stage"] == Stage.SWITCHED.value)
    assert process.died == []


def test_a_bridge_is_not_needed_once_the_new_index_has_taken_over(machine: Machine) -> None:
    path = bridge(machine.folder)
    with machine.running(load=lambda _: Turned()) as process:
        process.apply("release", bridge=path)
        process.reach(Stage.SWITCHED)
        process.migrations.rollback(5.0)
        Path(path).unlink()
        process.apply("release")
        process.reach(Stage.SWITCHED)
    assert process.died == []


def test_to_look_on_measures_no_bridge_anew_and_one_that_is_gone_is_done_without(machine: Machine) -> None:
    path = bridge(machine.folder)
    for number in range(20):  # more than the first poll takes: the rest waits for its time
        machine.world.put(f"d{number}", 9)
    machine.world.flow()
    with machine.running(load=lambda _: Turned()) as process:
        before = process.apply("release", bridge=path, rate=0.1)["migration"]["over_bridge"]
        machine.world.put("more", text="One more document for whoever measures.")
        machine.world.flow()
        told = process.apply("release", rate=0.1)["migration"]
        assert (told["over_bridge"], told["bridge_used"]) == (before, True)
        with pytest.raises(MigrationRefused, match="too much is lost"):  # one that is given is
            process.apply("release", bridge=path, rate=0.1, overlap=1.1)
        Path(path).unlink()
        process.apply("release", overlap=1.1)  # more than all
        process.reach(Stage.REFUSED)
        told = process.apply("release")["migration"]
        assert (told["bridge"], told["over_bridge"], told["bridge_used"]) == (None, None, False)
        process.reach(Stage.SWITCHED)
    assert process.died == []


def test_a_bridge_that_loses_too_much_or_leads_elsewhere_is_refused_and_nothing_is_changed(machine: Machine) -> None:
    for number in range(60):  # enough for chance to find little; each with words of its own
        machine.world.put(f"d{number}", 9, " ".join(f"word{number}{letter}" for letter in "abcdefgh"))
    machine.world.flow()
    wrong = np.roll(Turned.TURN, 1, axis=0) * -1
    noise = machine.folder / "noise"
    noise.write_bytes(b"no bridge")
    with machine.running(load=lambda _: Turned()) as process:
        for path, why in (
            (bridge(machine.folder, target="another"), "to another, not from"),
            (bridge(machine.folder, Turned.TURN[:, :20]), "not from"),
            (str(noise), "no bridge"),
            (str(machine.folder / "nowhere"), "cannot be used"),
        ):
            with pytest.raises(MigrationRefused, match=why):
                process.apply("release", bridge=path)
        with pytest.raises(MigrationRefused, match="too much is lost"):
            process.apply("release", bridge=bridge(machine.folder, wrong), success_drop=0.05)
        assert process.live() is None
        assert list(machine.home.generations()) == [GENERATION.name]
    assert record.read(machine.folder) == Recorded()


def test_without_the_new_release_the_old_index_answers_and_the_migration_can_be_cancelled(machine: Machine) -> None:
    with machine.running(load=lambda _: HashEncoder(24)) as process:
        process.apply("release", success_drop=-0.5)
        process.reach(Stage.REFUSED)

    def gone(_: str) -> Encoder:
        raise MigrationRefused("no such release")

    with machine.running(load=gone) as process:
        assert process.live() is None
        process.until(lambda: "no such release" in process.migrations.status()["migration"]["problem"])
        process.migrations.cancel()
        assert list(machine.home.generations()) == [GENERATION.name]
    assert process.died == []


def test_a_new_index_that_is_not_written_any_more_gives_way_to_the_old_one(machine: Machine) -> None:
    with machine.running() as process:
        process.apply()
        process.reach(Stage.SWITCHED)
        assert process.migrations.both.side is not None
        process.migrations.both.side.problem = "it was stopped: the disk is damaged"
        told = process.reach(Stage.ROLLED_BACK)
        assert told["migration"]["problem"] == "it was stopped: the disk is damaged"
        assert (machine.live, process.live()) == (GENERATION.name, None)
    assert process.died == []


class Away:
    """A store that does not answer while it is `away`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False
        self.asked = 0  # meanwhile

    def __getattr__(self, name: str) -> Any:
        if self.away:
            self.asked += 1
            raise StoreUnavailable("away")
        return getattr(self._store, name)


@pytest.mark.promise("I14")
def test_an_outage_while_the_new_index_has_to_give_way_ends_nothing(machine: Machine) -> None:
    home = Away(machine.home)
    with machine.running(cast(Store, home)) as process:
        process.apply()
        process.reach(Stage.SWITCHED)
        assert process.migrations.both.side is not None
        home.away = True
        process.migrations.both.side.problem = "it was stopped: the disk is damaged"
        process.until(lambda: home.asked > 1)
        home.away = False
        process.reach(Stage.ROLLED_BACK)
        assert (machine.live, process.live()) == (GENERATION.name, None)
    assert process.died == []


class Full(record.InFolder):
    """No room for the record while it is `full`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.full, self.asked = False, 0

    def write(self, recorded: Recorded) -> None:
        if self.full:
            self.asked += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(recorded)


def test_no_room_for_the_record_while_the_new_index_gives_way_or_is_removed_ends_nothing(machine: Machine) -> None:
    with machine.running() as process:
        records = process.migrations.both._records = Full(machine.folder)
        process.apply()
        process.reach(Stage.SWITCHED)
        assert process.migrations.both.side is not None
        records.full = True
        process.migrations.both.side.problem = "it was stopped: the disk is damaged"
        process.until(lambda: records.asked > 1)
        records.full = False
        process.reach(Stage.ROLLED_BACK)
        write = records.write

        def full_at_last(recorded: Recorded) -> None:
            records.full = recorded.migration is None
            write(recorded)

        records.asked = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "write", full_at_last)
            with pytest.raises(OSError, match="No space left"):
                process.migrations.cancel()
            process.until(lambda: records.asked > 2)
        records.full = False
        process.until(lambda: process.migrations.status()["migration"] is None)
    assert process.died == []
    assert record.read(machine.folder) == Recorded()


def test_a_start_waits_for_room_for_the_record(machine: Machine) -> None:
    with machine.running() as process:
        process.apply()
        told = process.reach(Stage.SWITCHED)["migration"]
    found = record.read(machine.folder)
    assert found.migration is not None
    record.write(machine.folder, replace(found, migration=replace(found.migration, stage=Stage.FILLING)))
    process = machine.process()
    records = process.migrations.both._records = Full(machine.folder)
    records.full = True
    process.start()
    process.until(lambda: records.asked > 1)
    records.full = False
    process.until(lambda: not process.migrations.unready())
    shown = process.live()
    process.stop()
    assert shown is not None
    assert (shown.generation.name, process.died) == (told["generation"], [])
    assert record.read(machine.folder) == found


def test_a_release_that_is_another_one_by_now_does_not_go_on_with_the_migration(machine: Machine) -> None:
    with machine.running(load=lambda _: HashEncoder(24)) as process:
        process.apply("release", success_drop=-0.5)
        process.reach(Stage.REFUSED)
    there = machine.home.generations()
    with machine.running(load=lambda _: HashEncoder(40)) as process:
        process.until(lambda: "which is hash-40 now" in process.migrations.status()["migration"]["problem"])
        with pytest.raises(MigrationRefused, match="was hash-24, which is hash-40 now"):
            process.apply("release")
        assert machine.home.generations() == there
        assert process.migrations.status()["migration"]["stage"] == Stage.REFUSED.value
    assert process.died == []


def test_what_is_not_given_again_stays_as_it_was(machine: Machine) -> None:
    def chosen(told: Told) -> list[float]:
        return [told["migration"][name] for name in ("rate", "overlap", "success_drop")]

    with machine.running() as process:
        assert chosen(process.migrations.apply(NEW, {"rate": 0.1})) == [0.1, 0.2, 0.05]
        assert chosen(process.migrations.apply(NEW, {"overlap": 0.0})) == [0.1, 0.0, 0.05]
        ask = operations(process.migrations)["migrate apply"]
        options = {"encoder": NEW, "rate": None, "overlap": None, "success_drop": 1.0}
        assert chosen(ask(machine.world.log, machine.home, options, lambda *_: None)) == [0.1, 0.0, 1.0]
        process.migrations.apply(NEW, {"rate": 0.0})
        process.reach(Stage.SWITCHED)


def test_a_log_that_forgets_cannot_fill_a_new_index(machine: Machine) -> None:
    machine.world.log._kept[DOCUMENTS.name] = 86_400.0
    with machine.running() as process, pytest.raises(MigrationRefused, match=r"keeps documents for 1\.0 days only"):
        process.apply()
    assert record.read(machine.folder) == Recorded()


def test_a_disk_without_room_for_a_second_index_is_refused_and_one_that_has_just_enough_is_not(
    machine: Machine,
) -> None:
    with machine.running() as process:
        needed = process.migrations.plan(NEW, 0.0)["vector_bytes"]
        machine.free = (512 << 20) + needed - 1
        with pytest.raises(MigrationRefused, match="Make room"):
            process.apply()
        assert list(machine.home.generations()) == [GENERATION.name]
        machine.free += 1
        process.apply()
        machine.free = 0  # what has begun waits for the store to have room
        process.apply()
        process.reach(Stage.SWITCHED)


def test_of_a_servers_disks_nothing_is_known() -> None:
    room = Room(None, 1)
    assert (room.left(), room.lack(1 << 60)) == (None, "")


def test_one_that_is_cancelled_leaves_nothing_and_can_be_begun_again(machine: Machine) -> None:
    with machine.running() as process:
        process.apply(success_drop=-0.5)
        process.reach(Stage.REFUSED)
        process.migrations.cancel()
        assert list(machine.home.generations()) == [GENERATION.name]
        assert record.read(machine.folder) == Recorded()
        process.apply()
        assert process.reach(Stage.SWITCHED)["migration"]["documents"] == 7


def test_a_plan_counts_and_measures_and_changes_nothing(machine: Machine) -> None:
    with machine.running() as process:
        told = process.migrations.plan(NEW, 0.0)
        assert (told["documents"], told["to"]["release"], told["to"]["dimension"]) == (7, "hash-24", 24)
        assert told["vectors"] > told["passages"] >= 7
        assert told["vector_bytes"] == told["vectors"] * 24 * 2
        assert told["free_bytes"] == (1 << 40) - (512 << 20)
        assert told["characters"] > 7 * 1000
        assert process.migrations.plan(NEW, 0.1)["hours"] == pytest.approx(7 / 0.1 / 3600, abs=1e-4)
        assert list(machine.home.generations()) == [GENERATION.name]
    assert record.read(machine.folder) == Recorded()


def test_killed_at_any_call_of_the_store_the_next_process_ends_it(tmp_path: Path) -> None:
    """The calls of the store that make something live, or drop it, or open it beside; before each and after each."""
    killed_at = 0
    while _killed(tmp_path / str(killed_at), killed_at):
        killed_at += 1
    assert killed_at >= 6


def _killed(folder: Path, at: int) -> bool:
    """Whether a process was killed there; the next one has ended the migration."""
    folder.mkdir()
    home = MemoryStore()
    machine = Machine(folder, home, World(folder, store=home.beside()))
    for number in range(3):
        machine.world.put(f"d{number}")
    machine.world.flow()
    process = machine.process(cast(Store, Faulty(home, at=at // 2, lost=at % 2 == 0)))
    process.start()
    killed = False
    try:
        process.until(lambda: not process.migrations.unready())
        if not process.died:
            process.apply()
            process.until(lambda: (now := record.read(folder).migration) is not None and now.stage is Stage.SWITCHED)
    except Killed:
        killed = True
    process.stop()
    with machine.running() as again:
        if again.migrations.status()["migration"] is None:
            again.apply()
        told = again.reach(Stage.SWITCHED)
        assert told["migration"]["documents"] == 3
        assert machine.live == told["migration"]["generation"]
    return killed or bool(process.died)


def test_a_process_that_starts_while_the_new_generation_is_live_answers_from_it_and_not_before(
    machine: Machine,
) -> None:
    with machine.running() as process:
        process.apply()
        process.reach(Stage.SWITCHED)
    machine.world.put("d0", 5)
    machine.world.flow()
    process = machine.process()
    assert process.live.unready()
    process.start()
    process.until(lambda: not process.migrations.unready())
    shown = process.live()
    assert shown is not None
    assert shown.generation.release == "hash-24"
    process.until(lambda: shown.store.heads([key("d0")])[key("d0")].version == 5)
    assert process.migrations.rollback(5.0)["settled"]
    process.stop()


def test_other_encoders_than_those_on_record_are_refused_at_the_start(machine: Machine) -> None:
    with machine.running() as process:
        process.apply()
        process.reach(Stage.SWITCHED)
    for encoder, load in ((HashEncoder(8), open_encoder), (ENCODER, lambda _: HashEncoder(8))):
        found = record.read(machine.folder).migration
        assert found is not None
        record.write(machine.folder, Recorded(None, replace(found, encoder="release" if encoder is ENCODER else NEW)))
        process = machine.process(encoder=encoder, load=load)
        process.start()
        process.until(lambda: False)
        assert isinstance(process.died[0], MigrationRefused)
        assert len(machine.world.store.generations()) == 2
        process.stop()


def test_a_start_with_another_encoder_than_the_indexs_is_refused_and_says_how_to_move_it(machine: Machine) -> None:
    with machine.running():
        pass
    before = machine.home.kept()
    process = machine.process(encoder=HashEncoder(8))
    process.start()
    process.until(lambda: False)
    process.stop()
    trouble = explain(process.died[0])
    assert "7 documents" in trouble.what
    assert "spanstream migrate apply" in trouble.advice
    assert f"INDEXER_REPLACES_GENERATION={GENERATION.name}" in trouble.advice
    assert machine.home.kept() == before
    machine.replaces = GENERATION.name
    process = machine.process(encoder=HashEncoder(8))
    process.start()
    process.until(lambda: not process.migrations.unready())
    process.stop()
    assert process.died == []
    assert machine.home.generations()[GENERATION.name] is False


def test_other_spans_than_those_on_record_are_named(machine: Machine) -> None:
    with machine.running() as process:
        process.apply()
        process.reach(Stage.SWITCHED)
    found = record.read(machine.folder).migration
    assert found is not None
    record.write(machine.folder, Recorded(None, replace(found, old_generation="of-other-spans")))
    process = machine.process()
    process.start()
    process.until(lambda: False)
    assert "SPANS is another now" in str(process.died[0])
    process.stop()


def test_at_the_start_after_a_retirement_the_services_go_on_with_the_new_generation(machine: Machine) -> None:
    with machine.running() as process:
        process.apply()
        process.reach(Stage.SWITCHED)
        process.migrations.retire()
        with pytest.raises(MigrationRefused, match="retired, not switched"):
            process.migrations.rollback(0.0)
        machine.world.put("late")
        machine.world.loops[0].step()  # parsed, and no further
        process.until(lambda: process.migrations.status()["migration"]["documents"] == 8)
    recorded = record.read(machine.folder)
    assert recorded.migration is not None
    assert filled_with(recorded) == NEW
    machine.world.close_stages()
    ends = machine.world.log.end_offsets(PASSAGES_TOPIC.name)
    for _ in range(2):  # as if it had been killed before its last step
        record.write(machine.folder, recorded)
        Handover(machine.folder, machine.world.log, machine.home, recorded.migration).start(lambda error: None)
    machine.home.open_live()
    assert [(each.live, each.documents) for each in machine.home.kept()] == [(True, 8)]
    assert all(machine.world.log.committed("embedder", PASSAGES_TOPIC.name)[n] == end for n, end in ends.items())
    assert record.read(machine.folder) == Recorded(encoder=NEW, generation=recorded.migration.generation)
    assert filled_with(record.read(machine.folder)) == NEW


def test_a_damaged_record_is_no_reason_to_guess(tmp_path: Path) -> None:
    (tmp_path / record.FILE).write_text('{"encoder": null, "migration": {"stage": "dancing"}}')
    with pytest.raises(Trouble, match="cannot be read"):
        record.read(tmp_path)


def test_an_audit_after_the_switch_waits_for_what_fills_the_live_index(machine: Machine) -> None:
    options = {"wait": 0.0}
    with machine.running() as process:
        process.apply()
        process.reach(Stage.SWITCHED)
        audit = operations(process.migrations)["audit"]
        side = process.migrations.both.side
        assert side is not None
        with side.held():  # it is late
            machine.world.put("d0", 2)
            machine.world.flow()
            told = audit(machine.world.log, machine.home, options, silent)
            assert (told["kinds"], told["undecided"]) == ({}, 1)
        told = audit(machine.world.log, machine.home, options | {"wait": SECONDS}, silent)
        assert told["equal"]
