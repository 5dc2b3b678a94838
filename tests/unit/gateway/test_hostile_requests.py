"""Searches made to harm: deep, wide, long, and for what no caller may name (reliability.md, rows A7, E1 to E4, F4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.gateway.corpus import Corpus
from tests.unit.gateway.test_api import Api, is_problem


@pytest.fixture(scope="module")
def api(nothing: Corpus) -> Api:
    return Api(nothing)


def nested(depth: int, part: Any) -> Any:
    """`not` of `not` of …, as JSON: no encoder of ours writes anything so deep."""
    return b'{"not":' * depth + json.dumps(part).encode() + b"}" * depth


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": ' + nested(10_000, "tide") + b"}",
        b'{"query": "tide", "filter": ' + nested(1_000, {"field": "source", "eq": "a"}) + b"}",
        b'{"query": "tide", "filter": {"all": [' + b",".join([b'{"field": "id", "eq": "a"}'] * 100_000) + b"]}}",
        b'{"query": "tide", "filter": {"field": "id", "in": [' + b",".join([b'"a"'] * 100_000) + b"]}}",
        b"{" + b",".join(b'"k%d": 1' % number for number in range(100_000)) + b"}",
        b'{"query": "tide", "diversity": NaN}',
        b'{"query": "tide", "diversity": 1e999}',
        b'{"query": "tide", "limit": ' + b"9" * 5_000 + b"}",
        b'{"query": "' + b"a" * 2**20 + b'"}',
        b'{"query": "' + b"word " * 100_000 + b'"}',
        b'{"query": "tide", "cursor": "' + b"A" * 2**20 + b'"}',
    ],
    ids=["query", "filter", "conditions", "values", "fields", "nan", "1e999", "digits", "word", "words", "cursor"],
)
@pytest.mark.parametrize("path", ["/v1/search", "/v1/search:batch"])
def test_a_search_that_is_deep_wide_or_long_is_refused(api: Api, body: bytes, path: str) -> None:
    whole = body if path == "/v1/search" else b'{"requests": [' + body + b"]}"
    answer = api.client.post(path, content=whole, headers={"content-type": "application/json"})
    if answer.status_code == 200:
        (each,) = answer.json()["answers"]
        assert each["problem"]["status"] in (400, 413, 422)
    else:
        assert is_problem(answer, answer.status_code)
        assert answer.status_code in (400, 413, 422)


@pytest.mark.parametrize("id", ["a\nb", "a\x1b[31mb", "a\r\nset-cookie: b", "\u202ea", "a\u2028b"])
def test_what_a_terminal_would_act_on_stays_within_its_json(api: Api, id: str) -> None:
    """Whether it is taken for an id or refused, no line and no header of the answer is of the caller's making."""
    answer = api.client.post("/v1/search", json={"query": {"like": {"source": "wiki", "id": id}}})
    assert is_problem(answer, 422)
    assert not set("\n\r\x1b") & set(answer.text)
    assert "set-cookie" not in answer.headers
