"""What one document, passage, token and query costs, as `python -m tests.bench --only stages pipeline` measures it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from spanstream.standalone.planning.workload import Unplannable

BENCHMARKS = ("stages", "pipeline")  # of tests/bench
SAME = ("cpu", "cores", "memory_gib", "commit")  # of results that are put together: costs of two machines do not add up
HOPS = 4  # of a document: the API, and three consumers
HOP_SECONDS = 0.0004  # at least: a record of 1 kB written and read by kafka-python 3.0.12, 4,500 and 6,000 a second
PACKAGED = "calibration.json"


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds are of one core of the machine that was measured on; bytes are before compression and replication."""

    accept_document_seconds: float  # ingest API
    broker_document_seconds: float  # Kafka's own, all topics together
    parse_passage_seconds: float  # parse worker
    embed_passage_seconds: float  # embedder worker, without the encoder
    encode_token_seconds: float
    index_passage_seconds: float  # indexer, without the store
    write_passage_seconds: float  # store
    search_query_seconds: float  # gateway, without encoder and store
    encode_query_seconds: float
    find_query_seconds: float  # store, whatever it holds
    find_passage_seconds: float  # store, for each passage that an exact search looks at
    tokens_per_passage: float
    spans_per_passage: float
    dimension: int  # components of a vector
    documents_passage_bytes: float  # of a passage's share of a record on documents.v1; so the next two
    passages_passage_bytes: float
    embeddings_passage_bytes: float
    stored_passage_bytes: (
        float  # on the store's disk beside its vectors: text, payload, words, indexes, the head's share
    )
    indexed_passage_bytes: float  # in the store's memory beside its vectors

    def __post_init__(self) -> None:
        """Raises Unplannable."""
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise Unplannable(f"calibration: {name} must be a number above 0, not {value!r}")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Costs, and `provenance`: when, where and by which command they were measured."""

    costs: Costs
    provenance: Mapping[str, str]

    def text(self) -> str:
        """As `read` takes it."""
        return json.dumps({"provenance": dict(self.provenance), "costs": asdict(self.costs)}, indent=1) + "\n"


def read(path: Path | None = None) -> Calibration:
    """The calibration in a file, by default the packaged one. Raises Unplannable."""
    if path is None:
        return _calibration(json.loads((files(__package__) / PACKAGED).read_text()))
    return _calibration(_json(path))


def from_results(paths: Sequence[Path]) -> Calibration:
    """What files of `python -m tests.bench` say; together they must have the figures of BENCHMARKS. Raises Unplannable.

    What a document costs all services in `pipeline`, less what its stages cost by themselves in `stages`, is what the log's
    clients, the consumers' loops and the API take: it is shared out evenly among the HOPS.
    """
    figures: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    for path in paths:
        whole = _json(path)
        try:
            if whole["short"]:
                raise Unplannable(f"{path}: measured in the short form, whose figures say nothing")
            found = {name: whole["machine"][name] for name in SAME}
            if machine and found != {name: machine[name] for name in SAME}:
                raise Unplannable(f"{path}: measured on another machine, or of another commit, than {paths[0]}")
            machine = whole["machine"]
            figures |= {name: result["figures"] for name, result in whole["results"].items()}
        except (LookupError, TypeError, AttributeError) as error:
            raise Unplannable(f"{path}: not what python -m tests.bench writes") from error
    if missing := [name for name in BENCHMARKS if name not in figures]:
        raise Unplannable(f"no results of the benchmark {', '.join(missing)}")
    try:
        stages, spent = figures["stages"], figures["pipeline"]["cpu_ms_per_document"]
        costs = _with_hops(dict(stages["costs"]), stages["passages"] / stages["documents"], spent["services"] / 1000)
        costs["broker_document_seconds"] = spent["broker"] / 1000
        provenance = {
            "measured": stages["measured"],
            "command": f"python -m tests.bench --only {' '.join(BENCHMARKS)}",
            "commit": machine["commit"],
            "machine": f"{machine['cores']} cores of {machine['cpu']} ({', '.join(machine['flags'])}), {machine['memory_gib']} GiB",
            "packages": ", ".join(f"{name} {version}" for name, version in machine["packages"].items()),
            "model": f"{stages['release']} in {stages['dtype']}",
            "corpus": f"{stages['documents']:,} documents, {stages['passages']:,} passages",
        }
    except (LookupError, TypeError, ValueError) as error:
        raise Unplannable(f"figures of {' and '.join(BENCHMARKS)} that this version does not know") from error
    return _calibration({"provenance": provenance, "costs": costs})


def _with_hops(costs: dict[str, float], per_document: float, together: float) -> dict[str, float]:
    """`together`: core seconds of all services for a document; `per_document`: passages of one."""
    alone = sum(costs[f"{name}_passage_seconds"] for name in ("parse", "embed", "index", "write"))
    alone += costs["tokens_per_passage"] * costs["encode_token_seconds"]
    hop = max(HOP_SECONDS, (together - alone * per_document) / HOPS)
    for name in ("parse", "embed", "index"):
        costs[f"{name}_passage_seconds"] += hop / per_document
    return costs | {"accept_document_seconds": hop}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise Unplannable(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Unplannable(f"{path}: no JSON") from error


def _calibration(value: Any) -> Calibration:
    try:
        costs, provenance = value["costs"], value["provenance"]
        names = {field.name for field in fields(Costs)}
        if wrong := names ^ set(costs):
            raise Unplannable(f"calibration: {', '.join(sorted(wrong))}: missing, or not known")
        return Calibration(Costs(**costs), {str(name): str(told) for name, told in provenance.items()})
    except (LookupError, TypeError, AttributeError) as error:
        raise Unplannable("calibration: it needs costs and provenance") from error
