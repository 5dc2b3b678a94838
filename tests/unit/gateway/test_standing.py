from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Outgoing
from spanstream.events.segmenter import PASSAGES
from spanstream.events.topics import MATCHES
from spanstream.events.v1.match_pb2 import MatchEvent
from spanstream.gateway import standing_api
from spanstream.gateway.index import Index
from spanstream.gateway.standing import Computing, Recomputing
from spanstream.indexer.handler import Indexer
from spanstream.runtime import problems
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.key_file import create_key
from spanstream.store.generation import Generation
from spanstream.store.queries import Scope
from spanstream.store.standing import Computed
from tests.unit.gateway.corpus import FISH, Corpus
from tests.unit.gateway.test_api import default
from tests.unit.indexer.documents import DIMENSION, GENERATION

PATH = "/v1/standing-queries"


class Encoder(HashEncoder):
    away = False

    def encode(self, texts: list[Text], *, query: bool = False) -> list[Encoded]:  # type: ignore[override]
        if self.away:
            raise EncoderUnavailable("no answer")
        return super().encode(texts, query=query)


class Api:
    """The routes over a corpus."""

    def __init__(self, corpus: Corpus, keys: Path | None = None, most: int = 3) -> None:
        self.corpus, self.now, self.encoder = corpus, 100, Encoder(DIMENSION)
        index = Index(corpus.store, self.encoder, PASSAGES, None)
        index.open(threading.Event())
        app = FastAPI()
        problems.install(app)
        authenticator = Authenticator.from_file(str(keys) if keys else None)
        self.computing = Computing(corpus.store, self.encoder)
        app.include_router(
            standing_api.router(corpus.store, self.computing, index, authenticator, most=most, now_us=lambda: self.now)
        )
        self.client = TestClient(app)

    def put(self, id: str, query: Any, key: str = "", **more: Any) -> Any:
        return self.client.put(f"{PATH}/{id}", json={"query": query} | more, headers=_bearer(key))


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


@pytest.fixture
def api(empty: Corpus) -> Iterator[Api]:
    empty.put(*default(FISH))
    api = Api(empty)
    with api.client:
        yield api


def test_a_saved_query_is_shown_as_it_was_sent_and_listed(api: Api) -> None:
    query = {"all": ["fish", {"not": "birds"}]}
    where = {"field": "source", "in": ["wiki"]}
    answer = api.put("b", query, filter=where, threshold=0.25)
    saved = {"id": "b", "query": query, "filter": where, "threshold": 0.25, "revision": 100, "active": True}
    assert (answer.status_code, answer.json()) == (200, saved)
    assert api.client.get(f"{PATH}/b").json() == saved
    api.put("a", "fish")
    listed = api.client.get(PATH).json()["queries"]
    assert [each["id"] for each in listed] == ["a", "b"]
    assert (listed[0]["threshold"], listed[0]["filter"]) == (0.5, None)


def test_a_deleted_query_is_gone(api: Api) -> None:
    api.put("a", "fish")
    assert api.client.delete(f"{PATH}/a").status_code == 204
    assert api.client.get(f"{PATH}/a").status_code == 404
    assert api.client.delete(f"{PATH}/a").status_code == 404


def test_the_same_again_changes_nothing_and_a_change_raises_the_revision(api: Api) -> None:
    api.put("a", "fish")
    mark = api.corpus.store.standing().mark()
    api.now = 200
    assert api.put("a", "fish").json()["revision"] == 100
    assert api.corpus.store.standing().mark() == mark
    assert api.put("a", "birds").json()["revision"] == 200
    api.now = 50  # a clock that was set back
    assert api.put("a", "fish").json()["revision"] == 201


def test_what_was_saved_is_what_the_indexer_matches(api: Api) -> None:
    api.put("a", {"all": ["one fish", {"like": {"source": "wiki", "id": FISH.key.id}}]}, threshold=0.3)
    (fish,) = default(FISH)
    results = Indexer(api.corpus.store, GENERATION, lambda: 1)(
        type(fish)(fish.key._replace(id="new"), 1, fish.passages).records()
    )
    events = [MatchEvent.FromString(one.value) for one in results if isinstance(one, Outgoing)]
    assert [(event.query_id, event.id) for event in events] == [("a", "new")]
    assert isinstance(results[0], Outgoing)
    assert results[0].topic == MATCHES.name


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.query"),
        ({"query": ""}, "body.query"),
        ({"query": {"not": "x"}}, "body.query"),
        ({"query": {"all": []}}, "body.query.all"),
        ({"query": {"any": [f"text {n}" for n in range(9)]}}, "body.query"),
        ({"query": "x" * 4001}, "body.query"),
        ({"query": "x", "threshold": 1.5}, "body.threshold"),
        ({"query": "x", "threshold": -0.1}, "body.threshold"),
        ({"query": "x", "mode": "hybrid"}, "body.mode"),
        ({"query": "x", "filter": {"field": "tenant", "eq": "other"}}, "body.filter.field"),
        ({"query": {"like": {"source": "wiki", "id": "nowhere"}}}, "body.query"),
    ],
)
def test_what_is_wrong_is_named(api: Api, body: Any, field: str) -> None:
    answer = api.client.put(f"{PATH}/a", json=body)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert api.client.get(PATH).json() == {"queries": []}


