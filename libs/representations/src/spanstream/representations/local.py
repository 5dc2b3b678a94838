"""The encoder in this process: callers tokenise and plan, a few threads run the model on batches over all callers.

On a CPU each of these threads computes on one core. That is a quarter faster than all cores on one batch (116 against 91
documents/s on two cores, bfloat16), because nothing waits at a barrier, and much faster where other work takes a core.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch

from spanstream.encoder.encoder import Encoded, EncoderInfo, Text, check, refuse_malformed
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.threads import give_way
from spanstream.representations.backlog import Backlog
from spanstream.representations.cache import WindowCache, key_of
from spanstream.representations.calibration import Calibration, calibrate, in_int8
from spanstream.representations.model import Model, load, named
from spanstream.representations.pooling import Pool, pooled
from spanstream.representations.prepacked import prepack
from spanstream.representations.release import Release
from spanstream.representations.rows import Row, plan
from spanstream.representations.static import StaticEncoder, holds_table
from spanstream.representations.static_release import open_static

# Tokens of a batch. Above, states leave the cache, and what is read together is late together: in int8 without matrix units the
# product took 14 % more documents/s than with 1,024. With matrix units 1,024 were 5 % faster, while rows were not packed yet.
_BUDGET = 512
_ACCELERATOR_BUDGET = 16_384


@dataclass(frozen=True, slots=True)
class Batch:
    """What the model read at once: `tokens`, and with padding `padded` of a `budget`; it took `seconds`, after its rows
    had waited `queued` seconds, one number a row.
    """

    tokens: int
    padded: int
    budget: int
    seconds: float
    queued: list[float]


Observer = Callable[[Batch], None]


@dataclass(slots=True)
class _Call:
    """One call of `encode` that queued at `since` (`perf_counter`): `waiting` rows are not read yet."""

    pools: list[Pool]
    waiting: int
    since: float
    done: Future[None] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Item:
    """A row of a call, and the pool of its text."""

    row: Row
    pool: Pool
    call: _Call
    key: bytes  # in the cache; empty where there is none

    @property
    def length(self) -> int:
        return len(self.row.ids)


class LocalEncoder:
    """The Encoder port over a model in this process. Small calls overtake large ones between two batches."""

    def __init__(
        self,
        model: Model,
        *,
        budget: int = _BUDGET,
        threads: int = 1,
        calibration: Calibration | None = None,
        observe: Observer = lambda batch: None,
        cache: WindowCache | None = None,
    ) -> None:
        """`budget`: tokens of a batch. `threads`: batches at once, and on a CPU as many of queries beside them. `observe` is called
        after each batch.

        `cache`: of what documents' windows gave; it is closed with the encoder.
        """
        self.calibration = calibration
        self.budget = budget
        self._model = model
        self._observe = observe
        self._cache = cache
        device = str(next(model.network.parameters()).device)
        self._info = EncoderInfo(model.release, model.dimension, model.max_tokens, model.dtype, device, model.precision)
        self._backlog: Backlog[_Item] = Backlog(budget, packs=model.packs)
        self._changed = threading.Condition()
        self._closed = False
        self._reading = threading.Lock()  # of what several batches may add to: pools and calls
        if self._info.device == "cpu":
            # A query is a few milliseconds of work, a batch of documents tens: threads of its own, before which those of
            # documents give way at once, answer it sooner than a batch ends.
            runs = {"documents": self._run_documents, "queries": self._run_queries}
        else:
            runs = {"model": self._run_all}
        self._turns = threads if self._info.device == "cpu" else 0  # batches of queries that may begin
        self._threads = [
            threading.Thread(target=run, name=f"encoder-{what}-{number}", daemon=True)
            for what, run in runs.items()
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def info(self) -> EncoderInfo:
        """Release, dimension, window, dtype, device, precision."""
        return self._info

    @property
    def fingerprint(self) -> str:
        """Of all that makes its vectors what they are."""
        return self._model.fingerprint

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """One result per text, in order, queries before the rest. Raises EncoderRejected, InvalidVectors, or EncoderUnavailable once closed."""
        refuse_malformed(texts)
        if not texts:
            return []
        reads = self._model.read(texts, query=query)
        plans = [plan(self._model, text, read) for text, read in zip(texts, reads, strict=True)]
        pools = [Pool(self._model, made) for made in plans]
        call = _Call(pools, sum(len(made.rows) for made in plans), time.perf_counter())
        rows = [(row, pool) for made, pool in zip(plans, pools, strict=True) for row in made.rows]
        items = [_Item(row, pool, call, b"" if query else self._key(row)) for row, pool in rows]
        items = self._unknown(items)
        with self._changed:
            if self._closed:
                raise EncoderUnavailable("the encoder is closed")
            # To wake another thread and to be woken by it takes a tenth of what a query takes.
            here = query and len(items) == 1 and self._turns > 0 and not self._backlog.queries
            if here:
                self._turns -= 1
            else:
                self._backlog.add(items, query=query)
                self._changed.notify_all()
        if here:
            self._take_turn(items)
        if items:
            call.done.result()
        results = [pool.result() for pool in call.pools]
        check(texts, results, self._model.dimension)
        return results

    def unready(self) -> list[str]:
        """Whether the model's threads do not run."""
        runs = all(thread.is_alive() for thread in self._threads) and not self._closed
        return [] if runs else ["the model is closed, or a thread of it has ended"]

    def close(self) -> None:
        """Refuse what waits and end the threads after the batches they run; idempotent."""
        with self._changed:
            self._closed = True
            for item in self._backlog.clear():
                _fail(item.call, EncoderUnavailable("the encoder is closed"))
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self._cache is not None:
            self._cache.close()

    def _key(self, row: Row) -> bytes:
        return key_of(self._model.fingerprint + self._info.dtype, row) if self._cache else b""

    def _unknown(self, items: list[_Item]) -> list[_Item]:
        """Those that the model has to read; the others' sums are in the pools afterwards."""
        keys = [item.key for item in items if item.key]
        if self._cache is None or not keys:
            return items
        known = self._cache.get(keys, self._model.width)
        for item in items:
            if item.key in known:
                item.pool.add(item.row.pieces, known[item.key])
                item.call.waiting -= 1
        return [item for item in items if item.key not in known]

    def _run_documents(self) -> None:
        give_way()
        self._run(self._backlog.take_documents, self._answer)

    def _run_queries(self) -> None:
        self._run(self._next_queries, self._take_turn)

    def _run_all(self) -> None:
        self._run(self._backlog.take, self._answer)

    def _next_queries(self) -> list[_Item]:
        batch = self._backlog.take_queries() if self._turns > 0 else []
        self._turns -= bool(batch)
        return batch

    def _take_turn(self, batch: Sequence[_Item]) -> None:
        self._answer(batch)
        with self._changed:
            self._turns += 1
            if self._backlog.queries:
                self._changed.notify_all()

    def _run(self, take: Callable[[], list[_Item]], answer: Callable[[list[_Item]], None]) -> None:
        while True:
            batch = list[_Item]()
            with self._changed:
                while not batch:
                    if self._closed:
                        return
                    if not (batch := take()):
                        self._changed.wait()
            answer(batch)

    def _answer(self, batch: Sequence[_Item]) -> None:
        try:
            self._read(batch)
        except Exception as error:  # noqa: BLE001  each caller gets it; the thread serves the other callers
            for item in batch:
                _fail(item.call, error)

    def _read(self, batch: Sequence[_Item]) -> None:
        start = time.perf_counter()
        states, places = self._model.packed([item.row.ids for item in batch])
        added = pooled(self._model, states, [item.row.pieces for item in batch], places)
        if self._cache is not None:
            self._cache.put((item.key, sums) for item, sums in zip(batch, added, strict=True) if item.key)
        lengths = [item.length for item in batch]
        with self._reading:
            for item, sums in zip(batch, added, strict=True):
                item.pool.add(item.row.pieces, sums)
                item.call.waiting -= 1
                if item.call.waiting == 0 and not item.call.done.done():
                    item.call.done.set_result(None)
            seconds = time.perf_counter() - start
            queued = [start - item.call.since for item in batch]
            padded = states.shape[0] * states.shape[1]
            self._observe(Batch(sum(lengths), padded, self.budget, seconds, queued))


