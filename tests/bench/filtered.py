"""P8: recall and time of searches that a filter narrows to a share of the passages, beside the same without a filter."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spanstream.events.ids import Key, passage_id
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.points import Passage
from spanstream.store.queries import AllOf, Condition, Dense, Match, Query, Range, Scope
from tests.bench.peers import stores
from tests.bench.ratio import ratio
from tests.bench.result import Result, Row, row

COUNT, SIZE = 10, 384
SCOPE = Scope("bench")
# Field -> (step, values): a row holds (row // step) % values, so one value admits one row in so many.
FIELDS = {"a": (1, 5), "b": (5, 5), "c": (1, 100), "d": (1, 10_000)}
EQUAL: dict[str, tuple[str, ...]] = {"20 %": ("a",), "4 %": ("a", "b"), "1 %": ("c",), "0.01 %": ("d",)}
BELOW = {"20 %, a range": 2_000, "0.1 %, a range": 10}  # d
FILTERS = (*EQUAL, *BELOW)
_NO_SPANS = np.zeros((0, 2), np.int32)


def measure(*, short: bool) -> Result:
    """Unfiltered and every filter in turn; short: hardly anything."""
    total, asked, repetitions = (600, 5, 1) if short else (50_000, 40, 5)
    rows, questions = stores.texture(total, SIZE, 1), stores.texture(asked, SIZE, 2)
    conditions: dict[str, Condition | None] = {"none": None} | {name: _condition(of) for name, of in EQUAL.items()}
    conditions |= {name: Range("metadata.d", lt=bound) for name, bound in BELOW.items()}
    numbers = np.arange(total)
    admitted = {"none": numbers} | {
        name: numbers[np.all([_value(numbers, field) == 1 for field in of], axis=0)] for name, of in EQUAL.items()
    }
    admitted |= {name: numbers[_value(numbers, "d") < bound] for name, bound in BELOW.items()}
    seconds: dict[str, list[float]] = {name: [] for name in conditions}
    recalls: dict[str, list[float]] = {name: [] for name in conditions}
    with TemporaryDirectory(prefix="spanstream-filtered-") as folder:
        store = EdgeStore(Path(folder))
        store.open("bench", SIZE, Compression.NONE)
        key = Key("bench", "bench", "0")
        for start in range(0, total, stores.BATCH):
            store.upsert_passages(
                [_passage(key, start + i, vector) for i, vector in enumerate(rows[start : start + stores.BATCH])]
            )
        store.maintain()
        ids = {str(passage_id(key, 1, stores.HASH, number)): number for number in range(total)}
        for _ in range(repetitions):
            for name, condition in conditions.items():
                taken = []
                for question in questions:
                    begun = time.perf_counter()
                    (found,) = store.rank([Query(Dense(question), SCOPE, COUNT, condition)])
                    taken.append(time.perf_counter() - begun)
                    scores = rows[admitted[name]] @ question
                    truth = set(admitted[name][np.argsort(-scores, kind="stable")[:COUNT]].tolist())
                    recalls[name].append(stores.recall([ids[id] for id, _ in found], truth))
                seconds[name].append(float(np.median(taken)))
        store.close()
    return _result(seconds, {name: float(np.mean(each)) for name, each in recalls.items()}, total)


def _value(row: Any, field: str) -> Any:
    step, values = FIELDS[field]
    return row // step % values


def _condition(of: tuple[str, ...]) -> Condition:
    parts = tuple(Match(f"metadata.{field}", (1,)) for field in of)
    return parts[0] if len(parts) == 1 else AllOf(parts)


def _passage(key: Key, row: int, vector: stores.Matrix) -> Passage:
    metadata = {field: _value(row, field) for field in FIELDS}
    return Passage(key, 1, stores.HASH, row, 0, 1, "x", "", metadata, (), 1, _NO_SPANS, dense=vector)


def _result(seconds: dict[str, list[float]], recalls: dict[str, float], total: int) -> Result:
    rows: list[Row] = [row(f"P8 unfiltered p50 ms, {total:,} x {SIZE}", f"{1000 * np.median(seconds['none']):.2f}")]
    ratios = {}
    for name in FILTERS:
        found = ratios[name] = ratio(seconds[name], seconds["none"])
        share = recalls[name]
        rows.append(row(f"P8 {name}: recall@{COUNT}", f"{share:.3f}", "≥ 0.99", share >= 0.99))
        rows.append(
            row(
                f"P8 {name}: p50 ÷ unfiltered",
                f"{found['ratio']} {found['interval']}",
                "≤ 2",
                found["interval"][1] <= 2,
            )
        )
    return {
        "rows": rows,
        "guards": {f"recall at {name} ≥ 0.99": share >= 0.99 for name, share in recalls.items()},
        "figures": {"ratios": ratios, "recall": recalls, "passages": total},
    }
