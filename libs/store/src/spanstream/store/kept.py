"""What a store says of the generations that it keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """`documents`: live ones, exactly."""

    name: str
    live: bool
    documents: int
