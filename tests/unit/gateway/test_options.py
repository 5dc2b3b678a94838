"""Facets, boosts, recency, diversity, cursors and batches, through the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spanstream.encoder.encoder import Encoded, Text
from spanstream.gateway.query_cache import QueryCache
from spanstream.gateway.question import Mode
from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus, document
from tests.unit.gateway.test_api import Api, default, guest, is_problem
from tests.unit.indexer.documents import Document, deleted

DAY = "2025-03-01"


def made(n: int, **more: Any) -> Document:
    metadata = {"n": n, "parity": ["even", "odd"][n % 2], "date": f"2025-02-{n + 1:02}"}
    words = f"A fish of kind {n} swims {'far ' * (n % 5)}in water {n * n}."
    return document(f"d{n:02}", [words], **({"metadata": metadata} | more))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Twenty documents, and three others, that no test changes."""
    corpus = Corpus(tmp_path_factory.mktemp("store"))
    corpus.put(*default(*map(made, range(20)), FISH, BIRD, TREE))
    api = Api(corpus)
    with api.client:
        yield api
    corpus.store.close()


def ids(answer: Any) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


# --- Facets ----------------------------------------------------------------------------------------------------------


def test_facets_count_all_that_the_filter_keeps_not_what_is_found(shared: Api) -> None:
    facets = [{"field": "source", "limit": 5}, {"field": "metadata.parity"}, {"field": "metadata.none"}]
    answer = shared.search("bird", limit=1, facets=facets)
    assert answer["facets"] == [
        {"field": "source", "values": [{"value": "wiki", "count": 22}, {"value": "wood", "count": 1}]},
        {"field": "metadata.parity", "values": [{"value": "even", "count": 10}, {"value": "odd", "count": 10}]},
        {"field": "metadata.none", "values": []},
    ]
    narrowed = shared.search("bird", filter={"field": "metadata.n", "lt": 3}, facets=[{"field": "metadata.n"}])
    assert narrowed["facets"][0]["values"] == [{"value": n, "count": 1} for n in range(3)]
    assert shared.search("bird")["facets"] == []


def test_a_value_of_a_facet_can_be_filtered_on_and_keeps_its_type(shared: Api, empty: Corpus) -> None:
    values = [1, True, "1", 2.5, "", False]
    empty.put(*default(*(document(f"v{i}", ["fish"], metadata={"v": value}) for i, value in enumerate(values))))
    api = Api(empty)
    found = [each["value"] for each in api.search("fish", facets=[{"field": "metadata.v"}])["facets"][0]["values"]]
    assert sorted(map(repr, found)) == sorted(map(repr, values))
    for value in found:
        [hit] = api.search("fish", filter={"field": "metadata.v", "eq": value})["hits"]
        assert repr(hit["metadata"]["v"]) == repr(value)


def test_facets_say_nothing_of_what_the_caller_may_not_see(empty: Corpus, tmp_path: Path) -> None:
    empty.put(document("open", ["fish"], metadata={"k": "a"}))
    empty.put(document("secret", ["fish"], groups=("staff",), source="hr", metadata={"k": "b"}))
    empty.put(
        document("gone", ["fish"], metadata={"k": "c"}), document("f", ["fish"], tenant="other", metadata={"k": "d"})
    )
    assert empty.index([deleted(document("gone", ["fish"]).key, 2)]) == []
    api, headers = guest(empty, tmp_path)
    body = {"query": "fish", "facets": [{"field": "metadata.k"}, {"field": "source"}]}
    counted = api.client.post("/v1/search", json=body, headers=headers).json()["facets"]
    assert [each["values"] for each in counted] == [[{"value": "a", "count": 1}], [{"value": "wiki", "count": 1}]]


# --- Boosts, recency, diversity --------------------------------------------------------------------------------------

ODD = {"field": "metadata.parity", "eq": "odd"}
EVEN = {"field": "metadata.parity", "eq": "even"}


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("query", ["fish swims far", {"all": ["fish swims", {"not": "far"}]}])
def test_boosts_move_what_their_filters_keep(shared: Api, mode: str, query: Any) -> None:
    def ask(*boosts: tuple[Any, float]) -> list[str]:
        said = [{"filter": filter, "factor": factor} for filter, factor in boosts]
        found = ids(shared.search(query, mode=mode, limit=30, boosts=said))
        return [id for id in found if id.startswith("d")]

    def places(found: list[str], parity: int) -> list[int]:
        return [place for place, id in enumerate(found) if int(id[1:]) % 2 == parity]

    plain = ask()
    assert ask((ODD, 1), (EVEN, 1.0)) == plain
    up, down = ask((ODD, 10)), ask((ODD, 0.1))
    assert up != plain != down
    assert all(after <= before for after, before in zip(places(up, 1), places(plain, 1), strict=True))
    assert all(after >= before for after, before in zip(places(down, 1), places(plain, 1), strict=True))
    assert ask((ODD, 3), (EVEN, 2), (ODD, 0.5)) == ask((ODD, 0.5), (ODD, 3), (EVEN, 2))
    assert ask(({"field": "metadata.nothing", "eq": 1}, 10)) == plain


