from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from spanstream.ingestor.metadata import InvalidMetadata, canonical, from_struct

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
plain = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=10
)


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels > 1 else {}


@given(st.dictionaries(texts, values, max_size=4))
def test_struct_gives_back_the_canonical_object(metadata: dict[str, Any]) -> None:
    struct = Struct()
    struct.update(canonical(metadata))
    again, once = from_struct(struct), canonical(metadata)
    assert json.dumps(again, sort_keys=True) == json.dumps(once, sort_keys=True)  # what the content hash sees


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 2**53 + 1},
        {"a": "\0"},
        {"a\0": 1},
        {"a": "\ud800"},
        {"a": ["x"] * 1001},
        {"a": "x" * 65_537},
        nested(9),
    ],
)
def test_what_could_not_be_kept_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidMetadata):
        canonical(metadata)


def test_eight_levels_are_allowed() -> None:
    assert canonical(nested(8)) == nested(8)
