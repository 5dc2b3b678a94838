from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from spanstream.encoder.encoder import Encoded, EncoderInfo, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.dead_letters import dead_letter
from spanstream.eventlog.log import Record, Rejected
from spanstream.events.ids import Key
from spanstream.events.segmenter import PASSAGES
from spanstream.events.v1.failure_pb2 import REASON_INDEX_REJECTED
from spanstream.gateway.api import router
from spanstream.gateway.index import Index
from spanstream.gateway.late_interaction import LateInteraction
from spanstream.gateway.live import View
from spanstream.gateway.query_cache import QueryCache
from spanstream.gateway.reranking import Stage
from spanstream.gateway.search import Searcher
from spanstream.runtime import problems
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.key_file import create_key
from spanstream.store.errors import StoreUnavailable
from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus, document
from tests.unit.indexer.documents import DIMENSION, ENCODER, deleted, failed
from tests.unit.indexer.stores import Faulty

MAX = 2**53 - 1


class SometimesAway(HashEncoder):
    away = False

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        if self.away:
            raise EncoderUnavailable("no answer")
        return super().encode(texts)


class Api:
    """The gateway's routes over a corpus, without a socket."""

    def __init__(
        self, corpus: Corpus, keys: Path | None = None, store: Any = None, cache: QueryCache | None = None
    ) -> None:
        self.corpus = corpus
        self.encoder = SometimesAway(DIMENSION)
        store = store or corpus.store
        self.index = Index(store, self.encoder, PASSAGES, None)
        self.index.open(threading.Event())
        app = FastAPI()
        problems.install(app)
        authenticator = Authenticator.from_file(str(keys) if keys else None)
        searcher = Searcher(store, self.encoder, {Stage.LATE: LateInteraction(self.encoder)}, cache=cache)
        app.include_router(router(lambda: View(self.index(), store, searcher), authenticator))
        self.client = TestClient(app)

    def search(self, query: str, **more: Any) -> Any:
        answer = self.client.post("/v1/search", json={"query": query} | more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, id: str, source: str = "wiki", **params: Any) -> Any:
        return self.client.get(f"/v1/sources/{source}/documents/{quote(id, safe='')}", params=params)


def default(*documents: Any) -> list[Any]:
    """The same documents for tenant `default`, which everyone on loopback is."""
    return [replace(each, key=each.key._replace(tenant="default")) for each in documents]


@pytest.fixture
def api(empty: Corpus) -> Iterator[Api]:
    empty.put(*default(FISH, BIRD, TREE))
    api = Api(empty)
    with api.client:
        yield api


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """For tests that change nothing."""
    corpus = Corpus(tmp_path_factory.mktemp("store"))
    corpus.put(*default(FISH, BIRD, TREE))
    api = Api(corpus)
    with api.client:
        yield api
    corpus.store.close()


def is_problem(answer: Any, status: int, field: str = "") -> bool:
    body = answer.json()
    fields = [error["field"] for error in body.get("errors", [])]
    return (
        answer.status_code == body["status"] == status
        and answer.headers["content-type"] == "application/problem+json"
        and (not field or any(each.startswith(field) for each in fields))
    )


def test_search_answers_with_documents_passages_and_spans(shared: Api) -> None:
    answer = shared.search("returns in spring")
    hit = answer["hits"][0]
    assert (hit["source"], hit["id"], hit["version"], hit["title"]) == ("wiki", "bird", 1, "Birds")
    assert hit["metadata"] == {"year": 2010, "author": {"name": "Ada"}}
    passage = hit["passages"][0]
    span = passage["spans"][0]
    assert span["text"] == "It returns in spring."
    assert BIRD.text[span["start"] : span["end"]] == span["text"]
    assert answer["partial"] is False
    assert answer["took_ms"] > 0


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"field": "source", "in": ["wood"]}, [TREE]),
        ({"field": "source", "eq": "wiki"}, [FISH, BIRD]),
        ({"field": "id", "eq": TREE.key.id}, [TREE]),
        ({"field": "metadata.year", "gte": 2000}, [BIRD]),
        ({"field": "metadata.year", "gt": 1999, "lte": 2010.5}, [BIRD]),
        ({"field": "metadata.year", "eq": 1999}, [FISH]),
        ({"field": "metadata.tags", "in": ["sea", "air"]}, [FISH]),
        ({"field": "metadata.author.name", "eq": "Ada"}, [BIRD]),
        ({"field": "metadata.seen", "gte": "2024-04-30", "lt": "2024-06-01T00:00:00Z"}, [TREE]),
        ({"not": {"field": "source", "eq": "wiki"}}, [TREE]),
        ({"not": {"field": "source", "in": ["wiki", "nowhere"]}}, [TREE]),
        ({"any": [{"field": "source", "eq": "wood"}, {"field": "metadata.year", "eq": 2010}]}, [TREE, BIRD]),
        ({"all": [{"field": "source", "eq": "wiki"}, {"not": {"field": "id", "in": ["fish"]}}]}, [BIRD]),
        ({"field": "metadata.nothing", "eq": True}, []),
        (None, [FISH, BIRD, TREE]),
    ],
)
def test_filter_decides_what_can_be_found(shared: Api, filter: Any, expected: list[Any]) -> None:
    assert {hit["id"] for hit in shared.search("fish", filter=filter)["hits"]} == {each.key.id for each in expected}


