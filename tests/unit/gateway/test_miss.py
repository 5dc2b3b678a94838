"""Why a document was missed: one cause after the other, and the ranks exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spanstream.eventlog.dead_letters import dead_letter
from spanstream.eventlog.log import Record, Rejected
from spanstream.events.ids import Key
from spanstream.events.v1.failure_pb2 import REASON_INDEX_REJECTED
from spanstream.gateway.miss import failing
from spanstream.gateway.search import CANDIDATES
from spanstream.store.queries import AllOf, AnyOf, Condition, Match, Not
from tests.unit.gateway.corpus import FISH, Corpus, document
from tests.unit.gateway.test_api import Api, default, guest, is_problem
from tests.unit.gateway.test_explanation import KINDS, PLACES
from tests.unit.indexer.documents import deleted, failed

MANY = 250


@pytest.fixture(scope="module")
def pond(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Many documents about fish, of which each has a number, and one about something else."""
    corpus = Corpus(tmp_path_factory.mktemp("store"))
    texts = [f"A {KINDS[i % 8]} fish {'swims ' * (1 + i % 7)} in the {PLACES[i % 5]} number{i}." for i in range(MANY)]
    fish = [document(f"fish{i}", [text], metadata={"year": 1900 + i}) for i, text in enumerate(texts)]
    stone = document("stone", ["Granite walls outlast wars."], ["Nobody asks stones."], title="Stone")
    corpus.put(*default(FISH, stone, *fish))
    api = Api(corpus)
    with api.client:
        yield api
    corpus.store.close()


