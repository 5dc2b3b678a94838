"""What an index is named after, and how it is kept."""

from __future__ import annotations

from typing import Any, cast

import pytest

from spanstream.encoder.encoder import EncoderInfo
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreRejected
from spanstream.store.generation import Generation, opened
from spanstream.store.store import Store


class Noting:
    """Remembers how it was opened."""

    def __init__(self) -> None:
        self.opened: list[tuple[Any, ...]] = []

    def replaced(self, generation: str) -> None:
        return None

    def open(self, *given: Any) -> None:
        self.opened.append(given)


def info(precision: str) -> EncoderInfo:
    return EncoderInfo("model@1", 8, 256, "float32", "cpu", precision)


@pytest.mark.parametrize(
    ("precision", "override", "compression"),
    [
        ("none", None, Compression.NONE),
        ("turbo4", None, Compression.TURBO4),
        ("turbo4", Compression.BINARY, Compression.BINARY),
        ("turbo4", Compression.NONE, Compression.NONE),
        ("of a newer version", Compression.SCALAR, Compression.SCALAR),
    ],
)
def test_an_override_goes_before_the_release_and_neither_is_in_the_name(
    precision: str, override: Compression | None, compression: Compression
) -> None:
    store = Noting()
    made = opened(cast(Store, store), info(precision), "rules@1", override)
    assert made == Generation("model@1", 8, "rules@1")
    assert store.opened == [(made.name, 8, compression)]


def test_a_precision_that_is_not_known_is_refused_with_those_that_are() -> None:
    store = Noting()
    with pytest.raises(StoreRejected, match=r"precision 'int3'; this version knows none, scalar, .*STORE_COMPRESSION"):
        opened(cast(Store, store), info("int3"), "rules@1", None)
    assert store.opened == []
