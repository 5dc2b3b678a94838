"""P9: documents/s from the public client to searchable, over the bare encoder's, and over a sequential script's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import psutil

from spanstream.encoder.encoder import Encoder
from tests.bench import corpus, work
from tests.bench.product import Product
from tests.bench.ratio import ratio
from tests.bench.result import Result, row
from tests.bench.sequential import Script

SOURCE = "pipeline"


def measure(product: Product, encoder: Encoder, *, short: bool) -> Result:
    """A B C A B C ...: product, bare encoder, script, each repetition with fresh texts that all three get.

    `encoder` runs in this process with the dtype of the product's; product and peers never run at the same time. The
    script gets fewer of the texts, because it is slow.
    """
    count, scripted, repetitions = (20, 4, 2) if short else (400, 60, 15)
    cut, script = work.cutter(), Script()
    ours: list[float] = []
    bare: list[float] = []
    sequential: list[float] = []
    cpu: list[dict[str, float]] = []
    failed = total = 0
    with product.client() as client:
        for repetition in range(-1, repetitions):  # -1 warms up
            records = list(corpus.documents(count, seed=1000 + repetition))
            before, begun = _cpu(product), time.perf_counter()
            report = client.ingest(SOURCE, records)
            seconds, after = time.perf_counter() - begun, _cpu(product)
            total += count
            failed += report.counts.failed + (count - report.counts.searchable)
            events = cut(records)
            rates = (
                count / seconds,
                count / work.encode(encoder, work.texts(events)),
                script.rate(records[:scripted], cut(records[:scripted])),
            )
            if repetition >= 0:
                for kept, rate in zip((ours, bare, sequential), rates, strict=True):
                    kept.append(rate)
                cpu.append({name: (after[name] - before[name]) / count for name in after})
        live = next((source.documents for source in client.sources() if source.name == SOURCE), 0)
    to_bare, to_script = ratio(ours, bare), ratio(ours, sequential)
    dtype = encoder.info().dtype
    bar = 0.75 if dtype == "bfloat16" else 0.90
    per_document = {name: round(1000 * statistics.median(each[name] for each in cpu), 2) for name in cpu[0]}
    return {
        "rows": [
            row("P9 documents/s end to end", f"{statistics.median(ours):.0f}"),
            row(
                f"P9 ÷ bare encoder ({dtype})",
                _shown(to_bare),
                f"≥ {bar:.2f}",
                to_bare["interval"][0] >= bar,
            ),
            row("P9 ÷ sequential script", _shown(to_script), "≥ 5", to_script["interval"][0] >= 5),
            row("P9 CPU ms per document: services, broker", "{services}, {broker}".format(**per_document)),
        ],
        "guards": {"none failed": failed == 0, "none lost, none doubled": live == total},
        "figures": {
            "documents": count,
            "script_documents": scripted,
            "dtype": dtype,
            "documents_per_second": statistics.median(ours),
            "to_bare_encoder": to_bare,
            "to_script": to_script,
            "cpu_ms_per_document": per_document,
        },
    }


def _cpu(product: Product) -> dict[str, float]:
    """CPU seconds so far of the services and of the broker."""
    parent = psutil.Process(product.process.pid)
    spent = {"services": 0.0, "broker": 0.0}
    for process in [parent, *parent.children(recursive=True)]:
        times = process.cpu_times()
        spent["broker" if "java" in process.name() else "services"] += times.user + times.system
    return spent


def _shown(figures: Mapping[str, object]) -> str:
    return "{ratio} {interval}".format(**figures)