def test_boosts_keep_to_what_the_caller_sees(empty: Corpus, tmp_path: Path) -> None:
    empty.put(document("open", ["red fish"]), document("secret", ["red fish"], groups=("staff",)))
    api, headers = guest(empty, tmp_path)
    body = {"query": "red fish", "boosts": [{"filter": {"field": "id", "eq": "secret"}, "factor": 10}]}
    assert ids(api.client.post("/v1/search", json=body, headers=headers).json()) == ["open"]


@pytest.mark.parametrize("mode", list(Mode))
def test_recency_puts_the_newer_first_and_what_has_no_date_last(shared: Api, mode: str) -> None:
    def ask(**more: Any) -> list[str]:
        recency = {"field": "metadata.date", "half_life_days": 0.05, "now": "2025-02-20"} | more
        return ids(shared.search("fish", mode=mode, limit=30, recency=recency))

    plain = ids(shared.search("fish", mode=mode, limit=30))
    assert ask(weight=0) == plain
    assert ask(weight=1)[0] == ("d18" if mode == "lexical" else "d19")  # lexically d19 is the weakest, and stays it
    assert ask(weight=1, now=DAY, half_life_days=7) == ask(weight=1, now=f"{DAY}T00:00:00Z", half_life_days=7)
    undated = ask(field="metadata.nothing")
    assert undated == plain


def test_recency_by_the_time_of_acceptance(empty: Corpus) -> None:
    old, new = default(document("old", ["a fish"]), document("new", ["fish and much more than that"]))
    empty.put(old, new, *default(document("other", ["stone"])))
    heads = empty.store.heads([old.key, new.key])
    stamps = {old.key: 1_700_000_000_000_000, new.key: 1_750_000_000_000_000}
    empty.store.flip_heads([replace(head, version=2, accepted_at_us=stamps[key]) for key, head in heads.items()])
    api = Api(empty)
    assert ids(api.search("a fish", mode="lexical")) == ["old", "new"]
    recency = {"field": "accepted_at", "half_life_days": 30, "weight": 1.0, "now": "2025-06-20"}
    answer = api.search("a fish", mode="dense", recency=recency)
    assert ids(answer).index("new") < ids(answer).index("old")


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_diversity_brings_up_what_says_something_else(empty: Corpus, mode: str) -> None:
    copies = [document(f"copy{n}", ["The red fish swims fast."]) for n in range(12)]
    empty.put(*default(*copies, document("other", ["Some fish are blue and sleep."])))
    api = Api(empty)
    plain = ids(api.search("red fish swims fast", mode=mode, limit=5))
    assert "other" not in plain
    assert ids(api.search("red fish swims fast", mode=mode, limit=5, diversity=0)) == plain
    diverse = ids(api.search("red fish swims fast", mode=mode, limit=5, diversity=0.7))
    assert diverse[1] == "other"
    assert len(set(diverse)) == 5
    assert api.search("red fish swims fast", mode=mode, limit=5, diversity=1, group_by="none")["hits"]


# --- Cursors ---------------------------------------------------------------------------------------------------------


def pages(api: Api, between: Any = lambda page: None, **question: Any) -> list[list[str]]:
    found, cursor = [], None
    while True:
        answer = api.search(**question, cursor=cursor)
        found.append(ids(answer))
        cursor = answer["cursor"]
        if cursor is None:
            return found
        assert len(found) < 50
        between(len(found))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "more", [{}, {"diversity": 0.5}, {"group_by": "none"}, {"boosts": [{"filter": ODD, "factor": 3}]}]
)
def test_pages_neither_repeat_nor_skip(shared: Api, mode: str, more: Any) -> None:
    whole = ids(shared.search("fish swims", mode=mode, limit=100, **more))
    found = pages(shared, query="fish swims", mode=mode, limit=4, **more)
    assert [len(page) for page in found[:-1]] == [4] * (len(found) - 1)
    together = [id for page in found for id in page]
    assert sorted(together) == sorted(whole)


