"""How vectors are kept for searching: in half precision, or as smaller codes in memory with the originals on the disk.

With codes a search has two steps: the codes choose candidates, then the originals of these are read and give the scores.
So scores are the same whatever the compression; only what is among the candidates may differ.
"""

from __future__ import annotations

from enum import StrEnum

RESCORED_AT_LEAST = 256  # candidates: a search for few hits misses most, and 256 originals of 384 components are 200 KB


class Compression(StrEnum):
    """Qdrant's methods, with bytes of the codes of a vector of d components.

    `python -m tests.quality.compression` measures what each keeps of nDCG.
    """

    NONE = "none"  # 2 d: half precision
    SCALAR = "scalar"  # d + 4: integers of 8 bits between the vectors' extremes
    # TurboQuant (Zandieh et al. 2025), bits b: d b / 8 + 8 or less; rotated, so that all components weigh the same.
    TURBO8 = "turbo8"
    TURBO4 = "turbo4"
    TURBO2 = "turbo2"
    TURBO1 = "turbo1"
    BINARY = "binary"  # d / 8: the signs, against a query of 4 bits a component

    def oversampling(self, limit: int) -> float:
        """Candidates whose originals are compared, per wanted hit, of a search for `limit` hits."""
        return max(_OVERSAMPLING[self], RESCORED_AT_LEAST / max(1, limit))


_OVERSAMPLING = {
    Compression.NONE: 1.0,
    Compression.SCALAR: 2.0,
    Compression.TURBO8: 2.0,
    Compression.TURBO4: 2.0,
    Compression.TURBO2: 4.0,
    Compression.TURBO1: 4.0,
    Compression.BINARY: 4.0,
}
