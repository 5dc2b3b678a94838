"""P10: from the answer 202 to the first search that returns the document, idle and under load.

The probe asks for the status with `wait`, which costs next to nothing, and then searches once. What it measures is a little
more than the time that counts, never less. Idle, searches also follow one another until one finds the document: those
slow down what they wait for (the engine in process lets nothing else run during a search, decision 0022), and under load
they would take an eighth of two cores.
"""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from spanstream.client import Client, Document, SpanstreamError
from tests.bench import corpus
from tests.bench.product import Product
from tests.bench.ratio import percentiles
from tests.bench.result import Result, row

SOURCE, LOAD_SOURCE = "freshness", "load"
PATIENCE = 30.0  # seconds after which a probe is lost
PROBES_PER_SECOND = 2
LOAD = 0.7  # of the measured capacity


@dataclass
class Probes:
    """Puts documents with a word that nothing else has, and looks for them."""

    client: Client
    texts: list[dict[str, str]]
    found: list[float] = field(default_factory=list)  # seconds from 202 to the answer that holds the document
    searchable: list[float] = field(default_factory=list)  # seconds from 202 to the answer of `status` with `wait`
    accepting: list[float] = field(default_factory=list)  # seconds from asking to 202
    lost: int = 0
    refused: int = 0
    lied: int = 0  # status said searchable, and a search did not find it
    _chance: random.Random = field(default_factory=lambda: random.Random(time.time_ns()))

    def search(self) -> None:
        """Search back to back, lexically (no encoder, so that asking slows the document least), until it is found."""
        word = self._word()
        accepted = self._put(word)
        if accepted is None:
            return
        while not self._finds(word):
            if time.perf_counter() - accepted > PATIENCE:
                self.lost += 1
                return
        self.found.append(time.perf_counter() - accepted)

    def wait(self) -> None:
        """Ask for the status with `wait`; then one search must find it."""
        word = self._word()
        accepted = self._put(word)
        if accepted is None:
            return
        status = self.client.status(SOURCE, word, wait=PATIENCE)
        if status.state != "searchable":
            self.lost += 1
            return
        self.searchable.append(time.perf_counter() - accepted)
        if self._finds(word):
            self.found.append(time.perf_counter() - accepted)
        else:
            self.lied += 1

    def _word(self) -> str:
        return "".join(self._chance.choices(string.ascii_lowercase, k=16))

    def _put(self, word: str) -> float | None:
        """When the 202 arrived; none if it was refused."""
        body = self._chance.choice(self.texts)
        document = Document(word, f"{body['text']} The word of this one is {word}.", title=body["title"])
        begun = time.perf_counter()
        try:
            self.client.put(SOURCE, document)
        except SpanstreamError:
            self.refused += 1
            return None
        accepted = time.perf_counter()
        self.accepting.append(accepted - begun)
        return accepted

    def _finds(self, word: str) -> bool:
        return any(hit.id == word for hit in self.client.search(word, limit=3, mode="lexical").hits)

    def figures(self) -> dict[str, Any]:
        """Percentiles and counts."""
        timed = {"found": self.found, "searchable": self.searchable, "accepting": self.accepting}
        counts = {"lost": self.lost, "refused": self.refused, "lied": self.lied}
        return {name: percentiles(seconds) for name, seconds in timed.items() if seconds} | counts


def measure(product: Product, capacity: float, *, short: bool) -> Result:
    """Idle, then with a client process that publishes at LOAD of `capacity` (documents/s)."""
    count, seconds = (10, 4.0) if short else (100, 60.0)
    texts = list(corpus.documents(50, seed=4))
    with product.client() as client:
        Probes(client, texts).search()  # warms up
        idle, told = Probes(client, texts), Probes(client, texts)
        for _ in range(count):
            idle.search()
        for _ in range(count):
            told.wait()
        busy, load = _under_load(product, Probes(client, texts), LOAD * capacity, seconds)
    figures = {"idle": idle.figures(), "idle_waiting": told.figures(), "under_load": busy.figures()}
    calm, waiting, loaded = (each["found"] for each in figures.values())
    bar = 100
    return {
        "rows": [
            row("P10 found after 202, idle, p50 ms", f"{waiting['p50_ms']}", f"≤ {bar}", waiting["p50_ms"] <= bar),
            row("P10 found after 202, idle, p99 / max ms", f"{waiting['p99_ms']} / {waiting['max_ms']}"),
            row("P10 the same, searching all the while, p50 ms", f"{calm['p50_ms']}"),
            row(
                f"P10 found, load {load['accepted_per_second']:.0f}/s, p99 ms",
                f"{loaded['p99_ms']}",
                "≤ 300",
                loaded["p99_ms"] <= 300,
            ),
            row("P10 found, under load, p50 / max ms", f"{loaded['p50_ms']} / {loaded['max_ms']}"),
            row("P10 refused: of the load, of the probes", f"{load['refused']}, {busy.refused}"),
        ],
        "guards": {
            "every probe found": idle.lost + told.lost + busy.lost == 0,
            "searchable means found": told.lied + busy.lied == 0,
            "nothing refused when idle": idle.refused + told.refused == 0,
        },
        "figures": {**figures, "load": load, "probes_per_second": PROBES_PER_SECOND},
    }


def _under_load(product: Product, probes: Probes, rate: float, seconds: float) -> tuple[Probes, dict[str, Any]]:
    """Probes on a fixed schedule while the load runs, from two seconds after it began."""
    arguments = [LOAD_SOURCE, f"{rate}", f"{seconds + 2}", f"{time.time_ns() % 10**9}"]
    command = [sys.executable, "-m", "tests.bench.load", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=product.environment, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() + 2
        for number in range(int(seconds * PROBES_PER_SECOND)):
            due = first + number / PROBES_PER_SECOND
            if process.poll() is not None or time.perf_counter() > first + seconds:
                break
            time.sleep(max(0.0, due - time.perf_counter()))
            probes.wait()
        load: dict[str, Any] = json.loads(process.stdout.read())
    return probes, load
