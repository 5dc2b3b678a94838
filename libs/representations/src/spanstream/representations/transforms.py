"""Chains of stages: described in a release file, fitted on a sample, kept in one file, known by the hash of all numbers.

Vectors of two versions of a chain must never be compared, therefore the version is part of what names an index.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from spanstream.representations.errors import TransformInvalid, TransformMismatch, shown
from spanstream.representations.stages import KINDS, Array, Stage, Value

_FORMAT = 1  # of the file
_METADATA = "transforms"  # the one key: with several their order in the file would be chance
_HEADER = frozenset({"format", "version", "dimension", "stages", "release", "fingerprint", "rows"})
_FITTED = re.compile(r"sha256:[0-9a-f]{64}")
# A vector shorter than this after all stages holds only rounding: its direction would be chance.
_SHORTEST = 1e-6


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage as a release file describes it, defaults filled in. `fitted`: "sha256:<version of the chain>", if it is fitted."""

    kind: str
    parameters: Mapping[str, Value]
    fitted: str | None = None

    def entry(self) -> dict[str, Value]:
        """As in a release file."""
        return {"type": self.kind, **self.parameters} | ({"fitted": self.fitted} if self.fitted else {})


def parse_stages(entries: object) -> list[StageSpec]:
    """Stages from a list such as `[{"type": "center"}, {"type": "pca", "dimension": 192}]`; raises TransformInvalid."""
    if not isinstance(entries, list):
        raise TransformInvalid("transforms must be a list, such as [{type: center}, {type: pca, dimension: 192}]")
    return [_parse(f"transforms[{number}]", entry) for number, entry in enumerate(entries)]


