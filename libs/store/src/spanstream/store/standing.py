"""Standing queries as values and as payloads: who saved what, and what the index compares documents with."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from spanstream.events.ids import standing_id
from spanstream.store.payloads import Payload
from spanstream.store.points import Sparse
from spanstream.store.queries import AllOf, AnyOf, Condition, DateRange, Match, Not, Range, Scope

Plan = int | Sequence[Any]  # the number of a part, or ["all", plan...], ["any", plan...], ["not", plan]: plain JSON


@dataclass(frozen=True, slots=True)
class Part:
    """One text or example of a query: its unit vector [dimension] and its terms with their weights."""

    vector: NDArray[np.float32] = field(repr=False)
    terms: Sparse = field(repr=False)


@dataclass(frozen=True, slots=True)
class Computed:
    """What passages are compared with. Vectors of another generation must never meet it.

    `unrelated`: the cosine that texts without any relation have under this generation's encoder.
    """

    generation: str
    unrelated: float
    plan: Plan = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StandingQuery:
    """A saved query. It matches what `scope`, the identity that saved it, may see; other scopes do not know of it.

    `revision`: microseconds since 1970 of the last change, rising. `definition`: the request, to be shown again.
    `computed`: None until there is one for any generation.
    """

    scope: Scope
    id: str
    revision: int
    threshold: float
    definition: Mapping[str, Any] = field(repr=False)
    where: Condition | None = None
    computed: Computed | None = None

    @property
    def uuid(self) -> UUID:
        """Names the query among those of all tenants and scopes."""
        return standing_id(self.scope.tenant, self.scope.groups, self.id)


def query_payload(query: StandingQuery) -> Payload:
    """What is stored of a query. What the store need not look into is text."""
    groups = query.scope.groups
    return {
        "tenant": query.scope.tenant,
        "groups": None if groups is None else list(groups),
        "id": query.id,
        "revision": query.revision,
        "threshold": query.threshold,
        "definition": json.dumps(query.definition),
        "where": None if query.where is None else json.dumps(condition_payload(query.where)),
        "computed": None if query.computed is None else computed_payload(query.computed),
    }


def query_from(payload: Mapping[str, Any]) -> StandingQuery:
    """The inverse of `query_payload`."""
    groups, where, computed = payload["groups"], payload["where"], payload["computed"]
    return StandingQuery(
        scope=Scope(payload["tenant"], None if groups is None else tuple(groups)),
        id=payload["id"],
        revision=payload["revision"],
        threshold=payload["threshold"],
        definition=json.loads(payload["definition"]),
        where=None if where is None else condition_from(json.loads(where)),
        computed=None if computed is None else _computed_from(json.loads(computed)),
    )


def computed_payload(computed: Computed) -> str:
    """As text."""
    parts = [
        [_encoded(part.vector, "<f4"), _encoded(part.terms.indices, "<u4"), _encoded(part.terms.values, "<f4")]
        for part in computed.parts
    ]
    return json.dumps([computed.generation, computed.unrelated, computed.plan, parts])


def _computed_from(stored: Sequence[Any]) -> Computed:
    generation, unrelated, plan, parts = stored
    read = tuple(
        Part(_decoded(vector, "<f4"), Sparse(_decoded(indices, "<u4"), _decoded(values, "<f4")))
        for vector, indices, values in parts
    )
    return Computed(generation, unrelated, plan, read)


def condition_payload(condition: Condition) -> Payload:
    """A condition as plain JSON."""
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            fields: Payload = {"conditions": [condition_payload(each) for each in conditions]}
        case Not(inner):
            fields = {"condition": condition_payload(inner)}
        case _:
            fields = asdict(condition)
    return {"kind": type(condition).__name__} | fields


def condition_from(payload: Mapping[str, Any]) -> Condition:
    """The inverse of `condition_payload`."""
    fields = {name: value for name, value in payload.items() if name != "kind"}
    match payload["kind"]:
        case "AllOf":
            return AllOf(tuple(map(condition_from, fields["conditions"])))
        case "AnyOf":
            return AnyOf(tuple(map(condition_from, fields["conditions"])))
        case "Not":
            return Not(condition_from(fields["condition"]))
        case "Match":
            return Match(fields["field"], tuple(fields["values"]))
        case "Range":
            return Range(**fields)
        case _:
            return DateRange(**fields)


def _encoded(array: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def _decoded(text: str, dtype: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype)
