"""P11: how long searches take while documents arrive steadily, beside the same ones while nothing does."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.bench.peers import stores
from tests.bench.peers.stores import OURS, Matrix, VectorStore
from tests.bench.ratio import percentiles, ratio
from tests.bench.result import Result, Row, row

COUNT, SIZE = 10, 384
NAMES = ("Chroma", "LanceDB")
WRITTEN, PER_SECOND = 20, 5  # vectors of a write, writes a second
TARGET = 1.5


def measure(*, short: bool) -> Result:
    """Each store in turn, idle and written to in turn; short: hardly anything."""
    total, asked, repetitions = (500, 20, 1) if short else (20_000, 200, 5)
    rows, questions = stores.texture(total, SIZE, 1), stores.texture(asked, SIZE, 2)
    truth = stores.nearest(rows, questions, COUNT)
    seconds: dict[str, dict[str, list[list[float]]]] = {}
    recalls: dict[str, float] = {}
    with TemporaryDirectory(prefix="spanstream-writing-") as folder:
        held = {name: make(Path(folder, name), SIZE) for name, make in stores.present(*NAMES).items()}
        added = dict.fromkeys(held, total)
        for name, store in held.items():
            for start in range(0, total, stores.BATCH):
                store.add(start, rows[start : start + stores.BATCH])
            store.search(questions[0], COUNT)
            found = [stores.recall(store.search(q, COUNT), t) for q, t in zip(questions, truth, strict=True)]
            recalls[name] = float(np.mean(found))
            seconds[name] = {"idle": [], "written": []}
        for _ in range(repetitions):
            for name, store in held.items():
                seconds[name]["idle"].append(_ask(store, questions))
                more = added[name]
                stop = threading.Event()
                writer = threading.Thread(target=_write, args=(store, more, stop, added, name))
                writer.start()
                try:
                    seconds[name]["written"].append(_ask(store, questions))
                finally:
                    stop.set()
                    writer.join()
        for store in held.values():
            store.close()
    return _result(seconds, recalls, added, total)


def _write(store: VectorStore, first: int, stop: threading.Event, added: dict[str, int], name: str) -> None:
    """Far from every question, so that the truth stays what it was."""
    number, written = first, False
    while not written or not stop.wait(1 / PER_SECOND):  # once, however soon the searches are done
        store.add(number, _far(WRITTEN, number))
        number, written = number + WRITTEN, True
    added[name] = number


def _far(count: int, seed: int) -> Matrix:
    return -stores.texture(count, SIZE, seed)


def _ask(store: VectorStore, questions: Matrix) -> list[float]:
    taken = []
    for question in questions:
        begun = time.perf_counter()
        store.search(question, COUNT)
        taken.append(time.perf_counter() - begun)
    return taken


def _result(
    seconds: dict[str, dict[str, list[list[float]]]], recalls: dict[str, float], added: dict[str, int], total: int
) -> Result:
    def p99(taken: list[float]) -> float:
        return percentiles(taken)["p99_ms"]

    rows: list[Row] = []
    ratios = {}
    for name in (OURS, *NAMES):
        if name not in seconds:
            rows.append(row(f"P11 {name}: p99 written ÷ idle", "absent"))
            continue
        written, idle = ([max(p99(taken), 0.1) for taken in seconds[name][which]] for which in ("written", "idle"))
        found = ratios[name] = ratio(written, idle)
        target = (f"≤ {TARGET}", found["interval"][1] <= TARGET) if name == OURS else ("", None)
        rows.append(row(f"P11 {name}: p99 written ÷ idle", f"{found['ratio']} {found['interval']}", *target))
        rows.append(row("   p99 ms written, idle", f"{np.median(written):.1f}, {np.median(idle):.1f}"))
    return {
        "rows": rows,
        "guards": {f"recall of {OURS} ≥ 0.99": recalls[OURS] >= 0.99, "everyone wrote": min(added.values()) > total},
        "figures": {"ratios": ratios, "recall": recalls, "vectors": total, "written": added},
    }
