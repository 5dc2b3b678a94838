"""What a release must show before it is offered: every rule and its threshold. Figures are points of 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from spanstream.standalone.encoder.comparison import MIN_ITEMS, Row
from spanstream.standalone.gate.perturbations import PERTURBATIONS

NDCG = "passage nDCG@10"
SPANS = "span accuracy"
SIMILARITY = "similarity, Spearman"
CALIBRATION = "calibration error"
POSITIONS = ("at the start", "in the middle", "at the end")

GAINS = (NDCG, SPANS)  # a gain in one of them must be shown: its 95 % interval lies above zero


def under(name: str) -> str:
    """The measure NDCG of queries that are perturbed, or of answers that stand elsewhere."""
    return f"nDCG@10, {name}"


# By how much a measure of the candidate may be worse than that of the release it is held against.
MARGINS: Mapping[str, float] = {
    NDCG: 0.5,
    SPANS: 0.5,
    SIMILARITY: 1.0,
    **{under(name): 1.0 for name in PERTURBATIONS},
    **{under(f"answer {place}"): 2.0 for place in POSITIONS},
    CALIBRATION: 2.0,
}
LESS_IS_BETTER = (CALIBRATION,)


class Status(StrEnum):
    """Of one rule. What could not be measured holds nothing back, and is said."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one rule says, and why."""

    rule: str
    status: Status
    reason: str


def rulings(rows: Sequence[Row]) -> list[Ruling]:
    """Of all rules; `rows` hold the base as A and the candidate as B."""
    measured = {row.measure: row for row in rows}
    return [_gain(measured), *(_margin(name, measured.get(name)) for name in MARGINS)]


def passed(found: Sequence[Ruling]) -> bool:
    """Whether the release may be offered."""
    return all(ruling.status is not Status.FAILED for ruling in found)


def _gain(measured: Mapping[str, Row]) -> Ruling:
    rule = f"a gain is shown in {' or '.join(GAINS)}"
    rows = [measured[name] for name in GAINS if name in measured]
    told = "; ".join(f"{row.measure} {_difference(row)}" for row in rows) or "nothing was asked"
    if any(row.shown and row.difference.value > 0 for row in rows):
        return Ruling(rule, Status.PASSED, told)
    if all(row.items < MIN_ITEMS for row in rows):
        told = f"{max((row.items for row in rows), default=0)} queries are too few to tell, {MIN_ITEMS} are needed: give more texts or --data"
    return Ruling(rule, Status.FAILED, told)


def _margin(name: str, row: Row | None) -> Ruling:
    less = name in LESS_IS_BETTER
    rule = f"{name} {'rises' if less else 'falls'} by {MARGINS[name]:g} at most"
    if row is None:
        return Ruling(rule, Status.NOT_MEASURED, _MISSING.get(name, "no query has an answer that allows it"))
    worse = row.difference.value if less else -row.difference.value
    return Ruling(rule, Status.PASSED if worse <= MARGINS[name] else Status.FAILED, _difference(row))  # NaN fails


def _difference(row: Row) -> str:
    value, low, high = row.difference
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


_MISSING = {
    SIMILARITY: "no scored pairs were given (--similarity)",
    SPANS: "no query has a known answer (spans.tsv)",
    CALIBRATION: "too few queries, or their hits are all alike",
}