def test_pages_are_the_parts_of_the_whole_answer_while_nothing_changes(shared: Api) -> None:
    whole = ids(shared.search("fish swims", limit=100))
    assert [id for page in pages(shared, query="fish swims", limit=3) for id in page] == whole
    assert shared.search("fish swims", limit=100)["cursor"] is None
    assert len(pages(shared, query="red fish", limit=23)) <= 2


def test_pages_keep_what_was_there_while_documents_arrive_change_and_go(empty: Corpus) -> None:
    empty.put(*default(*map(made, range(20))))
    api = Api(empty)

    def change(page: int) -> None:
        if page > 3:
            return
        better = [document(f"new{page}-{n}", [f"A fish of kind {n} swims. Fish swims. {page}"]) for n in range(5)]
        empty.put(*default(*better))
        edited = made(3, version=page + 1)
        empty.put(*default(replace(edited, passages=[[f"A fish swims, edited {page}."]])))
        empty.index([deleted(default(made(19 - page))[0].key, 9)])

    found = [id for page in pages(api, change, query="fish swims", limit=4) for id in page]
    assert len(found) == len(set(found))
    gone = {f"d{19 - page:02}" for page in range(1, 4)}
    assert set(found) >= {f"d{n:02}" for n in range(20)} - gone


def test_a_cursor_widens_nothing(empty: Corpus, tmp_path: Path) -> None:
    empty.put(*(document(f"o{n}", [f"red fish {n}"]) for n in range(3)), document("s", ["red fish"], groups=("staff",)))
    api, headers = guest(empty, tmp_path)
    everyone = Api(empty, tmp_path / "keys.json")
    from spanstream.runtime.key_file import create_key

    token = {"authorization": f"Bearer {create_key(tmp_path / 'keys.json', 'all', 'acme')}"}
    everyone = Api(empty, tmp_path / "keys.json")
    first = everyone.client.post("/v1/search", json={"query": "red fish", "limit": 1}, headers=token).json()
    body = {"query": "red fish", "limit": 10, "cursor": first["cursor"]}
    assert set(ids(api.client.post("/v1/search", json=body, headers=headers).json())) <= {"o0", "o1", "o2"}


@pytest.mark.parametrize(
    "other",
    [
        {"query": "bird"},
        {"mode": "dense"},
        {"filter": {"field": "source", "eq": "wiki"}},
        {"group_by": "none"},
        {"boosts": [{"filter": ODD, "factor": 2}]},
        {"recency": {"field": "accepted_at", "half_life_days": 2}},
        {"diversity": 0.5},
    ],
)
def test_a_cursor_of_another_question_is_refused(shared: Api, other: Any) -> None:
    body = {"query": "fish swims", "limit": 4}
    cursor = shared.search(**body)["cursor"]
    assert shared.search(**body | {"limit": 7, "spans_per_passage": 0, "facets": [{"field": "source"}]}, cursor=cursor)
    answer = shared.client.post("/v1/search", json=body | other | {"cursor": cursor})
    assert is_problem(answer, 422, "body.cursor")
    assert "another question" in answer.text


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "ä", "=" * 8, "A" * 4000])
def test_what_is_no_cursor_is_refused(shared: Api, cursor: str) -> None:
    assert is_problem(shared.client.post("/v1/search", json={"query": "fish", "cursor": cursor}), 422, "body.cursor")


def test_a_cursor_of_another_generation_is_refused(shared: Api) -> None:
    from spanstream.gateway import cursors
    from spanstream.gateway.models import SearchRequest

    cursor = cursors.write(SearchRequest(query="fish").same(), "another", [])
    answer = shared.client.post("/v1/search", json={"query": "fish", "cursor": cursor})
    assert is_problem(answer, 422, "body.cursor")
    assert "replaced" in answer.text


# --- Batches ---------------------------------------------------------------------------------------------------------


