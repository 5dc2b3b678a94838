"""Clocks that are wrong, of real processes: what they stamp, and what they are told of others' stamps."""

from __future__ import annotations

from pathlib import Path

DAY_SECONDS = 86_400


def ahead(seconds: int) -> dict[str, str]:
    """Environment of a Python process, and of its children, whose clock is ahead, below 0 behind. Its `datetime` is not."""
    return {"PYTHONPATH": str(Path(__file__).with_name("clock")), "CLOCK_AHEAD_SECONDS": str(seconds)}
