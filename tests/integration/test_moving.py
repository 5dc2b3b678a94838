"""Services in processes of their own move to another encoder, under constant queries to two gateways and writes: decision 0033."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from qdrant_client import QdrantClient

from spanstream.client import Client
from spanstream.eventlog.opening import open_log
from spanstream.events.topics import ALL
from spanstream.runtime.identity import DEFAULT_TENANT
from spanstream.runtime.key_file import create_key
from spanstream.standalone import control
from spanstream.standalone.broker import BrokerError, LocalBroker
from spanstream.standalone.migration.__main__ import INTERRUPTED
from tests.chaos.kept import RESULTS, Kept
from tests.conftest import absent
from tests.fixtures.editions import SECONDS, Traffic
from tests.fixtures.process import Process
from tests.fixtures.product import free_port
from tests.rehearsal.qdrant import serving

OLD, NEW = "hash:48", "hash:80"
DOCUMENTS = 16
PATIENCE = 600.0  # seconds: of a busy machine
STAGES = ("filling", "switched", "rolled back")


@dataclass
class Result(Kept):
    """Nothing was wrong with any answer, or there is no result."""

    switches: int
    queries: int
    writes: int


class Fleet:
    """Two of each that may have several, and what they share."""

    def __init__(self, folder: Path, log_url: str, store: str) -> None:
        self.folder, self.store = folder, store
        keys = folder / "keys.json"
        self.token = create_key(keys, "local", DEFAULT_TENANT)
        self.ports = [free_port(), free_port()]
        self._shared = {
            "LOG_URL": log_url,
            "STORE_URL": f"http://{store}",
            "BLOB_URL": f"file:{folder / 'blobs'}",
            "AUTH_KEYS_FILE": str(keys),
            "INGESTOR_GATEWAY_URL": f"http://127.0.0.1:{self.ports[0]}",
            "SPANSTREAM_DATA": str(folder / "data"),
        }
        self.ingest_port = free_port()
        self.processes: dict[str, Process] = {}

    def start(self, name: str, module: str, encoder: str, stopped: int = 0, **more: str) -> Process:
        shared = {**self._shared, "ENCODER_URL": encoder, "ADMIN_PORT": str(free_port()), **more}
        made = Process(name, [module], shared, self.folder, stopped)
        self.processes[name] = made
        return made

    def indexer(self, number: int, encoder: str) -> Process:
        return self.start(f"indexer-{number}", "spanstream.indexer", encoder, LOG_MEMBER=f"indexer-{number}")

    def embedder(self, encoder: str) -> Process:
        return self.start("embedder", "spanstream.embedder", encoder, LOG_MEMBER="embedder")

    def gateway(self, number: int, encoder: str, **more: str) -> Process:
        port = str(self.ports[number])
        return self.start(f"gateway-{number}", "spanstream.gateway", encoder, GATEWAY_HTTP_PORT=port, **more)

    def migration(self, encoder: str = OLD, **more: str) -> Process:
        gates = {"MIGRATION_OVERLAP": "0.1", "MIGRATION_SUCCESS_DROP": "0.5"}
        module = "spanstream.standalone.migration"
        return self.start("migration", module, encoder, INTERRUPTED, **{"NEXT_ENCODER_URL": NEW, **gates, **more})

    def ask(self, what: str, **options: Any) -> dict[str, Any]:
        return control.ask(self.folder / "data", f"migrate {what}", options, lambda *_: None)

    def reach(self, *stages: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                told = self.ask("status")
                if told["migration"] and told["migration"]["stage"] in stages:
                    return told
            except (control.NobodyThere, control.Refused) as error:
                told = {"error": str(error)}
            assert time.monotonic() < deadline, told
            time.sleep(0.1)

    def bring(self, what: str, stage: str, chance: Random) -> None:
        """Ask for it, and kill the process at some moment of it, time and again, until it is done."""
        options = {"apply": {"encoder": NEW}, "rollback": {"wait": 60.0}}[what]
        for _ in range(chance.randrange(3)):
            asking = threading.Thread(target=self._asked, args=(what, options), daemon=True)
            asking.start()
            time.sleep(chance.uniform(0.0, 8.0))
            self.processes["migration"].end(signal.SIGKILL)
            asking.join(SECONDS)
            self.migration()
            self.reach(*STAGES)
        while self.reach(*STAGES)["migration"]["stage"] != stage:
            self._asked(what, options)
            self.reach(stage, "switched", "rolled back")

    def _asked(self, what: str, options: dict[str, Any]) -> None:
        with suppress(control.NobodyThere, control.Refused):
            self.ask(what, **options)

    def client(self, number: int) -> Client:
        ingest = f"http://127.0.0.1:{self.ingest_port}"
        return Client(f"http://127.0.0.1:{self.ports[number]}", ingest_url=ingest, api_key=self.token)

    def generations(self) -> dict[str, bool]:
        """The release of each generation that is kept -> whether it is live, as the server names it."""
        client = QdrantClient(url=f"http://{self.store}", check_compatibility=False)
        live = {each.collection_name for each in client.get_aliases().aliases}
        names = [each.name for each in client.get_collections().collections if each.name.startswith("passages-")]
        client.close()
        return {name.split("-")[2]: name in live for name in names}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    died: list[BaseException] = []
    broker = LocalBroker(tmp_path / "kafka")
    try:
        broker.start(died.append)
    except BrokerError as error:
        absent(f"a local Kafka ({error})")
    log = open_log(broker.url)
    log.ensure_topics(ALL)
    log.close()
    address = f"127.0.0.1:{free_port()}"
    try:
        with serving(address, tmp_path / "qdrant"):
            made = Fleet(tmp_path, broker.url, address)
            try:
                yield made
            finally:
                for process in made.processes.values():
                    process.stop()
    finally:
        broker.stop(time.monotonic() + 10)
    assert not died


@contextmanager
def traffic(fleet: Fleet) -> Iterator[Traffic]:
    with fleet.client(0) as one, fleet.client(1) as other:
        made = Traffic([one, other], DOCUMENTS)
        made.begin()
        try:
            yield made
        finally:
            made.end()


@pytest.mark.timeout(7200)  # of the long form, and of a busy machine
@pytest.mark.promise("I23")
def test_services_of_their_own_move_and_go_back_and_end_it_while_all_is_asked_and_written(
    fleet: Fleet, long: bool
) -> None:
    switches, queries = (10, 200) if long else (0, 0)
    fleet.indexer(0, OLD)
    fleet.indexer(1, OLD)
    fleet.embedder(OLD)
    fleet.start("ingestor", "spanstream.ingestor", OLD, INGESTOR_HTTP_PORT=str(fleet.ingest_port))
    for number in (0, 1):
        fleet.gateway(number, OLD, NEXT_ENCODER_URL=NEW)
    for process in fleet.processes.values():
        process.wait_ready()
    with traffic(fleet) as load:
        load.goes_on()

        # Killed while it fills, it goes on.
        fleet.migration(MIGRATION_RATE="2")
        fleet.reach("filling")
        load.goes_on()
        assert fleet.processes["migration"].end(signal.SIGKILL) == -signal.SIGKILL
        fleet.migration()
        told = fleet.reach("switched")
        assert told["release"] == "hash-80"
        assert told["migration"]["report"]["coverage"]["lacking"] == 0
        load.goes_on()

        # An indexer that starts anew goes on with the generation that is not live, and nothing is refused.
        assert fleet.processes["indexer-0"].end(signal.SIGKILL) == -signal.SIGKILL
        fleet.indexer(0, OLD).wait_ready()
        load.goes_on()

        # A gateway that starts anew shows what is live.
        told = fleet.ask("rollback", wait=60.0)
        assert (told["release"], told["settled"]) == ("hash-48", True)
        load.goes_on()
        fleet.ask("apply", encoder=NEW)
        fleet.reach("switched")
        load.goes_on()
        chance = Random(1)
        for _ in range(switches):
            fleet.bring("rollback", "rolled back", chance)
            load.goes_on(queries)
            fleet.bring("apply", "switched", chance)
            load.goes_on(queries)
        with pytest.raises(control.Refused, match="ENCODER_URL"):
            fleet.ask("retire")

        # Everyone gets the new encoder, one after another; that ends it.
        fleet.processes["migration"].stop()
        ending = fleet.migration(NEW)
        for number in (0, 1):
            fleet.processes[f"indexer-{number}"].stop()
            fleet.indexer(number, NEW).wait_ready()
        fleet.processes["embedder"].stop()
        fleet.embedder(NEW).wait_ready()
        load.goes_on()
        assert ending.process.wait(PATIENCE) == 0
        load.goes_on()
        assert fleet.generations() == {"80": True}
        load.end()
        assert load.wrong == []
        if long:
            Result(2 * switches + 3, load.queries, load.writes).save(RESULTS / "moving.json")
    with fleet.client(1) as client:
        shown = {f"d{number}" for number, edition in load.shown.items() if edition >= 0}
        assert sum(each.documents for each in client.sources()) == len(shown)
