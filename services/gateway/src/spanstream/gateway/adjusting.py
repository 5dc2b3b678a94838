"""Scores of candidates by what their documents say of themselves: recency first, then boosts. Reads what these need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spanstream.gateway.boosts import Boost, boosted
from spanstream.gateway.ranked import Ranked, falling
from spanstream.gateway.recency import ACCEPTED_AT, Recency, age, dated, faded, moment
from spanstream.store.queries import Scope
from spanstream.store.store import Store


def adjusted(store: Store, scope: Scope, ranked: Ranked, boosts: Sequence[Boost], recency: Recency | None) -> Ranked:
    """The same passages, falling by what they score now; equals stay in order."""
    boosts = [boost for boost in boosts if boost.factor != 1]
    if not ranked or not (boosts or (recency and recency.weight)):
        return ranked
    ids = [id for id, _ in ranked]
    scores = np.array([score for _, score in ranked], np.float64)
    if recency and recency.weight:
        scores = faded(scores, np.array(_ages(store, ids, recency)), recency)
    kept = [store.matching(scope, boost.where, ids) for boost in boosts]
    held = [np.array([id in those for id in ids]) for those in kept]
    scores = boosted(scores, [boost.factor for boost in boosts], held)
    return falling(zip(ids, scores.tolist(), strict=True))


def _ages(store: Store, ids: Sequence[str], recency: Recency) -> list[float]:
    """Days; infinite for what has gone meanwhile, too."""
    passages = store.fetch(ids)
    if recency.field == ACCEPTED_AT:
        heads = store.heads(list({passage.key for passage in passages.values()}))
        dates = {id: moment(heads[each.key].accepted_at_us) for id, each in passages.items() if each.key in heads}
    else:
        dates = {id: dated(each.metadata, recency.field) for id, each in passages.items()}
    return [age(dates.get(id), recency.now) for id in ids]