def test_a_batch_answers_each_search_as_alone_and_asks_the_encoder_once(
    shared: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(shared.corpus, cache=QueryCache())
    wrong: list[Any] = [
        {"query": "x", "limit": 0},
        {"query": ""},
        7,
        {"query": "x", "filter": {"field": "source", "eq": "no"}},
    ]
    right = [
        {"query": "red fish", "limit": 3},
        {"query": {"all": ["bird", {"not": "south"}]}, "facets": [{"field": "source"}]},
        {"query": {"like": {"source": "wiki", "id": "fish"}}, "mode": "dense"},
        {"query": "tree", "mode": "lexical"},
    ]
    calls: list[int] = []
    encode = type(api.encoder).encode

    def counted(self: Any, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        calls.append(len(texts))
        return encode(self, texts, query=query)

    monkeypatch.setattr(type(api.encoder), "encode", counted)
    answer = api.client.post("/v1/search:batch", json={"requests": [*right, *wrong]})
    assert answer.status_code == 200, answer.text
    assert calls == [4]  # red fish, bird, south, and the text of what is refused later for its source
    alone = [api.client.post("/v1/search", json=body).json() for body in [*right, *wrong]]
    for each, one in zip(answer.json()["answers"], alone, strict=True):
        if each["response"]:
            assert each["problem"] is None
            assert each["response"] | {"took_ms": 0} == one | {"took_ms": 0}
        else:
            assert each["problem"] == {"errors": []} | {k: v for k, v in one.items() if k != "request_id"} | (
                {"errors": each["problem"]["errors"]}
            )
            assert [e["field"] for e in each["problem"]["errors"]][:1] == [e["field"] for e in one.get("errors", [])][
                :1
            ]


def test_a_batch_without_its_encoder_is_answered_as_its_parts_are(shared: Api) -> None:
    shared.encoder.away = True
    try:
        body = {
            "requests": [{"query": "fish"}, {"query": "fish", "mode": "dense"}, {"query": "fish", "mode": "lexical"}]
        }
        hybrid, dense, lexical = shared.client.post("/v1/search:batch", json=body).json()["answers"]
    finally:
        shared.encoder.away = False
    assert hybrid["response"]["by_words"]
    assert dense["problem"]["status"] == 503
    assert lexical["response"]["hits"]


@pytest.mark.parametrize("requests", [[], [{"query": "x"}] * 33, {"query": "x"}, None])
def test_a_batch_has_one_to_thirty_two_searches(shared: Api, requests: Any) -> None:
    assert is_problem(shared.client.post("/v1/search:batch", json={"requests": requests}), 422, "body.requests")


# --- What cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"facets": [{"field": "tenant"}]}, "body.facets.0.field"),
        ({"facets": [{"field": "id"}]}, "body.facets.0.field"),
        ({"facets": [{"field": "metadata"}]}, "body.facets.0.field"),
        ({"facets": [{"field": "source", "limit": 0}]}, "body.facets.0.limit"),
        ({"facets": [{"field": "source", "limit": 101}]}, "body.facets.0.limit"),
        ({"facets": [{"field": "source"}, {"field": "source"}]}, "body.facets"),
        ({"facets": [{"field": f"metadata.n{n}"} for n in range(9)]}, "body.facets"),
        ({"facets": "source"}, "body.facets"),
        ({"boosts": [{"factor": 2}]}, "body.boosts.0.filter"),
        ({"boosts": [{"filter": ODD}]}, "body.boosts.0.factor"),
        ({"boosts": [{"filter": ODD, "factor": 0}]}, "body.boosts.0.factor"),
        ({"boosts": [{"filter": ODD, "factor": -1}]}, "body.boosts.0.factor"),
        ({"boosts": [{"filter": ODD, "factor": 10.1}]}, "body.boosts.0.factor"),
        ({"boosts": [{"filter": ODD, "factor": "2"}]}, "body.boosts.0.factor"),
        ({"boosts": [{"filter": {"field": "tenant", "eq": "x"}, "factor": 2}]}, "body.boosts.0.filter.field"),
        ({"boosts": [{"filter": ODD, "factor": 2}] * 17}, "body.boosts"),
        ({"recency": {"field": "metadata.date"}}, "body.recency.half_life_days"),
        ({"recency": {"field": "source", "half_life_days": 1}}, "body.recency.field"),
        ({"recency": {"field": "metadata.date", "half_life_days": 0}}, "body.recency.half_life_days"),
        ({"recency": {"field": "metadata.date", "half_life_days": 1, "weight": 2}}, "body.recency.weight"),
        ({"recency": {"field": "metadata.date", "half_life_days": 1, "now": "soon"}}, "body.recency.now"),
        ({"recency": {"field": "metadata.date", "half_life_days": 1, "now": "2025-02-30"}}, "body.recency.now"),
        ({"diversity": 1.1}, "body.diversity"),
        ({"diversity": -0.1}, "body.diversity"),
        ({"diversity": True}, "body.diversity"),
        ({"cursor": 5}, "body.cursor"),
        ({"cursor": "A" * 12_001}, "body.cursor"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_part(shared: Api, body: Any, field: str) -> None:
    answer = shared.client.post("/v1/search", json={"query": "fish"} | body)
    assert is_problem(answer, 422, field), answer.text
