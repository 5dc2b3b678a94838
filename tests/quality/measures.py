"""Retrieval measures with paired bootstrap intervals."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Dataset:
    """A BEIR-form folder: documents, queries (id -> text), judgements (query -> document -> grade), answer spans."""

    name: str
    documents: list[dict[str, str]]
    queries: dict[str, str]
    relevant: dict[str, dict[str, float]]
    spans: dict[str, list[tuple[str, int, int]]]


def load(folder: Path) -> Dataset:
    """Read a set; only judged queries are kept."""
    relevant: dict[str, dict[str, float]] = {}
    for query, document, grade in _table(folder / "qrels.tsv"):
        relevant.setdefault(query, {})[document] = float(grade)
    spans: dict[str, list[tuple[str, int, int]]] = {}
    if (folder / "spans.tsv").exists():
        for query, document, start, end, *_ in _table(folder / "spans.tsv"):
            spans.setdefault(query, []).append((document, int(start), int(end)))
    texts = {row["_id"]: row["text"] for row in _lines(folder / "queries.jsonl")}
    queries = {query: texts[query] for query in relevant if query in texts}
    return Dataset(folder.name, _lines(folder / "corpus.jsonl"), queries, relevant, spans)


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def ndcg(ranked: Sequence[str], relevant: Mapping[str, float], depth: int = 10) -> float:
    """Normalised discounted cumulative gain with linear gains, 0..1 (Järvelin and Kekäläinen 2002)."""
    gains = sorted((grade for grade in relevant.values() if grade > 0), reverse=True)[:depth]
    ideal = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))
    found = (max(relevant.get(document, 0.0), 0.0) for document in ranked[:depth])
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(found)) / ideal if ideal else 0.0


def interval(values: Sequence[float] | NDArray[np.float64], *, resamples: int = 10_000) -> tuple[float, float, float]:
    """Mean and its 95 % percentile bootstrap interval; give differences per query for a paired comparison."""
    data = np.asarray(values, np.float64)
    chosen = np.random.default_rng(0).integers(0, len(data), (resamples, len(data)))
    low, high = np.percentile(data[chosen].mean(axis=1), (2.5, 97.5))
    return float(data.mean()), float(low), float(high)
