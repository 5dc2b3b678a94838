"""What spans cost: encoder seconds with them over seconds for the passages alone, in this process."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spanstream.encoder.encoder import Encoder, Text
from tests.bench import corpus, work
from tests.bench.ratio import ratio
from tests.bench.result import Result, row

FORMS = ("sentences", "sentences+clauses:16", "sentences+clauses+phrases+windows8:64")
BAR = 1.10


def measure(encoder: Encoder, *, short: bool) -> Result:
    """A B C D A B C D ...: passages alone, then each form, the same fresh texts in the same windows."""
    count, repetitions = (8, 2) if short else (150, 11)
    cutters = {form: work.cutter(form) for form in FORMS}
    plain: list[float] = []
    seconds: dict[str, list[float]] = {form: [] for form in FORMS}
    per_passage: dict[str, float] = {}
    same = True
    for repetition in range(-1, repetitions):  # -1 warms up
        records = list(corpus.documents(count, seed=3000 + repetition))
        asked = {form: work.texts(cut(records)) for form, cut in cutters.items()}
        alone = passages_alone(asked[FORMS[0]])
        if repetition < 0:
            same = all(_same_passages(encoder, alone, texts) for texts in asked.values())
            passages = sum(text.context_ranges for text in alone)
            per_passage = {f: round(sum(len(t.ranges) for t in asked[f]) / passages - 1, 1) for f in FORMS}
        spent = [work.encode(encoder, texts) for texts in (alone, *asked.values())]
        if repetition >= 0:
            plain.append(spent[0])
            for form, each in zip(FORMS, spent[1:], strict=True):
                seconds[form].append(each)
    ratios = {form: ratio(seconds[form], plain) for form in FORMS}
    return {
        "rows": [
            row(
                f"Encoding with {form.removeprefix('sentences+')}, over none",
                f"{found['ratio']:.3f} {found['interval']}",
                f"≤ {BAR:.2f}",
                found["interval"][1] <= BAR,
            )
            for form, found in ratios.items()
        ],
        "guards": {"passages have the same vectors with and without spans": same},
        "figures": {
            "ratios": ratios,
            "spans_per_passage": per_passage,
            "passages_alone_seconds": round(statistics.median(plain), 3),
        },
    }


def passages_alone(texts: Sequence[Text]) -> list[Text]:
    """The texts with no range but their passages, cut into the same windows."""
    return [replace(text, ranges=text.ranges[: text.context_ranges]) for text in texts]


def _same_passages(encoder: Encoder, alone: Sequence[Text], texts: Sequence[Text]) -> bool:
    """Whether both have as good as the same passages' vectors, whatever events a document was cut into."""
    ours = np.concatenate([found.ranges for found in encoder.encode(alone)])
    theirs = np.concatenate(
        [found.ranges[: text.context_ranges] for text, found in zip(texts, encoder.encode(texts), strict=True)]
    )
    return ours.shape == theirs.shape and bool(((ours * theirs).sum(axis=1) > 0.999).all())
