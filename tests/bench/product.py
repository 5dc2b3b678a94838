"""The product under measurement: its start is timed, and what its processes use can be asked."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.fixtures import product

READY_SECONDS = 180


@dataclass
class Product(product.Product):
    """A running product. `ready_seconds`: what its start took."""

    ready_seconds: float = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs to reach it."""
        return product.environment(self.folder)

    def memory_bytes(self) -> dict[str, int]:
        """Memory of the process and all its children, the broker included.

        `rss` counts a page that two of them map twice; `pss` counts it once in all, as a share for each.
        """
        parent = psutil.Process(self.process.pid)
        sums = {"rss": 0, "pss": 0, "services_pss": 0, "broker_pss": 0}
        for process in [parent, *parent.children(recursive=True)]:
            used = process.memory_full_info()
            sums["rss"] += used.rss
            sums["pss"] += used.pss
            sums["broker_pss" if "java" in process.name() else "services_pss"] += used.pss
        return sums


@contextmanager
def running(folder: Path | None = None, *, dtype: str = "auto") -> Iterator[Product]:
    """Start it on free ports, wait until it is ready, stop it with SIGINT at the end. `dtype`: of its encoder."""
    with tempfile.TemporaryDirectory(prefix="spanstream-bench-") as temporary:
        begun = time.perf_counter()
        with Product.start(folder or Path(temporary), "--no-samples", ENCODER_DTYPE=dtype) as started:
            started.wait_ready(READY_SECONDS)
            started.ready_seconds = time.perf_counter() - begun
            yield started
