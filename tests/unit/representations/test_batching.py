from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanstream.representations.batching import batches, packed_batches, packing


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


@given(st.lists(st.integers(2, 512), min_size=1, max_size=120))
def test_texts_in_one_row_lie_behind_each_other(lengths: list[int]) -> None:
    width = max(128, *lengths)
    taken: set[tuple[int, int]] = set()
    for (row, start), length in zip(packing(lengths), lengths, strict=True):
        assert start + length <= width
        places = {(row, place) for place in range(start, start + length)}
        assert not places & taken
        taken |= places
    assert {row for row, _ in taken} == set(range(1 + max(row for row, _ in taken)))


@given(st.lists(st.integers(2, 512), max_size=200), st.integers(64, 4096))
def test_packed_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    made = packed_batches(lengths, budget)
    assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
    for batch in made:
        held = [lengths[i] for i in batch]
        rows = 1 + max(place.row for place in packing(held))
        assert rows == 1 or rows * max(128, *held) <= budget


def test_a_stream_of_mixed_lengths_is_packed_097_full() -> None:
    rng = np.random.default_rng(3)
    lengths = np.clip(rng.lognormal(4.0, 0.9, 512), 4, 256).astype(int).tolist()
    held = [[lengths[i] for i in batch] for batch in packed_batches(lengths, 1024)]
    padded = sum((1 + max(place.row for place in packing(each))) * max(128, *each) for each in held)
    assert sum(lengths) / padded > 0.97
