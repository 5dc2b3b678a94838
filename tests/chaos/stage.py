"""The product as a process of its own beside a Kafka of the tests', and what is left in both of them."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from spanstream.client import config
from spanstream.eventlog.errors import EventLogError, LogUnavailable
from spanstream.eventlog.log import Log
from spanstream.eventlog.opening import open_log
from spanstream.events import codec
from spanstream.events.topics import ALL, FAILURES
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeEngine
from spanstream.store.engine import Collection
from spanstream.store.queries import Match
from tests.chaos import witness
from tests.chaos.checker import Violation, check
from tests.chaos.clocks import ahead
from tests.chaos.history import DeadLetter, Look, Settled
from tests.chaos.simulation.pipeline import COMMITTED
from tests.chaos.traffic import Client, World
from tests.chaos.worker import Worker
from tests.fixtures.product import Product, free_port

DIMENSION = 64
ENCODER = f"hash:{DIMENSION}"
READY_SECONDS = 180.0
SETTLE_SECONDS = 300.0


class Stage:
    """The product in `folder`, on the log at `log_url`: in one process but for the embedders, which are `embedders` workers.

    None of them: the embedder is in that process too. No `log_url`: a Kafka of the product's own. `variables`: of its
    environment.
    """

    def __init__(self, folder: Path, log_url: str | None, embedders: int = 0, **variables: str) -> None:
        self.folder = folder
        self.deaths = 0  # of the product, by itself
        self.product: Product | None = None
        self.embedders = [
            Worker(f"embedder-{number}", "spanstream.embedder", folder, LOG_URL=log_url or "", ENCODER_URL=ENCODER)
            for number in range(embedders)
        ]
        self._ports = (free_port(), free_port())
        self._variables = {"LOG_MEMBER": "product"} | variables
        self._options = ["--log-url", log_url] if log_url else []
        self._options += ["--encoder-url", ENCODER, "--no-samples"]
        self._options += ["--target", "ingestor,indexer,gateway" if embedders else "ingestor,embedder,indexer,gateway"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def key(self) -> str:
        return config.read(self.folder)["api_key"]

    def start(self) -> None:
        """Start what does not run; returns once every part of the product is ready."""
        for embedder in self.embedders:
            if not embedder.running:
                embedder.start()
        self.start_product()

    def clocks(self, product: int, embedders: int) -> None:
        """How many seconds they are ahead from their next start on."""
        self._variables |= ahead(product)
        for embedder in self.embedders:
            embedder.environment |= ahead(embedders)

    def start_product(self) -> None:
        """Start it, or start it again; returns once every part of it is ready."""
        self.launch().wait_ready(READY_SECONDS)

    def launch(self) -> Product:
        """Start it, or start it again; returns at once."""
        self.product = Product.start(self.folder, *self._options, ports=self._ports, **self._variables)
        return self.product

    def kill(self) -> None:
        """kill -9 of the product."""
        assert self.product is not None
        assert self.product.stop(signal.SIGKILL) == -signal.SIGKILL

    def revive(self) -> None:
        """Start again what has ended by itself, as whoever runs it would."""
        for embedder in self.embedders:
            embedder.revive()
        assert self.product is not None
        if self.product.process.poll() is not None:
            self.deaths += 1
            print(f"the product ended by itself:\n{self.product.terminal[-2000:]}")
            self.start_product()

    def judge(self, world: World, log: Log) -> list[Violation]:
        """What is wrong, once nothing is under way; the product is stopped for it. `log`: without faults on the way."""
        return judged(world, log, self.url, self.key, self.folder, stop=self.close, meanwhile=self.revive)

    def close(self) -> None:
        """End all that runs, cleanly."""
        for embedder in self.embedders:
            embedder.close()
        if self.product is not None:
            self.product.__exit__()


def judged(
    world: World,
    log: Log,
    url: str,
    key: str,
    folder: Path,
    *,
    stop: Callable[[], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Violation]:
    """1 wait until nothing is under way, 2 ask, search and read the dead letters, 3 stop the product, 4 look at its index; what
    is wrong with it.
    """
    notes = world.notes
    settle(log, meanwhile)  # 1
    client = Client(world, url, key, random.Random(0))
    try:
        before = len(notes.history.entries)
        assert client.search()  # 2
        for document, version in world.accepted():
            client.ask(document, version)
    finally:
        client.close()
    notes.history.dead_letters = [each for each in dead_letters(log) if each.key.source == world.source]
    stop()  # 3
    look = look_at(folder / "index", notes.at(), world.source)  # 4
    found, *told = notes.history.entries[before:]
    notes.history.entries[before:] = [Settled(look.at), look, found, *told]
    notes.history.final = look
    return check(notes.history)


def settle(log: Log, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Until no record waits."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while behind := lags(log):
        assert time.monotonic() < deadline, f"it never settles: {behind}"
        meanwhile()
        time.sleep(0.5)


def look_at(folder: Path, at: int, source: str) -> Look:
    """All that an index in a folder holds of a source; nobody else may have it open."""
    engine = EdgeEngine(folder)
    try:
        engine.open((folder / "live").read_text(), DIMENSION, Compression.NONE)
        ours = Match("source", (source,))
        heads, passages = (
            list(engine.scroll(collection, ours)) for collection in (Collection.DOCUMENTS, Collection.PASSAGES)
        )
    finally:
        engine.close()
    return witness.look(at, (one.payload for one in heads), ((one.id, one.payload) for one in passages))


def lags(log: Log) -> dict[tuple[str, str], int]:
    """(group, topic) -> records that wait, where any do; stages in order, so that what one has passed on is counted by
    the next. A log that does not answer counts as something that waits.
    """
    try:
        behind = {
            (group, topic): sum(log.end_offsets(topic).values()) - sum(log.committed(group, topic).values())
            for group, topic in COMMITTED
        }
    except EventLogError:
        return {("", "the log does not answer"): 1}
    return {place: count for place, count in behind.items() if count}


def dead_letters(log: Log) -> list[DeadLetter]:
    """What the dead-letter topic holds."""
    ends = log.end_offsets(FAILURES.name)
    reader = log.reader(FAILURES.name, dict.fromkeys(ends, 0))
    found = []
    try:
        while reader.positions() != ends:
            found += [codec.decode_failure(record.value) for record in reader.poll(0.5)]
    finally:
        reader.close()
    return [witness.dead_letter(event) for event in found if not event.resolution]


def prepared(url: str) -> Log:
    """The log with all topics, once its cluster has found the time to make them."""
    log, deadline = open_log(url), time.monotonic() + READY_SECONDS
    while True:
        try:
            log.ensure_topics(ALL)
            return log
        except LogUnavailable:
            assert time.monotonic() < deadline, "the topics cannot be made"
