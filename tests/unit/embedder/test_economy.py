from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanstream.embedder.economy import kept
from spanstream.embedder.embeddings import text_of, thinned
from spanstream.encoder.encoder import Encoded
from spanstream.events.v1.passage_pb2 import Passage, PassageEvent


def unit(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_a_span_goes_only_if_a_kept_one_around_it_says_nearly_the_same() -> None:
    offsets = np.array([[0, 10], [2, 8], [3, 5], [6, 9], [10, 20]])
    # [2, 8) is near [0, 10) and goes; [3, 5) is near only that one, hence stays; [10, 20) is near but elsewhere.
    assert kept(offsets, unit(0, 20, 40, 90, 0), np.cos(np.radians(25))).tolist() == [0, 2, 3, 4]


def test_of_two_equal_spans_the_first_stays() -> None:
    assert kept(np.array([[0, 4], [0, 4]]), unit(0, 0), 0.9).tolist() == [0]


def test_no_spans_need_nothing() -> None:
    assert kept(np.empty((0, 2), int), np.empty((0, 2), np.float32), 0.9).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=20), st.integers(0, 99), st.floats(0.1, 1))
def test_outer_spans_stay_and_what_goes_has_a_near_one_around_it(
    spans: list[tuple[int, int]], seed: int, similarity: float
) -> None:
    offsets = np.array(sorted({(start, start + length) for start, length in spans})).reshape(-1, 2)
    vectors = unit(*np.random.default_rng(seed).uniform(0, 90, len(offsets)).tolist()).reshape(-1, 2)
    stay = kept(offsets, vectors, similarity).tolist()
    assert stay == sorted(set(stay))
    for i in set(range(len(offsets))) - set(stay):
        around = [k for k in stay if offsets[k, 0] <= offsets[i, 0] and offsets[k, 1] >= offsets[i, 1]]
        assert any(vectors[k] @ vectors[i] >= similarity - 1e-6 for k in around)


def test_an_event_loses_spans_and_their_vectors_together_and_keeps_the_rest() -> None:
    event = PassageEvent(text="abcdefgh", passage_count=2, title="t", segmenter="s")
    event.passages.append(Passage(ordinal=0, start=0, end=4, spans=[0, 4, 1, 3, 2, 3]))
    event.passages.append(Passage(ordinal=1, start=4, end=8, spans=[4, 8, 5, 7]))
    encoded = Encoded(unit(0)[0], unit(0, 1, 10, 11, 80, 20, 70), np.arange(7, dtype=np.int32))
    before = event.SerializeToString()
    thin, vectors = thinned(event, encoded, 0.9)
    assert [list(passage.spans) for passage in thin.passages] == [[0, 4, 2, 3], [4, 8, 5, 7]]
    assert vectors.tokens.tolist() == [0, 1, 2, 4, 5, 6]
    assert np.array_equal(vectors.ranges, encoded.ranges[vectors.tokens])
    assert event.SerializeToString() == before
    assert (thin.text, thin.title, thin.segmenter) == ("abcdefgh", "t", "s")


def test_spans_within_sentences_cut_no_window() -> None:
    event = PassageEvent(text="x" * 60, text_offset=100)
    event.passages.append(
        Passage(ordinal=0, start=100, end=150, spans=[100, 120, 121, 150, 104, 110, 108, 112, 121, 130])
    )
    boundaries = text_of(event).boundaries
    assert boundaries is not None
    assert boundaries.tolist() == [0, 21]