def _parse(where: str, entry: object) -> StageSpec:
    if not isinstance(entry, dict) or "type" not in entry:
        raise TransformInvalid(f"{where} must be a mapping with the key type: {', '.join(KINDS)}")
    if not isinstance(entry["type"], str) or entry["type"] not in KINDS:
        raise TransformInvalid(f"{where}: there is no type {shown(entry['type'])}; known are {', '.join(KINDS)}")
    stage = KINDS[entry["type"]]
    keys = ["type", *stage.PARAMETERS, *(["fitted"] if stage.ARRAYS else [])]
    if unknown := [key for key in entry if key not in keys]:
        raise TransformInvalid(f"{where}: {stage.KIND} has no key {shown(unknown[0])}; allowed are {', '.join(keys)}")
    parameters = {}
    for name, parameter in stage.PARAMETERS.items():
        given = entry.get(name, parameter.default)
        if given is None:
            raise TransformInvalid(f"{where}: {stage.KIND} needs the key {name}, {parameter.allowed}")
        try:
            parameters[name] = parameter.read(given)
        except ValueError as error:
            raise TransformInvalid(f"{where}: {name} of {stage.KIND} {error}, not {shown(given)}") from error
    fitted = entry.get("fitted")
    if fitted is not None and not (isinstance(fitted, str) and _FITTED.fullmatch(fitted)):
        raise TransformInvalid(f'{where}: fitted must be "sha256:" and 64 hexadecimal digits, as fitting prints it')
    return StageSpec(stage.KIND, parameters, fitted)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Fitted stages in order, for vectors of `input_dimension`. Thread-safe.

    `release`, `fingerprint`: the model whose vectors it was fitted on, and the hash of its files. `rows`: of the sample.
    """

    stages: tuple[Stage, ...]
    input_dimension: int
    release: str
    fingerprint: str
    rows: int
    version: str = field(init=False)  # 64 hexadecimal digits: SHA-256 over kinds, parameters, arrays and dimension

    def __post_init__(self) -> None:
        """Know the version."""
        object.__setattr__(self, "version", _version(self.stages, self.input_dimension))

    @property
    def specs(self) -> list[StageSpec]:
        """The stages as a release file must describe them, with the hash."""
        fitted = f"sha256:{self.version}"
        return [StageSpec(stage.KIND, _parameters(stage), fitted if stage.ARRAYS else None) for stage in self.stages]

    def dimension(self, given: int) -> int:
        """Of the result, for vectors of dimension `given`; raises TransformMismatch if it is not for these."""
        if given != self.input_dimension:
            raise TransformMismatch(f"the transforms are for vectors of {self.input_dimension} dimensions, not {given}")
        for stage in self.stages:
            given = stage.output(given)
        return given

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit vectors [n, d'] of `vectors` [n, d], each row for itself; raises TransformMismatch if d is another.

        A row of which nothing is left (it equals the mean, say) becomes zeros, which are similar to nothing and which
        the encoder's `check` refuses, as it refuses NaN; a row that is not finite becomes NaN.
        """
        if vectors.ndim != 2:
            raise ValueError(f"vectors must be [n, d], not of shape {vectors.shape}")
        self.dimension(vectors.shape[1])
        broken = ~np.isfinite(vectors).all(axis=1)  # before anything hides it
        result = vectors.astype(np.float32, copy=False)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            for stage in self.stages:
                result = stage.apply(result)
            lengths = np.linalg.norm(result, axis=1, keepdims=True)
            unit: NDArray[np.float32] = result / lengths
        unit[lengths[:, 0] < _SHORTEST] = 0
        unit[broken] = np.nan
        return unit

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all; the same chain gives the same bytes. Raises OSError."""
        header = {
            "format": _FORMAT,
            "version": self.version,
            "dimension": self.input_dimension,
            "stages": [{"type": stage.KIND, **_parameters(stage)} for stage in self.stages],
            "release": self.release,
            "fingerprint": self.fingerprint,
            "rows": self.rows,
        }
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_bytes(save(dict(_arrays(self.stages)), {_METADATA: json.dumps(header, sort_keys=True)}))
        temporary.replace(path)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        specs: Sequence[StageSpec] | None = None,
        dimension: int | None = None,
        fingerprint: str | None = None,
    ) -> Self:
        """The chain in a file, if it is the one that a release file describes, for its model's dimension and fingerprint.

        The fingerprint decides which model it is; names are for people. Raises TransformInvalid for a file that is
        missing, damaged or of another kind, TransformMismatch for one that does not belong to this release.
        """
        header, arrays = _read(path)
        parsed = parse_stages(header["stages"])
        names = {f"{number}.{name}" for number, spec in enumerate(parsed) for name in KINDS[spec.kind].ARRAYS}
        if names != arrays.keys() or any(array.dtype != np.float32 for array in arrays.values()):
            raise TransformInvalid(f"{path} does not hold the arrays of its stages; fit them again")
        stages = []
        for number, spec in enumerate(parsed):
            stage: Any = KINDS[spec.kind]
            stages.append(stage(**spec.parameters, **{name: arrays[f"{number}.{name}"] for name in stage.ARRAYS}))
        chain = cls(tuple(stages), header["dimension"], header["release"], header["fingerprint"], header["rows"])
        if chain.version != header["version"]:
            raise TransformInvalid(f"{path} is damaged: its numbers do not have the hash it states; fit it again")
        _refuse_foreign(chain, path, specs, dimension, fingerprint)
        return chain


def fit(specs: Sequence[StageSpec], sample: NDArray[np.float32], *, release: str, fingerprint: str) -> Chain:
    """Fit the stages in order on `sample` [n, d], each on what those before it leave; the same input gives the same chain.

    `release` and `fingerprint` say whose vectors the sample holds. Stages that are not fitted need no rows: n may be 0.
    Raises TransformInvalid for too few rows, numbers that are not finite, and parameters that do not suit d.
    """
    if sample.ndim != 2 or not np.isfinite(sample).all():
        raise TransformInvalid("the sample must be finite vectors [n, d]")
    left = sample.astype(np.float32, copy=False)
    stages: list[Stage] = []
    for spec in specs:
        kind = KINDS[spec.kind]
        needed = kind.rows(left.shape[1], spec.parameters)
        if len(left) < needed:
            raise TransformInvalid(
                f"{spec.kind} over {left.shape[1]} dimensions needs a sample of at least {needed} vectors, not {len(left)}: "
                "give more texts"
            )
        stage = kind.fit(left, spec.parameters)
        left = stage.apply(left)
        stages.append(stage)
    return Chain(tuple(stages), sample.shape[1], release, fingerprint, len(sample))


def _parameters(stage: Stage) -> dict[str, Value]:
    return {name: getattr(stage, name) for name in stage.PARAMETERS}


def _arrays(stages: Sequence[Stage]) -> Iterable[tuple[str, Array]]:
    return ((f"{i}.{name}", getattr(stage, name)) for i, stage in enumerate(stages) for name in stage.ARRAYS)


def _version(stages: Sequence[Stage], dimension: int) -> str:
    """Little-endian numbers and sorted JSON, so that it is the same on every platform."""
    described = [{"type": stage.KIND, **_parameters(stage)} for stage in stages]
    shapes = {name: array.shape for name, array in _arrays(stages)}
    head = {"format": _FORMAT, "dimension": dimension, "stages": described, "shapes": shapes}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode() + b"\n")
    for _, array in _arrays(stages):
        digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header, whose keys are all there and of the right type, and the arrays of a file."""
    if not path.is_file():
        raise TransformInvalid(f"there is no file {path} of fitted transforms; make it with `spanstream encoder fit`")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get(_METADATA, "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        raise TransformInvalid(f"{path} is no readable file of fitted transforms") from error
    if not isinstance(header, dict):
        raise TransformInvalid(f"{path} holds arrays, but not of fitted transforms")
    if header.get("format") != _FORMAT:
        raise TransformInvalid(f"{path} has the format {header.get('format')!r}; this version reads {_FORMAT}")
    if wrong := sorted(header.keys() ^ _HEADER):
        raise TransformInvalid(f"{path}: its header lacks or has in excess: {', '.join(wrong)}")
    kinds = {"dimension": int, "rows": int, "version": str, "release": str, "fingerprint": str}
    if wrong := [name for name, kind in kinds.items() if not isinstance(header[name], kind)]:
        raise TransformInvalid(f"{path}: {wrong[0]} in its header is of the wrong type")
    return header, arrays


def _refuse_foreign(
    chain: Chain, path: Path, specs: Sequence[StageSpec] | None, dimension: int | None, fingerprint: str | None
) -> None:
    if dimension is not None:
        try:
            chain.dimension(dimension)
        except TransformMismatch as error:
            raise TransformMismatch(f"{path}: {error}; fit it for this model") from error
    if fingerprint is not None and fingerprint != chain.fingerprint:
        raise TransformMismatch(
            f"{path} was fitted on another model ({chain.release}, {chain.fingerprint}), not on {fingerprint}; fit it again"
        )
    if specs is not None and list(specs) != chain.specs:
        held = json.dumps([spec.entry() for spec in chain.specs])
        raise TransformMismatch(f"{path} does not hold the transforms that the release names; it holds {held}")
