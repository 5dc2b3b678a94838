"""What can be said of vectors without judgements: how they fill their space, and what else than meaning moves them.

`vectors` are [n, d] floats of unit length, n >= 2 unless said otherwise. Sums are float64; cosines of all pairs are
float32, a block of rows at a time. Where all vectors are equal a measure has the value of that extreme, never NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spanstream.representations.measures import spearman

Vectors = NDArray[np.floating[Any]]

_ROWS = 1024  # of a matrix of similarities that is held at once
_TINY = 1e-12


def alignment(left: Vectors, right: Vectors) -> float:
    """Mean squared distance of pairs that belong together, both [m, d], m >= 1: 0 equal, 2 unrelated (Wang and Isola 2020)."""
    return float(np.square(left.astype(np.float64) - right).sum(axis=1).mean())


def uniformity(vectors: Vectors) -> float:
    """Log of the mean of exp(-2 · squared distance) over all pairs: 0 collapsed, towards -4 uniform on the sphere (Wang and Isola 2020)."""
    total = sum(float(np.exp(4 * block - 4).sum(dtype=np.float64)) for block in _others(vectors))  # |x-y|² = 2 - 2xy
    return float(np.log(total / (len(vectors) * (len(vectors) - 1))))


def mean_cosine(vectors: Vectors) -> float:
    """Mean cosine of all pairs: 0 in every direction alike, 1 collapsed."""
    count = len(vectors)
    lengths = np.square(vectors.astype(np.float64)).sum()
    return float((np.square(vectors.sum(axis=0, dtype=np.float64)).sum() - lengths) / (count * (count - 1)))


def spectrum(vectors: Vectors) -> NDArray[np.float64]:
    """Share of the variance along each principal axis [min(n, d)], largest first; zeros where all vectors are equal."""
    values = np.square(_singular(vectors - vectors.mean(axis=0, dtype=np.float64)))
    total = values.sum()
    return values / total if total > _TINY * len(vectors) else np.zeros_like(values)


def isotropy(vectors: Vectors) -> float:
    """IsoScore (Rudman et al. 2022): 0 all variance on one axis, 1 the same on all; it does not see the mean.

    With v the variances along the d principal axes their definition comes to ((Σv)² / Σv² - 1) / (d - 1).
    """
    shares = spectrum(vectors)
    dimension = vectors.shape[1]
    squares = np.square(shares).sum()
    return float((1 / squares - 1) / (dimension - 1)) if squares > 0 and dimension > 1 else 0.0


def effective_rank(vectors: Vectors) -> float:
    """Exponential of the entropy of the singular values, of vectors as they are: 1 collapsed, d all axes alike (Roy and Vetterli 2007)."""
    values = _singular(vectors)
    shares = values / values.sum()
    shares = shares[shares > _TINY]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def intrinsic_dimension(vectors: Vectors) -> float:
    """TwoNN (Facco et al. 2017), n >= 3: dimension of the surface the vectors lie on, by the two nearest neighbours of each.

    Vectors that occur twice are left out. Of the largest tenth of the ratios, which the paper discards, only that they are
    larger is used, and likelihood takes the place of the paper's line fit. 0 where nothing is left.
    """
    nearest = np.concatenate([np.partition(rows, -2, axis=1)[:, -2:] for rows in _others(vectors)])
    second, first = np.sqrt(np.maximum(2 - 2 * nearest.astype(np.float64), 0)).T
    distinct = first > 1e-3  # below, a distance is the rounding of its cosine
    ratios = np.sort(np.log(second[distinct] / first[distinct]))
    kept = ratios[: int(0.9 * len(ratios))]
    if not len(kept) or kept[-1] <= 0:
        return 0.0
    return float(len(kept) / (kept.sum() + (len(ratios) - len(kept)) * kept[-1]))


def occurrences(vectors: Vectors, k: int = 10) -> NDArray[np.int64]:
    """For each vector among how many others' `k` nearest it is, [n]; k < n (Radovanović et al. 2010). Their mean is k."""
    found = np.zeros(len(vectors), np.int64)
    for rows in _others(vectors):
        nearest = np.argpartition(rows, -k, axis=1)[:, -k:]
        found += np.bincount(nearest.ravel(), minlength=len(vectors))
    return found


def skewness(values: ArrayLike) -> float:
    """Third standardised moment; of k-occurrences: hubness, above 1.4 high (Feldbauer et al. 2018). 0 where all are equal."""
    data = np.asarray(values, np.float64)
    spread = data.std()
    return float(((data - data.mean()) ** 3).mean() / spread**3) if spread > _TINY else 0.0


def length_bias(vectors: Vectors, lengths: ArrayLike) -> float:
    """Rank correlation of a text's length, `lengths` [n], with its mean cosine to the others, -1..1."""
    data = vectors.astype(np.float64)
    similarity = (data @ data.sum(axis=0) - np.square(data).sum(axis=1)) / (len(data) - 1)
    return float(spearman(lengths, np.round(similarity, 9))[0])  # what rounding alone tells apart is equal


def outlier_dimensions(vectors: Vectors, deviations: float = 3.0) -> NDArray[np.int64]:
    """Dimensions whose root mean square is so many standard deviations above that of the average one (Kovaleva et al. 2021)."""
    size = np.sqrt(energy(vectors))
    return np.flatnonzero(size > size.mean() + deviations * size.std() + _TINY)


def energy(vectors: Vectors) -> NDArray[np.float64]:
    """Mean square of each dimension [d]; of unit vectors the sum is 1, so each is what the dimension adds to a cosine."""
    mean: NDArray[np.float64] = np.square(vectors.astype(np.float64)).mean(axis=0)
    return mean


def part_similarities(whole: Vectors, parts: Vectors) -> NDArray[np.float64]:
    """Cosine of each text's vector, `whole` [m, d], with those of its parts in order, `parts` [m, p, d]: [m, p].

    Their fall from first to last is the position bias (Coelho et al. 2024): what stands late in a text counts less.
    """
    cosines: NDArray[np.float64] = np.einsum("md,mpd->mp", whole.astype(np.float64), parts.astype(np.float64))
    return cosines


def _singular(matrix: Vectors) -> NDArray[np.float64]:
    return np.linalg.svd(matrix.astype(np.float64), compute_uv=False)


def _others(vectors: Vectors) -> Iterator[NDArray[np.float32]]:
    """Cosines of some vectors with all, [rows, n], block after block; -inf for a vector with itself."""
    data = vectors.astype(np.float32)
    for start in range(0, len(data), _ROWS):
        block = data[start : start + _ROWS] @ data.T
        rows = np.arange(len(block))
        block[rows, start + rows] = -np.inf
        yield block
