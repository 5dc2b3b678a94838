"""A query takes generation, store and encoder together and keeps them, whatever becomes live meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from spanstream.encoder.encoder import Encoded, Encoder, Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.events.segmenter import PASSAGES
from spanstream.gateway.api import router
from spanstream.gateway.live import Live, Shown, Views
from spanstream.gateway.search import Searcher
from spanstream.runtime import problems
from spanstream.runtime.auth import Authenticator
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.memory import MemoryStore
from spanstream.store.store import Store


class Meddling(HashEncoder):
    """While it reads a query something happens."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        self.meanwhile()
        return super().encode(texts, query=query)


def shown(home: MemoryStore, encoder: HashEncoder) -> Shown:
    generation = Generation(encoder.info().release, encoder.info().dimension, PASSAGES)
    store = home.beside()
    store.open(generation.name, generation.dimension, Compression.NONE)
    return Shown(generation, store, encoder)


class World:
    def __init__(self) -> None:
        self.home = MemoryStore()
        self.old, self.new = shown(self.home, Meddling(16)), shown(self.home, Meddling(32))
        self.live = Live()
        self.made: list[tuple[Store, Encoder]] = []
        self.views = Views(self.live, lambda: self.old.generation, self.old.store, self.old.encoder, self.searcher)
        app = FastAPI()
        problems.install(app)
        app.include_router(router(self.views, Authenticator.from_file(None)))
        self.client = TestClient(app)

    def searcher(self, store: Store, encoder: Encoder) -> Searcher:
        self.made.append((store, encoder))
        return Searcher(store, encoder, {})


@pytest.fixture
def world() -> World:
    return World()


def test_a_view_is_of_one_generation_before_and_after_a_switch_and_back(world: World) -> None:
    for shown, generation in ((None, world.old), (world.new, world.new), (None, world.old), (world.new, world.new)):
        world.live.show(shown)
        view = world.views()
        assert (view.generation, view.store) == (generation.generation, generation.store)
    assert world.made == [(world.old.store, world.old.encoder), (world.new.store, world.new.encoder)]


def test_a_query_that_is_being_answered_while_the_index_is_switched_is_answered_from_the_one_that_it_began_with(
    world: World,
) -> None:
    assert isinstance(world.old.encoder, Meddling)
    world.old.encoder.meanwhile = lambda: world.live.show(world.new)
    batch = {"requests": [{"query": "one fish"}, {"query": "two fish"}]}
    for path, asked in (("/v1/search", {"query": "red fish"}), ("/v1/search:batch", batch)):
        world.live.show(None)
        answer = world.client.post(path, json=asked)  # vectors of 16 numbers, asked of an index of 32, would be refused
        assert answer.status_code == 200, answer.text
        assert all(each["problem"] is None for each in answer.json().get("answers", []))
        assert world.views().generation == world.new.generation


def test_until_it_is_known_what_is_live_nothing_is_answered(world: World) -> None:
    live = Live("the new generation is still being opened")
    views = Views(live, lambda: world.old.generation, world.old.store, world.old.encoder, world.searcher)
    assert live.unready() == ["the new generation is still being opened"]
    with pytest.raises(StoreUnavailable, match="still being opened"):
        views()
    live.show(world.new)
    assert (live.unready(), views().generation) == ([], world.new.generation)
