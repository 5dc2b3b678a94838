"""A linear map from one release's vectors to another's, so that stored vectors can be asked with a new encoder's queries
before every document has been read anew.

Orthogonal Procrustes: Schönemann, A generalized solution of the orthogonal Procrustes problem, 1966. Maps between
embedding spaces, and that an unconstrained one may be better: Mikolov et al., Exploiting similarities among languages
for machine translation, 2013; Xing et al., 2015.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from spanstream.representations.errors import TransformInvalid, TransformMismatch

Array = NDArray[np.float32]
_FORMAT = 1  # of the file
_HEADER = "bridge"
# Of the mean square of the old vectors' components: the more, the nearer an affine map is to giving the mean for all.
RIDGES = (0.001, 0.01, 0.1, 1.0)
HELD_OUT = 5  # each fifth vector says which map is best
_SEED = 0
_LEAST_SPREAD = 1e-12  # mean square of vectors around their mean: of less, nothing is to be learnt but rounding


@dataclass(frozen=True, slots=True, eq=False)
class Bridge:
    """x -> x `weight` + `bias`, at unit length. `source`, `target`: whose vectors these are and become; `rows`: it was fitted on."""

    weight: Array = field(repr=False)  # [old dimension, new dimension]
    bias: Array = field(repr=False)  # [new dimension]
    source: str
    target: str
    rows: int

    def apply(self, vectors: Array) -> Array:
        """Unit vectors [n, new dimension] of `vectors` [n, old dimension]. Raises TransformMismatch for another dimension."""
        if vectors.ndim != 2 or vectors.shape[1] != len(self.weight):
            raise TransformMismatch(
                f"the bridge is for vectors of {len(self.weight)} dimensions, not of shape {list(vectors.shape)}"
            )
        return _unit(vectors @ self.weight + self.bias)

    def questions(self, vectors: Array) -> Array:
        """Unit vectors [n, old dimension] that rank old vectors as `vectors` [n, new dimension] rank these carried over.

        q·(x W + b) is (q Wᵀ)·x + q·b, of which the second is the same for every x. Lengths of carried vectors, which `apply` makes
        equal, are left as they are: shorter ones, which the map knows less of, come a little later. Raises TransformMismatch.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.weight.shape[1]:
            raise TransformMismatch(
                f"the bridge is for questions of {self.weight.shape[1]} dimensions, not of shape {list(vectors.shape)}"
            )
        return _unit(vectors @ self.weight.T)

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all. Raises OSError."""
        header = {"format": _FORMAT, "source": self.source, "target": self.target, "rows": self.rows}
        new = path.with_name(f"{path.name}.new")
        arrays = {"weight": self.weight, "bias": self.bias}  # of which safetensors takes the memory as it lies
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        new.write_bytes(save(whole, {_HEADER: json.dumps(header)}))
        new.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """As it was saved. Raises TransformInvalid for a file that is none, or is damaged; OSError."""
        try:
            with safe_open(path, "numpy") as file:
                header = json.loads((file.metadata() or {})[_HEADER])
                weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
            made = cls(weight, bias, str(header["source"]), str(header["target"]), int(header["rows"]))
            sound = header["format"] == _FORMAT and weight.ndim == 2 and bias.shape == weight.shape[1:]
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise TransformInvalid(f"{path} is no bridge, or is damaged") from error
        if not sound or not np.isfinite(weight).all() or not np.isfinite(bias).all():
            raise TransformInvalid(f"{path} is no bridge of this version, or is damaged")
        return made


def fit(old: Array, new: Array, *, source: str, target: str) -> tuple[Bridge, Mapping[str, float]]:
    """The map from `old` [n, d] to `new` [n, d'], unit vectors of the same texts, that is best on held-out ones.

    Returns it, fitted on all of them, and the mean cosine to the held-out vectors that each kind of map came to.
    Raises TransformInvalid for fewer texts than either has dimensions, and for old vectors that are all the same.
    """
    if len(old) != len(new):
        raise ValueError(f"{len(old)} old and {len(new)} new vectors: a pair for each text is needed")
    if len(old) < (needed := HELD_OUT * max(old.shape[1], new.shape[1]) // (HELD_OUT - 1) + 1):
        raise TransformInvalid(f"{len(old)} texts are too few for a bridge: at least {needed} are needed")
    order = np.random.default_rng(_SEED).permutation(len(old))
    held, kept = order[::HELD_OUT], np.delete(order, np.s_[::HELD_OUT])
    cosines = {
        name: float(np.einsum("nd,nd->n", _unit(old[held] @ weight + bias), new[held]).mean())
        for name, (weight, bias) in _maps(old[kept], new[kept]).items()
    }
    best = max(cosines, key=cosines.__getitem__)
    weight, bias = _maps(old, new)[best]
    return Bridge(weight, bias, source, target, len(old)), cosines


def _maps(old: Array, new: Array) -> dict[str, tuple[Array, Array]]:
    """Each kind of map: weight [d, d'], bias [d']."""
    centre, other = old.mean(axis=0, dtype=np.float64), new.mean(axis=0, dtype=np.float64)
    left, right = old - centre, new - other
    across, within = left.T @ right, left.T @ left
    if np.trace(within) < _LEAST_SPREAD * len(old):
        raise TransformInvalid("the texts are all the same to the old encoder: a bridge needs different ones")
    turned, strengths, back = np.linalg.svd(across, full_matrices=False)
    found = {"orthogonal": (turned @ back) * (strengths.sum() / np.trace(within))}
    size = np.trace(within) / len(within)
    for ridge in RIDGES:
        found[f"affine, ridge {ridge:g}"] = np.linalg.solve(within + ridge * size * np.eye(len(within)), across)
    return {
        name: (weight.astype(np.float32), (other - centre @ weight).astype(np.float32))
        for name, weight in found.items()
    }


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
