"""Local stores of vectors side by side: ours, and those that others would take. Cosine; ids are row numbers.

Each with the settings that its documentation gives for this task; where it has an exact mode of its own, that one.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spanstream.events.ids import Key, passage_id
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.points import Passage
from spanstream.store.queries import Dense, Query, Scope

Matrix = NDArray[np.float32]
BATCH = 256  # vectors of one call of `add`
HASH = b"\0" * 32
_NO_SPANS = np.zeros((0, 2), np.int32)


class VectorStore(Protocol):
    """What is compared."""

    def add(self, first: int, vectors: Matrix) -> None:
        """Rows `first` and up, of unit length; found by searches that begin afterwards."""
        ...

    def search(self, vector: Matrix, count: int) -> list[int]:
        """The nearest rows, best first."""
        ...

    def close(self) -> None:
        """Let go of the folder."""
        ...


class Ours:
    """The product's store in this process: durable against a kill when `add` returns."""

    def __init__(self, folder: Path, size: int) -> None:
        self._store = EdgeStore(folder)
        self._store.open("bench", size, Compression.NONE)
        self._key = Key("bench", "bench", "0")
        self._rows: dict[str, int] = {}

    def add(self, first: int, vectors: Matrix) -> None:
        ids = [str(passage_id(self._key, 1, HASH, first + i)) for i in range(len(vectors))]
        self._rows |= {id: first + i for i, id in enumerate(ids)}  # before a search beside this can find them
        self._store.upsert_passages([self._passage(first + i, vector) for i, vector in enumerate(vectors)])

    def search(self, vector: Matrix, count: int) -> list[int]:
        (found,) = self._store.rank([Query(Dense(vector), Scope("bench"), count)])
        return [self._rows[id] for id, _ in found]

    def close(self) -> None:
        self._store.close()

    def _passage(self, row: int, vector: Matrix) -> Passage:
        return Passage(self._key, 1, HASH, row, 0, 1, "x", "", {}, (), 1, _NO_SPANS, dense=vector)


class Exact:
    """One matrix and an arg-partition: no store at all, nothing kept."""

    def __init__(self, folder: Path, size: int) -> None:
        self._rows = np.zeros((0, size), np.float32)
        self._waiting: list[Matrix] = []

    def add(self, first: int, vectors: Matrix) -> None:
        self._waiting.append(vectors)

    def search(self, vector: Matrix, count: int) -> list[int]:
        if self._waiting:
            self._rows, self._waiting = np.concatenate([self._rows, *self._waiting]), []
        scores = self._rows @ vector
        best = np.argpartition(-scores, min(count, len(scores) - 1))[:count]
        return [int(row) for row in best[np.argsort(-scores[best])]]

    def close(self) -> None:
        self._rows = self._rows[:0]


class Chroma:
    """chromadb's persistent client: HNSW with its defaults, but the search width that recall asks for."""

    def __init__(self, folder: Path, size: int) -> None:
        chromadb: Any = importlib.import_module("chromadb")
        settings = chromadb.config.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(folder), settings)
        self._rows = client.create_collection(
            "bench", configuration={"hnsw": {"space": "cosine", "ef_search": 200}}, embedding_function=None
        )

    def add(self, first: int, vectors: Matrix) -> None:
        self._rows.add([str(first + i) for i in range(len(vectors))], embeddings=vectors)

    def search(self, vector: Matrix, count: int) -> list[int]:
        found = self._rows.query(query_embeddings=[vector], n_results=count, include=[])
        return [int(id) for id in found["ids"][0]]

    def close(self) -> None:
        pass


class Lance:
    """LanceDB on a folder, without an index: exact."""

    def __init__(self, folder: Path, size: int) -> None:
        lancedb: Any = importlib.import_module("lancedb")
        self._arrow: Any = importlib.import_module("pyarrow")
        self._list = self._arrow.list_(self._arrow.float32(), size)
        schema = self._arrow.schema([("id", self._arrow.int64()), ("vector", self._list)])
        self._table = lancedb.connect(str(folder)).create_table("bench", schema=schema)

    def add(self, first: int, vectors: Matrix) -> None:
        flat = self._arrow.FixedSizeListArray.from_arrays(self._arrow.array(vectors.ravel()), vectors.shape[1])
        ids = self._arrow.array(range(first, first + len(vectors)))
        self._table.add(self._arrow.table({"id": ids, "vector": flat}))

    def search(self, vector: Matrix, count: int) -> list[int]:
        asked = self._table.search(vector).distance_type("cosine").select(["id", "_distance"]).limit(count)
        return [int(id) for id in asked.to_arrow()["id"].to_pylist()]

    def close(self) -> None:
        pass


class Hnswlib:
    """hnswlib in memory: M 16, ef 200; nothing kept."""

    def __init__(self, folder: Path, size: int) -> None:
        hnswlib: Any = importlib.import_module("hnswlib")
        self._index = hnswlib.Index(space="cosine", dim=size)
        self._index.init_index(max_elements=1 << 17, M=16, ef_construction=200)
        self._index.set_ef(200)
        self._index.set_num_threads(1)

    def add(self, first: int, vectors: Matrix) -> None:
        self._index.add_items(vectors, np.arange(first, first + len(vectors)))

    def search(self, vector: Matrix, count: int) -> list[int]:
        return [int(row) for row in self._index.knn_query(vector, count)[0][0]]

    def close(self) -> None:
        pass


OURS = "ours"
_PEERS: Mapping[str, tuple[str, Callable[[Path, int], VectorStore]]] = {
    "Chroma": ("chromadb", Chroma),
    "LanceDB": ("lancedb", Lance),
    "hnswlib": ("hnswlib", Hnswlib),
    "numpy": ("numpy", Exact),
}


def present(*names: str) -> dict[str, Callable[[Path, int], VectorStore]]:
    """Ours, and of these peers those that are installed."""
    chosen = {name: _PEERS[name] for name in names}
    found = {name: made for name, (module, made) in chosen.items() if importlib.util.find_spec(module)}
    return {OURS: Ours, **found}


def texture(count: int, size: int, seed: int) -> Matrix:
    """[count, size]: unit vectors in a hundred clusters, as texts' are."""
    chance = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((100, size))
    rows = centres[chance.integers(0, 100, count)] + 0.7 * chance.standard_normal((count, size))
    unit: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def nearest(rows: Matrix, questions: Matrix, count: int) -> list[set[int]]:
    """Exactly."""
    best = np.argsort(-(questions @ rows.T), axis=1, kind="stable")[:, :count]
    return [set(row.tolist()) for row in best]


def recall(found: list[int], truth: set[int]) -> float:
    """Share of the truth that was found."""
    return len(truth.intersection(found)) / len(truth)
