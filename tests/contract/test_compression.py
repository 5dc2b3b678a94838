"""The store with each compression, on both adapters: what is returned is what half precision returns.

Local mode of the Qdrant client, which stands in where STORE_URL names no server, keeps a compression in its collections'
configuration and searches the originals all the same: it proves what is asked of a server, not what one answers.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from spanstream.encoder.encoder import PRECISIONS
from spanstream.events.ids import Key
from spanstream.store import edge
from spanstream.store.compression import RESCORED_AT_LEAST, Compression
from spanstream.store.edge import EXACT_SPANS, EdgeStore
from spanstream.store.errors import StoreRejected
from spanstream.store.points import Passage
from spanstream.store.queries import Dense, Leg, Match, Query, Scope, Spans
from spanstream.store.server import ServerStore
from spanstream.store.store import Store
from tests.fixtures.store import DIMENSION, hash_of, head, passage, scores, unit

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

SMALLER = [compression for compression in Compression if compression is not Compression.NONE]
SCOPE = Scope("acme")
KEY = Key("acme", "wiki", "d")


def written(store: Store, count: int = 120) -> list[Passage]:
    """Passages of two sources, in the store, with all codes made."""
    made = [passage(Key("acme", ("wiki", "mail")[i % 2], "d"), i) for i in range(count)]
    store.upsert_passages(made)
    store.maintain()
    return made


def legs(seed: int) -> list[Leg]:
    rng = np.random.default_rng(seed)
    return [Dense(unit(rng)), Spans(unit(rng))]


def check(store: Store, passages: list[Passage]) -> None:
    """Hits are the best by the original vectors, with their scores: of all, of a filter, among given ones."""
    mail = [item for item in passages if item.key.source == "mail"]
    few = passages[::7]
    for leg in legs(3):
        for limit in (1, 10, 200):
            for expected, query in (
                (passages, Query(leg, SCOPE, limit)),
                (mail, Query(leg, SCOPE, limit, Match("source", ("mail",)))),
                (few, Query(leg, SCOPE, limit, among=[item.id for item in few])),
            ):
                exact = scores(leg, expected, expected)
                [hits] = store.rank([query])
                assert [score for _, score in hits] == pytest.approx(sorted(exact.values())[::-1][:limit], abs=2e-3)
                assert [exact[id] for id, _ in hits] == pytest.approx([score for _, score in hits], abs=2e-3)


class Told(QdrantClient):
    """Local mode that remembers what it is asked, and told to change; it changes nothing itself."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.asked: list[models.QueryRequest] = []
        self.changes: list[tuple[str, dict[str, models.VectorParamsDiff]]] = []

    def query_batch_points(self, collection_name: str, requests: Any, **options: Any) -> Any:
        self.asked += requests
        return super().query_batch_points(collection_name, requests, **options)

    def update_collection(self, collection_name: str, vectors_config: Any = None, **_: Any) -> bool:
        self.changes.append((collection_name, vectors_config))
        return True


def test_a_release_names_compressions_as_the_store_does() -> None:
    assert tuple(Compression) == PRECISIONS


@pytest.fixture
def _scalar_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "SCALAR_THRESHOLD_KB", 1)


@pytest.mark.usefixtures("_scalar_at_once")
@pytest.mark.parametrize("compression", SMALLER)
def test_edge_returns_what_the_originals_say(tmp_path: Path, compression: Compression) -> None:
    store = EdgeStore(tmp_path)
    store.open("g", DIMENSION, compression)
    passages = written(store)
    check(store, passages)

    changed = [passage(item.key, item.ordinal, seed=9) for item in passages[:40]]
    store.upsert_passages(changed)
    check(store, changed + passages[40:])
    store.delete_stale([head(KEY, 2)])  # all of one source
    left = [item for item in changed + passages[40:] if item.key.source == "mail"]
    check(store, left)
    store.maintain()
    check(store, left)
    store.close()

    store = EdgeStore(tmp_path)
    store.open("g", DIMENSION, compression)
    check(store, left)
    store.close()


@pytest.mark.parametrize("compression", SMALLER)
def test_a_server_is_asked_for_codes_in_memory_and_for_scores_of_originals(compression: Compression) -> None:
    client = Told()
    store = ServerStore(client)
    store.open("g", DIMENSION, compression)
    for name in ("documents-g", "passages-g"):
        vectors = client.get_collection(name).config.params.vectors
        assert isinstance(vectors, dict)
        for params in vectors.values():
            assert params.memory is models.Memory.COLD
            [codes] = params.quantization_config.model_dump().values()
            assert codes["memory"] == "pinned"
    check(store, written(store))

    store.rank([Query(Spans(unit(np.random.default_rng(0))), SCOPE, 4)])
    request = client.asked[-1]
    assert isinstance(request.prefetch, models.Prefetch)
    assert request.prefetch.params
    assert request.prefetch.params.quantization
    assert request.params
    assert request.params.quantization
    assert request.prefetch.params.quantization.rescore is False
    assert request.params.quantization.rescore is True
    assert request.params.quantization.oversampling == RESCORED_AT_LEAST / 4
    store.close()


