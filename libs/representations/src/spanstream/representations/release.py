"""A release: the file that says which model makes the vectors and how. Two vectors compare only within one release.

    release: minilm-spans-1             # its name; what follows is optional but for the model
    model_name_or_path: minilm          # a folder (relative to this file), a Hugging Face name, or minilm
    revision: sha256:...                # of weights and tokenizer, checked on load
    dtype: auto                         # auto | float32 | bfloat16 | float16 | int8
    max_seq_length: 256                 # tokens of a window
    prompts: {query: "", document: ""}  # read before each text
    include_prompt: true                # whether the whole text's vector pools the prompt
    pooling: {pooling_mode: mean, layers: [-1]}
    windows: {overlap_tokens: 64}
    granularities: {span: {operator: pooling}}   # pooling | ends | mean_ends
    transforms: [{type: center, fitted: "sha256:..."}]   # in order; `spanstream encoder fit` prints and fits them
    transforms_file: fitted.safetensors # that holds what was fitted (relative to this file)
    truncate_dim: 192                   # the first components only
    precision: turbo4                   # what the index keeps in memory of each vector: encoder.encoder.PRECISIONS

What it does not say is as the model's own folder has it.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from spanstream.encoder.encoder import PRECISIONS
from spanstream.representations.errors import ReleaseInvalid, TransformInvalid, shown
from spanstream.representations.poolings import Operator, Pooling
from spanstream.representations.stages import Truncate
from spanstream.representations.transforms import Chain, StageSpec, parse_stages
from spanstream.representations.unique_keys import UniqueKeys

DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")
SUFFIXES = (".yaml", ".yml")
_LONGEST = 4096  # characters of a text
_LONGEST_NAME = 100  # it is a part of the names of folders and collections
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Release:
    """What a release file says; None where the model's folder decides."""

    name: str
    model: str
    revision: str | None = None
    dtype: str = "auto"
    max_seq_length: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    include_prompt: bool | None = None
    pooling: Pooling | None = None
    layers: tuple[int, ...] = (-1,)
    overlap_tokens: int = 64
    operator: Operator = Operator.POOLING
    transforms: tuple[StageSpec, ...] = ()
    transforms_file: Path | None = None
    truncate_dim: int | None = None
    precision: str = PRECISIONS[0]


