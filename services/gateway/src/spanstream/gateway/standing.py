"""Standing queries, computed: the vectors and terms that the indexer compares new documents with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from pydantic import ValidationError

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError, EncoderRejected
from spanstream.gateway.asking import UnknownExample, read, whole
from spanstream.gateway.meanings import All, AnyOf, Leaf, Meaning, Not, leaves
from spanstream.gateway.standing_models import StandingQueryBody
from spanstream.runtime.logs import get_logger
from spanstream.store.errors import StoreError, StoreUnavailable
from spanstream.store.generation import Generation
from spanstream.store.queries import Scope
from spanstream.store.standing import Computed, Part, Plan, StandingQuery
from spanstream.store.store import Store

log = get_logger()

RETRY_SECONDS = 10.0
# Of as many subjects: how alike an encoder finds texts that have nothing to do with each other.
UNRELATED = (
    "The orchestra rehearsed the slow movement twice.",
    "Rust forms where iron meets water and air.",
    "The court postponed the hearing until spring.",
    "Add the flour slowly and stir until smooth.",
    "A thread waits until the lock is released.",
    "Penguins huddle together during the winter storm.",
    "The central bank raised its interest rate again.",
    "She scored the winning goal in extra time.",
    "Vaccines teach the immune system to recognise a virus.",
    "The comet will not return for seventy years.",
    "He rented a small flat near the harbour.",
    "Medieval monks copied manuscripts by candlelight.",
)


class Computing:
    """From what a query says to what passages are compared with. Thread-safe."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self._store = store
        self._encoder = encoder
        self._unrelated = lru_cache(maxsize=2)(self._measured)

    def __call__(self, scope: Scope, meaning: Meaning, generation: Generation) -> Computed:
        """`meaning` is canonical. Raises UnknownExample, and what the ports raise."""
        wanted = leaves(meaning)
        asked = read(self._store, self._encoder, scope, wanted, generation.dimension)
        parts = []
        for leaf in wanted:
            vector = asked[leaf].vector
            assert vector is not None  # there is an encoder
            parts.append(Part(vector, asked[leaf].terms))
        numbers = {leaf: number for number, leaf in enumerate(wanted)}
        return Computed(generation.name, self._unrelated(generation.release), _plan(meaning, numbers), tuple(parts))

    def _measured(self, release: str) -> float:
        """The mean cosine of texts without any relation under this release; 0 at least."""
        texts = [whole(text) for text in UNRELATED]
        vectors = np.stack([result.whole for result in self._encoder.encode(texts, query=True)])
        alike = vectors @ vectors.T
        return max(0.0, float(alike[~np.eye(len(alike), dtype=bool)].mean()))


class Recomputing:
    """After a change of the encoder or the index: computes the queries that were computed for another generation."""

    def __init__(self, store: Store, generation: Callable[[], Generation], computing: Computing) -> None:
        """`generation()` raises StoreUnavailable until the index is open."""
        self._store = store
        self._generation = generation
        self._computing = computing

    def run(self, stop: threading.Event) -> None:
        """Those that are stale once the index is open. An example that is not indexed yet is asked for again and again."""
        stale: list[StandingQuery] | None = None
        while not stop.is_set() and stale != []:
            try:
                if stale is None:
                    name = self._generation().name
                    queries = self._store.standing().all()
                    stale = [each for each in queries if each.computed is None or each.computed.generation != name]
                stale = [query for query in stale if not self._done(query)]
            except StoreUnavailable:
                pass
            if stale != []:
                stop.wait(1.0 if stale is None else RETRY_SECONDS)

    def _done(self, query: StandingQuery) -> bool:
        """Whether nothing is left to do for it."""
        try:
            body = StandingQueryBody.model_validate(query.definition)
            computed = self._computing(query.scope, body.meaning(), self._generation())
            self._store.standing().compute(query, computed)
        except (EncoderRejected, ValidationError):  # of a release with other limits
            log.warning("standing_query_not_computed", query=str(query.uuid))
            return True
        except (UnknownExample, EncoderError, StoreError) as error:
            log.info("standing_query_waits", query=str(query.uuid), error=type(error).__name__)
            return False
        return True


def _plan(meaning: Meaning, numbers: dict[Leaf, int]) -> Plan:
    match meaning:
        case Not(part):
            return ["not", _plan(part, numbers)]
        case All(parts) | AnyOf(parts):
            return ["all" if isinstance(meaning, All) else "any", *(_plan(part, numbers) for part in parts)]
        case _:
            return numbers[meaning]