def deep(depth: int) -> Any:
    inner: Any = {"field": "metadata.x", "eq": 1}
    for _ in range(depth):
        inner = {"not": inner}
    return inner


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.query"),
        ({"query": ""}, "body.query"),
        ({"query": "  \n"}, "body.query"),
        ({"query": 7}, "body.query"),
        ({"query": None}, "body.query"),
        ({"query": "x" * 100_000}, "body.query"),
        ({"query": "x" * 4001}, "body.query"),
        ({"query": "a\x00b"}, "body.query"),
        ({"query": "x", "limit": 0}, "body.limit"),
        ({"query": "x", "limit": -1}, "body.limit"),
        ({"query": "x", "limit": 101}, "body.limit"),
        ({"query": "x", "limit": 10**9}, "body.limit"),
        ({"query": "x", "limit": 10**400}, "body.limit"),
        ({"query": "x", "limit": "10"}, "body.limit"),
        ({"query": "x", "limit": 1.5}, "body.limit"),
        ({"query": "x", "limit": True}, "body.limit"),
        ({"query": "x", "mode": "best"}, "body.mode"),
        ({"query": "x", "group_by": "source"}, "body.group_by"),
        ({"query": "x", "passages_per_document": 0}, "body.passages_per_document"),
        ({"query": "x", "spans_per_passage": 11}, "body.spans_per_passage"),
        ({"query": "x", "k": 10}, "body.k"),
        ({"query": "x", "filter": []}, "body.filter"),
        ({"query": "x", "filter": {}}, "body.filter"),
        ({"query": "x", "filter": "source = a"}, "body.filter"),
        ({"query": "x", "filter": {"field": "source"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "source", "eq": "nowhere"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "source", "eq": "wiki", "in": ["wiki"]}}, "body.filter"),
        ({"query": "x", "filter": {"field": "source", "eq": {"a": 1}}}, "body.filter"),
        ({"query": "x", "filter": {"field": "source", "in": []}}, "body.filter"),
        ({"query": "x", "filter": {"field": "source", "in": ["a"] * 257}}, "body.filter"),
        ({"query": "x", "filter": {"field": "source", "gte": 1}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata.x", "gte": 1, "lt": "2024-01-01"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata.x", "gte": "2024-02-30"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata.x", "gte": "soon"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata.x", "gte": "2024-01-01T12:30Z"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata.x", "lt": "2024-01-01 12:30+02:00"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata.x", "lt": "2024-01-01T12:30:00+01:60"}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata.x", "gte": True}}, "body.filter"),
        ({"query": "x", "filter": {"field": "metadata", "eq": 1, "or": 1}}, "body.filter"),
        *(
            ({"query": "x", "filter": {"field": name, "eq": "a"}}, "body.filter")
            for name in (
                "tenant",
                "version",
                "state",
                "groups",
                "key",
                "metadata",
                "metadata.",
                "",
                "a.b",
                "metadata.a[0]",
                "metadata.a\\b",
            )
        ),
        ({"query": "x", "filter": {"all": []}}, "body.filter"),
        ({"query": "x", "filter": {"all": [{"field": "source", "eq": "wiki"}] * 65}}, "body.filter"),
        ({"query": "x", "filter": deep(9)}, "body.filter"),
        ({"query": "x", "filter": deep(200)}, "body.filter"),
    ],
)
def test_bad_search_is_a_problem_that_names_the_field(shared: Api, body: Any, field: str) -> None:
    assert is_problem(shared.client.post("/v1/search", json=body), 422, field)


