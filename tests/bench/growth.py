"""What growing costs: documents/s over the bare encoder's, query times over a small index's, and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spanstream.client import Client
from spanstream.encoder.encoder import Encoder
from tests.bench import corpus, work
from tests.bench.product import Product
from tests.bench.ratio import percentiles, ratio
from tests.bench.result import Result, row

SOURCE = "growth"
MARKS, SHORT_MARKS = (1_000, 10_000, 50_000), (30, 60)  # passages
SLICES, SLICE, SHORT_SLICE = 5, 150, 2  # timed before each mark, each followed by the bare encoder on the same texts
QUESTIONS, SHORT_QUESTIONS = 300, 5
QUIET_SECONDS = 3.0  # before the questions, for what the engine does after writes

Record = dict[str, str]


def measure(product: Product, small: Product, encoder: Encoder, *, short: bool, say: Callable[[str], None]) -> Result:
    """Grow `product` to each mark, time the last documents before it, then ask questions (hybrid, one client).

    `small` grows to the first mark only and is asked the same questions in turn; the bare `encoder` reads the same
    texts in turn: on a shared machine two rates that were measured minutes apart compare nothing.
    """
    sizes, slice_size = (SHORT_MARKS, SHORT_SLICE) if short else (MARKS, SLICE)
    marks: list[dict[str, Any]] = []
    series: list[tuple[float, int]] = []  # seconds since the first document, documents searchable
    failed = documents = passages = 0
    supply, cut = _supply(seed=5), work.cutter()
    began = time.perf_counter()
    with product.client() as client, small.client() as peer:
        for mark in sizes:
            records: list[Record] = []
            while passages < mark:
                record, count = next(supply)
                records.append(record)
                passages += count
            if small is not product and not marks:
                peer.ingest(SOURCE, records)
            timed = slice_size * SLICES
            parts = [
                records[:-timed],
                *(records[i : i + slice_size] for i in range(len(records) - timed, len(records), slice_size)),
            ]
            rates: list[float] = []
            bare: list[float] = []
            for part in parts:
                done, begun = documents, time.perf_counter()
                report = client.ingest(
                    SOURCE,
                    part,
                    on_progress=lambda p, done=done: series.append((time.perf_counter() - began, done + p.searchable)),
                )
                rates.append(len(part) / (time.perf_counter() - begun))
                documents += len(part)
                failed += len(part) - report.counts.searchable
                if part is not parts[0]:
                    bare.append(len(part) / work.encode(encoder, work.texts(cut(part))))
            marks.append(
                {
                    "passages": passages,
                    "documents": documents,
                    "documents_per_second": round(statistics.median(rates[1:]), 1),
                    "to_bare_encoder": ratio(rates[1:], bare),
                    "timed_documents": timed,
                    "query": _ask(client, peer, SHORT_QUESTIONS if short else QUESTIONS),
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
        right.plot(
            sizes, [mark["query"]["ours"][name] for mark in marks], marker="o", label=name.replace("_ms", ", ms")
        )
    right.plot(sizes, [mark["documents_per_second"] for mark in marks], marker="s", label="documents/s")
    right.set(xlabel="passages", xscale="log", title="Queries and ingest rate")
    right.set_ylim(bottom=0)
    right.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _rows(marks: list[dict[str, Any]], ready_seconds: float) -> list[Any]:
    shares = [mark["to_bare_encoder"]["ratio"] for mark in marks]
    sizes = " → ".join(f"{mark['passages']:,}" for mark in marks)
    slowest, query = min(shares) / shares[0], marks[-1]["query"]
    memory = marks[-1]["memory_mib"]
    return [
        row(f"Growth {sizes}: documents/s", _arrows(marks, lambda mark: f"{mark['documents_per_second']:.0f}")),
        row("Growth: documents/s ÷ bare encoder", " → ".join(map(str, shares))),
        row("Growth: slowest of these ÷ first", f"{slowest:.2f}", "≥ 0.85", slowest >= 0.85),
        row("Growth: query p50 ms", _arrows(marks, lambda mark: mark["query"]["ours"]["p50_ms"])),
        row("Growth: query p99 ms", _arrows(marks, lambda mark: mark["query"]["ours"]["p99_ms"])),
        row(
            "Growth: p50 largest ÷ small index, in turn",
            "{ratio} {interval}".format(**query["to_small"]),
            "≤ 2",
            query["to_small"]["interval"][1] <= 2,
        ),
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


def _arrows(marks: list[dict[str, Any]], shown: Callable[[dict[str, Any]], object]) -> str:
    return " → ".join(str(shown(mark)) for mark in marks)


def _ask(ours: Client, small: Client, count: int) -> Mapping[str, Any]:
    """The same questions to both, one after the other."""
    time.sleep(QUIET_SECONDS)
    taken: tuple[list[float], list[float]] = [], []
    for question in corpus.questions(count + 5):
        for client, seconds in zip((ours, small), taken, strict=True):
            begun = time.perf_counter()
            client.search(question, limit=10)
            seconds.append(time.perf_counter() - begun)
    warm = [seconds[5:] for seconds in taken]  # the first five warm up
    compared = ratio(*warm)
    return {
        "ours": percentiles(warm[0]),
        "small": percentiles(warm[1]),
        "to_small": {name: compared[name] for name in ("ratio", "interval")},
    }


def _thinned(series: list[tuple[float, int]], most: int = 500) -> list[tuple[float, int]]:
    step = max(1, len(series) // most)
    return [(round(seconds, 2), count) for seconds, count in series[::step]]
