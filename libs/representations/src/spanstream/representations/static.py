"""The static tier: a vector is the normalised sum of its tokens' rows in a table. No forward pass, no torch.

The rules are those of `rows.py` where no token reads another:

1. A range sums its own tokens; the first `context_ranges` and the whole add the context (a title) too. Other ranges are
   not coloured by it.
2. A range that covers all tokens of the text, or has none, has the whole's vector.
3. A text without tokens has the table's vector `empty`.
4. Transforms, where a release has any, come last.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tokenizers import Tokenizer

from spanstream.encoder.encoder import PRECISIONS, Encoded, EncoderInfo, Text, check, refuse_malformed
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.encoder.ranges import token_ranges
from spanstream.representations.errors import ModelNotFound, ModelUnsupported
from spanstream.representations.tokens import Tokens, token_ids, tokenize
from spanstream.representations.transforms import Chain

TABLE, TOKENIZER = "static.safetensors", "tokenizer.json"
_FORMAT = "1"
# What a title may count: as much as a quarter of a transformer's usual window leaves it.
_CONTEXT_TOKENS = 64
# Rows are summed in float32 over so many tokens at most, and these sums in float64; bounds the memory of a long text too.
_RUN = 64
_SLAB = 1024  # vectors at once: bounds the memory where someone asks for very many ranges
_NO_RANGES = np.empty((0, 2), np.int32)
# Rows are about as long as 1; what they leave where they cancel is 1e-12 at most.
_NO_DIRECTION = 1e-9

Observer = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class StaticTable:
    """`rows` [vocabulary, dimension] float32 with each token's weight in it; `empty` [dimension] float32, not zero."""

    name: str
    teacher: str
    teacher_fingerprint: str
    rows: NDArray[np.float32] = field(repr=False)
    empty: NDArray[np.float32] = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that makes its vectors what they are."""
        digest = hashlib.sha256(self.tokenizer.to_str().encode())
        digest.update(self.rows.astype("<f4", copy=False).tobytes() + self.empty.astype("<f4", copy=False).tobytes())
        return digest.hexdigest()


def holds_table(folder: str | Path) -> bool:
    """Whether a model of this name is a folder with a static table."""
    return (Path(folder) / TABLE).is_file()


def table_name(folder: Path) -> str:
    """What the table in a folder is called, read alone. Raises ModelUnsupported."""
    try:
        with safe_open(folder / TABLE, "numpy") as file:
            return str(file.metadata()["name"])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ModelUnsupported(f"{folder / TABLE} is no static table: {error}") from error


def save_static(table: StaticTable, folder: Path) -> None:
    """Write `static.safetensors` (rows as float16) and `tokenizer.json`; the folder is made if missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"name": table.name, "teacher": table.teacher, "teacher_fingerprint": table.teacher_fingerprint}
    tensors: dict[str, NDArray[Any]] = {"rows": table.rows.astype(np.float16), "empty": table.empty}
    table.tokenizer.save(str(folder / TOKENIZER))
    (folder / TABLE).write_bytes(save(tensors, {"format": _FORMAT, **names}))


