"""The arithmetic of KEDA and of Kubernetes' HorizontalPodAutoscaler, over values: what they would ask for now.

As their sources have it (kubernetes 1.33 pkg/controller/podautoscaler, keda 2.17 pkg/scaling): a tolerance of 10 %, pods that do
not run yet count as idle when more are asked for, the least that was wanted during the window upwards and the most downwards.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil

from tools.scaling.policy import Pace, Policy

TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Signal:
    """What an autoscaler is told. `lag_seconds`: None where nothing runs that could tell."""

    lag_seconds: float | None
    lag_records: int
    busy: float  # share of what those that run can do
    requests: float
    tokens: float
    partitions: int


class Autoscaler:
    """Of one deployable. Seconds of `look` must not fall."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._wanted: deque[tuple[float, int]] = deque()  # (time, pods), for the windows
        self._changes: deque[tuple[float, int]] = deque()  # (time, pods more or less), for the periods
        self._active = float("-inf")  # when there was something to do last

    def look(self, now: float, pods: int, ready: int, signal: Signal) -> int:
        """How many pods there shall be, of which there are `pods` and `ready` work."""
        policy = self.policy
        if policy.lag_seconds is not None:
            active = signal.lag_records > 0 or (signal.lag_seconds or 0.0) > 0
            if active:
                self._active = now
            if pods == 0:
                return self._changed(now, 0, max(1, policy.least)) if active else 0
            if policy.least == 0 and now - self._active >= policy.cooldown:
                self._wanted.clear()
                return self._changed(now, pods, 0)
        wanted = min(policy.most, max(1, policy.least, _wanted(policy, pods, ready, signal)))
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - max(policy.up.window, policy.down.window):
            self._wanted.popleft()
        lowest = min(each for time, each in self._wanted if time >= now - policy.up.window)
        highest = max(each for time, each in self._wanted if time >= now - policy.down.window)
        settled = lowest if lowest > pods else highest if highest < pods else pods
        return self._changed(now, pods, self._paced(now, pods, settled))

    def _paced(self, now: float, pods: int, wanted: int) -> int:
        pace = self.policy.up if wanted > pods else self.policy.down
        recent = sum(change for time, change in self._changes if time > now - pace.period)
        begun = pods - recent  # at the begin of the period, by changes in this direction and the other
        if wanted > pods:
            return min(wanted, max(pods, _most(pace, begun)))
        return max(wanted, min(pods, _fewest(pace, begun)))

    def _changed(self, now: float, before: int, after: int) -> int:
        if after != before:
            self._changes.append((now, after - before))
        while self._changes and self._changes[0][0] <= now - max(self.policy.up.period, self.policy.down.period):
            self._changes.popleft()
        return after


def _wanted(policy: Policy, pods: int, ready: int, signal: Signal) -> int:
    if policy.lag_seconds is not None:
        asked = [pods if signal.lag_seconds is None else _ratio(signal.lag_seconds / policy.lag_seconds, pods, ready)]
        if policy.lag_records:
            records = min(signal.lag_records, signal.partitions * policy.lag_records)
            near = abs(records / (policy.lag_records * pods) - 1) <= TOLERANCE
            asked.append(pods if near else ceil(records / policy.lag_records))
        return max(asked)
    if policy.busy is not None:
        ratio = signal.busy / policy.busy
        if ratio > 1 and ready < pods:
            idle = ratio * ready / pods  # what is not ready yet, as idle
            return pods if idle <= 1 + TOLERANCE else ceil(idle * pods)
        return _ratio(ratio, pods, ready)
    assert policy.requests is not None
    assert policy.tokens is not None
    return ceil(max(signal.requests / policy.requests, signal.tokens / policy.tokens))


def _ratio(ratio: float, pods: int, ready: int) -> int:
    return pods if abs(ratio - 1) <= TOLERANCE else ceil(ratio * ready)


def _most(pace: Pace, begun: int) -> int:
    return max(ceil(begun * (1 + pace.percent / 100)), begun + pace.pods)


def _fewest(pace: Pace, begun: int) -> int:
    return min(int(begun * (1 - pace.percent / 100)), begun - pace.pods)
