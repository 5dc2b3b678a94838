"""How many candidates are compared by their originals."""

from __future__ import annotations

import pytest

from spanstream.store.compression import RESCORED_AT_LEAST, Compression


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("limit", [0, 1, 10, 100, 1000])
def test_candidates_are_a_multiple_of_the_hits_and_never_few(compression: Compression, limit: int) -> None:
    factor = compression.oversampling(limit)
    assert factor >= 1
    assert limit == 0 or limit * factor >= RESCORED_AT_LEAST


def test_coarser_codes_need_more_candidates() -> None:
    assert Compression.BINARY.oversampling(1000) > Compression.SCALAR.oversampling(1000)
