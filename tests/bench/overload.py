"""`python -m tests.bench.overload [--seconds N] [--capacity N] [--json FILE]`: goodput and the quiet tenants' times under load (I15).

The product as a process, on a Kafka of its own, with an encoder over HTTP that takes a fixed time for a text: so the capacity is known.
Twenty tenants send documents over HTTP at random times; first nineteen quiet ones alone, then with a noisy one that brings
the load to three and to ten times the capacity and heeds no Retry-After. Times are from sending to the embedding's being
in the log. Prints figures and asserts none: they say as much of the machine as of the product. With `--json FILE` the
result is written after every load, and a run that was cut off goes on where that file ends; one with other numbers begins anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Log
from spanstream.events import topics
from spanstream.events.ids import Key
from spanstream.runtime.key_file import create_key
from spanstream.standalone.folder import DataFolder
from tests.chaos.cluster import Cluster
from tests.chaos.kept import Kept
from tests.chaos.stage import prepared
from tests.fixtures.product import Product

QUIET, NOISY = [f"quiet{number}" for number in range(19)], "noisy"
QUIET_LOAD = 0.5  # of the capacity, all of them together
LOADS = (QUIET_LOAD, 3.0, 10.0)
LIMIT = 30.0  # seconds of backlog
RECORDS = 2  # of the embedder's poll: what is encoded together is late together
TEXT = "One sentence of a document says that the tide comes and goes with the moon. " * 4
LEARNING = 1 / 3  # of a run, after which it is measured
DIMENSION = 16
READ_SECONDS = 60.0
SETTINGS = {"INGESTOR_BACKLOG_SECONDS": str(LIMIT), "EMBEDDER_MAX_POLL_RECORDS": str(RECORDS), "SPANS": "sentences"}


class Slow:
    """The hash encoder, one text after the other, each in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.info = HashEncoder(DIMENSION).info()
        self._seconds, self._encoder, self._lock = seconds, HashEncoder(DIMENSION), threading.Lock()

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        with self._lock:
            time.sleep(self._seconds * len(texts))
        return self._encoder.encode(texts)


def serve(seconds: float, told: Connection) -> None:
    """Serve a slow encoder, whose address is told, until the process is killed."""
    encoder = Slow(seconds)

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            said = {
                name: getattr(encoder.info, name) for name in ("release", "dimension", "max_tokens", "dtype", "device")
            }
            self._answer(json.dumps(said).encode(), "application/json")

        def do_POST(self) -> None:
            texts = wire.unpack_request(self.rfile.read(int(self.headers["content-length"])))
            self._answer(wire.pack_response(encoder.encode(texts), DIMENSION), wire.MEDIA_TYPE)

        def _answer(self, body: bytes, media_type: str) -> None:
            self.send_response(200)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        told.send(f"http://127.0.0.1:{server.server_port}")
        server.serve_forever()


@contextmanager
def served(seconds: float) -> Iterator[str]:
    """The address of a slow encoder, in a process of its own: whoever sends the load would take its time."""
    context = multiprocessing.get_context("spawn")
    told, telling = context.Pipe(duplex=False)
    process = context.Process(target=serve, args=(seconds, telling), daemon=True)
    process.start()
    try:
        telling.close()
        yield told.recv()
    finally:
        process.kill()
        process.join()


@dataclass
class Load:
    """What was sent and how it was answered, in one run."""

    sent: dict[Key, float] = field(default_factory=dict)  # accepted -> when it was sent, seconds since 1970
    answers: Counter[tuple[bool, int]] = field(default_factory=Counter)  # quiet, status
    broken: int = 0  # no answer
    late: int = 0  # not sent, because a thousand requests were open


@dataclass
class Result(Kept):
    """What is kept: `rows` by load, as many times the capacity."""

    seed: int
    capacity: float  # documents a second
    seconds: float  # of each load
    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path | None, seed: int, capacity: float, seconds: float) -> Result:
        """As it was saved by a run with the same numbers and loads that was cut off, else new."""
        saved = cls.saved(path, seed=seed, capacity=capacity, seconds=seconds)
        measured = [row["load"] for row in saved.rows] if saved else []
        cut_off = len(measured) < len(LOADS) and measured == list(LOADS[: len(measured)])
        return saved if saved and cut_off else cls(seed, capacity, seconds)


@contextmanager
def pipeline(capacity: float, folder: Path) -> Iterator[tuple[Log, Product, dict[str, str]]]:
    """The log, the product, and each tenant's token."""
    data = DataFolder(folder / "product")
    data.path.mkdir()
    tokens = {tenant: create_key(data.keys, tenant, tenant) for tenant in (*QUIET, NOISY)}
    with ExitStack() as stack:
        cluster = Cluster(folder / "kafka", nodes=1)
        stack.callback(cluster.close)
        cluster.start()
        log = prepared(cluster.url)
        stack.callback(log.close)
        encoder = stack.enter_context(served(1 / capacity))
        options = ["--log-url", cluster.url, "--encoder-url", encoder, "--no-samples"]
        options += ["--target", "ingestor,embedder,indexer,gateway"]
        product = stack.enter_context(Product.start(data.path, *options, **SETTINGS))
        yield log, product.wait_ready(), tokens


