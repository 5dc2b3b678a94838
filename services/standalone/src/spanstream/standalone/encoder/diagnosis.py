"""The measures of one model on one sample of texts: which they are, what each means, and what is usual.

The usual ranges hold the values of all-MiniLM-L6-v2 on four collections of abstracts and paragraphs, with room to spare;
that of hubness is from its literature, and MiniLM passes it on narrow collections. They say where to look, not what is good:
texts on one subject are alike whatever the model, and many texts name their subject at the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spanstream.representations import diagnostics

PARTS = 5  # equal parts of a text whose similarity to the whole shows where a model looks: start, middle and end are 0, 2, 4
MIN_CHARACTERS = 40 * PARTS  # of a text that is cut into parts: some seven words each
NEIGHBOURS = 10  # k of k-occurrence, as in its literature
MIN_TEXTS = 2 * NEIGHBOURS
_RANDOM_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class Measure:
    """A number for people. Outside `usual` it deserves a look; which values are good depends on the texts too."""

    name: str
    value: float
    meaning: str
    usual: tuple[float, float]

    @property
    def unusual(self) -> bool:
        """Whether it lies outside the usual range."""
        return not self.usual[0] <= self.value <= self.usual[1]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All measures, and the distributions behind them.

    `spectrum` [min(n, d)], `occurrences` [n]. Cosines: `random` of parts of different texts (of whole texts where there are
    no parts), `neighbouring` of parts that follow each other, `positions` [m, PARTS] of texts with their parts.
    """

    measures: list[Measure]
    spectrum: NDArray[np.float64] = field(repr=False)
    occurrences: NDArray[np.int64] = field(repr=False)
    random: NDArray[np.float64] = field(repr=False)
    neighbouring: NDArray[np.float64] = field(repr=False)
    positions: NDArray[np.float64] = field(repr=False)


def parts(text: str) -> list[str]:
    """PARTS parts of about equal length, cut at white space where there is any; of a text that is too short: none."""
    if len(text) < MIN_CHARACTERS:
        return []
    cuts = [0]
    for number in range(1, PARTS):
        even = len(text) * number // PARTS
        space = next((at for at in range(even, even + len(text) // (2 * PARTS)) if text[at].isspace()), even)
        cuts.append(space)
    found = [text[start:end].strip() for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return found if all(found) else []


def diagnose(
    vectors: NDArray[np.float32],
    lengths: NDArray[np.int64],
    owners: NDArray[np.int64],
    parts: NDArray[np.float32],
) -> Diagnosis:
    """Of texts' `vectors` [n, d], their `lengths` [n] in characters, and `parts` [m, PARTS, d] of the texts `owners` [m].

    n >= MIN_TEXTS. Without parts (m = 0) the measures that need them are left out.
    """
    count, dimension = vectors.shape
    found = diagnostics.occurrences(vectors, NEIGHBOURS)
    outliers = diagnostics.outlier_dimensions(vectors)
    share = float(diagnostics.energy(vectors)[outliers].sum())
    rank, full = diagnostics.effective_rank(vectors), min(count, dimension)
    measures = [
        Measure(
            "mean cosine", diagnostics.mean_cosine(vectors), "of two random texts; near 1: all look alike", (-0.1, 0.4)
        ),
        Measure(
            "uniformity", diagnostics.uniformity(vectors), "how evenly the sphere is filled; -4 best, 0 not", (-4.1, -2)
        ),
        Measure("isotropy", diagnostics.isotropy(vectors), "IsoScore: share of axes in use; 1 all alike", (0.05, 1)),
        Measure("effective rank", rank, f"dimensions in use of {full}", (0.25 * full, full)),
        Measure(
            "intrinsic dimension",
            diagnostics.intrinsic_dimension(vectors),
            "freedom around each text (TwoNN)",
            (5, full),
        ),
        Measure(
            "hubness", diagnostics.skewness(found), f"skew of how often a text is among {NEIGHBOURS} nearest", (-1, 1.4)
        ),
        Measure("never found", float((found == 0).mean()), "share of texts among nobody's nearest", (0, 0.1)),
        Measure(
            "length bias",
            diagnostics.length_bias(vectors, lengths),
            "longer texts nearer to all (+) or farther (-)",
            (-0.4, 0.4),
        ),
        Measure("outlier dimensions", len(outliers), "far larger than the others", (0, 0.02 * dimension)),
        Measure("outlier share", share, "of every cosine that these dimensions make up", (0, 0.1)),
    ]
    neighbouring = positions = np.empty((0, PARTS))
    if len(owners):
        left, right = parts[:, :-1].reshape(-1, dimension), parts[:, 1:].reshape(-1, dimension)
        neighbouring = np.einsum("pd,pd->p", left.astype(np.float64), right.astype(np.float64))
        positions = diagnostics.part_similarities(vectors[owners], parts)
        start, middle, end = positions.mean(axis=0)[[0, PARTS // 2, -1]]
        distance = diagnostics.alignment(left, right)
        measures += [
            Measure("alignment", distance, "distance of neighbouring parts; 0 equal, 2 unrelated", (0, 1.4)),
            Measure("start", start, "cosine of a text with its first fifth", (0.4, 1)),
            Measure("middle", middle, "with its middle fifth", (0.4, 1)),
            Measure("end", end, "with its last fifth", (0.4, 1)),
            Measure("position bias", start - end, "start less end; above 0: the end counts less", (-0.2, 0.2)),
        ]
    random = _random(parts if len(owners) > 1 else vectors[:, None])
    return Diagnosis(measures, diagnostics.spectrum(vectors), found, random, neighbouring.ravel(), positions)


def _random(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines of random pairs of parts, [m, p, d], of different texts."""
    texts, each, _ = parts.shape
    source = np.random.default_rng(0)
    left = source.integers(0, texts, _RANDOM_PAIRS)
    right = (left + source.integers(1, texts, _RANDOM_PAIRS)) % texts
    one, other = (parts[of, source.integers(0, each, _RANDOM_PAIRS)].astype(np.float64) for of in (left, right))
    cosines: NDArray[np.float64] = np.einsum("pd,pd->p", one, other)
    return cosines