@pytest.mark.parametrize(
    ("filter", "field"),
    [
        ({"field": "lang", "eq": "en"}, "body.filter.field"),
        ({"all": [{"field": "id", "eq": "a"}, {"field": "lang", "eq": "en"}]}, "body.filter.all.1.field"),
        ({"not": {"any": [{"field": "lang\n", "eq": "en"}]}}, "body.filter.not.any.0.field"),
    ],
)
def test_unknown_field_of_a_filter_is_told_under_its_path_as_sent(shared: Api, filter: Any, field: str) -> None:
    errors = shared.client.post("/v1/search", json={"query": "x", "filter": filter}).json()["errors"]
    assert errors == [{"field": field, "detail": "must be source, id or metadata.NAME"}]


@pytest.mark.parametrize(
    ("filter", "field", "detail"),
    [
        ({"field": "source", "eq": [1]}, "body.filter.eq", "must be a text, a number or a boolean"),
        ({"field": "source", "in": ["a", 1.5]}, "body.filter.in.1", "must be a text, an integer or a boolean"),
        ({"field": "metadata.x", "gte": True}, "body.filter.gte", "must be a number or a date"),
        ({"field": "id", "eq": "x" * 513}, "body.filter.eq", "should have at most 512 characters"),
        (
            {"any": [{"not": {"field": "id", "in": [None]}}]},
            "body.filter.any.0.not.in.0",
            "must be a text, an integer or a boolean",
        ),
        ("source", "body.filter", "must be an object"),
        ({"any": [5]}, "body.filter.any.0", "must be an object"),
    ],
)
def test_a_wrong_value_of_a_filter_is_told_once_in_the_words_of_who_sent_it(
    shared: Api, filter: Any, field: str, detail: str
) -> None:
    errors = shared.client.post("/v1/search", json={"query": "x", "filter": filter}).json()["errors"]
    assert errors == [{"field": field, "detail": detail}]


def test_schema_of_a_filter_says_which_fields_there_are(shared: Api) -> None:
    field = shared.client.get("/openapi.json").json()["components"]["schemas"]["Comparison"]["properties"]["field"]
    assert field["pattern"].startswith("^(source|id|metadata")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/sources"), ("POST", "/v1/search")])
def test_a_query_parameter_that_a_request_does_not_have_is_named(shared: Api, method: str, path: str) -> None:
    answer = shared.client.request(method, path, params={"verison": 3}, json={"query": "fish"})
    assert is_problem(answer, 422, "query.verison")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"not json",
        b'{"query": "x"} x',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"query": "\\ud800"}',
        b'{"query": "x", "limit": NaN}',
        b'{"query": "x", "limit": 1e400}',
        b"[]",
        b"null",
        b'"x"',
    ],
)
def test_bad_body_is_a_problem(shared: Api, content: bytes) -> None:
    answer = shared.client.post("/v1/search", content=content, headers={"content-type": "application/json"})
    assert is_problem(answer, answer.status_code)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/sources/wiki/documents:status"])
@pytest.mark.parametrize("type", ["application/x-www-form-urlencoded", "text/plain", "application/jsonl", None])
def test_body_that_is_not_called_json_is_an_unsupported_type(shared: Api, path: str, type: str | None) -> None:
    answer = shared.client.post(path, content=b'{"query": "x"}', headers={"content-type": type} if type else {})
    assert is_problem(answer, 415)
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize("type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_body_called_json_that_is_no_object_does_not_fit(shared: Api, type: str) -> None:
    assert is_problem(shared.client.post("/v1/search", content=b"[]", headers={"content-type": type}), 422, "body")
    assert is_problem(shared.client.post("/v1/search"), 422, "body")


def test_error_never_repeats_what_was_sent(shared: Api) -> None:
    answer = shared.client.post("/v1/search", json={"query": "x", "filter": {"field": "source", "eq": "canary-word"}})
    assert "canary" not in answer.text
    answer = shared.client.post("/v1/search", json={"query": "x", "mode": "canary-word"})
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    "query", ["red fish", {"all": ["red fish", {"not": "bird"}]}, {"like": {"source": "wood", "id": TREE.key.id}}]
)
def test_without_an_encoder_search_goes_on_by_words_alone_and_says_so(api: Api, query: Any) -> None:
    assert api.search(query)["by_words"] is False
    api.encoder.away = True
    answer = api.search(query)
    assert "fish" in [hit["id"] for hit in answer["hits"]]
    assert answer["by_words"] is not ("like" in query)  # a document's vectors are in the index
    assert api.search(query, mode="lexical")["by_words"] is False