@pytest.mark.parametrize("id", ["A", "-a", "a" * 65, "a%20b", "a%00"])
def test_an_id_is_a_name(api: Api, id: str) -> None:
    answer = api.put(id, "fish")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "path.id"


def test_a_tenant_has_only_so_many_and_may_change_those(api: Api) -> None:
    for name in ("a", "b", "c"):
        assert api.put(name, "fish").status_code == 200
    assert api.put("d", "fish").status_code == 409
    assert api.put("c", "birds").status_code == 200
    api.client.delete(f"{PATH}/a")
    assert api.put("d", "fish").status_code == 200


def test_without_the_encoder_nothing_is_saved(api: Api) -> None:
    api.encoder.away = True
    assert api.put("a", "fish").status_code == 503
    assert api.client.get(PATH).json() == {"queries": []}


def test_queries_are_told_apart_by_tenant_and_groups_and_need_both_scopes(empty: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    both = frozenset({"read", "write"})
    keys = {
        "all": create_key(file, "all", "acme", both),
        "staff": create_key(file, "staff", "acme", both, ["staff"]),
        "other": create_key(file, "other", "other", both),
        "reads": create_key(file, "reads", "acme", frozenset({"read"})),
        "writes": create_key(file, "writes", "acme", frozenset({"write"})),
    }
    api = Api(empty, file, most=10)
    for name in ("all", "staff", "other"):
        assert api.put("a", f"fish of {name}", keys[name]).status_code == 200
    for name in ("all", "staff", "other"):
        shown = api.client.get(PATH, headers=_bearer(keys[name])).json()["queries"]
        assert [each["query"] for each in shown] == [f"fish of {name}"]
    assert api.client.delete(f"{PATH}/a", headers=_bearer(keys["staff"])).status_code == 204
    assert api.client.get(f"{PATH}/a", headers=_bearer(keys["staff"])).status_code == 404
    assert api.client.get(f"{PATH}/a", headers=_bearer(keys["all"])).status_code == 200
    assert api.put("b", "fish", keys["reads"]).status_code == 403
    assert api.put("b", "fish", keys["writes"]).status_code == 403
    assert api.client.get(PATH, headers=_bearer(keys["writes"])).status_code == 403
    assert api.client.get(PATH).status_code == 401


def test_a_query_of_another_generation_is_told_and_computed_anew(api: Api) -> None:
    api.put("a", "fish")
    queries = api.corpus.store.standing()
    (saved,) = queries.all()
    assert saved.computed is not None
    old = Computed("another", 0.0, 0, saved.computed.parts)
    queries.compute(saved, old)
    assert api.client.get(f"{PATH}/a").json()["active"] is False
    Recomputing(api.corpus.store, lambda: GENERATION, api.computing).run(threading.Event())
    assert api.client.get(f"{PATH}/a").json() == {**api.client.get(f"{PATH}/a").json(), "active": True, "revision": 100}
    (again,) = queries.all()
    assert again.computed is not None
    np.testing.assert_array_equal(again.computed.parts[0].vector, saved.computed.parts[0].vector)


def test_recomputing_waits_for_an_example_that_is_not_indexed_yet(api: Api) -> None:
    api.put("a", {"like": {"source": "wiki", "id": FISH.key.id}})
    store, stop, tries = api.corpus.store, threading.Event(), []

    class Never(Computing):
        def __call__(self, scope: Scope, meaning: Any, generation: Generation) -> Computed:
            tries.append(1)
            stop.set()
            return super().__call__(Scope("nobody"), meaning, generation)

    (saved,) = store.standing().all()
    assert saved.computed is not None
    store.standing().compute(saved, Computed("another", 0.0, 0, saved.computed.parts))
    Recomputing(store, lambda: GENERATION, Never(store, api.encoder)).run(stop)
    assert tries == [1]
    assert api.client.get(f"{PATH}/a").json()["active"] is False


def test_texts_without_relation_are_measured_once_for_a_release(api: Api) -> None:
    api.put("a", "fish")
    (saved,) = api.corpus.store.standing().all()
    assert saved.computed is not None
    assert 0 <= saved.computed.unrelated < 0.3
