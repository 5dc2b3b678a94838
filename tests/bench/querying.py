"""P4: embedding a question and finding its ten passages, one client in the process, beside sentence-transformers + qdrant-client.

Both hold the very same vectors, ours with their heads, spans and words beside them. The streaming floor is one pass of a short
question through the model's matrices and nothing else, in the type that the encoder chose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spanstream.gateway.question import Mode
from spanstream.gateway.search import Searcher
from spanstream.representations.local import open_local
from spanstream.representations.model import find
from spanstream.store.queries import Dense, Query
from tests.bench import corpus, indexed
from tests.bench.ratio import percentiles, ratio
from tests.bench.result import Result, row

COUNT = 10
LAYERS, WIDTH, INNER = 6, 384, 1536  # of the default model
QUESTION_TOKENS = 16
Search = Callable[[str], list[str]]


def measure(*, short: bool) -> Result:
    """The two sides in turn, question by question; short: hardly anything."""
    documents, asked, repetitions = (40, 6, 1) if short else (2000, 100, 5)
    records = list(corpus.documents(documents, seed=3))
    questions = corpus.questions(asked)
    encoder = open_local(dtype="float32" if short else "auto")
    try:
        with indexed.filled(encoder, records) as store:
            searcher = Searcher(store, encoder, {})
            dimension = encoder.info().dimension

            def ours(text: str, mode: Mode) -> list[str]:
                asked = indexed.question(text, mode, by_document=False, spans_per_passage=0)
                hits = searcher.search(indexed.SCOPE, asked, dimension).hits
                return [hit.passages[0].passage.id for hit in hits]

            anywhere = np.eye(1, dimension, dtype=np.float32)[0]
            (everything,) = store.rank([Query(Dense(anywhere), indexed.SCOPE, 1 << 20)])
            held = {id: each.dense for id, each in store.vectors([id for id, _ in everything]).items()}
            sides: dict[str, Search] = {
                "ours": lambda text: ours(text, Mode.DENSE),
                "peer": _peer(held),
                "hybrid": lambda text: ours(text, Mode.HYBRID),
            }
            taken, shared = _turns(sides, questions, repetitions)
            floor = _floor(encoder.info().dtype)
    finally:
        encoder.close()
    return _result(taken, shared, floor, encoder.info().dtype, len(held))


def _peer(vectors: Mapping[str, NDArray[np.float32]]) -> Search:
    from qdrant_client import QdrantClient, models
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(find("minilm")), device="cpu")
    client = QdrantClient(":memory:")
    config = models.VectorParams(size=len(next(iter(vectors.values()))), distance=models.Distance.COSINE)
    client.create_collection("bench", vectors_config=config)
    points = [models.PointStruct(id=id, vector=vector.tolist(), payload={"id": id}) for id, vector in vectors.items()]
    client.upload_points("bench", points)

    def search(text: str) -> list[str]:
        vector = model.encode(text, show_progress_bar=False, normalize_embeddings=True)
        return [str(point.id) for point in client.query_points("bench", query=vector, limit=COUNT).points]

    return search


def _turns(
    sides: Mapping[str, Search], questions: Sequence[str], repetitions: int
) -> tuple[dict[str, list[list[float]]], float]:
    """Seconds by side, repetition and question, and the mean share of the peer's answers that ours has too."""
    taken: dict[str, list[list[float]]] = {name: [] for name in sides}
    shared = []
    for repetition in range(repetitions + 1):  # the first warms up
        now: dict[str, list[float]] = {name: [] for name in sides}
        for text in questions:
            found = {}
            for name, search in sides.items():
                begun = time.perf_counter()
                found[name] = search(text)
                now[name].append(time.perf_counter() - begun)
            shared.append(len(set(found["ours"]) & set(found["peer"])) / len(found["peer"]))
        if repetition:
            for name, seconds in now.items():
                taken[name].append(seconds)
    return taken, float(np.mean(shared))


def _floor(dtype: str, passes: int = 50) -> float:
    """Seconds, at best, of the matrix products of a short question, on one core."""
    kind = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    shapes = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, INNER), (INNER, WIDTH)] * LAYERS
    weights = [torch.rand(shape, dtype=kind) for shape in shapes]
    inputs = {size: torch.rand(QUESTION_TOKENS, size, dtype=kind) for size in (WIDTH, INNER)}
    best = float("inf")
    with torch.inference_mode():
        for _ in range(passes):
            begun = time.perf_counter()
            for weight in weights:
                inputs[weight.shape[0]] @ weight
            best = min(best, time.perf_counter() - begun)
    return best


def _result(taken: dict[str, list[list[float]]], shared: float, floor: float, dtype: str, passages: int) -> Result:
    figures: dict[str, Any] = {
        "floor_ms": round(1000 * floor, 2),
        "dtype": dtype,
        "passages": passages,
        "shared": shared,
    }
    figures["latency"] = {name: percentiles([s for each in turns for s in each]) for name, turns in taken.items()}
    rows = []
    for percent, bar in ((50, 0.4), (99, 0.5)):
        ours, peer = ([float(np.percentile(each, percent)) for each in taken[name]] for name in ("ours", "peer"))
        found = figures[f"p{percent}"] = ratio(ours, peer)
        met = found["interval"][1] <= bar
        rows.append(
            row(f"P4 p{percent}, ours ÷ peer, {dtype}", f"{found['ratio']} {found['interval']}", f"≤ {bar}", met)
        )
    median = {name: 1000 * float(np.median([s for each in turns for s in each])) for name, turns in taken.items()}
    rows += [
        row(
            "P4 p50 ÷ streaming floor",
            f"{median['ours'] / 1000 / floor:.1f}",
            "≤ 3",
            median["ours"] / 1000 <= 3 * floor,
        ),
        row(
            "   p50 ms: ours, peer, our default (hybrid)",
            ", ".join(f"{median[n]:.1f}" for n in ("ours", "peer", "hybrid")),
        ),
        row("   share of the peer's top 10", f"{shared:.3f}"),
    ]
    return {
        "rows": rows,
        "guards": {"the same top 10, but for ties of rounding (≥ 0.98)": shared >= 0.98},
        "figures": figures,
    }
