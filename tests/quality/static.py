"""What a static encoder is worth beside its teacher: quality on the development sets, and texts per second in one run.

`python -m tests.quality.static` distils MiniLM on the documentation of Python that the product itself ingests first,
never on a development set, prints a table and writes JSON. "asymmetric" asks the teacher's documents with static queries.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spanstream.encoder.encoder import Encoder, Text
from spanstream.representations.distillation import distill
from spanstream.representations.local import open_local
from spanstream.representations.model import load as load_model
from spanstream.representations.static import StaticEncoder
from spanstream.standalone.encoder.comparison import Row, compare_correlations, compare_rankings, ranking_scores
from spanstream.standalone.encoder.distill import text_of
from spanstream.standalone.encoder.judgements import Collection, Pairs, read
from spanstream.standalone.encoder.texts import Reader, draw
from tests.bench.ratio import ratio
from tests.conftest import DATA

SETS = ("sts16", "cranfield", "medline", "cisi")
NONE = np.empty((0, 2), np.int32)
Vectors = NDArray[np.float32]


def vectors(encoder: Encoder, texts: Sequence[str], titles: Sequence[str] | None = None) -> Vectors:
    """Of the whole texts [n, dimension]."""
    asked = [Text(text, NONE, title) for text, title in zip(texts, titles or [""] * len(texts), strict=True)]
    return np.array([found.whole for at in range(0, len(asked), 64) for found in encoder.encode(asked[at : at + 64])])


def retrieval(data: Collection, teacher: Encoder, static: Encoder) -> dict[str, list[Row]]:
    """The teacher beside static, and beside static queries over the teacher's documents (where the dimensions agree)."""
    documents = [document["text"] for document in data.documents]
    titles = [document.get("title", "") for document in data.documents]
    asked, held = {}, {}
    for name, encoder in (("teacher", teacher), ("static", static)):
        asked[name] = vectors(encoder, list(data.queries.values()))
        held[name] = vectors(encoder, documents, titles)
    base = ranking_scores(data, asked["teacher"], held["teacher"])
    rows = {"static": compare_rankings(base, ranking_scores(data, asked["static"], held["static"]))}
    if asked["static"].shape[1] == held["teacher"].shape[1]:
        rows["asymmetric"] = compare_rankings(base, ranking_scores(data, asked["static"], held["teacher"]))
    return rows


def similarity(data: Pairs, teacher: Encoder, static: Encoder) -> dict[str, list[Row]]:
    """The correlations of both with the scores."""
    one, other = ((vectors(each, data.left) * vectors(each, data.right)).sum(axis=1) for each in (teacher, static))
    return {"static": compare_correlations(one.astype(np.float64), other.astype(np.float64), data.scores)}


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


def measure(
    data: Path, sets: Sequence[str], passages: int, dimension: int | None, repetitions: int = 5
) -> dict[str, Any]:
    """All of it. The teacher is the encoder as shipped; the table is distilled from it in float32."""
    drawn, _ = draw(Reader(()).passages(), passages)
    sample = [text_of(passage) for passage in drawn]
    start = time.perf_counter()
    static = StaticEncoder(distill(load_model("minilm"), sample, dimension))
    seconds = time.perf_counter() - start
    teacher = open_local("minilm")
    try:
        rows = []
        for name in sets:
            judged = read(data / name)
            found = (similarity if isinstance(judged, Pairs) else retrieval)(judged, teacher, static)
            rows += [{"set": name, "way": way, **asdict(row)} for way, several in found.items() for row in several]
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
        table.add_row(row["set"], row["measure"], row["way"], f"{row['a']:.2f}", f"{row['b']:.2f}", between)
    console.print(table)
    for kind, rates in found["texts/s"].items():
        console.print(f"{kind}: {rates['ratio']:.0f} times the texts/s {rates['interval']}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the development sets")
    parser.add_argument("--sets", nargs="+", default=SETS)
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
