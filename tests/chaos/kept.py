"""What a long run keeps of itself in a file, so that one that was cut off goes on where that ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tests.bench.machine import named

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"  # of long forms that are tests


@dataclass
class Kept:
    """Base of a run's result, all of whose fields are JSON. `ran`: machine, commit and last day of each part of it."""

    ran: list[dict[str, Any]] = field(default_factory=list, kw_only=True, compare=False, repr=False)

    @classmethod
    def saved(cls, path: Path | None, **asked: object) -> Self | None:
        """As it was saved there, by a run whose fields of these names were the same."""
        found = cls(**json.loads(path.read_text())) if path and path.exists() else None
        return found if found and all(getattr(found, name) == value for name, value in asked.items()) else None

    def save(self, path: Path | None) -> None:
        """Nothing is written without a path."""
        if path:
            self._note(named() | {"day": datetime.now(UTC).date().isoformat()})
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def _note(self, now: dict[str, Any]) -> None:
        """One that goes on by another commit, or elsewhere, is of both."""
        last = self.ran[-1] if self.ran else {}
        if last | {"day": ""} == now | {"day": ""}:
            self.ran.pop()
        self.ran.append(now)


@dataclass
class Seeds(Kept):
    """Those before `next` held."""

    next: int = 0


def seeds(path: Path, count: int) -> Iterator[int]:
    """Seeds up to `count` that have not held yet; each counts once the next one is asked for."""
    kept = Seeds.saved(path) or Seeds()
    while kept.next < count:
        yield kept.next
        kept.next += 1
        kept.save(path)