@pytest.mark.parametrize("mode", ["dense", "spans"])
def test_without_an_encoder_a_search_by_meaning_is_503(api: Api, mode: str) -> None:
    api.encoder.away = True
    answer = api.client.post("/v1/search", json={"query": "red fish", "mode": mode})
    assert is_problem(answer, 503)
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/search", {"query": "x", "mode": "lexical"}),
        ("GET", "/v1/sources", None),
        ("GET", "/v1/sources/wiki/documents/x", None),
        ("POST", "/v1/sources/wiki/documents:status", {"documents": [{"id": "x"}]}),
    ],
)
@pytest.mark.parametrize("why", ["down", "unopened"])
def test_without_a_store_everything_is_503(empty: Corpus, method: str, path: str, body: Any, why: str) -> None:
    api = Api(empty, store=Faulty(empty.store, at=2, error=StoreUnavailable("down")))
    if why == "unopened":
        api.index._generation = None
    answer = api.client.request(method, path, json=body)
    assert is_problem(answer, 503)
    assert answer.headers["retry-after"]


def test_sources_are_counted_by_live_documents(api: Api) -> None:
    api.corpus.index([deleted(FISH.key._replace(tenant="default"), 2)])
    counts = [{"source": "wiki", "documents": 1}, {"source": "wood", "documents": 1}]
    assert api.client.get("/v1/sources").json() == {"sources": counts}


@pytest.mark.parametrize(
    "id", ["a/b", "/", "a//b", "50%", "a b", "ä/漢字/🐟", "?x=1#y", "documents:status", "+", "..."]
)
def test_id_of_any_characters_is_found_under_its_path(api: Api, id: str) -> None:
    api.corpus.put(*default(document(id, ["Some words."], version=3)))
    assert api.status(id).json() == {
        "source": "wiki",
        "id": id,
        "state": "searchable",
        "version": 3,
        "content_hash": document(id, ["Some words."]).content_hash.hex(),
        "failure": None,
    }


def test_status_tells_the_states_apart(api: Api) -> None:
    key = FISH.key._replace(tenant="default")
    api.corpus.index([failed(key, 4), failed(key._replace(id="bad"), 2)])
    assert api.status("fish", version=1).json()["state"] == "searchable"
    assert api.status("fish", version=3).json()["state"] == "failed"
    failure = api.status("bad").json()
    assert failure["failure"] == {
        "version": 2,
        "stage": "ingestor",
        "reason": "PARSE_FAILED",
        "detail": "it cannot be read",
    }
    assert (failure["state"], failure["version"], failure["content_hash"]) == ("failed", 0, "")
    assert api.status("fish", version=5).json()["state"] == "pending"
    api.corpus.index([deleted(key, 5)])
    assert api.status("fish", version=5).json()["state"] == "deleted"
    assert api.status("fish", version=2).json()["state"] == "deleted"
    assert is_problem(api.status("nothing"), 404)
    assert api.status("nothing", version=0).json()["state"] == "pending"


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("wiki/documents/a", {"version": -1}),
        ("wiki/documents/a", {"version": MAX + 1}),
        ("wiki/documents/a", {"version": "new"}),
        ("wiki/documents/a", {"version": "1.0"}),
        ("wiki/documents/a", {"version": "+1"}),
        ("wiki/documents/a", {"wait": 61}),
        ("wiki/documents/a", {"wait": -1}),
        ("wiki/documents/a", {"wait": "nan"}),
        ("wiki/documents/" + "a" * 513, {}),
        ("wiki/documents/a%00b", {}),
        ("wiki/documents/", {}),
        ("W*/documents/a", {}),
        ("a%2Fb/documents/a", {}),
        ("a" * 65 + "/documents/a", {}),
    ],
)
def test_bad_status_request_is_a_problem(shared: Api, path: str, params: Any) -> None:
    answer = shared.client.get(f"/v1/sources/{path}", params=params)
    assert answer.status_code in (404, 422)
    assert is_problem(answer, answer.status_code)


