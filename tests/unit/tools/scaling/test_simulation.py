"""Laws of the simulated pipeline: documents are kept, equal seeds give equal runs, more pods are never later, none come to none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.scaling.policy import DOWN, UP, Policy
from tools.scaling.scenarios import bursts, fixed
from tools.scaling.simulation import Pool, Run, Scenario, Stage, run

LAG = Policy(0, 8, UP, DOWN, lag_seconds=30, lag_records=1000, cooldown=60)
BUSY = Policy(1, 8, UP, DOWN, busy=0.8)
FIXED = {"worker": 2, "embedder": 2, "encoder": 2}
few = settings(max_examples=10)  # each is some thousand steps


def scenario(
    rate: Callable[[float], float], *, until: float = 600, partitions: int = 8, policy: Policy = LAG
) -> Scenario:
    stages = [Stage("worker", policy, 60, start_seconds=10), Stage("embedder", policy, 40, members=2, start_seconds=10)]
    encoder = Pool(BUSY, 50, 200, start_seconds=30)
    return Scenario("test", rate, until, stages, encoder, partitions, most_seconds=20_000)


def worst(found: Run) -> float:
    return max(max(sample.lag_seconds.values()) for sample in found.samples)


LOADS = st.builds(
    lambda base, burst: lambda time: base * (burst if 200 <= time < 300 else 1), st.floats(1, 60), st.floats(0, 8)
)


@few
@given(LOADS, st.integers(0, 100), st.integers(1, 12))
def test_every_document_is_searchable_or_waits(load: Callable[[float], float], seed: int, partitions: int) -> None:
    found = run(scenario(load, partitions=partitions), seed)
    assert found.arrived == found.searchable + found.waiting
    assert found.waiting == 0
    assert sum(found.fresh.values()) == found.searchable


@few
@given(LOADS, st.integers(0, 100))
def test_equal_seeds_give_equal_runs(load: Callable[[float], float], seed: int) -> None:
    assert run(scenario(load), seed) == run(scenario(load), seed)


@few
@given(LOADS, st.integers(1, 5), st.integers(1, 3))
def test_more_pods_are_never_later(load: Callable[[float], float], pods: int, more: int) -> None:
    def with_pods(count: int) -> Run:
        return run(fixed(scenario(load, until=400, partitions=16), dict.fromkeys(FIXED, count)), 1)

    few_pods, many_pods = with_pods(pods), with_pods(pods + more)
    for share in (0.5, 0.99, 1.0):  # to a step: documents are whole
        assert many_pods.freshness(share) <= few_pods.freshness(share) + 1


def test_without_load_nothing_runs_and_nothing_costs() -> None:
    found = run(scenario(lambda time: 0.0), 1)
    assert found.arrived == 0
    assert found.pod_seconds["worker"] == found.pod_seconds["embedder"] == 0
    assert found.pod_seconds["encoder"] > 0  # its least is one


def test_what_has_nothing_to_do_any_more_goes_to_none_after_the_cooldown() -> None:
    found = run(scenario(lambda time: 30.0 if time < 100 else 0.0, until=1500), 1)
    assert found.samples[5].pods["worker"] >= 1
    assert found.samples[-1].pods["worker"] == found.samples[-1].pods["embedder"] == 0
    assert found.waiting == 0


def test_a_burst_brings_pods_and_they_go_again() -> None:
    found = run(scenario(lambda time: 150.0 if 60 <= time < 400 else 5.0, until=3000), 1)
    pods = [sample.pods["worker"] for sample in found.samples]
    assert max(pods) >= 3
    assert pods[-1] == 1
    assert found.stalls > 0


def test_partitions_bound_what_pods_can_do() -> None:
    narrow, wide = (run(scenario(lambda time: 200.0, partitions=count), 1) for count in (1, 8))
    assert worst(narrow) > 3 * worst(wide)


def test_a_stall_stops_a_group_for_its_time() -> None:
    def stalled(seconds: float) -> float:
        still = scenario(lambda time: 50.0)
        return run(replace(still, stall_seconds=seconds), 1).freshness(0.99)

    assert stalled(60) > stalled(0)


def test_an_encoder_that_is_short_shows_in_its_stage_alone() -> None:
    short = fixed(scenario(lambda time: 80.0), FIXED | {"encoder": 1})
    found = run(short, 1)
    assert max(sample.lag_seconds["embedder"] for sample in found.samples) > 100
    assert max(sample.lag_seconds["worker"] for sample in found.samples) <= 30


def test_bursts_have_the_average_that_is_asked_for() -> None:
    rate = bursts(100.0)
    day = [rate(second * 10) for second in range(8640)]
    assert sum(day) / len(day) == pytest.approx(100, rel=0.01)
    assert min(day) == 0
    assert max(day) == pytest.approx(6 * min(each for each in day if each))