def load_static(folder: Path) -> StaticTable:
    """The table in a folder. Raises ModelNotFound for a missing file, ModelUnsupported for one that cannot be used."""
    for file in (TABLE, TOKENIZER):
        if not (folder / file).is_file():
            raise ModelNotFound(f"{folder} has no {file}, which a static encoder consists of ({TABLE}, {TOKENIZER})")
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:
        raise ModelUnsupported(f"{folder / TOKENIZER} is no tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        with safe_open(folder / TABLE, "numpy") as file:
            facts = file.metadata() or {}
            if facts.get("format") != _FORMAT:
                raise ModelUnsupported(f"{folder / TABLE} has format {facts.get('format')!r}; known is {_FORMAT!r}")
            rows, empty = (file.get_tensor(name) for name in ("rows", "empty"))
            name, teacher, fingerprint = (facts[key] for key in ("name", "teacher", "teacher_fingerprint"))
    except (SafetensorError, KeyError, TypeError) as error:  # TypeError: numpy has no bfloat16
        raise ModelUnsupported(f"{folder / TABLE} is no static table: {error}") from error
    _check(folder / TABLE, rows, empty, max(tokenizer.get_vocab().values(), default=-1) + 1)
    return StaticTable(name, teacher, fingerprint, rows.astype(np.float32), empty.astype(np.float32), tokenizer)


def _check(path: Path, rows: NDArray[np.generic], empty: NDArray[np.generic], vocabulary: int) -> None:
    if rows.ndim != 2 or rows.shape[1] == 0 or empty.shape != rows.shape[1:]:
        raise ModelUnsupported(
            f"{path} has rows of shape {rows.shape} and an empty vector of shape {empty.shape}; "
            "needed are [vocabulary, dimension] and [dimension]"
        )
    if rows.dtype not in (np.float16, np.float32) or empty.dtype not in (np.float16, np.float32):
        raise ModelUnsupported(f"{path} holds {rows.dtype} and {empty.dtype}; needed is float16 or float32")
    if len(rows) < vocabulary:
        raise ModelUnsupported(
            f"{path} has {len(rows)} rows, its tokenizer {vocabulary} tokens: they do not belong together"
        )
    if not np.isfinite(rows).all() or not np.isfinite(empty).all() or not empty.any():
        raise ModelUnsupported(f"{path} has a value that is not finite, or a zero vector for texts without tokens")


class StaticEncoder:
    """The Encoder port over a table in this process. Calls run on their callers' threads and share nothing that changes."""

    def __init__(
        self,
        table: StaticTable,
        *,
        chain: Chain | None = None,
        precision: str = PRECISIONS[0],
        observe: Observer = lambda tokens, seconds: None,
    ) -> None:
        """`chain`: what vectors pass last. `observe(tokens, seconds)` is called after each call that read any."""
        self._table = table
        self._chain = chain
        self._observe = observe
        self._width = table.rows.shape[1]
        empty = table.empty.astype(np.float64)
        self._empty = empty / np.linalg.norm(empty)
        dimension, self.fingerprint = self._width, table.fingerprint
        if chain is not None:
            dimension = chain.dimension(self._width)
            self.fingerprint = hashlib.sha256((table.fingerprint + chain.version).encode()).hexdigest()
        release = f"{table.name}@{self.fingerprint[:8]}"
        self._info = EncoderInfo(release, dimension, 2**31 - 1, "float32", "cpu", precision)
        self._closed = False

    def info(self) -> EncoderInfo:
        """Release, dimension, precision; texts of any length are one window."""
        return self._info

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """One result per text, in order; `query` makes no difference.

        Raises EncoderRejected, InvalidVectors where transforms leave nothing of a vector, or EncoderUnavailable once closed.
        """
        refuse_malformed(texts)
        if self._closed:
            raise EncoderUnavailable("the encoder is closed")
        start = time.perf_counter()
        read, contexts = self._read(texts), token_ids(self._table.tokenizer, [text.context for text in texts])
        results = [self._encode(*item) for item in zip(texts, read, contexts, strict=True)]
        if self._chain is not None:
            results = [_transformed(result, self._chain) for result in results]
            check(texts, results, self._info.dimension)
        count = sum(len(tokens.ids) for tokens in read)
        if count:
            self._observe(count, time.perf_counter() - start)
        return results

    def unready(self) -> list[str]:
        """Only once it is closed."""
        return ["the model is closed"] if self._closed else []

    def close(self) -> None:
        """Refuse further calls; idempotent."""
        self._closed = True

    def _read(self, texts: Sequence[Text]) -> list[Tokens]:
        """The tokens of each text, with offsets if any text asks for ranges."""
        strings = [text.text for text in texts]
        if any(len(text.ranges) for text in texts):
            return tokenize(self._table.tokenizer, strings)
        return [Tokens(ids, _NO_RANGES) for ids in token_ids(self._table.tokenizer, strings)]

    def _encode(self, text: Text, tokens: Tokens, context: NDArray[np.int32]) -> Encoded:
        count = len(tokens.ids)
        title = self._sum(context[:_CONTEXT_TOKENS])
        spans = token_ranges(tokens.offsets, text.ranges) if len(text.ranges) else _NO_RANGES
        counts = spans[:, 1] - spans[:, 0]
        edges = sorted({0, count, *spans.ravel().tolist()})
        running = np.zeros((len(edges), self._width))  # sums of all tokens before each edge
        for at, (first, last) in enumerate(pairwise(edges)):
            running[at + 1] = running[at] + self._sum(tokens.ids[first:last])
        whole = _unit(running[-1:] + title, self._empty)
        if not len(spans):
            return Encoded(whole[0].astype(np.float32), np.empty((0, whole.shape[1]), np.float32), counts)
        ranges = np.empty((len(spans), self._width), np.float32)
        for at in range(0, len(spans), _SLAB):
            part = slice(at, at + _SLAB)
            first, last = np.searchsorted(edges, spans[part]).T
            sums = running[last] - running[first]
            sums[: max(0, text.context_ranges - at)] += title
            ranges[part] = _unit(sums, whole[0])
        ranges[(counts == 0) | (counts == count)] = whole[0]
        return Encoded(whole[0].astype(np.float32), ranges, counts)

    def _sum(self, ids: NDArray[np.int32]) -> NDArray[np.float64]:
        """Of the rows of `ids` [n]: [dimension]."""
        total = np.zeros(self._width)
        for start in range(0, len(ids), _RUN):
            total += np.add.reduce(self._table.rows.take(ids[start : start + _RUN], axis=0), axis=0)
        return total


def _transformed(encoded: Encoded, chain: Chain) -> Encoded:
    ranges = [chain.apply(encoded.ranges[at : at + _SLAB]) for at in range(0, len(encoded.ranges) or 1, _SLAB)]
    return Encoded(chain.apply(encoded.whole[None])[0], np.concatenate(ranges), encoded.tokens)


def _unit(sums: NDArray[np.float64], otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    """`sums` [n, d] of unit length; a sum of no direction has that of `otherwise` [d]."""
    lengths = np.sqrt(np.einsum("nd,nd->n", sums, sums))
    if lengths.min() <= _NO_DIRECTION:
        return _unit(np.where(lengths[:, None] > _NO_DIRECTION, sums, otherwise), otherwise)
    unit: NDArray[np.float64] = sums / lengths[:, None]
    return unit