def ask(
    api: Api, id: str, query: Any = "red fish", *, version: int | None = None, headers: Any = None, **more: Any
) -> Any:
    missed = {"source": "wiki", "id": id} | ({} if version is None else {"version": version})
    body = {"query": {"query": query} | more, "document": missed}
    answer = api.client.post("/v1/explain-miss", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_hit_is_shown_at_its_rank(pond: Api) -> None:
    hits = pond.search("red fish")["hits"]
    for rank, hit in enumerate(hits, 1):
        told = ask(pond, hit["id"])
        assert (told["reason"], told["rank"], told["limit"], told["version"]) == ("shown", rank, 10, 1)
        assert told["explanation"]["score"] == pytest.approx(hit["score"], abs=1e-5)


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense", "spans"])
@pytest.mark.parametrize("group_by", ["document", "none"])
def test_the_limit_that_is_named_shows_it_at_the_rank_that_is_named(pond: Api, mode: str, group_by: str) -> None:
    options: dict[str, Any] = {"mode": mode, "group_by": group_by}
    hits = pond.search("red fish", limit=60, **options)["hits"]
    for hit in (hits[12], hits[40], hits[59]):
        told = ask(pond, hit["id"], limit=10, **options)
        assert told["reason"] == "beyond_limit"
        shown = [each["id"] for each in pond.search("red fish", limit=told["limit"], **options)["hits"]]
        assert shown[told["rank"] - 1] == hit["id"]
        assert told["rank"] <= told["limit"] <= 100  # another limit may rank a little otherwise
        assert [each["id"] for each in told["hits"]] == [
            each["id"] for each in pond.search("red fish", **options)["hits"]
        ]
        assert told["explanation"]["rank"] > 10


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense", "spans"])
def test_a_document_that_no_leg_finds_is_outranked_with_its_exact_ranks(pond: Api, mode: str) -> None:
    told = ask(pond, "stone", limit=10, mode=mode)
    assert told["reason"] == "outranked"
    legs = {leg["leg"]: leg for leg in told["legs"]}
    assert legs.keys() == ({"dense", "spans", "lexical"} if mode == "hybrid" else {mode})
    assert {name for name, leg in legs.items() if leg["finds"]} == legs.keys() - (
        {"spans"} if mode == "hybrid" else set()
    )
    assert told["at"] == ("dense" if mode == "hybrid" else mode)
    for name in legs.keys() - {"lexical"}:
        assert CANDIDATES < legs[name]["rank"] <= MANY + 4
        assert legs[name]["text"] == "red fish"
    if "lexical" in legs:
        assert (legs["lexical"]["rank"], legs["lexical"]["score"]) == (None, None)
    assert len(told["hits"]) == 10
    explanation = told["explanation"]
    if mode == "lexical":
        assert explanation is None
    else:
        assert explanation["rank"] > CANDIDATES
        total = sum(leg["contribution"] for leg in explanation["legs"]) + sum(
            each["amount"] for each in explanation["added"]
        )
        assert total == pytest.approx(explanation["score"], abs=1e-4)


def test_ranks_on_a_leg_are_those_of_a_search_on_that_leg_alone(pond: Api) -> None:
    """The leg's own search finds the same passage at that place, where it looks that deep."""
    hits = pond.search("red fish", mode="dense", limit=100, group_by="none")["hits"]
    place = {hit["id"]: rank for rank, hit in enumerate(hits, 1)}
    beyond = [id for id in place if place[id] > 95]
    for id in beyond:
        told = ask(pond, id, mode="hybrid", limit=1)
        if told["reason"] == "outranked":
            dense = next(leg for leg in told["legs"] if leg["leg"] == "dense")
            assert dense["rank"] == place[id]


def test_a_candidate_that_the_fusion_ranks_too_low_is_outranked_there(pond: Api) -> None:
    reasons = {}
    for i in range(0, MANY, 25):
        told = ask(pond, f"fish{i}", "old fish swims lake", limit=3)
        reasons[told["reason"], told["at"]] = told
    assert ("beyond_limit", None) in reasons
    assert {reason for reason, _ in reasons} <= {"beyond_limit", "outranked", "shown"}
    for (reason, at), told in reasons.items():
        if reason == "outranked":
            assert at in ("fusion", "dense", "lexical")
            assert told["explanation"]["rank"] > 3


def test_each_sought_part_of_a_query_has_its_ranks(pond: Api) -> None:
    query = {"all": ["red fish", {"like": {"source": "wiki", "id": "fish1"}}, {"not": "blue"}]}
    told = ask(pond, "stone", query, limit=5)
    assert told["reason"] == "outranked"
    assert {(leg["text"], (leg["like"] or {}).get("id")) for leg in told["legs"]} == {
        ("red fish", None),
        (None, "fish1"),
    }
    assert told["explanation"]["parts"]["kind"] == "all"


def test_words_of_no_weight_find_nothing_and_no_leg_is_named(pond: Api) -> None:
    told = ask(pond, "stone", "the of", mode="lexical")
    assert (told["reason"], told["at"], told["legs"], told["explanation"]) == ("outranked", None, [], None)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"field": "metadata.year", "gte": 2000}, {"query.filter": {"field": "metadata.year", "gte": 2000}}),
        (
            {"all": [{"field": "source", "eq": "wiki"}, {"not": {"field": "id", "in": ["fish1"]}}]},
            {"query.filter.all.1": {"not": {"field": "id", "in": ["fish1"]}}},
        ),
        (
            {
                "all": [
                    {"field": "metadata.year", "lt": 1901},
                    {"all": [{"any": [{"field": "id", "eq": "x"}, {"field": "id", "eq": "y"}]}]},
                    {"field": "metadata.year", "lt": 1902},
                ]
            },
            {
                "query.filter.all.0": {"field": "metadata.year", "lt": 1901},
                "query.filter.all.1.all.0": {"any": [{"field": "id", "eq": "x"}, {"field": "id", "eq": "y"}]},
            },
        ),
    ],
)
def test_a_filter_that_keeps_it_out_is_named_by_its_part(pond: Api, filter: Any, expected: Any) -> None:
    told = ask(pond, "fish1", filter=filter)
    assert told["reason"] == "filtered"
    assert {each["field"]: each["condition"] for each in told["conditions"]} == expected


def test_an_example_is_not_its_own_answer(pond: Api) -> None:
    query = {"all": ["red fish", {"unlike": {"source": "wiki", "id": "fish1"}}]}
    told = ask(pond, "fish1", query)
    assert (told["reason"], [each["field"] for each in told["conditions"]]) == ("filtered", ["query.query"])


def test_parts_of_a_filter_are_told_by_their_paths() -> None:
    yes, no = Match("id", ("yes",)), Match("id", ("no",))

    def holds(condition: Condition) -> bool:
        match condition:
            case AllOf(parts):
                return all(map(holds, parts))
            case AnyOf(parts):
                return any(map(holds, parts))
            case Not(inner):
                return not holds(inner)
            case _:
                return condition == yes

    assert failing(AllOf((yes, AnyOf((no, yes)))), holds) == []
    assert failing(AllOf((no, yes, AllOf((yes, Not(yes))))), holds) == ["filter.all.0", "filter.all.2.all.1"]
    assert failing(AnyOf((no, AllOf((no, yes)))), holds) == ["filter"]


