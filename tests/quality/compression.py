"""What each compression of the index keeps, weighs and costs: `python -m tests.quality.compression [--sets …] [--out FILE] [--page FILE]`.

Every set is encoded once (float32) and loaded into an Edge store per compression; all queries go through the store's own
search, interleaved, with the candidates that the product asks for. `together` is all sets in one index, which leaves most
of it outside the candidates that are rescored. Retained is nDCG@10 relative to `none`, with the 95 % interval of a paired
bootstrap over queries.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder, Text
from spanstream.events.ids import Key
from spanstream.gateway.search import CANDIDATES
from spanstream.representations.local import open_local
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.points import Passage
from spanstream.store.queries import Dense, Leg, Query, Scope, Spans
from tests.conftest import DATA
from tests.quality import page
from tests.quality.measures import Dataset, interval, load, ndcg
from tests.quality.offline import NO_RANGES, OfflineIndex

SETS = ("cranfield", "cisi", "medline", "xquad")
TOGETHER = "together"
SCOPE = Scope("quality")
LEGS: dict[str, type[Dense] | type[Spans]] = {"dense": Dense, "spans": Spans}


@dataclass(frozen=True, slots=True)
class Vectors:
    """A set as the store sees it."""

    name: str
    documents: list[str]  # of each passage
    dense: NDArray[np.float32]  # [passages, dimension]
    spans: list[NDArray[np.float32]]  # of each passage [spans, dimension]
    queries: dict[str, NDArray[np.float32]]  # [dimension]
    relevant: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One compression on one set and leg."""

    set: str
    leg: str
    compression: str
    passages: int
    ndcg: float  # nDCG@10, 0..100
    retained: float  # of `none`'s, %
    low: float  # ends of its 95 % interval, %
    high: float
    same: float  # of `none`'s candidates, % that are candidates here
    code_bytes: int  # per vector in memory
    disk_bytes: float  # per vector, originals and codes
    p50_ms: float
    p50_ratio: float  # to `none`'s


def encoded(data: Dataset, encoder: Encoder) -> Vectors:
    """A set's vectors, as the product would store and ask them."""
    index = OfflineIndex(data, encoder)
    wholes = [encoder.encode([Text(text, NO_RANGES)])[0].whole for text in data.queries.values()]
    spans = np.split(index.spans, index.starts[1:])
    return Vectors(
        data.name, index.documents, index.dense, spans, dict(zip(data.queries, wholes, strict=True)), data.relevant
    )


def together(sets: Sequence[Vectors]) -> Vectors:
    """All sets in one."""

    def named(one: Vectors, id: str) -> str:
        return f"{one.name}/{id}"

    return Vectors(
        TOGETHER,
        [named(one, document) for one in sets for document in one.documents],
        np.concatenate([one.dense for one in sets]),
        [spans for one in sets for spans in one.spans],
        {named(one, query): vector for one in sets for query, vector in one.queries.items()},
        {
            named(one, query): {named(one, document): grade for document, grade in grades.items()}
            for one in sets
            for query, grades in one.relevant.items()
        },
    )


def passages(data: Vectors) -> list[Passage]:
    """Without texts: what is on the disk is then mostly vectors."""
    key, content = Key("quality", data.name, "all"), bytes(32)
    bare = Passage(key, 1, content, 0, 0, 1, "", "", {}, (), 1, np.zeros((0, 2), np.int32))
    return [
        replace(bare, ordinal=ordinal, dense=dense, spans=spans)
        for ordinal, (dense, spans) in enumerate(zip(data.dense, data.spans, strict=True))
    ]


def compare(data: Vectors, folder: Path, limit: int = CANDIDATES) -> list[Row]:
    """Every compression and leg on one set, by searches for `limit` passages."""
    written = passages(data)
    with ExitStack() as opened:
        stores: dict[Compression, EdgeStore] = {}
        for compression in Compression:
            stores[compression] = store = EdgeStore(folder / compression)
            opened.callback(store.close)
            store.open("g", data.dense.shape[1], compression)
            for start in range(0, len(written), 256):
                store.upsert_passages(written[start : start + 256])
            store.maintain()
        answered = {
            name: asked([leg(vector) for vector in data.queries.values()], stores, limit) for name, leg in LEGS.items()
        }
    documents = {passage.id: document for passage, document in zip(written, data.documents, strict=True)}
    rows = []
    for name, (found, seconds) in answered.items():
        vectors = len(written) if name == "dense" else sum(len(spans) for spans in data.spans)
        base = np.array(gains(found[Compression.NONE], documents, data))
        for compression, answers in found.items():
            each = np.array(gains(answers, documents, data))
            pairs = zip(found[Compression.NONE], answers, strict=True)
            p50 = float(np.median(seconds[compression]))
            rows.append(
                Row(
                    data.name,
                    name,
                    compression,
                    len(written),
                    100 * float(each.mean()),
                    *retention(each, base),
                    100 * float(np.mean([len({*best} & {*hits}) / len(best) for best, hits in pairs])),
                    code_bytes(folder / compression, name, data.dense.shape[1]),
                    disk_bytes(folder / compression, name) / vectors,
                    1e3 * p50,
                    p50 / float(np.median(seconds[Compression.NONE])),
                )
            )
    return rows


