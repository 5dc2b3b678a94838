"""What a migration costs: p99 of searches beside the backfill over p99 without, and its speed over the bare encoder's.

The new release is the same model with another pooling: the work of an encoder is the same, and nothing is shared. The
backfill is measured alone, searches without it and beside it, in turns, and each filling begins with an empty generation.
It never takes over: more is asked of it than there is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from spanstream.client import Client, SpanstreamError
from spanstream.representations.local import open_local
from spanstream.standalone import control
from tests.bench import corpus, work
from tests.bench.product import Product, running
from tests.bench.ratio import percentiles, ratio
from tests.bench.result import Result, row

SOURCE = "migration"
RELEASE = "release: bench-weighted\nmodel_name_or_path: minilm\npooling: {pooling_mode: weightedmean}\n"
SEARCHES_PER_SECOND = 5.0
LOOK_SECONDS = 0.5
PATIENCE = 600.0  # seconds for one filling
PACED = 0.5  # of the bare encoder's speed: a --rate that leaves searches their time
GATES = {"overlap": 0.0, "success_drop": -1.0}  # a release that finds more than all would pass


@dataclass
class _Searches:
    """Asked on a fixed schedule; each question once, so that no answer is remembered."""

    client: Client
    questions: Iterator[str]
    failed: int = 0
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep

    def ask(self, count: int, going_on: Callable[[], bool] = lambda: True) -> list[float]:
        """Seconds of up to `count` searches, from when each was due, while `going_on()`: what that takes of the time after
        a search was due, it is due later.
        """
        first, taken = self.clock(), list[float]()
        for number, question in enumerate(islice(self.questions, count)):
            asked, due = self.clock(), first + number / SEARCHES_PER_SECOND
            if not going_on():
                break
            late = max(0.0, self.clock() - max(asked, due))
            first, due = first + late, due + late
            self.sleep(max(0.0, due - self.clock()))
            try:
                self.client.search(question)
                taken.append(self.clock() - due)
            except SpanstreamError:
                self.failed += 1
        return taken


def slower(p99: dict[str, list[float | None]], name: str) -> dict[str, Any]:
    """p99 of a turn over that of searches alone, of the repetitions that have both. Raises RuntimeError where none has."""
    both = [(a, b) for a, b in zip(p99[name], p99["without"], strict=True) if a is not None and b is not None]
    if not both:
        raise RuntimeError(
            f"no search was answered {name} in any repetition: it was over too soon, take more documents"
        )
    return ratio([a for a, _ in both], [b for _, b in both])


def measure(*, short: bool) -> Result:
    """In turns: bare encoder, backfill alone, searches alone, beside the backfill, beside one with a --rate."""
    count, repetitions, asked = (20, 1, 5) if short else (1500, 3, 120)
    with tempfile.TemporaryDirectory(prefix="spanstream-bench-") as temporary:
        release = Path(temporary, "release.yaml")
        release.write_text(RELEASE)
        encoder = open_local(str(release))
        try:
            with running(Path(temporary, "data"), dtype=encoder.info().dtype) as product, product.client() as client:
                records = list(corpus.documents(count, seed=5000))
                report = client.ingest(SOURCE, records)
                texts = work.texts(work.cutter()(records))
                work.encode(encoder, texts[:8])  # warms up
                questions = iter(corpus.questions(3 * (repetitions + 1) * asked))
                turns = _Turns(product, release, _Searches(client, questions), count, asked)
                for _ in range(repetitions):
                    turns.take(count / work.encode(encoder, texts))
        finally:
            encoder.close()
    return turns.result(report.counts.failed == 0, encoder.info().dtype)


class _Turns:
    """What was measured, a figure for each repetition."""

    def __init__(self, product: Product, release: Path, searches: _Searches, documents: int, asked: int) -> None:
        self._product, self._release, self._searches = product, release, searches
        self._documents, self._asked = documents, asked
        self._bare: list[float] = []  # documents/s
        self._filled: list[float] = []
        self._p99: dict[str, list[float | None]] = {"without": [], "beside": [], "paced": []}  # ms; None: no search
        self._all: dict[str, list[float]] = {name: [] for name in self._p99}  # seconds of each search
        self._whole = True

    def take(self, bare: float) -> None:
        """One repetition; `bare`: documents/s of the encoder alone, just now."""
        self._bare.append(bare)
        began = self._begin(0.0)
        while self._filling():
            time.sleep(LOOK_SECONDS)
        self._filled.append(self._documents / (time.perf_counter() - began))
        self._end(complete=True)
        self._note("without", self._searches.ask(self._asked))
        for name, rate in (("beside", 0.0), ("paced", max(0.1, PACED * bare))):
            self._begin(rate)
            self._note(name, self._searches.ask(self._asked, self._filling))
            self._end(complete=False)

    def _note(self, name: str, seconds: list[float]) -> None:
        self._p99[name].append(percentiles(seconds)["p99_ms"] if seconds else None)
        self._all[name] += seconds

    def _begin(self, rate: float) -> float:
        """When the filling began, the new release being open."""
        self._ask("apply", encoder=str(self._release), rate=rate, **GATES)
        return time.perf_counter()

    def _filling(self) -> bool:
        return bool(self._ask("status")["migration"]["events_left"])

    def _end(self, *, complete: bool) -> None:
        """Take the new generation away; of one that is to be complete see that it was."""
        deadline = time.monotonic() + PATIENCE
        while complete and (now := self._ask("status")["migration"])["stage"] == "filling":
            if time.monotonic() > deadline:
                raise RuntimeError(f"not compared after {PATIENCE:.0f} s: {now}")
            time.sleep(LOOK_SECONDS)
        if complete:
            covered = now["report"]["coverage"]
            self._whole &= covered["live"] == now["documents"] == self._documents and not covered["lacking"]
        self._ask("cancel")

    def _ask(self, what: str, **options: Any) -> dict[str, Any]:
        return control.ask(self._product.folder, f"migrate {what}", options, lambda *_: None)

    def result(self, ingested: bool, dtype: str) -> Result:
        """Ratios of paired repetitions; percentiles of all searches together."""
        to_bare = ratio(self._filled, self._bare)
        to_alone = {name: slower(self._p99, name) for name in ("beside", "paced")}
        shown = {name: percentiles(seconds) for name, seconds in self._all.items()}
        rows = [
            row(
                f"Migration, backfill ÷ bare encoder ({dtype})",
                f"{to_bare['ratio']} {to_bare['interval']}",
                "≥ 0.90",
                to_bare["interval"][0] >= 0.9,
            )
        ]
        for name, what in (("beside", "unbounded"), ("paced", f"--rate {PACED:.0%} of the bare encoder")):
            figures = to_alone[name]
            value = f"{figures['ratio']} {figures['interval']}"
            rows.append(
                row(f"Migration, p99 of searches ÷ without, {what}", value, "≤ 1.5", figures["interval"][1] <= 1.5)
            )
        p99 = " / ".join(f"{shown[name]['p99_ms']}" for name in shown)
        rows.append(row("Migration, p99 ms: without, beside, beside with --rate", p99))
        return {
            "rows": rows,
            "guards": {
                "every document is in the new index": ingested and self._whole,
                "every search was answered": not self._searches.failed,
            },
            "figures": {
                "documents": self._documents,
                "searches_per_second": SEARCHES_PER_SECOND,
                "to_bare_encoder": to_bare,
                "p99": to_alone,
                "searches": shown,
            },
        }
