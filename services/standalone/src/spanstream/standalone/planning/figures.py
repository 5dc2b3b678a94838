"""What a plan consists of: numbers, each with its reason, and the pods that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GIB = 2.0**30


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a plan. `reason` is how it came about, in words and figures."""

    area: str
    name: str
    value: float
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pods:
    """One deployable of the chart, by its key in the values. Cores, GPUs and memory are of one pod."""

    service: str
    usual: int  # replicas at the average load
    most: int  # at the peak, spares included
    cores: float
    memory_gib: float
    reason: str
    gpus: int = 0
    members: int = 0  # consumers in a pod; 0: it reads no topic


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a workload needs. `drivers`: unit of cost -> how many of it, at the peak."""

    partitions: int
    pods: tuple[Pods, ...]
    figures: tuple[Figure, ...]
    drivers: Mapping[str, float]
    warnings: tuple[str, ...]

    def of(self, service: str) -> Pods:
        """The pods of a service; raises KeyError."""
        for each in self.pods:
            if each.service == service:
                return each
        raise KeyError(service)

    def value(self, area: str, name: str) -> float:
        """A figure's value; raises KeyError."""
        for each in self.figures:
            if (each.area, each.name) == (area, name):
                return each.value
        raise KeyError(f"{area}: {name}")
