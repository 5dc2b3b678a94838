"""P12: ingesting a corpus again: unchanged, and with one document in a hundred changed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from spanstream.client import Client, Report
from tests.bench import corpus
from tests.bench.product import Product
from tests.bench.ratio import ratio
from tests.bench.result import Result, row

SETTLE_SECONDS = 60.0


def measure(product: Product, *, short: bool) -> Result:
    """Cold, unchanged, 1 % changed, each repetition with a fresh corpus in a source of its own."""
    count, repetitions = (100, 1) if short else (2000, 3)
    changed = count // 100
    cold: list[float] = []
    same: list[float] = []
    some: list[float] = []
    answered = versions_kept = counted = True
    with product.client() as client:
        for repetition in range(repetitions):
            source = f"reingest-{repetition}"
            records = list(corpus.documents(count, seed=3000 + repetition))
            seconds, _ = _timed(client, source, records)
            cold.append(count / seconds)
            _settle(client, source, records)
            before = _versions(client, source, records)

            seconds, report = _timed(client, source, records)
            same.append(count / seconds)
            answered &= report.counts.unchanged == count
            versions_kept &= _versions(client, source, records) == before

            edited = [record | {"text": record["text"] + " Edited."} for record in records[:changed]]
            seconds, report = _timed(client, source, [*edited, *records[changed:]])
            some.append(count / seconds)
            answered &= report.counts.unchanged == count - changed and report.counts.searchable == count
            after = _versions(client, source, records)
            versions_kept &= after[changed:] == before[changed:]
            versions_kept &= all(new > old for new, old in zip(after[:changed], before[:changed], strict=True))
            counted &= any(each.name == source and each.documents == count for each in client.sources())
    unchanged, one_percent = ratio(same, cold), ratio(some, cold)
    rows = [("unchanged", unchanged, 30), ("1 % changed", one_percent, 20)]
    return {
        "rows": [
            row(
                f"P12 {name} ÷ first time",
                f"{figures['ratio']} {figures['interval']}",
                f"≥ {bar}",
                figures["interval"][0] >= bar,
            )
            for name, figures, bar in rows
        ],
        "guards": {
            "unchanged ones answered so": answered,
            "their versions kept": versions_kept,
            "counts equal": counted,
        },
        "figures": {"documents": count, "unchanged": unchanged, "one_percent_changed": one_percent},
    }


def _timed(client: Client, source: str, records: Sequence[dict[str, str]]) -> tuple[float, Report]:
    begun = time.perf_counter()
    report = client.ingest(source, records)
    return time.perf_counter() - begun, report


def _settle(client: Client, source: str, records: Sequence[dict[str, str]]) -> None:
    """Until the log knows that nothing is in flight: searchable comes a moment before the last commit."""
    deadline = time.monotonic() + SETTLE_SECONDS
    sample = records[:50]
    while client.ingest(source, sample).counts.unchanged < len(sample):
        if time.monotonic() > deadline:
            raise RuntimeError(f"documents still in flight after {SETTLE_SECONDS:.0f} s")
        time.sleep(0.5)


def _versions(client: Client, source: str, records: Sequence[dict[str, str]]) -> list[int]:
    return [status.version for status in client.statuses(source, [(record["_id"], None) for record in records])]
