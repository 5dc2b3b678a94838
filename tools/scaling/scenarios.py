"""The loads that docs/capacity.md shows, on the chart's production and GPU profiles with measured costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spanstream.standalone.planning.calibration import Costs
from spanstream.standalone.planning.capacity import ENCODER_CORES, MEMBERS
from tools.scaling.policy import Policy, policy
from tools.scaling.simulation import Pool, Scenario, Stage

HOUR, DAY = 3600.0, 86_400.0
PASSAGES = 1.25  # of a document, as in the benchmarks
# Assumptions, not measurements: until a pod is ready, and what one GPU reads. Three cores cut some 1.5 million tokens a
# second for it (0.5 million each), so two thirds of that are certain to be its own.
START_SECONDS = {
    "pod": 30.0,
    "encoder": 90.0,
    "gpu": 420.0,
}  # with a node that has to come, 6 GB of image and the model
GPU_TOKENS_PER_SECOND = 1_000_000.0
GROUPS = {"ingestor-worker": "ingestorWorker", "embedder": "embedder", "indexer": "indexer"}

Resources = Sequence[Mapping[str, Any]]


def bursts(average: float) -> Callable[[float], float]:
    """Documents a second: six times the base for ten minutes of every hour, nothing from midnight to six."""
    base = average * 24 / (18 * (50 + 6 * 10) / 60)

    def rate(time: float) -> float:
        if time % DAY < 6 * HOUR:
            return 0.0
        return base * (6 if 1200 <= time % HOUR < 1800 else 1)

    return rate


def steady(rate: float) -> Callable[[float], float]:
    """All at once, as fast as the API takes them."""
    return lambda time: rate


def scenarios(profiles: Mapping[str, Resources], costs: Costs) -> list[Scenario]:
    """`profiles`: rendered resources by the profile's name."""
    cores, gpus = profiles["production"], profiles["gpu"]
    day, month = 10_000_000 / DAY, 1_000_000_000 / (30 * DAY)
    bursting = _scenario("10 M in a day, in bursts", bursts(day), DAY, cores, costs, step=5.0)
    return [
        bursting,
        _sooner(bursting, 0.5),
        _scenario("10 M at once, 1,000/s", steady(1000), 10_000_000 / 1000, cores, costs, step=5.0),
        _scenario("1 B in 30 days, in bursts: three of them", bursts(month), 3 * DAY, cores, costs, step=5.0),
        _scenario("1 B at once, 5,000/s", steady(5000), 1_000_000_000 / 5000, cores, costs, step=15.0),
        _scenario("1 B at once, 5,000/s, on GPUs", steady(5000), 1_000_000_000 / 5000, gpus, costs, step=15.0),
    ]


def fixed(scenario: Scenario, pods: Mapping[str, int]) -> Scenario:
    """The same with so many pods from beginning to end, by the names of its stages and `encoder`."""
    return replace(
        scenario,
        stages=[replace(stage, policy=_still(stage.policy, pods[stage.name])) for stage in scenario.stages],
        encoder=replace(scenario.encoder, policy=_still(scenario.encoder.policy, pods["encoder"])),
    )


def _sooner(scenario: Scenario, busy: float) -> Scenario:
    """The same with an encoder that is scaled at this share of its cores."""
    encoder = replace(scenario.encoder, policy=replace(scenario.encoder.policy, busy=busy))
    return replace(scenario, name=f"{scenario.name}, encoder at {busy:.0%} of its cores", encoder=encoder)


def _still(policy: Policy, pods: int) -> Policy:
    return replace(policy, least=pods, most=pods)


def _scenario(
    name: str, arrivals: Callable[[float], float], until: float, resources: Resources, costs: Costs, step: float = 1.0
) -> Scenario:
    seconds = {
        "ingestor-worker": costs.parse_passage_seconds,
        "embedder": costs.embed_passage_seconds * MEMBERS["embedder"],  # its consumers share a core
        "indexer": costs.index_passage_seconds + costs.write_passage_seconds,
    }
    stages = [
        Stage(
            component,
            policy(component, resources),
            rate=1 / (PASSAGES * each),
            members=MEMBERS[GROUPS[component]],
            start_seconds=START_SECONDS["pod"],
        )
        for component, each in seconds.items()
    ]
    partitions = next(one["spec"]["partitions"] for one in resources if one["kind"] == "KafkaTopic")
    return Scenario(name, arrivals, until, stages, _encoder(resources, costs), partitions, step=step)


def _encoder(resources: Resources, costs: Costs) -> Pool:
    tokens = PASSAGES * costs.tokens_per_passage
    found = policy("encoder", resources)
    if found.requests is not None:
        return Pool(found, GPU_TOKENS_PER_SECOND / tokens, tokens, START_SECONDS["gpu"])
    return Pool(found, ENCODER_CORES / costs.encode_token_seconds / tokens, tokens, START_SECONDS["encoder"])
