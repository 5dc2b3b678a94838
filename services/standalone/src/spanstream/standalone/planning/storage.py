"""Bytes: of vectors by compression, of what else the store holds, and of Kafka's topics."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, PASSAGES, Topic
from spanstream.standalone.planning.calibration import Costs
from spanstream.standalone.planning.figures import GIB, Figure
from spanstream.standalone.planning.workload import Workload
from spanstream.store.compression import Compression

DAY = 86_400
FACT_BYTES = 100.0  # of memory, with its share of the index (store/facts.py)
GRAPH_BYTES = 140.0  # of memory for a passage's or a document's links: m = 16, two a level, and their lists' heads
LOG_REPLICAS = 3
DISK_ROOM = 1.5  # Qdrant rewrites segments beside the old ones; Kafka deletes whole segments, late
MEMORY_USED = 0.7  # of a node: the rest is for segments that are being rewritten, and for requests
STORE_CPU_USED = 0.5  # of a node's cores at the peak, so that searches do not queue behind writes
_BITS = {Compression.TURBO8: 8, Compression.TURBO4: 4, Compression.TURBO2: 2, Compression.TURBO1: 1}


def code_bytes(compression: Compression, dimension: int) -> float:
    """Bytes of memory for a vector; `docs/representations.md` measures them."""
    if compression is Compression.NONE:
        return 2.0 * dimension
    if compression is Compression.SCALAR:
        return dimension + 4.0
    if compression is Compression.BINARY:
        return dimension / 8
    return dimension * _BITS[compression] / 8 + 8


def store_replicas(availability: float) -> int:
    """Copies of each shard: one alone cannot be upgraded without a pause; three keep a majority while one is away."""
    return 1 if availability < 0.99 else 2 if availability < 0.999 else 3


def store(workload: Workload, costs: Costs, passages: float) -> Iterator[Figure]:
    """Memory and disk of the store for so many live passages, all copies together; then its nodes."""
    copies = store_replicas(workload.availability)
    one, d = code_bytes(workload.compression, costs.dimension), costs.dimension
    vectors = passages * (1 + costs.spans_per_passage) + workload.documents
    small = workload.compression is not Compression.NONE
    in_memory = {
        "vectors": (vectors * one, f"{vectors:,.0f} vectors of {one:g} bytes ({workload.compression})"),
        "graph": (
            (passages + workload.documents) * GRAPH_BYTES,
            f"{GRAPH_BYTES:g} bytes a passage's or document's vector; spans have none",
        ),
        "facts": (
            (passages + workload.documents) * workload.facts * FACT_BYTES,
            f"{workload.facts} values of metadata, {FACT_BYTES:g} bytes each, on passages and heads",
        ),
        "indexes": (
            passages * costs.indexed_passage_bytes,
            f"{costs.indexed_passage_bytes:,.0f} bytes a passage: words, keys, ids",
        ),
    }
    on_disk = {
        "vectors": (vectors * 2.0 * d, "the originals in half precision"),
        "codes": (vectors * one if small else 0.0, f"{workload.compression} codes beside them"),
        "payload": (
            passages * costs.stored_passage_bytes,
            f"{costs.stored_passage_bytes:,.0f} bytes a passage: text, fields, words, indexes, its head's share",
        ),
    }
    for place, parts in (("memory", in_memory), ("disk", on_disk)):
        for name, (size, reason) in parts.items():
            yield Figure("store", f"{place}: {name}", size * copies / GIB, "GiB", f"{reason}; {copies} copies")
        whole = sum(size for size, _ in parts.values()) * copies
        room = DISK_ROOM if place == "disk" else 1 / MEMORY_USED
        reason = f"their sum × {room:.2f}, so that segments can be rewritten"
        yield Figure("store", place, whole * room / GIB, "GiB", reason)


def nodes(workload: Workload, memory_gib: float, cores: float) -> Figure:
    """Qdrant nodes, by whichever of memory, cores and copies asks for most."""
    by = {
        f"{memory_gib:,.0f} GiB of memory": ceil(memory_gib / workload.node_memory_gib),
        f"{cores:.1f} cores": ceil(cores / workload.node_cores),
        "copies on nodes of their own": store_replicas(workload.availability),
    }
    most = max(by, key=lambda name: by[name])
    each = f"{workload.node_memory_gib:g} GiB and {workload.node_cores:g} cores a node"
    return Figure("store", "nodes", by[most], "nodes", f"{most}; {each}")


def log(workload: Workload, costs: Costs, passages_per_document: float) -> Iterator[Figure]:
    """Kafka's disk by topic, and cores; failures.v1 and matches.v1 are what fails and what is asked for, and are left out."""
    sizes: dict[Topic, float] = {
        DOCUMENTS: costs.documents_passage_bytes,
        PASSAGES: costs.passages_passage_bytes,
        EMBEDDINGS: costs.embeddings_passage_bytes,
    }
    whole = 0.0
    for topic, size in sizes.items():
        days = workload.log_days if topic.retention_ms < 0 else topic.retention_ms / 1000 / DAY
        record = size * passages_per_document
        kept = workload.documents_per_second * record * days * DAY * LOG_REPLICAS
        whole += kept
        reason = (
            f"{workload.documents_per_second:g}/s × {record:,.0f} bytes × {days:g} days × {LOG_REPLICAS} copies,"
            " before compression"
        )
        yield Figure("log", f"disk: {topic.name}", kept / GIB, "GiB", reason)
    busy = workload.peak_documents * costs.broker_document_seconds
    reason = f"{busy:.2f} at the peak, all topics of a document; {STORE_CPU_USED:.0%} busy; followers not counted"
    yield Figure("log", "cores", busy / STORE_CPU_USED, "cores", reason)
    yield Figure(
        "log", "disk", whole * DISK_ROOM / GIB, "GiB", f"their sum × {DISK_ROOM:g}: segments go whole, and late"
    )
