"""The stages a vector may pass after the encoder. Each is fitted once, then applied to stored vectors and queries alike.

A stage is a frozen value: its parameters, which a person chooses, and its arrays (float32), which are fitted on a sample.
Fitting works in float64 and is deterministic; a sample without full rank, or of equal rows, gives finite arrays.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.errors import TransformInvalid

Value = int | float | str
Array = NDArray[np.float32]

# A mean or a deviation over so many vectors is known to about a tenth of the spread.
_FEWEST = 64
# An axis with less variance than this part of the largest one holds only the rounding of float32.
_RANK = 1e-8


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a stage lets a person choose: `allowed` says it in words. `default` none: it must be given."""

    type: type[int] | type[float] | type[str]
    allowed: str
    accepts: Callable[[Value], bool]
    default: Value | None = None

    def read(self, given: object) -> Value:
        """The value in the parameter's type; raises ValueError if it is not allowed."""
        if self.type is float and type(given) is int:
            given = float(given)
        if isinstance(given, self.type) and not isinstance(given, bool) and self.accepts(given):
            return given
        raise ValueError(f"must be {self.allowed}")


def _count(of: str) -> Parameter:
    return Parameter(int, f"a number of {of}, 1 or more", lambda value: int(value) >= 1)


class Stage(ABC):
    """One step. `PARAMETERS` and `ARRAYS` name all fields of a stage, so that it can be written down and read back."""

    __slots__ = ()
    KIND: ClassVar[str]
    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {}
    ARRAYS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def rows(dimension: int, parameters: Mapping[str, Value]) -> int:
        """How many vectors of `dimension` it takes at least to fit this; raises TransformInvalid if a parameter exceeds it."""
        return _FEWEST

    @classmethod
    @abstractmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """The stage fitted on `sample` [n, d] of at least `rows` vectors."""

    @abstractmethod
    def apply(self, vectors: Array) -> Array:
        """[n, d] -> [n, d'], row by row."""

    def output(self, dimension: int) -> int:
        """d' for vectors of d = `dimension`."""
        return dimension


@dataclass(frozen=True, slots=True, eq=False)
class Center(Stage):
    """Subtract the mean: what all texts share no longer makes them alike."""

    KIND: ClassVar[str] = "center"
    ARRAYS: ClassVar[tuple[str, ...]] = ("mean",)
    mean: Array = field(repr=False)  # [d]

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """See Stage."""
        return cls(_mean(sample))

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        return vectors - self.mean


@dataclass(frozen=True, slots=True, eq=False)
class Standardize(Stage):
    """Per dimension subtract the mean and divide by the standard deviation; one that does not vary is only centred."""

    KIND: ClassVar[str] = "standardize"
    ARRAYS: ClassVar[tuple[str, ...]] = ("mean", "deviation")
    mean: Array = field(repr=False)  # [d]
    deviation: Array = field(repr=False)  # [d]

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """See Stage."""
        deviation = sample.std(axis=0, dtype=np.float64)
        varies = deviation > math.sqrt(_RANK) * deviation.max()
        return cls(_mean(sample), np.where(varies, deviation, 1).astype(np.float32))

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        return (vectors - self.mean) / self.deviation


@dataclass(frozen=True, slots=True, eq=False)
class Whiten(Stage):
    """Make all directions equally wide (Su et al. 2021; Huang et al. 2021). Subtracts the mean first.

    `zca` stays as near as it can to the vectors as they were, `pca` turns them to the principal axes, widest first; cosines
    are the same. `shrinkage` s: (1 - s) · covariance + s · its mean variance (Ledoit and Wolf 2004), so that directions
    which hardly vary are not blown up; directions that do not vary at all are left out.
    """

    KIND: ClassVar[str] = "whiten"
    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "shrinkage": Parameter(float, "a number from 0 to 1", lambda value: 0 <= float(value) <= 1, 0.01),
        "method": Parameter(str, "zca or pca", lambda value: value in ("zca", "pca"), "zca"),
    }
    ARRAYS: ClassVar[tuple[str, ...]] = ("mean", "matrix")
    shrinkage: float
    method: str
    mean: Array = field(repr=False)  # [d]
    matrix: Array = field(repr=False)  # [d, d]

    @staticmethod
    def rows(dimension: int, parameters: Mapping[str, Value]) -> int:
        """With fewer than twice as many vectors as dimensions the narrow axes are mostly chance."""
        return max(_FEWEST, 2 * dimension)

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """See Stage."""
        shrinkage, method = float(parameters["shrinkage"]), str(parameters["method"])
        variances, axes = _principal_axes(sample)
        variances = (1 - shrinkage) * variances + shrinkage * variances.mean()
        varies = variances > _RANK * variances[0]
        scales = np.zeros_like(variances)
        scales[varies] = 1 / np.sqrt(variances[varies])
        matrix = axes * scales
        return cls(shrinkage, method, _mean(sample), _float32(matrix @ axes.T if method == "zca" else matrix))

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        return _product(vectors - self.mean, self.matrix)


@dataclass(frozen=True, slots=True, eq=False)
class Pca(Stage):
    """Project onto the `dimension` widest principal axes. Subtracts the mean first."""

    KIND: ClassVar[str] = "pca"
    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {"dimension": _count("dimensions")}
    ARRAYS: ClassVar[tuple[str, ...]] = ("mean", "axes")
    dimension: int
    mean: Array = field(repr=False)  # [d]
    axes: Array = field(repr=False)  # [d, dimension]

    @staticmethod
    def rows(dimension: int, parameters: Mapping[str, Value]) -> int:
        """So many vectors span at most one axis less."""
        return max(_FEWEST, 2 * _at_most(Pca.KIND, "dimension", parameters, dimension))

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """See Stage."""
        wanted = int(parameters["dimension"])
        _, axes = _principal_axes(sample)
        return cls(wanted, _mean(sample), _float32(axes[:, :wanted]))

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        return _product(vectors - self.mean, self.axes)

    def output(self, dimension: int) -> int:
        """See Stage."""
        return self.dimension


