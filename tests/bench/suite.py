"""All measurements in their order, on as few starts of the product as they allow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from spanstream.encoder.encoder import Encoder
from spanstream.representations.local import open_local
from tests.bench import (
    corpus,
    encoder,
    filtered,
    freshness,
    growth,
    lexical,
    migration,
    pipeline,
    querying,
    reingest,
    searching,
    serving,
    spans,
    stages,
    vectors,
    writing,
)
from tests.bench.product import Product, running
from tests.bench.result import Result, row

# Those that start what they need themselves.
ALONE = {
    "serving": serving.measure,
    "searching": searching.measure,
    "querying": querying.measure,
    "lexical": lexical.measure,
    "filtered": filtered.measure,
    "writing": writing.measure,
    "vectors": vectors.measure,
    "stages": stages.measure,
    "migration": migration.measure,
}
NAMES = ("encoder", "spans", *ALONE, "growth", "pipeline", "freshness", "reingest")
CAPACITY_DOCUMENTS, SHORT_CAPACITY_DOCUMENTS = 500, 20  # that say how much freshness may be loaded

Say = Callable[[str], None]


def run(names: Collection[str], *, short: bool, say: Say) -> Iterator[tuple[str, Result]]:
    """Each name and its result, as they come. Short: one product for all; else growth gets one of its own."""
    chosen = set(names)
    if "encoder" in chosen:
        chosen.remove("encoder")
        say("encoder")
        yield "encoder", encoder.measure(short=short)
    if "spans" in chosen:
        chosen.remove("spans")
        say("spans")
        with _encoder() as alone:
            yield "spans", spans.measure(alone, short=short)
    for name in [name for name in ALONE if name in chosen]:
        chosen.remove(name)
        say(name)
        yield name, ALONE[name](short=short)
    if "growth" in chosen and not short:
        chosen.remove("growth")
        yield "growth", _grown(say)
    if not chosen:
        return
    with _encoder() as bare:
        say(f"starting the product, encoder in {bare.info().dtype}")
        with running(dtype=bare.info().dtype) as product:
            yield from _shared(chosen, product, bare, short=short, say=say)


def _grown(say: Say) -> Result:
    with tempfile.TemporaryDirectory(prefix="spanstream-growth-") as folder:
        say("growth: starting the product")
        with _encoder() as bare:
            dtype = bare.info().dtype
            with running(Path(folder), dtype=dtype) as product, running(dtype=dtype) as small:
                result = growth.measure(product, small, bare, short=False, say=say)
        with running(Path(folder)) as product:
            seconds = product.ready_seconds
    result["figures"]["ready_seconds_grown"] = round(seconds, 2)
    result["rows"].append(row("Ready, seconds, grown folder", f"{seconds:.1f}", "≤ 20", seconds <= 20))
    return result


def _shared(
    chosen: Collection[str], product: Product, bare: Encoder, *, short: bool, say: Say
) -> Iterator[tuple[str, Result]]:
    if "growth" in chosen:
        yield "growth", growth.measure(product, product, bare, short=short, say=say)  # to see that it runs
    if "pipeline" in chosen:
        say("pipeline")
        yield "pipeline", pipeline.measure(product, bare, short=short)
    if "freshness" in chosen:
        say("freshness")
        capacity = _capacity(product, SHORT_CAPACITY_DOCUMENTS if short else CAPACITY_DOCUMENTS)
        yield "freshness", freshness.measure(product, capacity, short=short)
    if "reingest" in chosen:
        say("reingest")
        yield "reingest", reingest.measure(product, short=short)


def _capacity(product: Product, documents: int) -> float:
    """Documents/s just now: a shared machine is twice as fast a few minutes later."""
    with product.client() as client:
        client.ingest("capacity", corpus.documents(documents // 5, seed=7))  # warms up
        begun = time.perf_counter()
        client.ingest("capacity", corpus.documents(documents, seed=8))
        return documents / (time.perf_counter() - begun)


@contextmanager
def _encoder() -> Iterator[Encoder]:
    """The bare encoder, in this process, with the dtype that the product would choose."""
    encoder = open_local()
    try:
        yield encoder
    finally:
        encoder.close()
