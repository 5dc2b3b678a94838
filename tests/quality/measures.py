"""The development sets, and what they are measured with."""

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