def _fail(call: _Call, error: Exception) -> None:
    if not call.done.done():
        call.done.set_exception(error)


def open_local(
    name: str | Release = "minilm",
    *,
    dtype: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    observe: Observer = lambda batch: None,
    cache: WindowCache | None = None,
) -> LocalEncoder | StaticEncoder:
    """Load a model or a release and start its encoder. `dtype` decides where the release leaves it; `auto` calibrates.

    `threads`: batches at once; none: as many as cores, one on a GPU. On a CPU torch itself is set to one thread, for the
    whole process. A static table needs none of this, and closes the cache. Raises ModelNotFound,
    ModelUnsupported, ReleaseInvalid, TransformInvalid or TransformMismatch.
    """
    release = named(name) if isinstance(name, str) else name
    if holds_table(release.model):
        if cache is not None:
            cache.close()  # of windows, which a table has not
        return open_static(release, observe=lambda tokens, seconds: observe(Batch(tokens, tokens, tokens, seconds, [])))
    if release.dtype != "auto":
        dtype = release.dtype
    if threads is None:
        threads = os.cpu_count() or 1 if device == "cpu" else 1
    if device == "cpu":
        torch.set_num_threads(1)
    calibration = None
    if dtype == "auto":
        model, calibration = calibrate(load(release, device=device))
    elif dtype == "int8":
        model = in_int8(load(release, device=device))
    else:
        model = prepack(load(release, dtype=getattr(torch, dtype), device=device))
    budget = _BUDGET if device == "cpu" else _ACCELERATOR_BUDGET
    return LocalEncoder(model, budget=budget, threads=threads, calibration=calibration, observe=observe, cache=cache)