def test_what_became_of_a_document_comes_first(empty: Corpus) -> None:
    empty.put(*default(document("gone", ["red fish"]), document("old", ["red fish"], version=2)))
    empty.index([deleted(Key("default", "wiki", "gone"), 2)])
    empty.index([failed(Key("default", "wiki", id), 3) for id in ("bad", "old")])
    api = Api(empty)
    for id, version, reason in (
        ("nothing", None, "never_received"),
        ("nothing", 4, "pending"),
        ("gone", None, "deleted"),
        ("gone", 9, "pending"),
        ("bad", None, "failed"),
        ("bad", 3, "failed"),
        ("old", None, "shown"),
        ("old", 2, "shown"),
        ("old", 3, "failed"),
        ("old", 4, "pending"),
    ):
        told = ask(api, id, version=version)
        assert told["reason"] == reason, (id, version)
        failure = told["failure"]
        if id == "bad" or (id == "old" and version != 4):
            assert (failure["version"], failure["stage"], failure["reason"]) == (3, "ingestor", "PARSE_FAILED")
        else:
            assert failure is None


def test_a_document_that_the_caller_may_not_see_is_not_told_from_the_unknown(empty: Corpus, tmp_path: Path) -> None:
    empty.put(
        document("secret", ["red fish"], groups=("staff",), metadata={"year": 1}),
        document("past", ["red fish"], groups=("staff",)),
        document("open", ["red fish"]),
        document("theirs", ["red fish"], tenant="other"),
    )
    (record,) = document("bad", ["red fish"], groups=("staff",)).records()
    letter = dead_letter(Rejected(record, REASON_INDEX_REJECTED, "no"), stage="indexer", failed_at_us=1)
    assert letter is not None
    empty.index([Record(letter.topic, 0, 0, letter.key, letter.value), deleted(Key("acme", "wiki", "past"), 2)])
    api, headers = guest(empty, tmp_path)
    for more in ({}, {"filter": {"field": "metadata.year", "eq": 2}}, {"mode": "lexical"}):
        for version in (None, 7):
            unknown = ask(api, "nothing", version=version, headers=headers, **more)
            assert unknown["reason"] == ("never_received" if version is None else "pending")
            for id in ("secret", "past", "theirs", "bad"):
                told = ask(api, id, version=version, headers=headers, **more)
                assert told == unknown | {"id": id}
    assert ask(api, "open", headers=headers)["reason"] == "shown"


def test_without_the_model_the_words_alone_are_explained(empty: Corpus) -> None:
    empty.put(*default(*(document(f"fish{i}", [f"A {KINDS[i % 8]} fish."]) for i in range(9))))
    api = Api(empty)
    api.encoder.away = True
    told = ask(api, "fish1", "red fish", limit=1)
    assert (told["reason"], told["by_words"]) == ("beyond_limit", True)
    assert [leg["leg"] for leg in told["explanation"]["legs"]] == ["lexical"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.query"),
        ({"query": {"query": "x"}}, "body.document"),
        ({"query": "x", "document": {"source": "wiki", "id": "fish1"}}, "body.query"),
        ({"query": {"query": "x", "limit": 0}, "document": {"source": "wiki", "id": "fish1"}}, "body.query.limit"),
        ({"query": {"query": "x"}, "document": {"source": "W*", "id": "fish1"}}, "body.document.source"),
        ({"query": {"query": "x"}, "document": {"source": "wiki", "id": ".."}}, "body.document.id"),
        ({"query": {"query": "x"}, "document": {"source": "wiki", "id": "a", "version": -1}}, "body.document.version"),
        (
            {
                "query": {"query": "x", "filter": {"field": "source", "eq": "nowhere"}},
                "document": {"source": "wiki", "id": "fish1"},
            },
            "body.query.filter",
        ),
        (
            {
                "query": {"query": {"like": {"source": "wiki", "id": "nowhere"}}},
                "document": {"source": "wiki", "id": "fish1"},
            },
            "body.query.query",
        ),
    ],
)
def test_a_bad_question_is_refused_by_its_part(pond: Api, body: Any, field: str) -> None:
    assert is_problem(pond.client.post("/v1/explain-miss", json=body), 422, field)


def test_a_document_of_very_many_passages_is_ranked_by_its_best(empty: Corpus) -> None:
    long = document("long", *[["Granite walls."] for _ in range(300)], ["A red fish."])
    empty.put(*default(long, *(document(f"fish{i}", ["Red fish, a red fish."]) for i in range(150))))
    told = ask(Api(empty), "long", "red fish", limit=3)
    assert told["reason"] == "outranked"
    assert told["at"] in ("dense", "lexical")
    assert all(leg["rank"] == 151 for leg in told["legs"]), told["legs"]
