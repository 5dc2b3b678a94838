"""Ratios of paired repetitions, with bootstrap intervals: a claim is the interval's lower end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def ratio(ours: Sequence[float], peer: Sequence[float]) -> dict[str, Any]:
    """ours / peer of interleaved repetitions (A B A B ...): median with a 95 % interval, and both sides' figures."""
    a, b = np.asarray(ours, np.float64), np.asarray(peer, np.float64)
    chosen = np.random.default_rng(0).integers(0, len(a), (10_000, len(a)))
    low, high = np.percentile(np.median((a / b)[chosen], axis=1), (2.5, 97.5))
    return {
        "ratio": round(float(np.median(a / b)), 3),
        "interval": [round(float(low), 3), round(float(high), 3)],
        "ours": [round(float(x), 3) for x in a],
        "peer": [round(float(x), 3) for x in b],
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and maximum in milliseconds, and how many."""
    data = 1000 * np.asarray(seconds, np.float64)
    p50, p99 = np.percentile(data, (50, 99))
    return {
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "max_ms": round(float(data.max()), 1),
        "count": len(data),
    }
