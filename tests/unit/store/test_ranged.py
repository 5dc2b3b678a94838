"""What ranges of a caller's condition are asked of the engine before a search."""

from __future__ import annotations

import numpy as np

from spanstream.store.compression import Compression
from spanstream.store.conditions import StoredCondition
from spanstream.store.engine import Collection
from spanstream.store.index import Index
from spanstream.store.memory import MemoryEngine
from spanstream.store.points import Sparse
from spanstream.store.queries import Dense, Lexical, Query, Range, Scope


class Counting(MemoryEngine):
    counted = 0

    def count(self, collection: Collection, condition: StoredCondition) -> int:
        self.counted += 1
        return super().count(collection, condition)


def test_the_points_of_a_bounded_field_are_counted_once_for_all_legs_of_a_search() -> None:
    engine = Counting()
    store = Index(engine)
    store.open("g", 2, Compression.NONE)
    legs = (Dense(np.ones(2, np.float32)), Lexical(Sparse(np.array([1], np.uint32), np.ones(1, np.float32))))
    store.rank([Query(leg, Scope("acme"), 5, Range("metadata.n", gt=1)) for leg in legs])
    assert engine.counted == 1
