"""Bits that change."""

from __future__ import annotations

import random

MOST_BITS = 64


def flipped(chance: random.Random, data: bytes) -> bytes:
    """The same with 1 to 64 different bits changed."""
    changed, bits = bytearray(data), range(8 * len(data))
    for bit in chance.sample(bits, min(len(bits), chance.randint(1, MOST_BITS))):
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
