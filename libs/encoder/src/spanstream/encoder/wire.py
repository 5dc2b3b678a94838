"""Binary bodies of the HTTP hop: texts and offsets there, vectors back; nothing of either as JSON.

All numbers are little-endian; a body has exactly the bytes its header and table announce.

    request   magic "SPQ1", count uint32
              table    count x (text bytes, context bytes, ranges, boundaries or -1 for none, context ranges) int32
              numbers  per text: ranges [n, 2], then boundaries [m], int32
              strings  per text: text, then context, UTF-8
    response  magic "SPV2", count uint32, dimension uint32, type of the vectors uint32: 0 float32, 1 float16, 2 int8
              table    count x ranges, int32
              tokens   per text: tokens [n], int32
              scales   per text: one per vector, float32; of int8 only
              vectors  per text: whole, then one per range, in that type

The response's header RELEASE names, percent-encoded, the release whose vectors they are.

An int8 vector is its numbers times its scale, which is chosen so that the vector keeps its length.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderRejected, InvalidVectors

MEDIA_TYPE = "application/x-spanstream-encode"
RELEASE = "x-spanstream-release"

_REQUEST = struct.Struct("<4sI")
_RESPONSE = struct.Struct("<4sIII")
_REQUEST_MAGIC = b"SPQ1"
_RESPONSE_MAGIC = b"SPV2"
_COLUMNS = 5
_INT = np.dtype("<i4")
_FLOAT = np.dtype("<f4")
VectorType = Literal["float32", "float16", "int8"]
_CODES: dict[VectorType, int] = {"float32": 0, "float16": 1, "int8": 2}
_TYPES: dict[int, np.dtype[Any]] = {0: _FLOAT, 1: np.dtype("<f2"), 2: np.dtype("i1")}
_INT8 = _CODES["int8"]
_INT8_MAX = 127


def pack_request(texts: Sequence[Text]) -> bytes:
    """The body that asks for `texts`; raises EncoderRejected if a text cannot be UTF-8."""
    try:
        strings = [part.encode() for text in texts for part in (text.text, text.context)]
    except UnicodeEncodeError as error:
        raise EncoderRejected("the text has a lone surrogate") from error
    table = np.empty((len(texts), _COLUMNS), _INT)
    numbers = []
    for i, text in enumerate(texts):
        boundaries = -1 if text.boundaries is None else len(text.boundaries)
        table[i] = len(strings[2 * i]), len(strings[2 * i + 1]), len(text.ranges), boundaries, text.context_ranges
        numbers.append(text.ranges.astype(_INT).tobytes())
        if text.boundaries is not None:
            numbers.append(text.boundaries.astype(_INT).tobytes())
    return b"".join([_REQUEST.pack(_REQUEST_MAGIC, len(texts)), table.tobytes(), *numbers, *strings])


def vectors_asked(body: bytes) -> int:
    """How many vectors a request asks for; raises EncoderRejected where its table says nothing of the kind."""
    table = _table(body)
    return len(table) + int(table[:, 2].sum())


def unpack_request(body: bytes) -> list[Text]:
    """The texts of a request; raises EncoderRejected for anything but a well-formed body. Ranges are not checked."""
    table = _table(body)
    at = _REQUEST.size + 4 * table.size
    boundaries = np.maximum(table[:, 3], 0)
    numbers = int(2 * table[:, 2].sum() + boundaries.sum())
    if len(body) != at + 4 * numbers + int(table[:, :2].sum()):
        raise EncoderRejected("the body has another length than its table announces")
    values = np.frombuffer(body, _INT, numbers, at)
    string_at, value_at = at + 4 * numbers, 0
    texts = []
    for text_bytes, context_bytes, ranges, bounds, context_ranges in table.tolist():
        pairs = values[value_at : value_at + 2 * ranges].reshape(ranges, 2)
        value_at += 2 * ranges
        borders = None if bounds < 0 else values[value_at : value_at + bounds]
        value_at += max(0, bounds)
        middle, end = string_at + text_bytes, string_at + text_bytes + context_bytes
        try:
            strings = body[string_at:middle].decode(), body[middle:end].decode()
            texts.append(Text(strings[0], pairs, strings[1], borders, context_ranges))
        except UnicodeDecodeError as error:
            raise EncoderRejected("a text is not UTF-8") from error
        string_at = end
    return texts


def _table(body: bytes) -> NDArray[np.int64]:
    """[count, _COLUMNS] of a request."""
    if len(body) < _REQUEST.size:
        raise EncoderRejected("the body is shorter than its header")
    magic, count = _REQUEST.unpack_from(body)
    if magic != _REQUEST_MAGIC:
        raise EncoderRejected("the body is not an encode request of version 1")
    if len(body) < _REQUEST.size + 4 * _COLUMNS * count:
        raise EncoderRejected("the body is shorter than its table")
    table = np.frombuffer(body, _INT, _COLUMNS * count, _REQUEST.size).reshape(count, _COLUMNS).astype(np.int64)
    if (table[:, [0, 1, 2, 4]] < 0).any() or (table[:, 3] < -1).any():
        raise EncoderRejected("a size in the table is negative")
    return table


def pack_response(results: Sequence[Encoded], dimension: int, vectors: VectorType = "float32") -> bytes:
    """The body that answers with `results`, finite vectors, in the type `vectors`."""
    code = _CODES[vectors]
    counts = np.array([len(result.ranges) for result in results], _INT)
    tokens = [result.tokens.astype(_INT).tobytes() for result in results]
    parts = [part.reshape(-1, dimension) for result in results for part in (result.whole, result.ranges)]
    header = _RESPONSE.pack(_RESPONSE_MAGIC, len(results), dimension, code)
    if code != _INT8:
        return b"".join([header, counts.tobytes(), *tokens, *(part.astype(_TYPES[code]).tobytes() for part in parts)])
    small = [_to_int8(part) for part in parts]
    scales = [scale.tobytes() for scale, _ in small]
    return b"".join([header, counts.tobytes(), *tokens, *scales, *(rounded.tobytes() for _, rounded in small)])


def unpack_response(body: bytes) -> list[Encoded]:
    """The results of a response, in float32 whatever they came in; raises InvalidVectors for anything but a well-formed body."""
    if len(body) < _RESPONSE.size:
        raise InvalidVectors("the answer is shorter than its header")
    magic, count, dimension, code = _RESPONSE.unpack_from(body)
    if magic != _RESPONSE_MAGIC:
        raise InvalidVectors("the answer is not an encode response of version 2")
    if code not in _TYPES:
        raise InvalidVectors(f"the answer's vectors are of an unknown type, {code}")
    at = _RESPONSE.size + 4 * count
    if len(body) < at:
        raise InvalidVectors("the answer is shorter than its table")
    counts = np.frombuffer(body, _INT, count, _RESPONSE.size).astype(np.int64)
    if (counts < 0).any():
        raise InvalidVectors("a count in the answer is negative")
    ranges = int(counts.sum())
    rows = ranges + count
    scales = rows if code == _INT8 else 0
    if len(body) != at + 4 * ranges + 4 * scales + rows * dimension * _TYPES[code].itemsize:
        raise InvalidVectors("the answer has another length than its table announces")
    tokens: NDArray[np.int32] = np.frombuffer(body, _INT, ranges, at)
    at += 4 * ranges
    raw = np.frombuffer(body, _TYPES[code], rows * dimension, at + 4 * scales).reshape(rows, dimension)
    vectors: NDArray[np.float32] = raw.astype(_FLOAT, copy=False)
    if code == _INT8:
        vectors = vectors * np.frombuffer(body, _FLOAT, rows, at)[:, None]
    results, row, token = [], 0, 0
    for n in counts.tolist():
        results.append(Encoded(vectors[row], vectors[row + 1 : row + 1 + n], tokens[token : token + n]))
        row, token = row + 1 + n, token + n
    return results


def _to_int8(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scales [n] float32 and numbers [n, dimension] int8; a zero vector has the scale 0."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    rounded = np.rint(vectors * (_INT8_MAX / np.where(largest > 0, largest, 1)))
    scales = np.linalg.norm(vectors, axis=1) / np.maximum(np.linalg.norm(rounded, axis=1), 1)
    return scales.astype(_FLOAT), rounded.astype(np.int8)