def test_status_of_many_documents_comes_in_the_order_asked(shared: Api) -> None:
    body = {"documents": [{"id": "bird", "version": 1}, {"id": "nothing"}, {"id": "fish", "version": 2}]}
    answer = shared.client.post("/v1/sources/wiki/documents:status", json=body).json()
    states = [(each["id"], each["state"], each["version"]) for each in answer["documents"]]
    assert states == [("bird", "searchable", 1), ("nothing", "pending", 0), ("fish", "pending", 1)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"documents": []},
        {"documents": [{"id": ""}]},
        {"documents": [{"id": "a", "version": -1}]},
        {"documents": [{"id": "a", "version": 2**53}]},
        {"documents": [{"id": "a", "version": "1"}]},
        {"documents": [{"id": "a"}] * 1001},
        {"documents": [{"id": "a", "x": 1}]},
        {"documents": [{"id": "a"}], "wait": 61},
        {"documents": [{"id": "a\n"}]},
    ],
)
def test_bad_status_batch_is_a_problem(shared: Api, body: Any) -> None:
    assert is_problem(shared.client.post("/v1/sources/wiki/documents:status", json=body), 422, "body")


def test_waiting_ends_when_the_document_is_searchable(api: Api) -> None:
    """Five wait at once; the document arrives only after all of them have begun."""
    key = document("late", ["x."]).key._replace(tenant="default")
    began = threading.Semaphore(0)

    def wait() -> Any:
        began.release()
        return api.status("late", version=2, wait=30).json()

    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(wait) for _ in range(5)]
        for _ in waiting:
            began.acquire()
        api.corpus.index(replace(document("late", ["x."], version=2), key=key).records())
        assert {each.result()["state"] for each in waiting} == {"searchable"}


def test_waiting_gives_up_after_its_seconds(shared: Api) -> None:
    body = {"documents": [{"id": "fish"}, {"id": "never", "version": 1}], "wait": 0.05}
    answer = shared.client.post("/v1/sources/wiki/documents:status", json=body).json()
    assert [each["state"] for each in answer["documents"]] == ["searchable", "pending"]


