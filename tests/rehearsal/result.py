"""What a whole rehearsal counted, kept for docs/reliability-report.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.chaos.kept import Kept
from tests.rehearsal.kubelet import Pod


@dataclass
class Result(Kept):
    """Requests answered, failed and sent again; documents acknowledged, and what is wrong with them."""

    profile: str
    seconds: float  # of load
    cores: int
    answered: dict[str, int]
    failed: dict[str, int]
    resent: int
    documents: int
    violations: list[str]
    upgraded: dict[str, int] = field(default_factory=dict)  # pods replaced, by service
    evicted: dict[str, int] = field(default_factory=dict)
    restarts: int = 0


@dataclass
class Moved(Kept):
    """An index that moved to another release of the encoder, asked and written meanwhile."""

    profile: str
    cores: int
    seconds: dict[str, float]  # by what was done
    answered: dict[str, int]
    failed: dict[str, int]
    resent: int
    documents: int
    violations: list[str]
    switches: int
    compared: int  # searches of which it is known what they had to show
    wrong: list[str]  # those that showed something older, or nothing, or failed
    replaced: dict[str, int]  # pods, by service
    restarts: int


def by_service(pods: Iterable[Pod]) -> dict[str, int]:
    """How many of each."""
    return dict(Counter(pod.template.component for pod in pods))
