"""Dead letters by cause. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spanstream.ingestor.failures.letter import Letter

SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Open dead letters of one fingerprint. `latest` are the newest few, the newest first; times in µs since 1970."""

    count: int
    replayable: int
    documents: int
    first_at_us: int
    last_at_us: int
    latest: Sequence[Letter]


def order(letter: Letter) -> tuple[int, str]:
    """By time, and where that is the same by name."""
    return letter.failed_at_us, str(letter.origin)


def grouped(letters: Iterable[Letter]) -> list[Group]:
    """One group for each fingerprint, the last to fail first. `letters`: by `order`."""
    found: dict[str, list[Letter]] = {}
    for letter in letters:
        found.setdefault(letter.fingerprint, []).append(letter)
    return sorted(map(_group, found.values()), key=lambda group: order(group.latest[0]), reverse=True)


def _group(letters: list[Letter]) -> Group:
    return Group(
        count=len(letters),
        replayable=sum(letter.replayable for letter in letters),
        documents=len({letter.key for letter in letters}),
        first_at_us=letters[0].failed_at_us,
        last_at_us=letters[-1].failed_at_us,
        latest=letters[: -SAMPLES - 1 : -1],
    )
