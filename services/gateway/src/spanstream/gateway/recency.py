"""Newer documents count for more: what a score leads by decays with age, exponentially. Pure.

A passage keeps the share 1 - weight + weight * 2^(-age / half-life) of its lead over the weakest candidate (the multiplied decay
of Elasticsearch's function score, on scores that may be negative). So what is irrelevant stays so however new it is. A document
without a date counts as the oldest: who asks for what is recent wants to see that it is. One from the future has no age.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanstream.gateway.filters import DATE

ACCEPTED_AT = "accepted_at"
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Recency:
    """`field`: a path below "metadata.", or ACCEPTED_AT. `weight` 0..1. A `now` without a zone is UTC."""

    field: str
    half_life_days: float
    weight: float
    now: datetime


def age(date: datetime | None, now: datetime) -> float:
    """Days, at least 0; infinite where there is no date."""
    return np.inf if date is None else max(0.0, (_zoned(now) - _zoned(date)).total_seconds() / DAY_SECONDS)


def faded(scores: NDArray[np.float64], ages: NDArray[np.float64], recency: Recency) -> NDArray[np.float64]:
    """[n] -> [n], from scores and ages in days."""
    if not scores.size or not recency.weight:
        return scores
    kept = 1 - recency.weight + recency.weight * np.exp2(-ages / recency.half_life_days)
    weakest = scores.min()
    result: NDArray[np.float64] = weakest + (scores - weakest) * kept
    return result


def dated(metadata: Mapping[str, Any], field: str) -> datetime | None:
    """The date at a path below "metadata.", of a list the newest; None where there is none."""
    found: Any = {"metadata": metadata}
    for name in field.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    dates = [date for item in (found if isinstance(found, list) else [found]) if (date := _date(item))]
    return max(dates, default=None)


def moment(microseconds: int) -> datetime | None:
    """Of a head's stamp, which is 0 where there is none. One that no calendar holds is none: once it was not checked."""
    try:
        return datetime.fromtimestamp(microseconds / 1e6, UTC) if microseconds else None
    except (ValueError, OverflowError):
        return None


def _date(value: Any) -> datetime | None:
    if not isinstance(value, str) or not DATE.fullmatch(value):
        return None
    try:
        return _zoned(datetime.fromisoformat(value))
    except ValueError:
        return None


def _zoned(date: datetime) -> datetime:
    return date if date.tzinfo else date.replace(tzinfo=UTC)
