"""Planted bugs: the places where one filter, one key or one check keeps tenants apart, each left out; the attack must find it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import spanstream.gateway.asking
import spanstream.gateway.contents
import spanstream.gateway.cursors
import spanstream.gateway.explaining
import spanstream.gateway.search
import spanstream.gateway.visibility
import spanstream.store.conditions
import spanstream.store.index
from spanstream.events.ids import Key
from spanstream.gateway.query_cache import QueryCache
from spanstream.ingestor.failures.index import FailureIndex
from spanstream.ingestor.failures.letter import Letter
from spanstream.ingestor.matches import Wanted
from spanstream.store import conditions
from spanstream.store.index import Index
from spanstream.store.points import Head
from spanstream.store.queries import AllOf, Dense, Lexical, Query, Scope, Spans
from spanstream.store.standing_index import StandingQueries
from tests.chaos.isolation.tenants import SLOTS, TENANTS, canary, name
from tests.chaos.simulation.mutants import Mutant, Swap, always, around


@dataclass(frozen=True)
class Planted(Mutant):
    """A bug, and the kinds of questions that are aimed at such."""

    kinds: tuple[str, ...] = ()


SEARCHES = ("search", "wanted_words")
MUTANTS: list[Planted] = []
ANYBODY: Any = AllOf(())
INDEX, VISIBILITY = spanstream.store.index, spanstream.gateway.visibility


def bug(name: str, kinds: tuple[str, ...], *swaps: Swap) -> None:
    MUTANTS.append(Planted(name, swaps, kinds))


# --- The filter, in one place after another -----------------------------------------------------------------------------


def _leg_of_everybody(kind: type) -> Any:
    def search(original: Any, query: Query) -> Any:
        made = original(query)
        if not isinstance(query.leg, kind) or query.among is not None:
            return made
        return replace(made, condition=AllOf(made.condition.conditions[1:]))

    return around(search)


def _statistics_of_everybody(original: Any, query: Query) -> Any:
    return replace(original(query), corpus=None)


def _groups_of_everybody(original: Any, scope: Scope, *args: Any) -> Any:
    return original(replace(scope, groups=None), *args)


def _sources_of_everybody(original: Any, scope: Scope, *args: Any) -> Any:
    return original(replace(scope, sources=None), *args)


def _live_of_everybody(index: Index, scope: Scope, where: Any) -> Any:
    return conditions._all(conditions.live(), *([conditions.admitted(where)] if where else []))


def _sources_counted_of_everybody(original: Any, index: Index, scope: Scope, among: Any = None) -> Any:
    found: dict[str, int] = {}
    for tenant in range(TENANTS):
        for source, count in original(index, replace(scope, tenant=name(tenant)), among).items():
            found[source] = found.get(source, 0) + count
    return found


for _leg in (Dense, Spans, Lexical):
    bug(f"the tenant is dropped in the leg {_leg.__name__}", SEARCHES, (INDEX, "_search", _leg_of_everybody(_leg)))
bug("words are rare or not among all tenants", SEARCHES, (INDEX, "_search", around(_statistics_of_everybody)))
bug("the tenant is dropped everywhere", SEARCHES, (spanstream.store.conditions, "tenant", always(ANYBODY)))
bug(
    "groups are dropped in searches and counts",
    SEARCHES,
    (spanstream.store.conditions, "visible", around(_groups_of_everybody)),
)
bug(
    "sources are dropped in searches and counts",
    SEARCHES,
    (spanstream.store.conditions, "visible", around(_sources_of_everybody)),
)
bug(
    "the tenant is dropped in facets and counts", ("everything",), (Index, "_live", lambda original: _live_of_everybody)
)
bug(
    "the tenant is dropped in the list of sources",
    ("sources",),
    (Index, "sources", around(_sources_counted_of_everybody)),
)

# --- Heads, by name -------------------------------------------------------------------------------------------------------


def _heads_of_anybody(original: Any, index: Index, keys: Sequence[Key]) -> Mapping[Key, Head]:
    """What the caller does not have, another tenant may."""
    found = dict(original(index, keys))
    for key in keys:
        for tenant in range(TENANTS) if key not in found else ():
            for head in original(index, [key._replace(tenant=name(tenant))]).values():
                found[key] = replace(head, key=key)
    return found


def _admits_all(original: Any, key: Key, groups: Sequence[str], scope: Scope) -> bool:
    return bool(original(key, (), scope))


def _admits_every_source(original: Any, key: Key, groups: Sequence[str], scope: Scope) -> bool:
    return bool(original(key, groups, replace(scope, sources=None)))


def _admits_where(of: Any) -> tuple[Swap, ...]:
    return tuple((module, "admits", around(of)) for module in (VISIBILITY, spanstream.gateway.asking, spanstream.gateway.contents, spanstream.gateway.problems))  # fmt: skip


bug(
    "heads of another tenant's documents are read by name",
    ("similar", "document", "missed"),
    (Index, "heads", around(_heads_of_anybody)),
)
bug("groups are not held against the head", ("document", "statuses", "own_document"), *_admits_where(_admits_all))
bug("sources are not held against the head", ("similar", "missed"), *_admits_where(_admits_every_source))

# --- What is remembered, told and listed ----------------------------------------------------------------------------------


def _cache_for_all(original: Any, cache: QueryCache, encoder: Any, release: str, tenant: str) -> Any:
    return original(cache, encoder, release, "")


def _mark_without_tenant(original: Any, hit: str) -> bytes:
    first, slash, rest = hit.partition("/")
    return bytes(original(rest if slash and first.startswith("tenant-") else hit))


def _words_of_all(original: Any, store: Any, scope: Scope, trace: Any) -> Any:
    told = original(store, scope, trace)
    return [*told, *(canary((int(scope.tenant[-2:]) + 1) % TENANTS, SLOTS[0]) for _ in told[:1])]


def _queries_of_all(original: Any, queries: StandingQueries, scope: Scope) -> Any:
    return [query for query in queries.all() if query.scope.groups == scope.groups]


def _query_of_anybody(original: Any, queries: StandingQueries, scope: Scope, id: str) -> Any:
    return original(queries, scope, id) or next((query for query in queries.all() if query.id == id), None)


def _matches_of_all(original: Any, wanted: Wanted, event: Any) -> bool:
    return bool(original(replace(wanted, tenant=event.tenant), event))


def _matches_of_all_groups(original: Any, wanted: Wanted, event: Any) -> bool:
    return bool(original(replace(wanted, groups=None), event))


def _letters_of_all(original: Any, index: FailureIndex, tenant: str) -> list[Letter]:
    return [letter for number in range(TENANTS) for letter in original(index, name(number))]


bug(
    "vectors of queries are remembered for all tenants",
    ("search", "foreign_cursor"),
    (QueryCache, "before", around(_cache_for_all)),
)
bug(
    "a cursor names hits without their tenant",
    ("foreign_cursor",),
    (spanstream.gateway.cursors, "mark", around(_mark_without_tenant)),
)
bug(
    "words that feedback learnt are told to all",
    ("everything",),
    (spanstream.gateway.explaining, "taught_words", around(_words_of_all)),
)
bug("standing queries of all tenants are listed", ("standing",), (StandingQueries, "of", around(_queries_of_all)))
bug("a standing query is shown to anybody", ("standing",), (StandingQueries, "get", around(_query_of_anybody)))
bug("matches of all tenants are streamed", ("matches",), (Wanted, "admits", around(_matches_of_all)))
bug("matches of all groups are streamed", ("matches",), (Wanted, "admits", around(_matches_of_all_groups)))
bug("dead letters of all tenants are listed", ("failures",), (FailureIndex, "open", around(_letters_of_all)))
bug("dead letters of all groups are listed", ("failures",), (Letter, "admits", always(True)))