def test_tenant_and_scope_come_from_the_key_alone(empty: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    token = create_key(file, "one", "acme")
    foreign = create_key(file, "two", "other")
    writer = create_key(file, "three", "acme", frozenset({"write"}))
    empty.put(FISH)
    api = Api(empty, file)

    def ask(token: str) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        return api.client.post("/v1/search", json={"query": "red fish"}, headers=headers)

    assert [hit["id"] for hit in ask(token).json()["hits"]] == ["fish"]
    assert ask(foreign).json()["hits"] == []
    assert is_problem(ask(writer), 403)
    assert is_problem(ask("sps_one_wrong"), 401)
    path = "/v1/sources/wiki/documents/fish"
    assert is_problem(api.client.get(path, headers={"authorization": f"Bearer {foreign}"}), 404)


def guest(corpus: Corpus, folder: Path) -> tuple[Api, dict[str, str]]:
    """The routes, and the headers of a caller of group `guest`."""
    file = folder / "keys.json"
    token = create_key(file, "one", "acme")
    keys = json.loads(file.read_text())
    keys["keys"][0]["groups"] = ["guest"]
    file.write_text(json.dumps(keys))
    return Api(corpus, file), {"authorization": f"Bearer {token}"}


def test_key_of_one_source_sees_that_source_and_no_other(tmp_path: Path, empty: Corpus) -> None:
    empty.put(
        document("mine", ["Red fish swim."], metadata={"kind": "shown"}),
        document("secret", ["Red fish hide."], source="vault", metadata={"kind": "hidden"}),
    )
    token = create_key(tmp_path / "keys.json", "one", "acme", sources=["wiki"])
    api = Api(empty, tmp_path / "keys.json")
    secret = {"source": "vault", "id": "secret"}
    with api.client:
        api.client.headers["authorization"] = f"Bearer {token}"
        for filter in (None, {"not": {"field": "source", "eq": "nowhere"}}, {"field": "id", "in": ["mine", "secret"]}):
            for mode in ("hybrid", "dense", "lexical", "spans"):
                facets = [{"field": "metadata.kind"}, {"field": "source"}]
                answer = api.search("red fish hide", mode=mode, filter=filter, facets=facets, explain=True)
                assert [hit["id"] for hit in answer["hits"]] == ["mine"]
                assert "hidden" not in json.dumps(answer)
                assert "vault" not in json.dumps(answer)
        assert api.client.get("/v1/sources").json() == {"sources": [{"source": "wiki", "documents": 1}]}
        assert is_problem(api.client.get("/v1/sources/vault/documents/secret"), 403)
        assert is_problem(api.client.get("/v1/sources/vault/documents/nowhere"), 403)
        filter = {"field": "source", "eq": "vault"}
        assert is_problem(api.client.post("/v1/search", json={"query": "fish", "filter": filter}), 422, "body.filter")
        assert is_problem(api.client.post("/v1/similar", json={"to": secret}), 404, "body.to")
        missed = {"query": {"query": "red fish"}, "document": secret}
        unknown = missed | {"document": {"source": "vault", "id": "nowhere"}}
        told = [api.client.post("/v1/explain-miss", json=body).json() for body in (missed, unknown)]
        assert told[0] == told[1] | {"id": "secret"}
        assert told[0]["reason"] == "never_received"
        waiting = {"query": "fish", "after": receipt("secret", 1, "vault"), "after_wait": 0}
        assert api.client.post("/v1/search", json=waiting).json()["unfinished"] == ["after"]


def test_document_of_other_groups_is_as_unknown(empty: Corpus, tmp_path: Path) -> None:
    empty.put(document("secret", ["red fish"], groups=("staff",)))
    api, headers = guest(empty, tmp_path)
    assert is_problem(api.client.get("/v1/sources/wiki/documents/secret", headers=headers), 404)
    batch = api.client.post(
        "/v1/sources/wiki/documents:status", json={"documents": [{"id": "secret"}]}, headers=headers
    )
    assert batch.json()["documents"][0]["state"] == "pending"


def test_deleted_document_of_other_groups_is_as_unknown(empty: Corpus, tmp_path: Path) -> None:
    empty.put(document("secret", ["red fish"], groups=("staff",)), document("open", ["blue fish"]))
    assert empty.index([deleted(Key("acme", "wiki", id), 2) for id in ("secret", "open")]) == []
    assert empty.index([deleted(Key("acme", "wiki", "secret"), 3)]) == []
    api, headers = guest(empty, tmp_path)
    assert is_problem(api.client.get("/v1/sources/wiki/documents/secret", headers=headers), 404)
    assert api.client.get("/v1/sources/wiki/documents/open", headers=headers).json()["state"] == "deleted"


def test_failure_of_a_version_of_other_groups_is_as_unknown(empty: Corpus, tmp_path: Path) -> None:
    empty.put(document("moved", ["red fish"]))
    for id in ("secret", "moved"):
        (record,) = document(id, ["red fish"], version=2, groups=("staff",)).records()
        letter = dead_letter(Rejected(record, REASON_INDEX_REJECTED, "no"), stage="indexer", failed_at_us=1)
        assert letter is not None
        empty.index([Record(letter.topic, 0, 0, letter.key, letter.value)])
    api, headers = guest(empty, tmp_path)
    assert is_problem(api.client.get("/v1/sources/wiki/documents/secret", headers=headers), 404)
    moved = api.client.get("/v1/sources/wiki/documents/moved", headers=headers).json()
    assert (moved["state"], moved["version"], moved["failure"]) == ("searchable", 1, None)
    everyone = create_key(tmp_path / "keys.json", "all", "acme")
    api = Api(empty, tmp_path / "keys.json")
    for id in ("secret", "moved"):
        answer = api.client.get(f"/v1/sources/wiki/documents/{id}", headers={"authorization": f"Bearer {everyone}"})
        assert (answer.json()["state"], answer.json()["failure"]["version"]) == ("failed", 2)


def test_deleted_document_that_had_only_failed_is_as_unknown_to_other_groups(empty: Corpus, tmp_path: Path) -> None:
    for id, groups in (("secret", ("staff",)), ("shared", ("staff", "guest"))):
        (record,) = document(id, ["red fish"], groups=groups).records()
        letter = dead_letter(Rejected(record, REASON_INDEX_REJECTED, "no"), stage="indexer", failed_at_us=1)
        assert letter is not None
        empty.index([Record(letter.topic, 0, 0, letter.key, letter.value)])
        empty.index([deleted(Key("acme", "wiki", id), 2)])
    api, headers = guest(empty, tmp_path)
    assert is_problem(api.client.get("/v1/sources/wiki/documents/secret", headers=headers), 404)
    assert api.client.get("/v1/sources/wiki/documents/shared", headers=headers).json()["state"] == "deleted"


def test_failure_of_unknown_groups_is_for_callers_without_groups(empty: Corpus, tmp_path: Path) -> None:
    empty.index([failed(Key("acme", "wiki", id), 1) for id in ("bad", "gone")])  # without the record that failed
    empty.index([deleted(Key("acme", "wiki", "gone"), 2)])
    api, headers = guest(empty, tmp_path)
    for id in ("bad", "gone"):
        assert is_problem(api.client.get(f"/v1/sources/wiki/documents/{id}", headers=headers), 404)
    everyone = create_key(tmp_path / "keys.json", "all", "acme")
    api = Api(empty, tmp_path / "keys.json")
    for id, state in (("bad", "failed"), ("gone", "deleted")):
        answer = api.client.get(f"/v1/sources/wiki/documents/{id}", headers={"authorization": f"Bearer {everyone}"})
        assert answer.json()["state"] == state


def test_many_searches_at_once_agree(shared: Api) -> None:
    expected = [hit["id"] for hit in shared.search("red fish swims")["hits"]]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shared.search("red fish swims"), range(40)))
    assert all([hit["id"] for hit in answer["hits"]] == expected for answer in answers)