def read_release(path: Path) -> Release:
    """Read a release file. Raises ReleaseInvalid, which names the key and what may stand there."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except OSError as error:
        raise ReleaseInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date of month 13, say
        raise ReleaseInvalid(f"{path}: not YAML: {error}") from error
    try:
        return _release(_Keys("", document), path.parent)
    except (ReleaseInvalid, TransformInvalid) as error:
        raise ReleaseInvalid(f"{path}: {error}") from error


def behind(release: Release, dimension: int, fingerprint: str) -> tuple[Chain | None, Truncate | None]:
    """What the release puts behind the vectors of a model with this dimension and fingerprint: fitted transforms, then a cut.

    Raises ReleaseInvalid, TransformInvalid or TransformMismatch.
    """
    chain = cut = None
    if release.transforms_file is not None:
        specs = list(release.transforms)
        chain = Chain.load(release.transforms_file, specs=specs, dimension=dimension, fingerprint=fingerprint)
        dimension = chain.dimension(dimension)
    if release.truncate_dim is not None:
        if release.truncate_dim > dimension:
            raise ReleaseInvalid(f"truncate_dim is {release.truncate_dim}, the vectors have {dimension} components")
        cut = Truncate(release.truncate_dim)
    return chain, cut


def _release(top: _Keys, folder: Path) -> Release:
    prompts, pooling = top.keys("prompts"), top.keys("pooling")
    windows, granularities = top.keys("windows"), top.keys("granularities")
    span = granularities.keys("span")
    model = top.required("model_name_or_path", str)
    if os.path.isdir(folder / model):  # false for a name that no file system takes, where Path's raises
        model = str(folder / model)
    file = top.get("transforms_file", str)
    mode, operator = pooling.choice("pooling_mode", list(Pooling)), span.choice("operator", list(Operator))
    release = Release(
        name=top.required("release", str),
        model=model,
        revision=top.get("revision", str),
        dtype=top.choice("dtype", DTYPES) or "auto",
        max_seq_length=top.positive("max_seq_length"),
        query_prompt=prompts.get("query", str),
        document_prompt=prompts.get("document", str),
        include_prompt=top.get("include_prompt", bool),
        pooling=Pooling(mode) if mode else None,
        layers=_layers(pooling.get("layers", list)),
        overlap_tokens=windows.positive("overlap_tokens") or 64,
        operator=Operator(operator) if operator else Operator.POOLING,
        transforms=tuple(parse_stages(top.get("transforms", list) or [])),
        transforms_file=folder / file if file else None,
        truncate_dim=top.positive("truncate_dim"),
        precision=top.choice("precision", PRECISIONS) or PRECISIONS[0],
    )
    if len(release.name) > _LONGEST_NAME or not release.name.isprintable():
        raise ReleaseInvalid(f"release must be a name of at most {_LONGEST_NAME} printable characters")
    if bool(release.transforms) != bool(release.transforms_file):
        raise ReleaseInvalid("transforms and transforms_file go together: `spanstream encoder fit` makes both")
    for keys in (top, prompts, pooling, windows, granularities, span):
        keys.refuse_others()
    return release


def _layers(found: list[Any] | None) -> tuple[int, ...]:
    if found is None:
        return (-1,)
    if not found or not all(isinstance(layer, int) and not isinstance(layer, bool) for layer in found):
        raise ReleaseInvalid("pooling.layers must be a list of layer numbers, such as [-1] or [1, -1]")
    return tuple(found)


class _Keys:
    """A mapping of the file, which knows what has been asked of it."""

    def __init__(self, at: str, found: Any) -> None:
        if not isinstance(found, Mapping):
            raise ReleaseInvalid(f"{at.rstrip('.') or 'the file'} must hold keys and values")
        self._at = at
        self._found = found
        self._asked: list[str] = []

    def keys(self, key: str) -> _Keys:
        """The mapping below `key`; empty where there is none."""
        self._asked.append(key)
        found = self._found.get(key)
        return _Keys(f"{self._at}{key}.", {} if found is None else found)

    def get(self, key: str, kind: type[T]) -> T | None:
        """The value, None where it is not given."""
        self._asked.append(key)
        value = self._found.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ReleaseInvalid(f"{self._at}{key} must be {_KINDS[kind]}, not {shown(value)}")
        if isinstance(value, str) and (len(value) > _LONGEST or not _can_be_read(value)):
            raise ReleaseInvalid(f"{self._at}{key} must be at most {_LONGEST} characters, and whole ones")
        return value

    def required(self, key: str, kind: type[T]) -> T:
        """The value, which must be there."""
        value = self.get(key, kind)
        if not value:
            raise ReleaseInvalid(f"{self._at}{key} is missing")
        return value

    def positive(self, key: str) -> int | None:
        """A number above 0."""
        value = self.get(key, int)
        if value is not None and value < 1:
            raise ReleaseInvalid(f"{self._at}{key} must be above 0, not {value}")
        return value

    def choice(self, key: str, allowed: list[Any] | tuple[str, ...]) -> str | None:
        """One of these."""
        value = self.get(key, str)
        if value is not None and value not in allowed:
            raise ReleaseInvalid(f"{self._at}{key} must be one of {', '.join(allowed)}, not {shown(value)}")
        return value

    def refuse_others(self) -> None:
        """Raise for a key that nobody asked for."""
        for key in self._found:
            if key not in self._asked:
                raise ReleaseInvalid(f"{self._at}{key} is not known here; known are {', '.join(sorted(self._asked))}")


def _can_be_read(text: str) -> bool:
    """Whether it has neither halves of characters, which YAML can spell, nor NUL."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


_KINDS: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false", list: "a list"}
