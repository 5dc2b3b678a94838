from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanstream.representations.batching import batches


@given(st.lists(st.integers(2, 512), max_size=300), st.integers(64, 4096))
def test_every_row_once_within_the_budget_and_hardly_padded(lengths: list[int], budget: int) -> None:
    made = batches(lengths, budget)
    assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
    for batch in made:
        real, padded = sum(lengths[i] for i in batch), max(lengths[i] for i in batch) * len(batch)
        assert padded <= budget or len(batch) == 1
        assert padded - real <= max(64, 0.05 * padded)


def test_a_stream_of_mixed_lengths_is_095_full() -> None:
    rng = np.random.default_rng(3)
    lengths = np.clip(rng.lognormal(4.5, 0.8, 512), 4, 256).astype(int).tolist()
    made = batches(lengths, 2048)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in made)
    assert sum(lengths) / padded >= 0.95