@pytest.mark.skipif(not os.environ.get("STORE_URL"), reason="STORE_URL names no Qdrant server")
@pytest.mark.parametrize("compression", SMALLER)
def test_a_real_server_returns_what_the_originals_say(compression: Compression) -> None:
    client = QdrantClient(url=os.environ["STORE_URL"], api_key=os.environ.get("STORE_API_KEY"))
    store = ServerStore(client, f"test-{os.getpid()}-")
    try:
        store.open("g", DIMENSION, compression)
        check(store, written(store))
    finally:
        for name in ("documents-g", "passages-g"):
            client.delete_collection(f"test-{os.getpid()}-{name}")
        store.close()


@pytest.mark.usefixtures("_scalar_at_once")
@pytest.mark.parametrize("before", [Compression.NONE, Compression.SCALAR, Compression.TURBO4])
@pytest.mark.parametrize("after", [Compression.NONE, Compression.SCALAR, Compression.BINARY])
def test_an_index_opened_with_another_compression_is_made_over_and_says_so(
    tmp_path: Path, before: Compression, after: Compression, caplog: pytest.LogCaptureFixture
) -> None:
    store = EdgeStore(tmp_path)
    store.open("g", DIMENSION, before)
    passages = written(store)
    store.close()

    store = EdgeStore(tmp_path)
    with caplog.at_level(logging.WARNING, edge.log.name):
        store.open("g", DIMENSION, after)
    assert [str(tmp_path / "g" / "passages") in message for message in caplog.messages] == (
        [] if before is after else [False, True]
    )
    assert all(message.endswith(f"compressed anew: {after}") for message in caplog.messages)
    check(store, passages)
    store.close()
    assert methods(tmp_path) == ({after.rstrip("0123456789")} if after is not Compression.NONE else set())


def test_an_open_index_is_made_over_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = EdgeStore(tmp_path)
    store.open("g", DIMENSION, Compression.NONE)
    passages = written(store)
    store.open("g", DIMENSION, Compression.BINARY)
    store.open("g", DIMENSION, Compression.BINARY)
    assert [message.rpartition(" ")[2] for message in caplog.messages] == ["binary"] * 2  # two collections, once
    check(store, passages)
    store.close()
    assert methods(tmp_path) == {"binary"}


def methods(folder: Path) -> set[str]:
    """The codes that the passages' segments really have, from the engine's files."""
    found = set()
    for path in folder.glob("g/passages/segments/*/vector_storage-*/quantized.config.json"):
        text = path.read_text().lower()
        found |= {name for name in ("scalar", "binary", "turbo") if f'"{name}"' in text}
    return found


def test_a_server_is_told_to_make_a_collection_over(caplog: pytest.LogCaptureFixture) -> None:
    client = Told()
    ServerStore(client).open("g", DIMENSION, Compression.NONE)
    assert not client.changes
    ServerStore(client).open("g", DIMENSION, Compression.BINARY)
    assert [(name, set(change)) for name, change in client.changes] == [
        ("documents-g", {"dense"}),
        ("passages-g", {"dense", "spans"}),
    ]
    for _, change in client.changes:
        for each in change.values():
            assert isinstance(each.quantization_config, models.BinaryQuantization)
            assert each.memory is models.Memory.COLD
    assert caplog.messages[-1] == "the vectors in collection passages-g are compressed anew: binary"

    client.changes.clear()
    ServerStore(client).open("h", DIMENSION, Compression.TURBO4)
    ServerStore(client).open("h", DIMENSION, Compression.TURBO4)
    assert not client.changes
    ServerStore(client).open("h", DIMENSION, Compression.NONE)
    assert client.changes[-1][1]["spans"].quantization_config is models.Disabled.DISABLED
    client.close()


class Unknowing(QdrantClient):
    """A server from before TurboQuant."""

    def create_collection(self, collection_name: str, **_: Any) -> bool:
        raise UnexpectedResponse(400, "Bad Request", b"data did not match any variant of QuantizationConfig", None)  # type: ignore[arg-type]


def test_a_server_that_does_not_offer_a_compression_is_named_with_what_it_offers() -> None:
    store = ServerStore(Unknowing(":memory:"))
    with pytest.raises(StoreRejected, match=r"does not offer compression turbo4; `none`, `scalar` and `binary`"):
        store.open("g", DIMENSION, Compression.TURBO4)
    store.close()


def test_beyond_the_exact_scan_codes_make_the_shortlist_and_originals_the_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = EXACT_SPANS + 500
    dense = unit(rng, count)
    spans = dense[:, None, :] + 0.6 * unit(rng, count, 2)
    spans /= np.linalg.norm(spans, axis=-1, keepdims=True)
    offsets = np.zeros((2, 2), np.int32)
    store = EdgeStore(tmp_path)
    store.open("g", DIMENSION, Compression.TURBO4)
    made = [
        Passage(KEY, 1, hash_of("one"), n, 0, 1, "a", "", {}, (), 1, offsets, dense[n], spans[n]) for n in range(count)
    ]
    store.upsert_passages(made)
    query = unit(rng)
    exact = {item.id: score for item, score in zip(made, (spans @ query).max(axis=1).tolist(), strict=True)}
    best = sorted(exact, key=lambda id: -exact[id])[:50]
    [hits] = store.rank([Query(Spans(query), SCOPE, 50)])
    assert len({id for id, _ in hits} & {*best}) >= 48
    assert [exact[id] for id, _ in hits] == pytest.approx([score for _, score in hits], abs=2e-3)
    store.close()
