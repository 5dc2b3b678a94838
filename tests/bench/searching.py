"""The search API under 64 clients beside one: throughput, latency, and whether everybody gets the same answers.

Clients are processes of their own on the same cores. The server remembers no vectors, so each query costs its embedding.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spanstream.representations.local import open_local
from tests.bench import corpus, indexed
from tests.bench.ratio import percentiles, ratio
from tests.bench.result import Result, row
from tests.conftest import ROOT
from tests.fixtures.product import free_port

CLIENTS, PROCESSES = 64, 2
LEAD = 0.5  # seconds in which all clients connect
START_SECONDS = 120
TARGET = 3.0


@dataclass
class Answers:
    """What clients got: hits by query, seconds of each, and what was no answer."""

    hits: dict[int, list[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    ended: float = 0.0

    def add(self, other: Answers) -> None:
        """Another client's too."""
        self.hits |= other.hits
        self.seconds += other.seconds
        self.errors += other.errors
        self.ended = max(self.ended, other.ended)


def measure(*, short: bool) -> Result:
    """One client and 64 in turn, on the same questions; short: hardly any."""
    documents, each, repetitions, clients = (30, 2, 1, 4) if short else (2000, 4, 5, CLIENTS)
    questions = list(enumerate(corpus.questions(clients * each)))
    alone, together = Answers(), Answers()
    rates: dict[str, list[float]] = {"alone": [], "together": []}
    same = True
    with TemporaryDirectory(prefix="spanstream-search-") as folder:
        encoder = open_local(dtype="float32" if short else "auto")
        dtype = encoder.info().dtype
        try:
            with indexed.filled(encoder, list(corpus.documents(documents, seed=3)), Path(folder)):
                pass
        finally:
            encoder.close()
        with _gateway(folder, dtype) as port, ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
            _turn(pool, port, questions[: 2 * clients], clients)  # warms up
            for _ in range(repetitions):
                one = _turn(pool, port, questions[: max(1, len(questions) // 4)], 1)
                many = _turn(pool, port, questions, clients)
                for name, total, (answers, seconds) in (("alone", alone, one), ("together", together, many)):
                    rates[name].append(len(answers.hits) / seconds)
                    total.add(answers)
                same = same and all(many[0].hits.get(number) == hits for number, hits in one[0].hits.items())
    found = ratio(rates["together"], rates["alone"])
    latency = {"alone": percentiles(alone.seconds), "together": percentiles(together.seconds)}
    low = found["interval"][0]
    return {
        "rows": [
            row(
                f"Search: {clients} clients ÷ one, queries/s",
                f"{found['ratio']} {found['interval']}",
                f"≥ {TARGET}",
                low >= TARGET,
            ),
            row("   queries/s: together, alone", f"{found['ours'][-1]:.0f}, {found['peer'][-1]:.0f}"),
            row(
                "   p50, p99, max ms together",
                ", ".join(str(latency["together"][k]) for k in ("p50_ms", "p99_ms", "max_ms")),
            ),
            row("   p50, p99 ms alone", ", ".join(str(latency["alone"][k]) for k in ("p50_ms", "p99_ms"))),
        ],
        "guards": {
            "every query answered": alone.errors == together.errors == 0,
            "the same answers together as alone": same,
        },
        "figures": {"ratio": found, "latency": latency, "clients": clients, "documents": documents, "dtype": dtype},
    }


def ask(port: int, shares: Sequence[Sequence[tuple[int, str]]], begin: float) -> Answers:
    """A client per share asks one question after the other, from `begin` (`perf_counter`) on."""
    answers = [Answers() for _ in shares]
    threads = [
        threading.Thread(target=_client, args=(port, *each, begin)) for each in zip(shares, answers, strict=True)
    ]
    for thread in threads:
        thread.start()
    everything = Answers()
    for thread, each in zip(threads, answers, strict=True):
        thread.join()
        everything.add(each)
    return everything


def _client(port: int, questions: Sequence[tuple[int, str]], answers: Answers, begin: float) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    time.sleep(max(0.0, begin - time.perf_counter()))
    for number, text in questions:
        begun = time.perf_counter()
        try:
            body: Any = json.dumps({"query": text})
            connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = json.loads(response.read())
            answers.hits[number] = [hit["id"] for hit in body["hits"]]
            answers.errors += body["by_words"] or bool(body["unfinished"])
        except (OSError, http.client.HTTPException, LookupError, ValueError):
            answers.errors += 1
            connection.close()
        answers.seconds.append(time.perf_counter() - begun)
    answers.ended = time.perf_counter()
    connection.close()


def _turn(
    pool: ProcessPoolExecutor, port: int, questions: Sequence[tuple[int, str]], clients: int
) -> tuple[Answers, float]:
    shares = [questions[place::clients] for place in range(clients)]
    begin = time.perf_counter() + LEAD
    parts = [pool.submit(ask, port, part, begin) for place in range(PROCESSES) if (part := shares[place::PROCESSES])]
    answers = Answers()
    for submitted in parts:
        answers.add(submitted.result())
    return answers, answers.ended - begin


@contextmanager
def _gateway(folder: str, dtype: str) -> Iterator[int]:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    command = [sys.executable, "-m", "tests.bench.gateway", folder, str(port), dtype]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := ask(port, [[(0, "does it answer")]], 0.0) if _listens(port) else Answers(errors=1)).hits:
            assert process.poll() is None, f"the gateway ended with {process.returncode}"
            assert time.monotonic() < deadline, f"the gateway does not answer: {found.errors}"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True
