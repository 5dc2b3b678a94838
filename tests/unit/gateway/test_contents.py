"""A document's own text, as the index holds it and as the caller may see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from spanstream.events.ids import Key
from spanstream.gateway.contents import content
from spanstream.store.errors import StoreUnavailable
from spanstream.store.points import Passage
from spanstream.store.queries import Scope
from tests.unit.gateway import corpus as wood
from tests.unit.gateway.corpus import FISH, Corpus, document
from tests.unit.gateway.test_api import Api, default, guest, is_problem
from tests.unit.indexer.documents import Document, deleted

TREE = replace(wood.TREE, key=Key("acme", "wood", "tree/ä"))  # the test client decodes "%2F" in a path twice
LONG = document("long", *[[f"Sentence {i} of it.", "And more."] for i in range(130)])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Corpus(tmp_path_factory.mktemp("store"))
    made.put(*default(FISH, TREE, LONG))
    api = Api(made)
    with api.client:
        yield api
    made.store.close()


def ask(api: Api, written: Document, headers: dict[str, str] | None = None, **params: Any) -> Any:
    path = f"/v1/sources/{written.key.source}/documents/{quote(written.key.id, safe='')}/content"
    return api.client.get(path, params=params, headers=headers)


def test_content_is_the_document_with_its_passages_in_order_and_all_spans(shared: Api) -> None:
    answer = ask(shared, TREE).json()
    assert {name: answer[name] for name in ("source", "id", "version", "title", "content_type", "metadata")} == {
        "source": "wood",
        "id": TREE.key.id,
        "version": 1,
        "title": "",
        "content_type": "text/plain",
        "metadata": dict(TREE.metadata),
    }
    assert (answer["passage_count"], answer["next"]) == (2, None)
    assert answer["content_hash"] == TREE.content_hash.hex()
    assert [passage["ordinal"] for passage in answer["passages"]] == [0, 1]
    for passage, sentences in zip(answer["passages"], TREE.passages, strict=True):
        assert TREE.text[passage["start"] : passage["end"]] == passage["text"]
        assert [TREE.text[span["start"] : span["end"]] for span in passage["spans"]] == sentences


def test_pages_together_are_the_document(shared: Api) -> None:
    passages, first, pages = [], 0, 0
    while first is not None:
        page = ask(shared, LONG, **{"from": first, "limit": 48}).json()
        assert (page["passage_count"], page["content_hash"]) == (130, LONG.content_hash.hex())
        passages += page["passages"]
        first, pages = page["next"], pages + 1
    assert pages == 3
    assert [passage["ordinal"] for passage in passages] == list(range(130))
    assert " ".join(passage["text"] for passage in passages) == LONG.text


def test_a_page_behind_the_end_is_empty(shared: Api) -> None:
    for first in (130, 2**31 - 1):
        answer = ask(shared, LONG, **{"from": first}).json()
        assert (answer["passages"], answer["next"]) == ([], None)


@pytest.mark.parametrize("params", [{"from": -1}, {"from": 2**31}, {"limit": 0}, {"limit": 201}, {"limit": "all"}])
def test_a_bad_page_is_refused_by_its_name(shared: Api, params: dict[str, Any]) -> None:
    assert is_problem(ask(shared, LONG, **params), 422, f"query.{next(iter(params))}")


@pytest.mark.parametrize("id", ["a/content", "content", "/content", "a/content/content", "content/"])
def test_an_id_that_ends_like_the_route_has_both_a_status_and_a_content(empty: Corpus, id: str) -> None:
    written = document(id, ["Some words."], version=3)
    empty.put(*default(written))
    api = Api(empty)
    assert api.status(id).json()["id"] == id
    assert api.status(id).json()["state"] == "searchable"
    assert ask(api, written).json()["id"] == id


def test_what_is_not_live_or_not_the_caller_s_is_not_told_from_the_unknown(empty: Corpus, tmp_path: Path) -> None:
    documents = {id: document(id, ["red fish"]) for id in ("nothing", "gone", "theirs")}
    secret = document("secret", ["red fish"], groups=("staff",))
    empty.put(secret, documents["gone"], replace(documents["theirs"], key=Key("other", "wiki", "theirs")))
    empty.index([deleted(documents["gone"].key, 2)])
    api, headers = guest(empty, tmp_path)
    answers = [ask(api, each, headers) for each in (*documents.values(), secret)]
    assert all(is_problem(answer, 404) for answer in answers)
    told = [{name: value for name, value in answer.json().items() if name != "request_id"} for answer in answers]
    assert all(each == told[0] for each in told)
    assert content(empty.store, Scope("acme", ("staff",)), secret.key, 0, 5)


def test_a_member_of_a_document_s_groups_sees_it(empty: Corpus, tmp_path: Path) -> None:
    written = document("open", ["red fish"], groups=("guest", "staff"))
    empty.put(written)
    api, headers = guest(empty, tmp_path)
    assert ask(api, written, headers).json()["passages"][0]["text"] == "red fish"


class Replacing:
    """Between the head and its passages a newer version takes their place, so many times."""

    def __init__(self, corpus: Corpus, times: int) -> None:
        self.corpus, self.times = corpus, times
        self.heads = corpus.store.heads

    def fetch(self, ids: list[str]) -> dict[str, Passage]:
        if self.times:
            self.times -= 1
            version = self.heads([FISH.key])[FISH.key].version + 1
            self.corpus.put(document("fish", [f"Fish number {version}."], version=version))
        return self.corpus.store.fetch(ids)


def test_a_document_that_is_replaced_while_it_is_read_is_read_again(corpus: Corpus) -> None:
    found = content(Replacing(corpus, 2), Scope("acme"), FISH.key, 0, 5)  # type: ignore[arg-type]
    assert found is not None
    assert [passage.version for passage in found.passages] == [found.head.version]
    with pytest.raises(StoreUnavailable, match="is being replaced"):
        content(Replacing(corpus, 9), Scope("acme"), FISH.key, 0, 5)  # type: ignore[arg-type]


class Damaged(Replacing):
    """The first passage is not what it was."""

    def fetch(self, ids: list[str]) -> dict[str, Passage]:
        return self.corpus.store.fetch(ids[1:])


def test_a_passage_that_the_disk_has_changed_is_told_from_one_that_is_being_replaced(corpus: Corpus) -> None:
    with pytest.raises(StoreUnavailable, match="the disk has changed them: send it again"):
        content(Damaged(corpus, 0), Scope("acme"), FISH.key, 0, 5)  # type: ignore[arg-type]


def test_content_is_in_the_published_description_with_its_limits(shared: Api) -> None:
    described = shared.client.get("/openapi.json").json()["paths"]["/v1/sources/{source}/documents/{id}/content"]
    limits = {each["name"]: each["schema"].get("maximum") for each in described["get"]["parameters"]}
    assert (limits["from"], limits["limit"]) == (2**31 - 1, 200)
    json.dumps(described)
