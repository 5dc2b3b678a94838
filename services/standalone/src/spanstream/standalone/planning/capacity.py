"""From a workload and what things cost to partitions, pods, nodes, disk and network. Pure: values in, values out.

The rules, in order: 1 what comes at the peak; 2 how busy a stage may be; 3 pods of each service, with spares;
4 partitions, which cannot be added later; 5 the store; 6 the log; 7 the network; 8 what these cost drivers add up to.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from spanstream.standalone.planning import storage
from spanstream.standalone.planning.calibration import Costs
from spanstream.standalone.planning.figures import GIB, Figure, Plan, Pods
from spanstream.standalone.planning.spares import spares
from spanstream.standalone.planning.workload import Unplannable, Workload

BUSY = 0.7  # of a consumer at the peak, at most: beyond it waiting grows out of proportion
HTTP_BUSY = 0.6  # of what answers requests: as values-production.yaml scales
STALL_SECONDS = (
    15.0  # that a change of members stops a group: two rounds of a heartbeat of 3 s, and the polls under way
)
# From a burst to more pods at work: a scrape (15 s), a look at it (15 s), half a minute of being sure, a pod's start.
REACTION_SECONDS = 120.0
ENCODER_CORES = 4  # of a pod, as in values-production.yaml
MEMBERS = {"ingestorWorker": 1, "embedder": 2, "indexer": 1}  # consumers in a pod, as in the chart
PARTITION_ROOM = 2.0  # partitions for each consumer that the peak needs: there is no second choice
LADDER = 6  # the registry's number; partitions are its doubles, so that 2, 3, 4 and 6 consumers share them evenly
MOST_PARTITIONS = 6 * 2**10
# Of one tenant that a search without a filter looks at: a Qdrant server makes a graph of a segment from 10 MB on, some 13,000
# vectors of 384 in half precision, and keeps some eight segments.
EXACT_PASSAGES = 100_000
SPAN_BYTES = 2.0  # of a component on the wire to the store, in half precision; REST sends text, some ten times as much


def plan(workload: Workload, costs: Costs) -> Plan:
    """Raises Unplannable where no number of partitions is enough."""
    per_document = max(1.0, workload.tokens_per_document / costs.tokens_per_passage)
    peak = workload.peak_documents * per_document  # 1
    busy = busy_at_most(workload.freshness_seconds)  # 2
    pods = tuple(_pods(workload, costs, per_document, busy))  # 3
    partitions = _partitions(pods)  # 4
    figures = [
        Figure(
            "load",
            "peak passages",
            peak,
            "1/s",
            f"{workload.documents_per_second:g} documents/s × {workload.peak_factor:g} × {per_document:.2f} passages of"
            f" {costs.tokens_per_passage:.0f} tokens",
        ),
        Figure(
            "load",
            "busy at the peak",
            busy,
            "share",
            f"so that {STALL_SECONDS:g} s without consumers are caught up within {workload.freshness_seconds:g} s,"
            f" and {BUSY:g} at most",
        ),
        Figure("log", "partitions", partitions, "", _why_partitions(pods)),
    ]
    live = workload.documents * per_document
    figures += storage.store(workload, costs, live)  # 5
    cores = _store_cores(workload, costs, live, peak)
    memory = next(each.value for each in figures if (each.area, each.name) == ("store", "memory"))
    figures += [cores, storage.nodes(workload, memory, cores.value)]
    figures += storage.log(workload, costs, per_document)  # 6
    figures.append(_blobs(workload))
    figures += _network(workload, costs, per_document)  # 7
    return Plan(partitions, pods, tuple(figures), _drivers(pods, figures), tuple(_warnings(workload, costs, live)))  # 8


def busy_at_most(freshness_seconds: float) -> float:
    """Share of a stage's capacity that the peak may take: after a stall of STALL_SECONDS it catches up in time.

    A stage of capacity c under load l takes s l / (c - l) seconds to work off what s seconds left; so c >= l (1 + s / t).
    """
    return min(BUSY, freshness_seconds / (freshness_seconds + STALL_SECONDS))


def _pods(workload: Workload, costs: Costs, per_document: float, busy: float) -> Iterator[Pods]:
    peak = workload.peak_documents * per_document
    accepted = workload.peak_documents * costs.accept_document_seconds
    yield _sized(workload, "ingestorApi", accepted, HTTP_BUSY, "accepting")
    yield _sized(workload, "ingestorWorker", peak * costs.parse_passage_seconds, busy, "parsing and cutting")
    encoder = _encoder(workload, costs, peak * costs.tokens_per_passage, busy)
    # A worker waits for the encoder while it does nothing itself: two polls for each replica keep that busy.
    what = f"building events, and {MEMBERS['embedder']} polls for each of {encoder.most} encoders"
    building = peak * costs.embed_passage_seconds
    yield _sized(workload, "embedder", building, busy, what, least=(encoder.usual, encoder.most), memory_gib=0.5)
    yield encoder
    writing = peak * (costs.index_passage_seconds + costs.write_passage_seconds)
    yield _sized(workload, "indexer", writing, busy, "writing, and waiting for the store")
    yield _sized(workload, "gateway", workload.peak_queries * costs.search_query_seconds, HTTP_BUSY, "ranking", cores=2)


def _encoder(workload: Workload, costs: Costs, tokens: float, busy: float) -> Pods:
    """For so many tokens a second of documents, and the queries."""
    queries = workload.peak_queries * costs.encode_query_seconds
    if speed := workload.gpu_tokens_per_second:
        tokens += queries / costs.encode_token_seconds
        what = f"{tokens:,.0f} tokens/s at {speed:,.0f} a GPU"
        return _sized(workload, "encoder", tokens / speed, busy, what, cores=4, memory_gib=12, gpus=1)
    what = f"{tokens:,.0f} tokens/s at {1 / costs.encode_token_seconds:,.0f} a core, and queries"
    work, cores = tokens * costs.encode_token_seconds + queries, ENCODER_CORES
    return _sized(workload, "encoder", work, busy, what, slots=cores, cores=cores, memory_gib=3)


def _sized(
    workload: Workload,
    service: str,
    seconds: float,
    limit: float,
    what: str,
    *,
    slots: int = 1,
    least: tuple[int, int] = (1, 1),
    cores: float = 1,
    memory_gib: float = 1,
    gpus: int = 0,
) -> Pods:
    """Pods for `seconds` of work a second at the peak, of which each does `slots` at once while `limit` of it is used.

    `least`: at the average, and at the peak.
    """
    usual = max(least[0], _whole(seconds / workload.peak_factor / limit / slots))
    needed = max(least[1], usual, _whole(seconds / limit / slots))
    more = spares(needed, workload.availability)
    reason = f"{what}: {seconds:.2f} at once, {limit:.0%} of {slots} a pod, {more} to spare"
    return Pods(
        service,
        usual + spares(usual, workload.availability),
        needed + more,
        cores,
        memory_gib,
        reason,
        gpus=gpus,
        members=MEMBERS.get(service, 0),
    )


def _whole(number: float) -> int:
    """Rounded up, but for what arithmetic adds."""
    return ceil(number - 1e-9)


def _partitions(pods: tuple[Pods, ...]) -> int:
    wanted = max(each.most * each.members for each in pods) * PARTITION_ROOM
    partitions = LADDER
    while partitions < wanted:
        partitions *= 2
    if partitions > MOST_PARTITIONS:
        raise Unplannable(
            f"{wanted:,.0f} consumers' partitions are more than {MOST_PARTITIONS:,}: split the tenants among several"
            " installations"
        )
    return partitions


def _why_partitions(pods: tuple[Pods, ...]) -> str:
    most = max(pods, key=lambda each: each.most * each.members)
    return (
        f"{most.most * most.members} consumers of {most.service} at the peak × {PARTITION_ROOM:g}, the next double of"
        f" {LADDER}: partitions cannot be added later"
    )


def _store_cores(workload: Workload, costs: Costs, live: float, peak: float) -> Figure:
    copies = storage.store_replicas(workload.availability)
    looked_at = min(EXACT_PASSAGES, live * workload.largest_tenant)
    finding = workload.peak_queries * (costs.find_query_seconds + looked_at * costs.find_passage_seconds)
    writing = peak * costs.write_passage_seconds * copies
    reason = (
        f"{finding:.2f} for searches over {looked_at:,.0f} passages, {writing:.2f} for writes of {copies} copies;"
        f" {storage.STORE_CPU_USED:.0%} busy"
    )
    return Figure("store", "cores", (finding + writing) / storage.STORE_CPU_USED, "cores", reason)


def _blobs(workload: Workload) -> Figure:
    size = workload.documents * workload.file_bytes / GIB
    return Figure("blobs", "disk", size, "GiB", f"{workload.documents:,} files of {workload.file_bytes:,} bytes")


def _network(workload: Workload, costs: Costs, per_document: float) -> Iterator[Figure]:
    record = costs.documents_passage_bytes + costs.passages_passage_bytes + costs.embeddings_passage_bytes
    rate = workload.peak_documents * per_document * record / 2**20
    yield Figure("network", "into Kafka", rate, "MiB/s", f"{record:,.0f} bytes a passage on three topics, at the peak")
    copied = rate * (storage.LOG_REPLICAS - 1)
    yield Figure("network", "between brokers", copied, "MiB/s", f"{storage.LOG_REPLICAS - 1} followers fetch it")
    yield Figure("network", "out of Kafka", rate, "MiB/s", "each stage reads its topic once")
    vector = (1 + costs.spans_per_passage) * costs.dimension * SPAN_BYTES
    sent = workload.peak_documents * per_document * vector / 2**20
    encoded = f"{1 + costs.spans_per_passage:.1f} vectors of {costs.dimension} in half precision a passage"
    yield Figure("network", "encoder to embedder", sent, "MiB/s", encoded)


def _drivers(pods: tuple[Pods, ...], figures: list[Figure]) -> dict[str, float]:
    """Cores and memory of pods at the peak; the store's nodes and disks apart, because they are bought apart."""
    value = {(each.area, each.name): each.value for each in figures}
    return {
        "core": sum(each.most * each.cores for each in pods),
        "memory_gib": sum(each.most * each.memory_gib for each in pods),
        "gpu": float(sum(each.most * each.gpus for each in pods)),
        "store_node": value["store", "nodes"],
        "disk_gib": value["store", "disk"] + value["log", "disk"] + value["blobs", "disk"],
    }


def _warnings(workload: Workload, costs: Costs, live: float) -> Iterator[str]:
    if workload.freshness_seconds < 1:
        yield "freshness below a second holds only while nothing moves: a change of members alone stops a group for longer"
    elif workload.freshness_seconds < REACTION_SECONDS:
        yield (
            f"freshness of {workload.freshness_seconds:g} s is sooner than autoscaling reacts ({REACTION_SECONDS:g} s):"
            " as many pods run always as the peak needs"
        )
    if (largest := live * workload.largest_tenant) > EXACT_PASSAGES:
        seconds = largest * costs.find_passage_seconds
        yield (
            f"the largest tenant has {largest:,.0f} passages: a filter that keeps all of them is exact and takes"
            f" {seconds:.1f} core seconds; see what its filters keep before it is promised a time"
        )
    if workload.availability >= 0.99:
        copies = storage.store_replicas(workload.availability)
        yield f"the store's {copies} copies are Qdrant's setting (storage.collection.replication_factor), not the chart's"
