"""Every measure where its answer is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spanstream.representations import diagnostics

COUNT, DIMENSION = 3000, 16


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def normal(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(7).normal(size=shape)


@pytest.fixture(scope="module")
def sphere() -> NDArray[np.float64]:
    """Uniform on the sphere."""
    return unit(normal(COUNT, DIMENSION))


@pytest.fixture(scope="module")
def collapsed() -> NDArray[np.float64]:
    """The same vector throughout."""
    return np.repeat(unit(normal(1, DIMENSION)), 200, axis=0)


@pytest.fixture(scope="module")
def flat() -> NDArray[np.float64]:
    """Uniform on the sphere of a random four-dimensional subspace."""
    basis, _ = np.linalg.qr(normal(DIMENSION, 4))
    return unit(normal(COUNT, 4)) @ basis.T


def test_collapsed_vectors_have_the_values_of_that_extreme(collapsed: NDArray[np.float64]) -> None:
    assert diagnostics.alignment(collapsed[:100], collapsed[100:]) == 0
    assert diagnostics.uniformity(collapsed) == pytest.approx(0, abs=1e-5)
    assert diagnostics.mean_cosine(collapsed) == pytest.approx(1)
    assert diagnostics.effective_rank(collapsed) == pytest.approx(1)
    assert diagnostics.isotropy(collapsed) == 0
    assert diagnostics.intrinsic_dimension(collapsed) == 0
    assert diagnostics.length_bias(collapsed, range(200)) == 0
    assert not diagnostics.spectrum(collapsed).any()


def test_vectors_uniform_on_the_sphere(sphere: NDArray[np.float64]) -> None:
    # The cosine of two has density ~ (1 - c²)^((d - 3) / 2); the mean of exp(4c - 4) over it:
    cosines = np.linspace(-1, 1, 20_001)
    density = (1 - cosines**2) ** ((DIMENSION - 3) / 2)
    expected = np.log((np.exp(4 * cosines - 4) * density).sum() / density.sum())
    assert diagnostics.uniformity(sphere) == pytest.approx(expected, abs=0.01)
    assert diagnostics.alignment(sphere[: COUNT // 2], sphere[COUNT // 2 :]) == pytest.approx(2, abs=0.03)
    assert diagnostics.mean_cosine(sphere) == pytest.approx(0, abs=0.002)
    assert diagnostics.isotropy(sphere) == pytest.approx(1, abs=0.02)
    assert diagnostics.effective_rank(sphere) == pytest.approx(DIMENSION, rel=0.01)
    assert diagnostics.intrinsic_dimension(sphere) == pytest.approx(DIMENSION - 1, rel=0.15)
    assert abs(diagnostics.length_bias(sphere, np.arange(COUNT))) < 0.1
    assert len(diagnostics.outlier_dimensions(sphere)) == 0


def test_vectors_of_rank_four(flat: NDArray[np.float64]) -> None:
    assert diagnostics.effective_rank(flat) == pytest.approx(4, rel=0.01)
    assert diagnostics.isotropy(flat) == pytest.approx(3 / (DIMENSION - 1), rel=0.02)
    assert diagnostics.intrinsic_dimension(flat) == pytest.approx(3, rel=0.1)
    assert diagnostics.spectrum(flat)[:4] == pytest.approx([0.25] * 4, abs=0.02)
    assert diagnostics.spectrum(flat)[4:] == pytest.approx([0] * (DIMENSION - 4), abs=1e-9)


def test_isotropy_is_the_isoscore_of_its_paper() -> None:
    vectors = normal(500, 6) * [3, 2, 1, 1, 0.5, 0.1]
    variances = np.linalg.eigvalsh(np.cov(vectors.T))
    scaled = np.sqrt(6) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(scaled - 1) / np.sqrt(2 * (6 - np.sqrt(6)))
    used = (6 - defect**2 * (6 - np.sqrt(6))) ** 2 / 36
    assert diagnostics.isotropy(vectors) == pytest.approx((6 * used - 1) / 5)


def test_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = unit(normal(30, 5) + 1)
    cosines = (vectors @ vectors.T)[~np.eye(30, dtype=bool)]
    assert diagnostics.mean_cosine(vectors) == pytest.approx(cosines.mean())
    assert diagnostics.uniformity(vectors) == pytest.approx(np.log(np.exp(-2 * (2 - 2 * cosines)).mean()), abs=1e-5)


def test_a_planted_hub_is_among_everyones_nearest() -> None:
    # One-hot vectors are all equally far apart; the normalised mean of them is nearer to each than any other.
    vectors = np.vstack([np.eye(100), np.full((1, 100), 0.1)])
    found = diagnostics.occurrences(vectors, 1)
    assert found[100] == 100
    assert found.sum() == 101
    assert (found == 0).sum() >= 99
    assert diagnostics.skewness(found) > 5


def test_occurrences_over_more_than_one_block_equal_the_full_sort() -> None:
    vectors = unit(normal(1500, 8))
    cosines = vectors @ vectors.T - 9 * np.eye(1500)
    expected = np.bincount(np.argsort(-cosines, axis=1)[:, :5].ravel(), minlength=1500)
    assert (diagnostics.occurrences(vectors, 5) == expected).all()


def test_skewness_by_hand() -> None:
    assert diagnostics.skewness([1, 1, 1, 5]) == pytest.approx(2 / 3**0.5)
    assert diagnostics.skewness([2, 2]) == 0


def test_longer_texts_nearer_to_the_middle_are_a_length_bias() -> None:
    pull = np.linspace(0, 3, 400)
    vectors = unit(unit(normal(400, DIMENSION)) + pull[:, None] * np.eye(DIMENSION)[0])
    assert diagnostics.length_bias(vectors, np.exp(pull)) > 0.9
    assert diagnostics.length_bias(vectors, -pull) < -0.9


def test_a_dimension_of_many_times_the_size_is_an_outlier() -> None:
    vectors = normal(COUNT, 64)
    vectors[:, 5] += 8
    assert diagnostics.outlier_dimensions(unit(vectors)).tolist() == [5]
    assert diagnostics.energy(unit(vectors))[5] == pytest.approx(65 / 128, abs=0.05)
    assert diagnostics.energy(unit(vectors)).sum() == pytest.approx(1)


def test_similarity_by_position() -> None:
    parts = np.eye(3)[None]
    whole = unit(np.array([[2.0, 1.0, 0.0]]))
    assert diagnostics.part_similarities(whole, parts)[0] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, 0])
