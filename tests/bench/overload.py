"""`python -m tests.bench.overload [--seconds N] [--capacity N] [--out FILE]`: goodput and the quiet tenants' times under load.

The real ingest API, parse worker, embedder and indexer in this process, on a log in memory, with an encoder that takes a fixed time
for a text: so the capacity is known. Twenty tenants send documents over HTTP at random times; first nineteen quiet ones alone, then
with a noisy one that brings the load to three and to ten times the capacity and heeds no Retry-After. Times are from
sending to the embedding's being in the log. Figures, never a test: they say as much of the machine as of the product.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from spanstream.embedder.service import build as build_embedder
from spanstream.embedder.settings import EmbedderSettings
from spanstream.encoder.encoder import Encoded, EncoderInfo, Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.memory import MemoryLog
from spanstream.events import topics
from spanstream.events.ids import Key
from spanstream.indexer.service import build as build_indexer
from spanstream.indexer.settings import IndexerSettings
from spanstream.ingestor.service import Ingestor
from spanstream.ingestor.service import build as build_ingestor
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.key_file import create_key
from spanstream.store.memory import MemoryStore

QUIET, NOISY = [f"quiet{number}" for number in range(19)], "noisy"
QUIET_LOAD = 0.5  # of the capacity, all of them together
LOADS = (3.0, 10.0)
LIMIT = 30.0  # seconds of backlog
RECORDS = 2  # of the embedder's poll: what is encoded together is late together
TEXT = "One sentence of a document says that the tide comes and goes with the moon. " * 4
LEARNING = 1 / 3  # of a run, after which it is measured


class TimedEncoder:
    """The hash encoder, one text after the other, each in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._encoder, self._lock = seconds, HashEncoder(16), threading.Lock()

    def info(self) -> EncoderInfo:
        return self._encoder.info()

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        with self._lock:
            time.sleep(self._seconds * len(texts))
        return self._encoder.encode(texts)

    def ready(self) -> bool:
        return True

    def close(self) -> None: ...


@dataclass
class Load:
    """What was sent and how it was answered, in one run."""

    sent: dict[Key, float] = field(default_factory=dict)  # accepted -> when it was sent, seconds since 1970
    answers: Counter[tuple[bool, int]] = field(default_factory=Counter)  # quiet, status
    late: int = 0  # not sent, because a thousand requests were open


@contextmanager
def pipeline(capacity: float, folder: Path) -> Iterator[tuple[MemoryLog, str, dict[str, str]]]:
    """The log, the API's address, and each tenant's token."""
    log = MemoryLog()
    log.ensure_topics(topics.ALL)
    keys = folder / "keys.json"
    tokens = {tenant: create_key(keys, tenant, tenant) for tenant in (*QUIET, NOISY)}
    shared = {"log_url": "memory:", "encoder_url": "http://127.0.0.1:1"}
    encoder = TimedEncoder(1 / capacity)
    ingestor = build_ingestor(
        IngestorSettings(
            log_url="memory:",
            blob_url=f"file:{folder}/blobs",
            http_port=0,
            auth_keys_file=str(keys),
            auth_audit_file=str(folder / "audit.jsonl"),
            backlog_seconds=LIMIT,
        ),
        log=log,
    )
    assert isinstance(ingestor, Ingestor)
    services = [
        build_indexer(
            IndexerSettings(**shared, store_url="edge:unused"), log=log, store=MemoryStore(), encoder=encoder
        ),
        build_embedder(EmbedderSettings(**shared, max_poll_records=RECORDS), log=log, encoder=encoder),
        ingestor,
    ]
    failures: list[BaseException] = []
    with ExitStack() as stack:
        for service in services:
            service.start(failures.append)
            stack.callback(lambda service=service: service.stop(time.monotonic() + 20))
        assert ingestor.http is not None
        yield log, ingestor.http.url, tokens
    assert not failures, failures


async def send(url: str, tokens: dict[str, str], rates: dict[str, float], seconds: float, name: str) -> Load:
    """Each tenant's documents at random times, at its rate; whoever is refused sends something else."""
    load, chance, running = Load(), random.Random(name), set[asyncio.Task[None]]()
    total = sum(rates.values())
    tenants = chance.choices(list(rates), list(rates.values()), k=int(2 * total * seconds) + 100)
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)

    async def put(client: httpx.AsyncClient, tenant: str, number: int) -> None:
        key, begun = Key(tenant, "load", f"{name}-{number}"), time.time()
        headers = {"Authorization": f"Bearer {tokens[tenant]}"}
        body = {"text": f"{number} {TEXT}"}
        answer = await client.put(f"/v1/sources/load/documents/{key.id}", json=body, headers=headers)
        load.answers[tenant != NOISY, answer.status_code] += 1
        if answer.status_code == 202:
            load.sent[key] = begun

    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        begun = time.monotonic()
        due = begun
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


def run(capacity: float, load: float, seconds: float) -> dict[str, Any]:
    """One load: `seconds`, of which the first third is not looked at."""
    rates = dict.fromkeys(QUIET, QUIET_LOAD * capacity / len(QUIET)) | {NOISY: (load - QUIET_LOAD) * capacity}
    rates = {tenant: rate for tenant, rate in rates.items() if rate > 0}
    with tempfile.TemporaryDirectory() as folder, pipeline(capacity, Path(folder)) as (log, url, tokens):
        begun = time.time()
        sent = asyncio.run(send(url, tokens, rates, seconds, f"load-{load}"))
        first, last = begun + seconds * LEARNING, time.time()
        memory = psutil.Process().memory_info().rss
        embedded = [record for part in log.topics[topics.EMBEDDINGS.name] for record in part]
    done = {Key.decode(record.key): record.timestamp_ms / 1000 for record in reversed(embedded) if record.key}
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
        "other_answers": sum(n for (_, status), n in sent.answers.items() if status not in (202, 429, 503)),
        "rss_mib": memory >> 20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0, help="of each load")
    parser.add_argument("--capacity", type=float, default=30.0, help="documents a second")
    parser.add_argument("--out", type=Path, default=Path("bench-results", "overload.json"))
    arguments = parser.parse_args()
    calm = run(arguments.capacity, QUIET_LOAD, arguments.seconds)
    rows = [calm, *(run(arguments.capacity, load, arguments.seconds) for load in LOADS)]
    for row in rows:
        if row["quiet_p95_ms"] and calm["quiet_p95_ms"]:
            row["quiet_p95_ratio"] = round(row["quiet_p95_ms"] / calm["quiet_p95_ms"], 2)
        print(row, flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"capacity": arguments.capacity, "limit_s": LIMIT, "runs": rows}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