def embedded(log: Log) -> dict[Key, float]:
    """When each document's first embedding was written, seconds since 1970."""
    ends = log.end_offsets(topics.EMBEDDINGS.name)
    reader = log.reader(topics.EMBEDDINGS.name, dict.fromkeys(ends, 0))
    done: dict[Key, float] = {}
    deadline = time.monotonic() + READ_SECONDS
    try:
        while any(reader.positions()[partition] < end for partition, end in ends.items()):
            assert time.monotonic() < deadline, "the log cannot be read"
            for record in reader.poll(0.5):
                if record.key:
                    done.setdefault(Key.decode(record.key), record.timestamp_ms / 1000)
    finally:
        reader.close()
    return done


async def send(url: str, tokens: dict[str, str], rates: dict[str, float], seconds: float, name: str) -> Load:
    """Each tenant's documents at random times, at its rate; whoever is refused sends something else."""
    load, chance, running = Load(), random.Random(name), set[asyncio.Task[None]]()
    total = sum(rates.values())
    tenants = chance.choices(list(rates), list(rates.values()), k=int(2 * total * seconds) + 100)

    async def put(client: aiohttp.ClientSession, tenant: str, number: int) -> None:
        key, begun = Key(tenant, "load", f"{name}-{number}"), time.time()
        headers = {"Authorization": f"Bearer {tokens[tenant]}"}
        body = {"text": f"{number} {TEXT}"}
        try:
            async with client.put(f"/v1/sources/load/documents/{key.id}", json=body, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            load.broken += 1
            return
        load.answers[tenant != NOISY, answer.status] += 1
        if answer.status == 202:
            load.sent[key] = begun

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1)  # closes before the server does
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(60)) as client:
        due = begun = time.monotonic()
        for number, tenant in enumerate(tenants):
            due += chance.expovariate(total)
            if due > begun + seconds:
                break
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if len(running) >= 1000:
                load.late += 1
                continue
            task = asyncio.create_task(put(client, tenant, number))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
    return load


def run(capacity: float, load: float, seconds: float, seed: int) -> dict[str, Any]:
    """One load: `seconds`, of which the first third is not looked at."""
    rates = dict.fromkeys(QUIET, QUIET_LOAD * capacity / len(QUIET)) | {NOISY: (load - QUIET_LOAD) * capacity}
    rates = {tenant: rate for tenant, rate in rates.items() if rate > 0}
    with (
        tempfile.TemporaryDirectory(prefix="spanstream-overload-") as folder,
        pipeline(capacity, Path(folder)) as (log, product, tokens),
    ):
        begun = time.time()
        sent = asyncio.run(send(f"http://127.0.0.1:{product.port}", tokens, rates, seconds, f"{seed}-{load}"))
        first, last = begun + seconds * LEARNING, time.time()
        memory = psutil.Process(product.process.pid).memory_info().rss
        done = embedded(log)
    took = sorted(
        at - sent.sent[key] for key, at in done.items() if key.tenant != NOISY and sent.sent.get(key, 0.0) >= first
    )
    finished = sum(first <= at <= last for at in done.values())
    return {
        "load": load,
        "goodput": round(finished / (last - first) / capacity, 3),
        "quiet_p50_ms": round(1000 * took[len(took) // 2]) if took else None,
        "quiet_p95_ms": round(1000 * took[int(0.95 * len(took))]) if took else None,
        "quiet_refused": sum(n for (quiet, status), n in sent.answers.items() if quiet and status in (429, 503)),
        "noisy_accepted": sent.answers[False, 202],
        "noisy_refused": sum(n for (quiet, status), n in sent.answers.items() if not quiet and status in (429, 503)),
        "not_sent": sent.late,
        "not_answered": sent.broken,
        "other_answers": sum(n for (_, status), n in sent.answers.items() if status not in (202, 429, 503)),
        "rss_mib": memory >> 20,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0, help="of each load")
    parser.add_argument("--capacity", type=float, default=30.0, help="documents a second")
    parser.add_argument("--seed", type=int, default=1, help="who sends when follows from it")
    parser.add_argument("--json", type=Path, help="where the result is written, and read from to go on")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is stopped
    result = Result.read(options.json, options.seed, options.capacity, options.seconds)
    for load in LOADS[len(result.rows) :]:
        row = run(result.capacity, load, result.seconds, result.seed)
        calm = result.rows[0] if result.rows else row
        if row["quiet_p95_ms"] and calm["quiet_p95_ms"]:
            row["quiet_p95_ratio"] = round(row["quiet_p95_ms"] / calm["quiet_p95_ms"], 2)
        print(f"seed {result.seed}: {row}", flush=True)
        result.rows.append(row)
        result.save(options.json)


if __name__ == "__main__":
    main()
