"""Explanations, misses and documents through the SDK and on the terminal."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from spanstream import client as sdk
from spanstream.client import cli, explained, output
from tests.unit.client.server import Script
from tests.unit.client.test_cli import Server, run, server
from tests.unit.client.test_client import Connect, connect
from tests.unit.client.test_output import shown

__all__ = ["connect", "server"]

LEG = {"leg": "dense", "score": 0.61, "normalised": 1.5, "weight": 0.5, "contribution": 0.75, "rank": 2}
EXPLANATION = {
    "score": 1.0,
    "rank": 1,
    "candidates": 40,
    "legs": [LEG, LEG | {"leg": "lexical", "rank": 3}],
    "added": [
        {"step": "feedback", "amount": -0.25, "words": ["sea"]},
        {"step": "neighbours", "amount": -0.25, "words": []},
    ],
    "parts": None,
    "without": {"dense": 17, "lexical": 4},
    "words": [{"start": 10, "end": 13, "text": "cat"}],
    "title_words": ["Cats"],
}
GRADED = EXPLANATION | {
    "legs": [],
    "added": [],
    "parts": {
        "kind": "all",
        "text": None,
        "like": None,
        "grade": 1.0,
        "legs": [],
        "parts": [
            {"kind": "text", "text": "cat", "like": None, "grade": 0.9, "parts": [], "legs": [LEG]},
            {"kind": "like", "text": None, "like": {"source": "a", "id": "b"}, "grade": 0.5, "parts": [], "legs": []},
        ],
    },
}
SNIPPET = {"start": 8, "end": 19, "text": "the cat sat"}
PASSAGE = {"ordinal": 0, "start": 8, "end": 19, "text": "the cat sat", "score": 1.0, "spans": [], "snippet": SNIPPET}
HIT = {"source": "docs", "id": "a", "version": 1, "title": "Cats", "metadata": {}, "score": 1.0, "passages": [PASSAGE]}
MISS = {
    "source": "docs",
    "id": "a",
    "reason": "outranked",
    "detail": "other passages answer the query better",
    "version": 1,
    "failure": {"version": 2, "stage": "parse", "reason": "EMPTY_TEXT", "detail": "blank"},
    "conditions": [{"field": "query.filter", "condition": {"field": "id", "eq": "b"}}],
    "rank": None,
    "limit": None,
    "at": "lexical",
    "legs": [
        {"leg": "dense", "text": "cat", "like": None, "finds": True, "rank": 412, "score": 0.2},
        {"leg": "lexical", "text": "cat", "like": None, "finds": True, "rank": None, "score": None},
    ],
    "explanation": EXPLANATION,
    "hits": [{"source": "docs", "id": "b", "title": "B", "score": 2.0}],
    "by_words": False,
}


def searched(explanation: Any) -> httpx.Response:
    return httpx.Response(200, json={"hits": [HIT | {"explanation": explanation}], "took_ms": 1.0, "partial": False})


def test_a_search_is_explained_where_asked(connect: Connect) -> None:
    script = Script(searched(EXPLANATION), searched(None))
    client = connect(script)
    hit = client.search("cat", explain=True).hits[0]
    assert script.body(0) == {"query": "cat", "limit": 10, "explain": True}
    assert hit.passages[0].snippet == sdk.Snippet(8, 19, "the cat sat")
    assert hit.explanation.legs[0] == sdk.LegScore("dense", 0.61, 1.5, 0.5, 0.75, 2)
    assert hit.explanation.added[0] == sdk.Added("feedback", -0.25, ("sea",))
    assert (hit.explanation.without, hit.explanation.words) == ({"dense": 17, "lexical": 4}, (sdk.Word(10, 13, "cat"),))
    assert client.search("cat").hits[0].explanation is None
    assert script.body(1) == {"query": "cat", "limit": 10}


def test_parts_of_a_query_are_read_with_their_grades(connect: Connect) -> None:
    parts = connect(Script(searched(GRADED))).search({"all": ["cat"]}, explain=True).hits[0].explanation.parts
    assert [(each.kind, each.grade) for each in parts.parts] == [("text", 0.9), ("like", 0.5)]
    assert parts.parts[0].legs[0].leg == "dense"


def test_similar_names_the_document_or_a_part_of_it(connect: Connect) -> None:
    script = Script(searched(None), searched(None))
    client = connect(script)
    assert client.similar("docs", "a", limit=3, sources=["docs"]).hits[0].id == "a"
    client.similar("docs", "a", start=2, end=9, mode="dense", explain=True)
    assert [request.url.path for request in script.requests] == ["/v1/similar"] * 2
    filter = {"field": "source", "in": ["docs"]}
    assert script.body(0) == {"to": {"source": "docs", "id": "a"}, "limit": 3, "filter": filter}
    part = {"source": "docs", "id": "a", "start": 2, "end": 9}
    assert script.body(1) == {"to": part, "limit": 10, "mode": "dense", "explain": True}


def test_a_miss_is_asked_with_the_whole_search(connect: Connect) -> None:
    script = Script(httpx.Response(200, json=MISS))
    found = connect(script).explain_miss("cat", "docs", "a", version=4, limit=7, filter={"field": "id", "eq": "b"})
    query = {"query": "cat", "limit": 7, "filter": {"field": "id", "eq": "b"}}
    assert script.body(0) == {"query": query, "document": {"source": "docs", "id": "a", "version": 4}}
    assert (found.reason, found.at, found.failure["stage"]) == ("outranked", "lexical", "parse")
    assert [(leg.leg, leg.rank) for leg in found.legs] == [("dense", 412), ("lexical", None)]
    assert found.conditions == (("query.filter", {"field": "id", "eq": "b"}),)
    assert found.hits == (sdk.Better("docs", "b", "B", 2.0),)


def page(first: int, count: int, next: int | None, content_hash: str = "aa") -> httpx.Response:
    passages = [
        {
            "ordinal": i,
            "start": 10 * i,
            "end": 10 * i + 5,
            "text": f"text{i}",
            "spans": [{"start": 10 * i, "end": 10 * i + 5}],
        }
        for i in range(first, first + count)
    ]
    body = {
        "source": "docs",
        "id": "a/b",
        "version": 3,
        "content_hash": content_hash,
        "title": "T",
        "content_type": "x",
    }
    return httpx.Response(200, json=body | {"metadata": {}, "passage_count": 5, "passages": passages, "next": next})


def test_a_document_is_read_page_by_page(connect: Connect) -> None:
    script = Script(page(0, 2, 2), page(2, 2, 4), page(4, 1, None))
    found = connect(script).content("docs", "a/b")
    assert [request.url.raw_path for request in script.requests] == [
        f"/v1/sources/docs/documents/a%2Fb/content?from={first}&limit=200".encode() for first in (0, 2, 4)
    ]
    assert [passage.ordinal for passage in found.passages] == [0, 1, 2, 3, 4]
    assert found.passages[1].spans == ((10, 15),)


def test_a_document_that_is_replaced_meanwhile_is_read_again(connect: Connect) -> None:
    script = Script(page(0, 2, 2), page(2, 1, None, "bb"), page(0, 2, 2, "bb"), page(2, 1, None, "bb"))
    found = connect(script).content("docs", "a/b")
    assert (found.content_hash, [passage.ordinal for passage in found.passages]) == ("bb", [0, 1, 2])


def test_the_terminal_shows_a_sum_that_adds_up(server: Server) -> None:
    server.answers["POST", "/v1/search"] = (
        200,
        {"hits": [HIT | {"explanation": EXPLANATION}], "took_ms": 1, "partial": False},
    )
    text = run("search", "cat", "--explain").output
    rows = {words[0]: words[1:] for words in (line.split() for line in text.splitlines()) if words}
    assert rows["dense"] == ["0.610", "1.500", "0.500", "+0.750", "2", "17"]
    assert rows["feedback:"] == ["sea", "-0.250"]
    assert rows["score"] in (["+1.000"], ["normalised", "weight", "adds", "rank", "rank", "without"])
    assert "+1.000" in text
    assert rows["words:"] == ["cat"]
    assert json.loads(run("search", "cat", "--explain", "--json").output)["hits"][0]["explanation"]["rank"] == 1


def test_the_terminal_shows_the_grade_of_each_part() -> None:
    hit = sdk.client.calls.read_search(sdk.client.transport.response(searched(GRADED))).hits[0]
    assert hit.explanation
    text = shown(explained.explanation(hit.explanation))
    rows = {words[0]: words[1:] for words in (line.split() for line in text.splitlines()) if words}
    assert (rows["all"], rows["cat"], rows["like"]) == (["1.000"], ["0.900"], ["a/b", "0.500"])
    assert "rank without dense 17, lexical 4" in text


def test_the_terminal_says_why_a_document_was_missed(server: Server) -> None:
    server.answers["POST", "/v1/explain-miss"] = 200, MISS
    text = run("explain-miss", "docs/a", "cat", "--limit", "7").output
    assert "outranked  docs/a: other passages answer the query better" in text
    assert "behind others on lexical" in text
    assert 'by query.filter: {"field": "id", "eq": "b"}' in text
    assert "version 2: parse: EMPTY_TEXT: blank" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["dense", "412", "0.200", "finds"] in rows
    assert ["lexical", "none", "finds"] in rows
    assert ["2.000", "docs/b"] in rows
    assert json.loads(run("explain-miss", "docs/a", "cat", "--json").output)["at"] == "lexical"


@pytest.mark.parametrize("arguments", [["a", "cat"], ["docs/", "cat"], ["docs/a", " "], ["docs/a"]])
def test_a_miss_needs_a_document_and_a_question(server: Server, arguments: list[str]) -> None:
    assert run("explain-miss", *arguments).exit_code == cli.USAGE
    assert not server.asked


def test_the_terminal_shows_a_document(server: Server) -> None:
    server.answers["GET", "/v1/sources/docs/documents/a%2Fb/content"] = 200, page(0, 2, None).json()
    assert run("show", "a/b", "--source", "docs").output.split() == ["T", "text0", "text1"]
    assert len(json.loads(run("show", "a/b", "--source", "docs", "--json").output)["passages"]) == 2


def test_control_characters_never_reach_the_terminal() -> None:
    evil = "\x1b[2J\x07"
    told = json.loads(json.dumps(MISS).replace('"cat"', json.dumps(evil)).replace('"b"', json.dumps(evil)))
    miss = sdk.client.calls.read_miss(sdk.client.transport.response(httpx.Response(200, json=told)))
    document = sdk.Content("s", "a", 1, "", evil, "", {}, (sdk.ContentPassage(0, 0, 1, evil),))
    assert not {"\x1b", "\x07"} & set(shown(explained.miss(miss)) + shown(output.document(document)))
