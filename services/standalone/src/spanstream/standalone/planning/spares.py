"""How many replicas more than are needed, so that enough of them run when some do not."""

from __future__ import annotations

from bisect import bisect_left
from math import exp, fsum, lgamma, log

POD_AVAILABILITY = 0.99  # of one pod, on its own: nodes drained, upgrades, crashes; an assumption, not a measurement


def spares(needed: int, availability: float, pod: float = POD_AVAILABILITY) -> int:
    """The fewest so that `needed` of all run with at least this probability, pods failing on their own."""
    most = 1
    while _at_most(most, needed + most, 1 - pod) < availability:
        most *= 2
    return bisect_left(range(most), availability, key=lambda more: _at_most(more, needed + more, 1 - pod))


def _at_most(down: int, total: int, chance: float) -> float:
    """Probability that at most `down` of `total` fail: a binomial's, term by term in logarithms."""
    return fsum(
        exp(lgamma(total + 1) - lgamma(k + 1) - lgamma(total - k + 1) + k * log(chance) + (total - k) * log(1 - chance))
        for k in range(down + 1)
    )
