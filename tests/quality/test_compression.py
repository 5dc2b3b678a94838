"""The short form of `python -m tests.quality.compression`: what Q3 demands of each compression, on one small set."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanstream.representations.local import open_local
from spanstream.store.compression import Compression
from tests.quality.compression import compare, encoded, table
from tests.quality.measures import load

RETAINED = {  # % of nDCG@10 in half precision
    Compression.NONE: 100.0,
    Compression.SCALAR: 99.5,
    Compression.TURBO8: 99.5,
    Compression.TURBO4: 99.0,
    Compression.TURBO2: 97.0,
    Compression.TURBO1: 97.0,
    Compression.BINARY: 97.0,
}


@pytest.mark.timeout(300)
def test_each_compression_keeps_its_share_of_quality(
    development_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The set is so small that every passage would be a candidate, and none would be enough for scalar codes.
    monkeypatch.setattr("spanstream.store.compression.RESCORED_AT_LEAST", 10)
    monkeypatch.setattr("spanstream.store.edge.SCALAR_THRESHOLD_KB", 1)
    encoder = open_local()
    data = encoded(load(development_data / "xquad"), encoder)
    encoder.close()
    rows = compare(data, tmp_path, limit=10)
    print("\n" + table(rows))
    for row in rows:
        assert row.retained >= RETAINED[Compression(row.compression)], row
        assert (row.code_bytes < 2 * data.dense.shape[1]) == (row.compression != Compression.NONE)
