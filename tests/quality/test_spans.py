"""The short form of the measurement of spans: that it measures what it says. Its long form is `python -m tests.quality.spans`."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanstream.representations.local import open_local
from tests.quality import spans
from tests.quality.measures import Dataset, load

VARIANTS = ("sentences", "clauses+phrases:64", "clauses+phrases:64 at 0.5")


@pytest.mark.timeout(300)
def test_candidates_hold_answers_and_half_of_their_vectors_can_go(development_data: Path) -> None:
    data = load(development_data / "xquad")
    few = Dataset(data.name, data.documents[:30], data.queries, data.relevant, data.spans)
    encoder = open_local(dtype="float32")
    try:
        results = spans.measure([few], encoder, 100, VARIANTS)
    finally:
        encoder.close()
    sentences, all_of_them, thinned = (results["xquad"]["variants"][name] for name in VARIANTS)
    assert sentences["best in"]["mean"] > 60
    assert all_of_them["inside"]["mean"] > 70
    assert all_of_them["vectors"] > 2 * thinned["vectors"]
    assert thinned["best in"]["difference"][0] > -1
    assert all(name in spans.table(results) for name in VARIANTS)


def test_words_shared_make_the_f1() -> None:
    assert spans.f1("the cat sat", "Cat sat") == pytest.approx(0.8)
    assert spans.f1("a", "b") == 0
