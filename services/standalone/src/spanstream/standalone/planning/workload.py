"""What is asked of an installation: how much comes in, how much is kept, how it is searched, and how well."""

from __future__ import annotations

from dataclasses import dataclass, fields

from spanstream.store.compression import Compression


class Unplannable(ValueError):
    """The question cannot be answered as it was asked; the message names the part that is wrong."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A load and its targets. Rates are averages; the plan is made for `peak_factor` times as much.

    `documents` are those alive in the index; updates count in `documents_per_second` alone. Raises Unplannable.
    """

    documents: int
    documents_per_second: float
    queries_per_second: float
    tokens_per_document: float = 300.0
    largest_tenant: float = 1.0  # its share of all documents
    peak_factor: float = 3.0
    log_days: float = 365.0  # that documents.v1 is kept, from which an index can be built anew
    file_bytes: int = 0  # of a document's file among the blobs; 0: texts come inline
    facts: int = 4  # values of a document's metadata
    freshness_seconds: float = 60.0  # 99 of 100 documents are searchable so long after 202
    availability: float = 0.999  # of answers and of progress
    compression: Compression = Compression.NONE
    gpu_tokens_per_second: float = 0.0  # of one GPU, measured with the model; 0: the encoder is on cores
    node_memory_gib: float = 64.0  # of a Qdrant node
    node_cores: float = 16.0

    def __post_init__(self) -> None:
        """Raises Unplannable."""
        for name in (field.name for field in fields(self) if field.name != "compression"):
            low, high = _BOUNDS.get(name, (0.0, 1e15))
            if not low <= getattr(self, name) <= high:
                raise Unplannable(f"{name} must be between {low:g} and {high:g}, not {getattr(self, name):g}")

    @property
    def peak_documents(self) -> float:
        """A second."""
        return self.documents_per_second * self.peak_factor

    @property
    def peak_queries(self) -> float:
        """A second."""
        return self.queries_per_second * self.peak_factor


_BOUNDS: dict[str, tuple[float, float]] = {
    "documents": (0, 1e12),
    "documents_per_second": (0, 1e6),
    "queries_per_second": (0, 1e6),
    "tokens_per_document": (1, 1e7),
    "largest_tenant": (1e-9, 1),
    "peak_factor": (1, 1000),
    "log_days": (1, 36500),
    "facts": (0, 256),
    "freshness_seconds": (0.1, 86400),
    "availability": (0.5, 0.99999),
    "node_memory_gib": (1, 24576),
    "node_cores": (1, 1024),
}