def test_limits_are_in_the_published_schema(shared: Api) -> None:
    schemas = shared.client.get("/openapi.json").json()["components"]["schemas"]
    request = schemas["SearchRequest"]["properties"]
    text, *_ = [form for form in request["query"]["oneOf"] if form.get("type") == "string"]
    assert (request["limit"]["maximum"], text["maxLength"]) == (100, 4000)
    assert schemas["StatusRequest"]["properties"]["documents"]["maxItems"] == 1000
    assert "Comparison" in schemas


def test_index_waits_for_the_encoder(empty: Corpus) -> None:
    class Late(HashEncoder):
        asked = 0

        def info(self) -> EncoderInfo:
            self.asked += 1
            if self.asked == 1:
                raise EncoderUnavailable("still starting")
            return super().info()

    class Now(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return self.is_set()

    index = Index(empty.store, Late(DIMENSION), PASSAGES, None)
    assert index.unready()
    index.open(Now())
    assert index().release == ENCODER.info().release
    assert not index.unready()


@pytest.mark.parametrize("name", ["\\ud800", "a" * 9_999])
def test_a_name_that_the_caller_made_up_is_422_and_not_repeated_at_length(shared: Api, name: str) -> None:
    body = f'{{"query": "x", "{name}": 1}}'
    answer = shared.client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert len(answer.content) < 1000


def test_description_names_the_key_and_the_problems_of_every_route(shared: Api) -> None:
    described = shared.client.get("/openapi.json").json()
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) == 8
    for operation in operations:
        assert operation["security"] == [{"key": []}]
        problems = {status: each["content"] for status, each in operation["responses"].items() if status >= "400"}
        assert {"401", "403", "503"} <= problems.keys()
        reference = {"$ref": "#/components/schemas/ProblemBody"}
        assert all(content == {"application/problem+json": {"schema": reference}} for content in problems.values())
    assert {"400", "415", "422"} <= described["paths"]["/v1/search"]["post"]["responses"].keys()
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    models = described["components"]["schemas"]
    assert {"ProblemBody", "WrongField"} <= models.keys()
    assert "HTTPValidationError" not in models
    assert shared.client.post("/v1/search", json={}).json().keys() == models["ProblemBody"]["properties"].keys()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ({"text": "returns in spring"}, "bird"),
        ({"all": ["fish", {"not": "roots live elsewhere"}]}, "fish"),
        ({"any": ["returns in spring", "returns in spring"]}, "bird"),
        ({"all": ["bird flies south", {"unlike": {"source": "wiki", "id": "fish"}}]}, "bird"),
        ({"like": {"source": "wood", "id": TREE.key.id}}, "fish"),
    ],
)
def test_a_query_may_be_a_set_of_meanings(shared: Api, query: Any, first: str) -> None:
    hit = shared.search(query)["hits"][0]
    assert hit["id"] == first
    assert 0 < hit["score"] < 1 or "text" in query or "any" in query or "like" in query
    assert hit["passages"][0]["spans"]


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"not": "fish"}, "body.query", "'not' alone"),
        ({"any": ["fish", {"not": "bird"}]}, "body.query", "'not' alone"),
        ({"all": []}, "body.query.all", "at least 1"),
        ({"all": ["fish", 5]}, "body.query.all.1", "string"),
        ({"all": ["fish"] * 1000}, "body.query", "at most 32 parts"),
        ({"all": [f"fish {i}" for i in range(33)]}, "body.query.all", "at most 32"),
        ({"like": {"source": "wiki", "id": "fish", "start": 3}}, "body.query.like", "both 'start' and 'end'"),
        ({"like": {"source": "wiki", "id": "nowhere"}}, "body.query", "no document wiki/nowhere is searchable"),
        ({"like": {"source": "WIKI", "id": "fish"}}, "body.query", "no document WIKI/fish is searchable"),
        ({"like": "fish"}, "body.query.like", "must be an object"),
        ({"near": "fish"}, "body.query", ""),
        ([], "body.query", "string"),
    ],
)
def test_a_query_that_cannot_be_is_refused_by_its_part(shared: Api, query: Any, field: str, words: str) -> None:
    answer = shared.client.post("/v1/search", json={"query": query})
    assert is_problem(answer, 422, field), answer.text
    assert words in answer.text


