"""The plans that docs/capacity.md shows, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spanstream.standalone.planning.calibration import Costs
from spanstream.standalone.planning.capacity import plan
from spanstream.standalone.planning.workload import Workload
from spanstream.store.compression import Compression

MILLIONS = Workload(
    documents=10_000_000,
    documents_per_second=20,
    queries_per_second=50,
    tokens_per_document=400,
    largest_tenant=1 / 20,
    freshness_seconds=120,
)
BILLION = replace(
    MILLIONS, documents=1_000_000_000, documents_per_second=400, queries_per_second=300, largest_tenant=1 / 2000
)
LOADS = {
    "10 M documents, 20/s, 50 queries/s": MILLIONS,
    "10 M, `turbo4`": replace(MILLIONS, compression=Compression.TURBO4),
    "1 B documents, 400/s, 300 queries/s": BILLION,
    "1 B, `turbo4`": replace(BILLION, compression=Compression.TURBO4),
    "1 B, `binary`, one copy": replace(BILLION, compression=Compression.BINARY, availability=0.98),
}


def table(costs: Costs) -> Iterator[str]:
    """Pods at the peak, and what stores hold, all copies together."""
    services = ("ingestorApi", "ingestorWorker", "embedder", "encoder", "indexer", "gateway")
    yield f"| load | partitions | {' | '.join(services)} | store: memory | nodes of 64 GiB | disk | log: disk |"
    yield "|---" * (len(services) + 6) + "|"
    for name, load in LOADS.items():
        found = plan(load, costs)
        pods = " | ".join(f"{found.of(service).most}" for service in services)
        sizes = " | ".join(
            f"{found.value(area, part):,.0f}{unit}"
            for area, part, unit in (
                ("store", "memory", " GiB"),
                ("store", "nodes", ""),
                ("store", "disk", " GiB"),
                ("log", "disk", " GiB"),
            )
        )
        yield f"| {name} | {found.partitions} | {pods} | {sizes} |"
