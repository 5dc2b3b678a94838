"""What growing costs: documents/s, query times and memory at rising numbers of passages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spanstream.client import Client
from tests.bench import corpus, work
from tests.bench.product import Product
from tests.bench.ratio import percentiles
from tests.bench.result import Result, row

SOURCE = "growth"
MARKS, SHORT_MARKS = (1_000, 10_000, 50_000), (100, 300)  # passages
LAST = 1_000  # documents before each mark that are timed
QUIET_SECONDS = 3.0  # before the questions, for what the engine does after writes

Record = dict[str, str]


def measure(product: Product, *, short: bool, say: Callable[[str], None]) -> Result:
    """Grow to each mark, time its last documents, then ask questions one after the other (hybrid, one client)."""
    marks: list[dict[str, Any]] = []
    series: list[tuple[float, int]] = []  # seconds since the first document, documents searchable
    failed = documents = passages = 0
    supply = _supply(seed=5)
    began = time.perf_counter()
    with product.client() as client:
        for mark in SHORT_MARKS if short else MARKS:
            records: list[Record] = []
            while passages < mark:
                record, count = next(supply)
                records.append(record)
                passages += count
            last = min(LAST, len(records) // 2) if marks or short else len(records) * 3 // 4
            for part in (records[:-last], records[-last:]):
                done, begun = documents, time.perf_counter()
                report = client.ingest(
                    SOURCE,
                    part,
                    on_progress=lambda p, done=done: series.append((time.perf_counter() - began, done + p.searchable)),
                )
                seconds = time.perf_counter() - begun
                documents += len(part)
                failed += len(part) - report.counts.searchable
            marks.append(
                {
                    "passages": passages,
                    "documents": documents,
                    "documents_per_second": round(last / seconds, 1),
                    "timed_documents": last,
                    "query": _ask(client, 20 if short else 300),
                    "memory_mib": {name: n >> 20 for name, n in product.memory_bytes().items()},
                }
            )
            say(f"growth: {marks[-1]}")
        live = next((source.documents for source in client.sources() if source.name == SOURCE), 0)
    return {
        "rows": _rows(marks, product.ready_seconds),
        "guards": {"none failed": failed == 0, "none lost, none doubled": live == documents},
        "figures": {"marks": marks, "ready_seconds": round(product.ready_seconds, 2), "series": _thinned(series)},
    }


def plot(result: Result, path: Path) -> None:
    """Documents/s over time, and query times by passages, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    marks, series = result["figures"]["marks"], result["figures"]["series"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot([seconds for seconds, _ in series], [count for _, count in series])
    left.set(xlabel="seconds", ylabel="documents searchable", title="Growth")
    sizes = [mark["passages"] for mark in marks]
    for name in ("p50_ms", "p99_ms"):
        right.plot(sizes, [mark["query"][name] for mark in marks], marker="o", label=name.replace("_ms", ", ms"))
    right.plot(sizes, [mark["documents_per_second"] for mark in marks], marker="s", label="documents/s")
    right.set(xlabel="passages", xscale="log", title="Queries and ingest rate")
    right.set_ylim(bottom=0)
    right.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _rows(marks: list[dict[str, Any]], ready_seconds: float) -> list[Any]:
    rates = [mark["documents_per_second"] for mark in marks]
    medians = [mark["query"]["p50_ms"] for mark in marks]
    sizes = " → ".join(f"{mark['passages']:,}" for mark in marks)
    slowest, slower = min(rates) / rates[0], max(medians) / medians[0]
    memory = marks[-1]["memory_mib"]
    return [
        row(f"Growth {sizes}: documents/s", " → ".join(f"{rate:.0f}" for rate in rates)),
        row("Growth: slowest ÷ first", f"{slowest:.2f}", "≥ 0.85", slowest >= 0.85),
        row("Growth: query p50 ms", " → ".join(map(str, medians))),
        row("Growth: query p99 ms", " → ".join(str(mark["query"]["p99_ms"]) for mark in marks)),
        row("Growth: p50 largest ÷ first", f"{slower:.2f}", "≤ 2", slower <= 2),
        row(
            f"Memory MiB at {marks[-1]['passages']:,}: PSS (services, broker); RSS",
            "{pss} ({services_pss}, {broker_pss}); {rss}".format(**memory),
            "≤ 2,384",  # 2.5 GB
            memory["pss"] <= 2384,
        ),
        row("Ready, seconds, empty folder", f"{ready_seconds:.1f}", "≤ 20", ready_seconds <= 20),
    ]


def _supply(seed: int) -> Iterator[tuple[Record, int]]:
    """Documents without end, each with its number of passages."""
    cut = work.cutter()
    for block in range(10**6):
        records = list(corpus.documents(500, seed=seed * 10**6 + block))
        for record in records:
            yield record, sum(len(event.passages) for event in cut([record]))


def _ask(client: Client, count: int) -> dict[str, float]:
    time.sleep(QUIET_SECONDS)
    taken: list[float] = []
    questions = corpus.questions(count + 5)
    for question in questions:
        begun = time.perf_counter()
        client.search(question, limit=10)
        taken.append(time.perf_counter() - begun)
    return percentiles(taken[5:])  # the first five warm up


def _thinned(series: list[tuple[float, int]], most: int = 500) -> list[tuple[float, int]]:
    step = max(1, len(series) // most)
    return [(round(seconds, 2), count) for seconds, count in series[::step]]
