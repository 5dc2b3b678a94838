"""The laws of a plan: what is more never needs less, and every number has its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanstream.standalone.planning.capacity import BUSY, REACTION_SECONDS, busy_at_most, plan
from spanstream.standalone.planning.figures import Plan
from spanstream.standalone.planning.spares import spares
from spanstream.standalone.planning.storage import code_bytes, store_replicas
from spanstream.standalone.planning.workload import Unplannable, Workload
from spanstream.store.compression import Compression
from tests.unit.standalone.planning.costs import COSTS

few = settings(max_examples=20)  # each is a dozen plans
LOADS = st.builds(
    Workload,
    documents=st.integers(0, 10**10),
    documents_per_second=st.floats(0, 1000),
    queries_per_second=st.floats(0, 1000),
    tokens_per_document=st.floats(1, 10_000),
    largest_tenant=st.floats(0.001, 1),
    peak_factor=st.floats(1, 4),
    log_days=st.floats(1, 1000),
    freshness_seconds=st.floats(0.1, 3600),
    availability=st.sampled_from([0.9, 0.99, 0.999, 0.9999]),
    compression=st.sampled_from(Compression),
)


def sizes(workload: Workload) -> dict[str, float]:
    """All numbers of a plan in which more is more."""
    try:
        found = plan(workload, COSTS)
    except Unplannable:
        return {"partitions": float("inf")}
    pods = {f"{each.service} {name}": getattr(each, name) for each in found.pods for name in ("usual", "most")}
    figures = {f"{each.area} {each.name}": each.value for each in found.figures if each.area != "load"}
    return {"partitions": found.partitions, **pods, **figures}


def never_less(before: Workload, after: Workload) -> None:
    more = sizes(after)
    for name, value in sizes(before).items():
        assert more.get(name, float("inf")) >= value * (1 - 1e-9), name


@few
@given(LOADS, st.floats(1, 3))
def test_a_higher_rate_never_needs_less(load: Workload, factor: float) -> None:
    never_less(load, replace(load, documents_per_second=load.documents_per_second * factor))
    never_less(load, replace(load, queries_per_second=load.queries_per_second * factor))


@few
@given(LOADS, st.floats(1, 3))
def test_larger_and_more_documents_never_need_less(load: Workload, factor: float) -> None:
    never_less(load, replace(load, documents=int(load.documents * factor)))
    never_less(load, replace(load, tokens_per_document=load.tokens_per_document * factor))
    never_less(load, replace(load, log_days=load.log_days * factor))


@few
@given(LOADS, st.floats(1, 3))
def test_a_harder_target_never_needs_less(load: Workload, factor: float) -> None:
    never_less(load, replace(load, freshness_seconds=max(0.1, load.freshness_seconds / factor)))
    never_less(load, replace(load, availability=min(0.99999, load.availability + 0.009)))


@few
@given(LOADS)
def test_consumers_always_have_partitions_to_read(load: Workload) -> None:
    try:
        found = plan(load, COSTS)
    except Unplannable:
        return
    assert all(each.most * each.members <= found.partitions for each in found.pods)
    assert all(1 <= each.usual <= each.most for each in found.pods)
    assert all(each.reason for each in (*found.pods, *found.figures))


@few
@given(LOADS)
def test_compression_takes_memory_never_more_than_it_saves(load: Workload) -> None:
    def memory(compression: Compression) -> float:
        return sizes(replace(load, documents_per_second=0, compression=compression))["store memory"]

    order = (Compression.NONE, Compression.SCALAR, Compression.TURBO4, Compression.TURBO2, Compression.BINARY)
    assert sorted(map(memory, order), reverse=True) == list(map(memory, order))


def test_nothing_to_do_needs_one_of_each_and_what_may_be_lost() -> None:
    found = plan(Workload(0, 0, 0, availability=0.5), COSTS)
    assert found.partitions == 6
    assert {(each.usual, each.most) for each in found.pods} == {(1, 1)}
    assert found.value("store", "memory") == found.value("log", "disk") == 0
    assert found.drivers["gpu"] == 0


def found(**changes: float) -> Plan:
    """100 documents/s of one passage, at the peak 200."""
    base = Workload(1_000_000, 100, 10, tokens_per_document=200, peak_factor=2, availability=0.5)
    return plan(replace(base, **changes), COSTS)


def test_pods_follow_from_core_seconds() -> None:
    # 200 passages/s × 2 ms / 0.7 = 0.57 consumers; × 200 tokens × 0.1 ms = 4 cores, and 0.1 for queries, / 0.7 = 5.9 of 4 a pod.
    assert found().of("indexer").most == 1
    assert found().of("encoder").most == 2
    assert found(documents_per_second=1000).of("indexer").most == 6
    assert found(documents_per_second=1000).of("encoder").most == 15
    assert "40,000 tokens/s" in found().of("encoder").reason


def test_two_polls_are_under_way_for_each_encoder() -> None:
    for each in (found(), found(documents_per_second=1000)):
        assert each.of("embedder").most >= each.of("encoder").most
        assert each.of("embedder").usual >= each.of("encoder").usual


def test_a_gpu_takes_the_place_of_cores() -> None:
    many = found(documents_per_second=1000, gpu_tokens_per_second=100_000)
    assert (many.of("encoder").gpus, many.of("encoder").most) == (1, 6)  # 400,000 tokens/s, and queries
    assert many.drivers["gpu"] == 6


def test_the_stall_of_a_rebalance_is_caught_up_within_the_freshness() -> None:
    assert busy_at_most(15) == 0.5  # half is free: what 15 s left is gone after 15 s
    assert busy_at_most(3600) == BUSY


@pytest.mark.parametrize(
    ("needed", "availability", "expected"), [(1, 0.9, 0), (1, 0.999, 1), (1, 0.9999, 1), (10, 0.999, 2)]
)
def test_spares_make_up_for_pods_that_do_not_run(needed: int, availability: float, expected: int) -> None:
    assert spares(needed, availability) == expected


def test_spares_of_very_many_can_be_computed() -> None:
    assert 1000 < spares(100_000, 0.999) < 1300


@pytest.mark.parametrize(
    ("compression", "measured"), [("none", 768), ("scalar", 388), ("turbo8", 388), ("turbo4", 200)]
)
def test_bytes_of_codes_are_those_of_the_measured_table(compression: str, measured: int) -> None:
    """docs/representations.md, compressions."""
    assert abs(code_bytes(Compression(compression), 384) - measured) <= 4


def test_copies_of_the_store_follow_from_availability() -> None:
    assert [store_replicas(each) for each in (0.9, 0.99, 0.999)] == [1, 2, 3]
    one, three = (found(availability=each).value("store", "memory") for each in (0.9, 0.999))
    assert three == pytest.approx(3 * one)


def test_logs_disk_is_rate_times_retention_times_copies() -> None:
    size = 100 * 1000 * 10 * 86_400 * 3 / 2**30
    assert found(log_days=10).value("log", "disk: documents.v1") == pytest.approx(size)


def test_brokers_work_on_every_document_at_the_peak() -> None:
    assert found().value("log", "cores") == pytest.approx(2 * 100 * 0.001 / 0.5)


def test_a_target_that_autoscaling_cannot_keep_is_told() -> None:
    assert any("sooner than autoscaling" in each for each in found(freshness_seconds=30).warnings)
    assert not any("sooner than autoscaling" in each for each in found(freshness_seconds=REACTION_SECONDS).warnings)


def test_more_than_partitions_can_carry_is_refused() -> None:
    with pytest.raises(Unplannable, match="split the tenants"):
        found(documents_per_second=1e6)


@pytest.mark.parametrize("name", ["documents", "documents_per_second", "queries_per_second"])
def test_a_load_that_cannot_be_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(Unplannable, match=name):
        replace(Workload(1, 1, 1), **{name: -1})
    with pytest.raises(Unplannable, match="availability"):
        Workload(1, 1, 1, availability=1.0)
    with pytest.raises(Unplannable, match="freshness_seconds"):
        Workload(1, 1, 1, freshness_seconds=float("nan"))
