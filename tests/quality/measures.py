"""The development sets, and what they are measured with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spanstream.representations.bootstrap import interval
from spanstream.representations.measures import ndcg
from spanstream.standalone.encoder.judgements import read_answers, read_collection

__all__ = ["Dataset", "interval", "load", "ndcg"]


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
    judged = read_collection(folder)
    return Dataset(folder.name, judged.documents, judged.queries, judged.relevant, read_answers(folder))
