"""What a static encoder is worth beside its teacher: quality on the development sets, and texts per second in one run.

`python -m tests.quality.static` distils MiniLM on the documentation of Python that the product itself ingests first,
never on a development set, prints a table and writes JSON. "asymmetric" asks the teacher's documents with static queries.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from spanstream.encoder.encoder import Encoder, Text
from spanstream.representations.distillation import distill
from spanstream.representations.local import open_local
from spanstream.representations.model import load as load_model
from spanstream.representations.static import StaticEncoder
from spanstream.standalone.encoder.distill import documentation, text_of
from spanstream.standalone.encoder.passages import draw
from tests.bench.ratio import ratio
from tests.conftest import DATA
from tests.quality.measures import Dataset, interval, load, ndcg

SETS = ("cranfield", "medline", "cisi")
PAIRS = "sts16"
NONE = np.empty((0, 2), np.int32)
Vectors = NDArray[np.float32]


def vectors(encoder: Encoder, texts: Sequence[str], titles: Sequence[str] | None = None) -> Vectors:
    """Of the whole texts [n, dimension]."""
    asked = [Text(text, NONE, title) for text, title in zip(texts, titles or [""] * len(texts), strict=True)]
    return np.array([found.whole for at in range(0, len(asked), 64) for found in encoder.encode(asked[at : at + 64])])


def ranking(data: Dataset, queries: Vectors, documents: Vectors) -> NDArray[np.float64]:
    """nDCG@10 of each query, 0..100, by exact search."""
    ids = [document["_id"] for document in data.documents]
    order = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10]
    found = zip(data.queries, order, strict=True)
    return np.array([100 * ndcg([ids[number] for number in row], data.relevant[query]) for query, row in found])


def retrieval(data: Dataset, teacher: Encoder, static: Encoder) -> list[dict[str, Any]]:
    """Teacher, static, and static queries over the teacher's documents (where the dimensions agree)."""
    documents = [document["text"] for document in data.documents]
    titles = [document.get("title", "") for document in data.documents]
    asked, held = {}, {}
    for name, encoder in (("teacher", teacher), ("static", static)):
        asked[name] = vectors(encoder, list(data.queries.values()))
        held[name] = vectors(encoder, documents, titles)
    base = ranking(data, asked["teacher"], held["teacher"])
    ways = [("static", "static", "static")]
    if asked["static"].shape[1] == held["teacher"].shape[1]:
        ways.append(("asymmetric", "static", "teacher"))
    rows = []
    for way, query, document in ways:
        scores = ranking(data, asked[query], held[document])
        rows.append(_row(data.name, "nDCG@10", way, base.mean(), scores.mean(), interval(scores - base)))
    return rows


def similarity(path: Path, teacher: Encoder, static: Encoder) -> dict[str, Any]:
    """Spearman's correlation, 0..100, with the interval of the difference over resampled pairs."""
    with path.open(encoding="utf-8") as file:
        pairs = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    gold = np.array([float(pair[0]) for pair in pairs])
    cosines = [
        (vectors(encoder, [pair[1] for pair in pairs]) * vectors(encoder, [pair[2] for pair in pairs])).sum(axis=1)
        for encoder in (teacher, static)
    ]
    one, other = (100 * spearmanr(each, gold).statistic for each in cosines)
    chance, differences = np.random.default_rng(0), []
    for _ in range(1000):
        drawn = chance.integers(0, len(gold), len(gold))
        a, b = (100 * spearmanr(each[drawn], gold[drawn]).statistic for each in cosines)
        differences.append(b - a)
    low, high = np.percentile(differences, (2.5, 97.5))
    return _row(path.parent.name, "Spearman", "static", one, other, (other - one, low, high))


def speed(teacher: Encoder, static: Encoder, texts: Sequence[Text], repetitions: int) -> dict[str, Any]:
    """Texts per second of both, interleaved, and their ratio."""
    rates: dict[str, list[float]] = {"teacher": [], "static": []}
    for encoder in (teacher, static):
        encoder.encode(texts[:8])
    for _ in range(repetitions):
        for name, encoder in (("teacher", teacher), ("static", static)):
            start = time.perf_counter()
            encoder.encode(texts)
            rates[name].append(len(texts) / (time.perf_counter() - start))
    return ratio(rates["static"], rates["teacher"])


def _row(name: str, measure: str, way: str, teacher: float, ours: float, difference: Sequence[float]) -> dict[str, Any]:
    between = [round(float(value), 2) for value in difference]
    figures = {"teacher": round(float(teacher), 2), "ours": round(float(ours), 2)}
    return {"set": name, "measure": measure, "way": way, **figures, "difference": between}


def measure(
    data: Path, sets: Sequence[str], passages: int, dimension: int | None, repetitions: int = 5
) -> dict[str, Any]:
    """All of it. The teacher is the encoder as shipped; the table is distilled from it in float32."""
    drawn, _ = draw(documentation(), passages)
    sample = [text_of(passage) for passage in drawn]
    start = time.perf_counter()
    static = StaticEncoder(distill(load_model("minilm"), sample, dimension))
    seconds = time.perf_counter() - start
    teacher = open_local("minilm")
    try:
        rows = []
        for name in sets:
            if name == PAIRS:
                rows.append(similarity(data / name / "pairs.tsv", teacher, static))
            else:
                rows += retrieval(load(data / name), teacher, static)
        spans = sample[:128]
        whole = [Text(text.text, NONE) for text in spans]
        queries = [Text(text.text[:60], NONE) for text in spans]
        kinds = {"passages with sentences": spans, "passages": whole, "60 characters": queries}
        speeds = {kind: speed(teacher, static, texts, repetitions) for kind, texts in kinds.items()}
    finally:
        teacher.close()
    facts = {"teacher": teacher.info().release, "dtype": teacher.info().dtype, "static": static.info().release}
    return {**facts, "passages": len(sample), "distilled in s": round(seconds), "quality": rows, "texts/s": speeds}


def show(found: dict[str, Any], console: Console) -> None:
    """As tables."""
    table = Table("set", "measure", "way", "teacher", "ours", "difference [95 %]", title=f"{found['static']}")
    for row in found["quality"]:
        value, low, high = row["difference"]
        between = f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
        table.add_row(row["set"], row["measure"], row["way"], str(row["teacher"]), str(row["ours"]), between)
    console.print(table)
    for kind, rates in found["texts/s"].items():
        console.print(f"{kind}: {rates['ratio']:.0f} times the texts/s {rates['interval']}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the development sets")
    parser.add_argument("--sets", nargs="+", default=[PAIRS, *SETS])
    parser.add_argument("--passages", type=int, default=5000)
    parser.add_argument("--dimension", type=int)
    parser.add_argument("--out", type=Path, default=Path("bench-results/static.json"))
    asked = parser.parse_args()
    if missing := [name for name in asked.sets if not (asked.data / name).is_dir()]:
        parser.exit(0, f"no development data of {', '.join(missing)}: nothing measured\n")
    found = measure(asked.data, asked.sets, asked.passages, asked.dimension)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=2))
    show(found, Console())


if __name__ == "__main__":
    main()
