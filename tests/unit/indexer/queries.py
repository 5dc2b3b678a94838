"""Standing queries as the gateway saves them, computed with the hash encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from spanstream.encoder.encoder import Text
from spanstream.store.lexical import query_terms
from spanstream.store.queries import Condition, Scope
from spanstream.store.standing import Computed, Part, StandingQuery
from tests.unit.indexer.documents import ENCODER, GENERATION


def part(text: str) -> Part:
    whole = ENCODER.encode([Text(text, np.zeros((0, 2), np.int32))], query=True)[0].whole
    return Part(whole, query_terms(text))


def query(
    *texts: str,
    id: str = "fish",
    scope: Scope = Scope("acme"),
    plan: Any = 0,
    threshold: float = 0.5,
    revision: int = 1,
    where: Condition | None = None,
    generation: str = GENERATION.name,
) -> StandingQuery:
    computed = Computed(generation, 0.0, plan, tuple(map(part, texts)))
    return StandingQuery(scope, id, revision, threshold, {"query": list(texts)}, where, computed)
