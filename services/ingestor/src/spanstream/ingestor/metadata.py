"""Metadata: any JSON object within limits, and its passage through protobuf's Struct without a change of meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

MAX_DEPTH = 8
MAX_VALUES = 1_000
MAX_CHARACTERS = 65_536  # names and strings together
MAX_INTEGER = 2**53  # beyond it neither Struct nor the store keeps an integer exact


class InvalidMetadata(ValueError):
    """Refuse it; the message names the limit, never the value."""


def canonical(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with 3.0 as 3, as it comes back from Struct, so that its hash is the same on both sides.

    Raises InvalidMetadata beyond the limits, for NUL or lone surrogates, for NaN, infinities and integers over 2^53.
    """
    spent = [0, 0]  # values, characters
    result: dict[str, Any] = _canonical(metadata, 1, spent)
    return result


def _canonical(value: Any, depth: int, spent: list[int]) -> Any:
    spent[0] += 1
    if spent[0] > MAX_VALUES:
        raise InvalidMetadata(f"more than {MAX_VALUES} values")
    if isinstance(value, str):
        return _string(value, spent)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if depth > MAX_DEPTH:
        raise InvalidMetadata(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        return {_string(name, spent): _canonical(inner, depth + 1, spent) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner, depth + 1, spent) for inner in value]
    raise InvalidMetadata("not JSON")


def _string(text: str, spent: list[int]) -> str:
    spent[1] += len(text)
    if spent[1] > MAX_CHARACTERS:
        raise InvalidMetadata(f"more than {MAX_CHARACTERS} characters")
    if not is_storable(text):
        raise InvalidMetadata("contains NUL or a lone surrogate")
    return text


def _number(number: float) -> float:
    if not -MAX_INTEGER <= number <= MAX_INTEGER:  # also NaN
        if isinstance(number, int) or number != number or number in (float("inf"), float("-inf")):
            raise InvalidMetadata("a number that is not finite, or an integer beyond 2^53")
        return number
    return int(number) if isinstance(number, float) and number.is_integer() else number


def is_storable(text: str) -> bool:
    """Whether it is free of NUL and lone surrogates, which some store on the way would refuse."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_struct(struct: Struct) -> dict[str, Any]:
    """The object that a Struct holds, canonical; raises InvalidMetadata."""
    return canonical({name: _plain(value, 1) for name, value in struct.fields.items()})


def _plain(value: Value, depth: int) -> Any:
    kind = value.WhichOneof("kind")
    if depth > MAX_DEPTH:
        raise InvalidMetadata(f"nested deeper than {MAX_DEPTH}")
    if kind == "struct_value":
        return {name: _plain(inner, depth + 1) for name, inner in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(inner, depth + 1) for inner in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)
