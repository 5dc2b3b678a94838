"""The indexer grades standing queries by the same laws as the gateway grades searches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanstream.gateway import meanings
from spanstream.indexer.matching import grade
from spanstream.store.standing import Plan

plans = st.recursive(
    st.integers(0, 2),
    lambda inner: st.one_of(
        inner.map(lambda one: ["not", one]),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: ["all", *some]),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: ["any", *some]),
    ),
    max_leaves=8,
)


@given(plans, st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
def test_grades_are_those_of_search(plan: Plan, scores: list[float]) -> None:
    parts = np.array([scores], np.float32)
    leaves = {meanings.Words(str(number)): parts[:, number] for number in range(3)}
    expected = meanings.grade(_meaning(plan), dict(leaves))
    np.testing.assert_allclose(grade(plan, parts), expected, atol=1e-6)


def _meaning(plan: Plan) -> meanings.Meaning:
    if isinstance(plan, int):
        return meanings.Words(str(plan))
    kind, *inner = plan
    parts = tuple(map(_meaning, inner))
    if kind == "not":
        return meanings.Not(parts[0])
    return meanings.All(parts) if kind == "all" else meanings.AnyOf(parts)
