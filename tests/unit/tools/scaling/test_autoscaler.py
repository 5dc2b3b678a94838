"""The arithmetic of KEDA and of the HorizontalPodAutoscaler, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tools.scaling.autoscaler import Autoscaler, Signal
from tools.scaling.policy import DOWN, UP, Pace, Policy

QUIET = Signal(0.0, 0, 0.0, 0.0, 0.0, 24)
LAG = Policy(
    0,
    12,
    up=Pace(30, 100, 1, 60),
    down=Pace(300, 0, 1, 60),
    lag_seconds=30,
    lag_records=1000,
    cooldown=300,
)
BUSY = Policy(3, 24, UP, DOWN, busy=0.8)


def looks(policy: Policy, pods: int, signal: Signal, seconds: int, start: int = 0) -> list[int]:
    """Pods after each look, all of them ready at once."""
    scaler, found = Autoscaler(policy), []
    for now in range(start, start + seconds, 15):
        pods = scaler.look(now, pods, pods, signal)
        found.append(pods)
    return found


def test_records_wake_what_was_scaled_to_none() -> None:
    assert looks(LAG, 0, replace(QUIET, lag_seconds=None, lag_records=1), 15) == [1]
    assert looks(LAG, 0, replace(QUIET, lag_seconds=None), 600) == [0] * 40


def test_nothing_to_do_goes_to_none_after_the_cooldown() -> None:
    scaler = Autoscaler(LAG)
    scaler.look(0, 1, 1, replace(QUIET, lag_records=1))
    assert scaler.look(285, 1, 1, QUIET) == 1
    assert scaler.look(300, 1, 1, QUIET) == 0


def test_lag_doubles_the_pods_a_minute_at_most() -> None:
    pods = looks(LAG, 2, replace(QUIET, lag_seconds=300.0), 195)
    assert pods[:4] == [4, 4, 4, 4]
    assert pods[4] == 8
    assert pods[-1] == LAG.most


def test_pods_go_one_a_minute_after_the_window() -> None:
    scaler, pods, found = Autoscaler(LAG), 6, []
    scaler.look(0, pods, pods, replace(QUIET, lag_seconds=30.0, lag_records=6000))
    for now in range(15, 600, 15):
        pods = scaler.look(now, pods, pods, replace(QUIET, lag_seconds=1.0, lag_records=1))
        found.append((now, pods))
    assert dict(found)[300] == 6
    assert dict(found)[315] == 5
    assert dict(found)[375] == 4


def test_within_a_tenth_of_the_target_nothing_changes() -> None:
    assert looks(LAG, 4, replace(QUIET, lag_seconds=32.0), 60) == [4, 4, 4, 4]


def test_records_ask_for_as_many_as_share_them_but_not_more_than_partitions() -> None:
    signal = replace(QUIET, lag_seconds=1.0, lag_records=100_000, partitions=5)
    assert looks(replace(LAG, up=UP), 1, signal, 120)[-1] == 5


def test_cores_that_are_all_busy_ask_for_a_quarter_more() -> None:
    assert looks(BUSY, 8, replace(QUIET, busy=1.0), 15) == [10]
    assert looks(BUSY, 8, replace(QUIET, busy=0.85), 15) == [8]


def test_pods_that_start_count_as_idle() -> None:
    assert Autoscaler(BUSY).look(0, 10, 8, replace(QUIET, busy=1.0)) == 10
    assert Autoscaler(BUSY).look(0, 10, 10, replace(QUIET, busy=1.0)) == 13


@pytest.mark.parametrize(("requests", "tokens", "expected"), [(24, 0, 4), (6, 65_536, 2), (0, 0, 2), (600, 0, 8)])
def test_ray_follows_requests_or_tokens_whichever_asks_for_more(requests: float, tokens: float, expected: int) -> None:
    ray = Policy(2, 8, Pace(0, 0, 8, 1), Pace(0, 0, 8, 1), requests=6, tokens=32_768)
    assert looks(ray, 2, replace(QUIET, requests=requests, tokens=tokens), 15) == [expected]
