"""P7: a local store of vectors, filled and asked, beside the ones that others would take."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.bench.peers import stores
from tests.bench.peers.stores import BATCH, OURS
from tests.bench.ratio import ratio
from tests.bench.result import Result, Row, row

COUNT, SIZE = 10, 384
NAMES = ("Chroma", "LanceDB", "hnswlib", "numpy")
INSERTS = {"Chroma": 3.0}
QUERIES = {"Chroma": 2.0, "LanceDB": 2.0, "hnswlib": 0.7}


def measure(*, short: bool) -> Result:
    """Each is filled in turn, a slice at a time, then asked in turn; short: hardly anything."""
    total, asked, repetitions = (1000, 10, 1) if short else (100_000, 40, 5)
    rows, questions = stores.texture(total, SIZE, 1), stores.texture(asked * repetitions, SIZE, 2)
    truth = stores.nearest(rows, questions, COUNT)
    made = stores.present(*NAMES)
    inserts: dict[str, list[float]] = {name: [] for name in made}
    queries: dict[str, list[float]] = {name: [] for name in made}
    recalls: dict[str, list[float]] = {name: [] for name in made}
    with TemporaryDirectory(prefix="spanstream-vectors-") as folder:
        held = {name: make(Path(folder, name), SIZE) for name, make in made.items()}
        for part in np.array_split(np.arange(total), 5):
            for name, store in held.items():
                begun = time.perf_counter()
                for start in range(int(part[0]), int(part[-1]) + 1, BATCH):
                    store.add(start, rows[start : min(start + BATCH, int(part[-1]) + 1)])
                inserts[name].append(len(part) / (time.perf_counter() - begun))
        for store in held.values():
            store.search(questions[0], COUNT)
        for turn in range(repetitions):
            mine = range(turn * asked, (turn + 1) * asked)
            for name, store in held.items():
                begun = time.perf_counter()
                found = [store.search(questions[number], COUNT) for number in mine]
                queries[name].append(asked / (time.perf_counter() - begun))
                recalls[name] += [stores.recall(ids, truth[n]) for n, ids in zip(mine, found, strict=True)]
        for store in held.values():
            store.close()
    return _result(inserts, queries, {name: float(np.mean(each)) for name, each in recalls.items()}, total)


def _result(
    inserts: dict[str, list[float]], queries: dict[str, list[float]], recalls: dict[str, float], total: int
) -> Result:
    rows: list[Row] = []
    ratios = {}
    for what, rates, bars in (("insert", inserts, INSERTS), ("queries/s", queries, QUERIES)):
        rows.append(row(f"P7 {what}, ours, {total:,} x {SIZE}", f"{np.median(rates[OURS]):,.0f}/s"))
        for name in NAMES:
            if name not in rates:
                rows.append(row(f"P7 {what}, ours ÷ {name}", "absent"))
                continue
            found = ratios[f"{what} ÷ {name}"] = ratio(rates[OURS], rates[name])
            bar = bars.get(name)
            met = None if bar is None else found["interval"][0] >= bar
            rows.append(
                row(
                    f"P7 {what}, ours ÷ {name}", f"{found['ratio']} {found['interval']}", f"≥ {bar}" if bar else "", met
                )
            )
    rows += [row(f"P7 recall@{COUNT}, {name}", f"{share:.3f}") for name, share in recalls.items()]
    return {
        "rows": rows,
        "guards": {f"recall of {OURS} ≥ 0.99": recalls[OURS] >= 0.99},
        "figures": {"ratios": ratios, "recall": recalls, "rows": total},
    }