def asked(
    legs: Sequence[Leg], stores: Mapping[Compression, EdgeStore], limit: int
) -> tuple[dict[Compression, list[list[str]]], dict[Compression, list[float]]]:
    """Passage ids per query, and seconds per query: each query goes to all stores in turn, in one order and back."""
    found: dict[Compression, list[list[str]]] = {compression: [] for compression in stores}
    seconds: dict[Compression, list[float]] = {compression: [] for compression in stores}
    for number, leg in enumerate(legs):
        query = Query(leg, SCOPE, limit)
        for compression in sorted(stores, reverse=bool(number % 2)):
            start = time.perf_counter()
            [hits] = stores[compression].rank([query])
            seconds[compression].append(time.perf_counter() - start)
            found[compression].append([id for id, _ in hits])
    return found, seconds


def gains(answers: Sequence[Sequence[str]], documents: Mapping[str, str], data: Vectors) -> list[float]:
    """nDCG@10 of each query: documents by their best passage."""
    return [
        ndcg(list(dict.fromkeys(documents[id] for id in hits)), data.relevant[query])
        for query, hits in zip(data.queries, answers, strict=True)
    ]


def retention(ours: NDArray[np.float64], base: NDArray[np.float64]) -> tuple[float, float, float]:
    """Percent of the base's mean, with the interval of the paired difference over queries."""
    return tuple(100 * (1 + part / float(base.mean())) for part in interval(ours - base))  # type: ignore[return-value]


def code_bytes(folder: Path, leg: str, dimension: int) -> int:
    """Bytes of one code, from the engine's own files; of half precision where it has made none."""
    home = f"passages/segments/*/vector_storage-{leg}"
    written = [json.loads(path.read_text())["dim"] for path in folder.rglob(f"{home}/quantized_data/config.json")]
    made = [
        path.stat().st_size
        // json.loads(path.with_name("quantized.meta.json").read_text())["vector_parameters"]["count"]
        for path in folder.rglob(f"{home}/quantized.data")
    ]
    return max(written + made, default=2 * dimension)


def disk_bytes(folder: Path, leg: str) -> int:
    """Bytes on the disk of a leg's vectors and codes (blocks: the engine maps files that are larger than what they hold)."""
    files = (path for path in folder.rglob(f"passages/segments/*/vector_storage-{leg}/**/*") if path.is_file())
    return sum(512 * path.stat().st_blocks for path in files)


def table(rows: Sequence[Row]) -> str:
    """For people."""
    lines = [
        f"{'set':10} {'leg':6} {'compression':11} {'nDCG@10':>7} {'retained, % [95 %]':>24} {'same, %':>8} "
        f"{'memory B':>8} {'disk B':>7} {'p50 ms':>7} {'ratio':>6}"
    ]
    lines += [
        f"{row.set:10} {row.leg:6} {row.compression:11} {row.ndcg:7.2f} "
        f"{f'{row.retained:.2f} [{row.low:.2f}, {row.high:.2f}]':>24} {row.same:8.2f} "
        f"{row.code_bytes:8d} {row.disk_bytes:7.0f} {row.p50_ms:7.3f} {row.p50_ratio:6.2f}"
        for row in rows
    ]
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """For a page: what is kept, and the bytes; times are of one machine at one moment."""
    lines = ["| set | vectors | compression | nDCG@10 | of it kept, % | bytes of a vector in memory | on the disk |"]
    lines.append("|---" * 7 + "|")
    lines += [
        f"| {row.set} ({row.passages} passages) | {row.leg} | {row.compression} | {row.ndcg:.2f} "
        f"| {row.retained:.2f} [{row.low:.2f}, {row.high:.2f}] | {row.code_bytes} | {row.disk_bytes:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="NAME", help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--page", type=Path, help="Markdown file whose table of compressions to write anew")
    options = parser.parse_args()
    encoder = open_local(dtype="float32")
    try:
        sets = [encoded(load(options.data / name), encoder) for name in options.sets]
    finally:
        encoder.close()
    if len(sets) > 1:
        sets.append(together(sets))
    rows: list[Row] = []
    for data in sets:
        with TemporaryDirectory() as folder:
            rows += compare(data, Path(folder))
    print(table(rows))
    if options.page:  # where most of the index lies outside the candidates
        page.write(options.page, "compressions", markdown([row for row in rows if row.set == sets[-1].name]))
    if options.out:
        options.out.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