def test_a_query_nested_without_end_is_refused(shared: Api) -> None:
    query: Any = "fish"
    for _ in range(500):
        query = {"not": query}
    assert is_problem(shared.client.post("/v1/search", json={"query": query}), 422, "body.query")


def test_a_search_may_be_reranked_and_fused_in_another_way(api: Api) -> None:
    for more in ({"rerank": {"stage": "late"}}, {"fusion": "rrf"}, {"fusion": "dbsf"}):
        found = api.search("red fish swims", **more)
        assert found["hits"][0]["id"] == "fish"
        assert found["unfinished"] == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"rerank": {"stage": "cross"}}, "body.rerank.stage"),
        ({"rerank": {"stage": "nothing"}}, "body.rerank.stage"),
        ({"rerank": {"stage": "late", "depth": 0}}, "body.rerank.depth"),
        ({"rerank": {"stage": "late", "weight": 1.5}}, "body.rerank.weight"),
        ({"fusion": "max"}, "body.fusion"),
        ({"expand": True}, "body.expand"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(api: Api, more: dict[str, Any], field: str) -> None:
    answer = api.client.post("/v1/search", json={"query": "fish"} | more)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def receipt(id: str, version: int, source: str = "wiki") -> dict[str, Any]:
    return {"source": source, "id": id, "version": version}


def test_a_search_after_a_receipt_says_whether_the_document_had_arrived(shared: Api) -> None:
    assert shared.search("fish", after=receipt("fish", 1))["unfinished"] == []
    answer = shared.search("fish", after=[receipt("fish", 1), receipt("fish", 2)], after_wait=0)
    assert answer["unfinished"] == ["after"]
    assert "fish" in [hit["id"] for hit in answer["hits"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"after": receipt("..", 1)}, "body.after.0"),
        ({"after": [receipt("a", 1)] * 65}, "body.after"),
        ({"after": receipt("a", 1), "after_wait": 61}, "body.after_wait"),
        ({"deadline_ms": 9}, "body.deadline_ms"),
        ({"deadline_ms": 60_001}, "body.deadline_ms"),
    ],
)
def test_bad_receipts_and_deadlines_are_named(shared: Api, body: dict[str, Any], field: str) -> None:
    assert is_problem(shared.client.post("/v1/search", json={"query": "fish"} | body), 422, field)


def test_a_search_with_a_deadline_answers(shared: Api) -> None:
    assert shared.search("fish", deadline_ms=60_000)["unfinished"] == []


def test_a_group_s_document_is_waited_for_like_an_unknown_one(tmp_path: Path, empty: Corpus) -> None:
    secret = document("secret", ["Hidden fish."], groups=("staff",))
    empty.put(secret)
    keys = tmp_path / "keys.json"
    outside = create_key(keys, "outside", "acme", groups=["guests"])
    inside = create_key(keys, "inside", "acme", groups=["staff"])
    api = Api(empty, keys)
    with api.client:
        for token, unfinished in ((outside, ["after"]), (inside, [])):
            body = {"query": "fish", "after": receipt("secret", 1), "after_wait": 0}
            answer = api.client.post("/v1/search", json=body, headers={"authorization": f"Bearer {token}"})
            assert answer.json()["unfinished"] == unfinished