@dataclass(frozen=True, slots=True, eq=False)
class RemoveComponents(Stage):
    """All-but-the-top (Mu and Viswanath 2018): subtract the mean and the part along the `count` widest principal axes.

    The paper removes about a hundredth of the dimensions.
    """

    KIND: ClassVar[str] = "remove_components"
    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {"count": _count("components")}
    ARRAYS: ClassVar[tuple[str, ...]] = ("mean", "axes")
    count: int
    mean: Array = field(repr=False)  # [d]
    axes: Array = field(repr=False)  # [d, count]

    @staticmethod
    def rows(dimension: int, parameters: Mapping[str, Value]) -> int:
        """So many vectors span at most one axis less."""
        return max(_FEWEST, 2 * _at_most(RemoveComponents.KIND, "count", parameters, dimension - 1))

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """See Stage."""
        count = int(parameters["count"])
        _, axes = _principal_axes(sample)
        return cls(count, _mean(sample), _float32(axes[:, :count]))

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        centred = vectors - self.mean
        along = _product(centred, self.axes)
        return centred - _product(along, self.axes.T)


@dataclass(frozen=True, slots=True, eq=False)
class Clip(Stage):
    """Limit every dimension to the mean ± `deviations` standard deviations of all components of the sample.

    A few outlier dimensions, often an echo of the position, are many times as large as the rest and decide every cosine
    (Kovaleva et al. 2021; Luo et al. 2021). The limits are those of all dimensions together: by its own an outlier is none.
    """

    KIND: ClassVar[str] = "clip"
    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "deviations": Parameter(float, "a number above 0", lambda value: 0 < float(value) < math.inf, 3.0)
    }
    ARRAYS: ClassVar[tuple[str, ...]] = ("limits",)
    deviations: float
    limits: Array = field(repr=False)  # [2]: lowest, highest

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """See Stage."""
        deviations = float(parameters["deviations"])
        mean, spread = sample.mean(dtype=np.float64), deviations * sample.std(dtype=np.float64)
        return cls(deviations, np.array([mean - spread, mean + spread], np.float32))

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        return np.clip(vectors, self.limits[0], self.limits[1])


@dataclass(frozen=True, slots=True, eq=False)
class Truncate(Stage):
    """Keep the first `dimension` dimensions, of models trained for it (Matryoshka: Kusupati et al. 2022), or after pca."""

    KIND: ClassVar[str] = "truncate"
    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {"dimension": _count("dimensions")}
    dimension: int

    @staticmethod
    def rows(dimension: int, parameters: Mapping[str, Value]) -> int:
        """Nothing is fitted."""
        _at_most(Truncate.KIND, "dimension", parameters, dimension)
        return 0

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """See Stage."""
        return cls(int(parameters["dimension"]))

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        return vectors[:, : self.dimension]

    def output(self, dimension: int) -> int:
        """See Stage."""
        return self.dimension


@dataclass(frozen=True, slots=True, eq=False)
class Project(Stage):
    """Multiply by a matrix that a training has learnt (`training/projection.py`)."""

    KIND: ClassVar[str] = "project"
    ARRAYS: ClassVar[tuple[str, ...]] = ("matrix",)
    matrix: Array = field(repr=False)  # [d, d']

    @classmethod
    def fit(cls, sample: Array, parameters: Mapping[str, Value]) -> Self:
        """A sample alone does not say which texts belong together."""
        raise TransformInvalid("project is learnt by `spanstream train`, and fitted to no sample")

    def apply(self, vectors: Array) -> Array:
        """See Stage."""
        return _product(vectors, self.matrix)

    def output(self, dimension: int) -> int:
        """See Stage."""
        return int(self.matrix.shape[1])


_ALL: tuple[type[Stage], ...] = (Center, Standardize, Whiten, Pca, RemoveComponents, Clip, Truncate, Project)
KINDS: Mapping[str, type[Stage]] = {stage.KIND: stage for stage in _ALL}


def widest_first(moments: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues [d] of second moments [d, d], largest first, and axes [d, d] in columns; the largest component of each is
    positive: its sign would be chance.
    """
    values, axes = np.linalg.eigh(moments)
    values, axes = np.maximum(values[::-1], 0), axes[:, ::-1]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return values, axes * np.where(largest < 0, -1, 1)


def _float32(array: NDArray[np.float64]) -> Array:
    return np.ascontiguousarray(array, np.float32)


def _product(left: Array, right: Array) -> Array:
    result: Array = left @ right
    return result


def _mean(sample: Array) -> Array:
    return _float32(sample.mean(axis=0, dtype=np.float64))


def _principal_axes(sample: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances [d], widest first, and axes [d, d] in columns; the largest component of each is positive."""
    centred = sample - sample.mean(axis=0, dtype=np.float64)
    return widest_first(centred.T @ centred / len(sample))


def _at_most(kind: str, name: str, parameters: Mapping[str, Value], most: int) -> int:
    """The parameter of that name."""
    wanted = int(parameters[name])
    if wanted > most:
        raise TransformInvalid(f"{name} {wanted} of {kind}: the vectors that reach it allow at most {most}")
    return wanted
