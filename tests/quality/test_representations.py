"""The short form of `python -m tests.quality.representations`: the published figure, and that differences are what they say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from spanstream.representations.bootstrap import Interval
from spanstream.standalone.encoder import judgements
from tests.quality import representations
from tests.quality.representations import PLAIN, Reading, Row

PUBLISHED = 78.99  # Spearman on STS16 of all-MiniLM-L6-v2


@pytest.mark.timeout(300)
def test_the_plain_release_has_the_published_figure_in_float32_and_as_shipped(development_data: Path) -> None:
    readings = (Reading(PLAIN), Reading("dtype auto", "auto"))
    plain, shipped = representations.measure(
        [representations.load(development_data / "sts16")], readings, resamples=200
    )
    assert plain.value == pytest.approx(PUBLISHED, abs=0.05)
    assert shipped.value == pytest.approx(PUBLISHED, abs=0.1)


@pytest.mark.timeout(300)
def test_each_variant_is_held_against_the_plain_release(development_data: Path) -> None:
    pairs = judgements.read_pairs(development_data / "bird" / "pairs.tsv")
    some = judgements.Pairs(pairs.left[:300], pairs.right[:300], pairs.scores[:300])
    shuffled = judgements.Pairs(some.left, some.right, random.Random(0).sample(some.scores, 300))
    collection = judgements.read_collection(development_data / "xquad")
    few = judgements.Collection(collection.documents[:70], collection.queries, collection.relevant)
    sets = [representations.of_pairs("bird", some), representations.of_collection("xquad", few)]
    reading = Reading(PLAIN, stages=("center", "whiten", "truncate:2"))
    rows = {(row.set, row.variant): row for row in representations.measure([*sets], (reading,), resamples=500)}
    for name in ("bird", "xquad"):
        assert rows[name, PLAIN].difference == Interval(0, 0, 0)
        assert rows[name, "truncate:2"].word == "loss"
        assert rows[name, "truncate:2"].value == pytest.approx(
            rows[name, PLAIN].value + rows[name, "truncate:2"].difference.value
        )
        assert (name, "center") in rows
    assert ("xquad", "whiten") not in rows  # 70 texts
    assert rows["bird", PLAIN].value > 40
    [control] = representations.measure([representations.of_pairs("bird", shuffled)], (Reading(PLAIN),))
    assert abs(control.value) < 20


def test_a_table_says_gain_loss_or_not_shown() -> None:
    rows = [
        Row("bird", "Pearson", "plain", 60.0, Interval(0, 0, 0), 300),
        Row("bird", "Pearson", "whiten", 62.0, Interval(2, 1, 3), 300),
        Row("bird", "Pearson", "clip", 59.0, Interval(-1, -2, -0.5), 300),
        Row("bird", "Pearson", "center", 61.0, Interval(1, -1, 3), 300),
        Row("medline", "nDCG@10", "center", 61.0, Interval(1, 0.5, 3), 19),  # too few to tell
    ]
    assert representations.table(rows).splitlines()[2:] == [
        "| plain | 60.00 | – |",
        "| whiten | +2.00 [+1.00, +3.00] gain | – |",
        "| clip | -1.00 [-2.00, -0.50] loss | – |",
        "| center | +1.00 [-1.00, +3.00] not shown | +1.00 [+0.50, +3.00] not shown |",
    ]
