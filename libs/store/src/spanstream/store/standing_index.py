"""Standing queries on an engine, once for both adapters. They belong to no generation: they outlive each."""

from __future__ import annotations

import uuid

from spanstream.events.ids import standing_id
from spanstream.store.conditions import Empty, Ids, StoredCondition, every, not_
from spanstream.store.engine import Collection, Delete, Engine, Operation, Point, SetPayload, Upsert
from spanstream.store.queries import Match, Scope
from spanstream.store.standing import Computed, StandingQuery, computed_payload, query_from, query_payload

_QUERIES = Collection.QUERIES
_MARK = str(uuid.UUID(int=0))  # a point beside the queries, which every change writes anew


class StandingQueries:
    """Raises what the store does. An acknowledged change has moved `mark()`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark(self) -> str:
        """Another text after every change, of whichever query: who read it before reading the queries misses none."""
        records = self._engine.retrieve(_QUERIES, [_MARK])
        return str(records[0].payload["mark"]) if records else ""

    def save(self, query: StandingQuery) -> None:
        """Write the query in place of any of its id and scope."""
        self._change(Upsert(Point(str(query.uuid), query_payload(query), {})))

    def compute(self, query: StandingQuery, computed: Computed) -> None:
        """Give the stored query what it is compared by, unless it was changed or deleted meanwhile."""
        stored = every(Ids((str(query.uuid),)), Match("revision", (query.revision,)))
        self._change(SetPayload(stored, {"computed": computed_payload(computed)}))

    def delete(self, scope: Scope, id: str) -> None:
        """Delete the query; idempotent."""
        self._change(Delete(Ids((_point_id(scope, id),))))

    def get(self, scope: Scope, id: str) -> StandingQuery | None:
        """The query of this very scope."""
        records = self._engine.retrieve(_QUERIES, [_point_id(scope, id)])
        return query_from(records[0].payload) if records else None

    def of(self, scope: Scope) -> list[StandingQuery]:
        """The queries of this very scope, by id."""
        found = self._found(Match("tenant", (scope.tenant,)))
        return [query for query in found if query.scope == scope]

    def count(self, tenant: str) -> int:
        """How many queries the tenant has, of all its scopes."""
        return self._engine.count(_QUERIES, Match("tenant", (tenant,)))

    def all(self) -> list[StandingQuery]:
        """The queries of all tenants."""
        return self._found(not_(Empty("tenant")))

    def _found(self, condition: StoredCondition) -> list[StandingQuery]:
        queries = [query_from(record.payload) for record in self._engine.scroll(_QUERIES, condition)]
        return sorted(queries, key=lambda query: query.id)

    def _change(self, operation: Operation) -> None:
        mark = Upsert(Point(_MARK, {"mark": str(uuid.uuid4())}, {}))
        self._engine.write(_QUERIES, [operation, mark])


def _point_id(scope: Scope, id: str) -> str:
    return str(standing_id(scope.tenant, scope.groups, id))
