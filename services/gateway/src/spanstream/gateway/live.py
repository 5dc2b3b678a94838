"""Which generation answers: a query takes it once, with its store and its encoder, and keeps it for life."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from spanstream.encoder.encoder import Encoder
from spanstream.gateway.search import Searcher
from spanstream.store.errors import StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A generation that searches may be answered from. `store` shows it and no other, whatever becomes live."""

    generation: Generation
    store: Store = field(repr=False)
    encoder: Encoder = field(repr=False)


@dataclass(frozen=True, slots=True)
class View:
    """What one request is answered from."""

    generation: Generation
    store: Store = field(repr=False)
    searcher: Searcher = field(repr=False)


class Live:
    """What is shown in place of the service's own generation, if anything is. Thread-safe: a change is one assignment."""

    def __init__(self, waits_for: str = "") -> None:
        """`waits_for`: why nothing can be shown until `show` is called; empty: the service's own generation is."""
        self._waits_for = waits_for
        self._shown: Shown | None = None

    def show(self, shown: Shown | None) -> None:
        """Whoever asks from now on is answered from this; None: from the service's own."""
        self._shown, self._waits_for = shown, ""

    def unready(self) -> list[str]:
        """What it waits for."""
        return [self._waits_for] if self._waits_for else []

    def __call__(self) -> Shown | None:
        """Raises StoreUnavailable while it waits."""
        if self._waits_for:
            raise StoreUnavailable(self._waits_for)
        return self._shown


class Views:
    """Called, the view of now. It keeps a searcher for each generation that was shown, of which there are few."""

    def __init__(
        self,
        live: Callable[[], Shown | None],
        own: Callable[[], Generation],
        store: Store,
        encoder: Encoder,
        searcher: Callable[[Store, Encoder], Searcher],
    ) -> None:
        """`live()`: what is shown in place of the service's own generation; it and `own()`, until that is open in `store`,
        raise StoreUnavailable.
        """
        self._live = live
        self._own = own
        self._store = store
        self._searcher = searcher
        self._mine = searcher(store, encoder)
        self._others: dict[Shown, Searcher] = {}
        self._lock = threading.Lock()

    def __call__(self) -> View:
        """Raises StoreUnavailable."""
        if (shown := self._live()) is None:
            return View(self._own(), self._store, self._mine)
        with self._lock:
            if shown not in self._others:
                self._others[shown] = self._searcher(shown.store, shown.encoder)
            return View(shown.generation, shown.store, self._others[shown])

    def close(self) -> None:
        """Close the searchers."""
        for searcher in (self._mine, *self._others.values()):
            searcher.close()
