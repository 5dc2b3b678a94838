"""What a document, passage, token and query costs each stage, in core seconds and bytes: what capacity is planned from.

The log, its clients and the consumers' loops are no part of it: `pipeline` measures all that a document costs together. But
for `encoder`, vectors are those of a hash, which is not counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
from fastapi import FastAPI
from qdrant_client import QdrantClient

from spanstream.embedder.handler import Embedding
from spanstream.encoder.encoder import Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.eventlog.log import Outgoing, Record
from spanstream.events.v1.embedding_pb2 import EmbeddingEvent
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.gateway.api import router
from spanstream.gateway.live import View
from spanstream.gateway.query_cache import QueryCache
from spanstream.gateway.search import Searcher
from spanstream.indexer.handler import Indexer
from spanstream.indexer.vectors import passages as passages_of
from spanstream.representations.local import Batch, open_local
from spanstream.runtime import problems
from spanstream.runtime.auth import Authenticator
from spanstream.store.edge import EdgeEngine
from spanstream.store.engine import Collection, Operation
from spanstream.store.generation import Generation, opened
from spanstream.store.index import Index
from spanstream.store.points import Passage
from spanstream.store.server import ServerEngine
from tests.bench import corpus, indexed, work
from tests.bench.cores import Cores, disk, memory
from tests.bench.result import Result, row

HASH = HashEncoder(384)  # as many components as the default model's
COMPONENT_BYTES = 2  # on the store's disk
ENVELOPE_BYTES = 200  # of a document's event beside its text: key, headers, hash, names
SENT = 256  # passages that become requests
Costs = dict[str, float]


def measure(*, short: bool) -> Result:
    """Each stage by itself, in this process; short: hardly anything."""
    encoded, documents, asked = (6, 40, 4) if short else (150, 12_000, 60)
    questions = corpus.questions(asked)
    costs, model = encoder(list(corpus.documents(encoded, seed=11)), questions, "float32" if short else "auto")
    records = list(corpus.documents(documents, seed=12))
    found, events = parsed(records)
    costs |= found
    found, outputs = embedded(events)
    costs |= found
    found, answered = stored(outputs, questions)
    costs |= found
    return {
        "rows": [row(f"Stages: {name.replace('_', ' ')}", f"{value:.3g}") for name, value in costs.items()],
        "guards": {"costs above 0": min(costs.values()) > 0, "every query answered": answered == 2 * len(questions)},
        "figures": {
            **model,
            "measured": time.strftime("%Y-%m-%d"),
            "documents": documents,
            "passages": _passages(events),
            "costs": costs | {"dimension": HASH.info().dimension},
        },
    }


def encoder(records: Sequence[Mapping[str, str]], questions: Sequence[str], dtype: str) -> tuple[Costs, dict[str, str]]:
    """The default model: a token of documents, a question alone; and which model that was."""
    events = work.cutter()(records)
    batches: list[Batch] = []
    bulk, single = Cores(), Cores()
    model = open_local(dtype=dtype, observe=batches.append)
    try:
        texts = work.texts(events)
        work.encode(model, texts[:50])  # warms up
        batches.clear()
        with bulk.counting():
            work.encode(model, texts)
        tokens = sum(batch.tokens for batch in batches)
        for question in questions:
            with single.counting():
                model.encode([Text(question, np.empty((0, 2), np.int32))], query=True)
        info = model.info()
    finally:
        model.close()
    costs = {
        "encode_token_seconds": bulk.seconds / tokens,
        "encode_query_seconds": single.seconds / len(questions),
        "tokens_per_passage": tokens / _passages(events),
    }
    return costs, {"release": info.release, "dtype": info.dtype}


def parsed(records: Sequence[Mapping[str, str]]) -> tuple[Costs, list[PassageEvent]]:
    """The parse worker, on plain text."""
    cores, cut = Cores(), work.cutter()
    with cores.counting():
        events = cut(records)
    passages = _passages(events)
    texts = sum(len(record["text"].encode()) + ENVELOPE_BYTES for record in records)
    return {
        "parse_passage_seconds": cores.seconds / passages,
        "spans_per_passage": sum(len(passage.spans) // 2 for event in events for passage in event.passages) / passages,
        "documents_passage_bytes": texts / passages,
        "passages_passage_bytes": sum(event.ByteSize() for event in events) / passages,
    }, events


def embedded(events: Sequence[PassageEvent]) -> tuple[Costs, list[Record]]:
    """The embedder worker without the encoder, and what it publishes."""
    cores, encoding = Cores(), Cores()
    handler = Embedding(encoding.around(HASH))
    outputs: list[Record] = []
    for polled in _polls([indexed.passages(event) for event in events]):
        with cores.counting():
            made = handler(polled)
        outputs += [indexed.embeddings(each) for each in made if isinstance(each, Outgoing)]
    passages = _passages(events)
    return {
        "embed_passage_seconds": (cores.seconds - encoding.seconds) / passages,
        "embeddings_passage_bytes": sum(len(each.value or b"") for each in outputs) / passages,
    }, outputs


def stored(outputs: Sequence[Record], questions: Sequence[str]) -> tuple[Costs, int]:
    """Indexer, store and gateway: two thirds of the records, then the rest, with all questions after each; and how many
    were answered.
    """
    indexing, writing, asking, finding = Cores(), Cores(), Cores(), Cores()
    answered, states, most = 0, [], len(outputs) * 2 // 3  # beyond 8,192 passages an index looks at fewer spans
    with TemporaryDirectory(prefix="spanstream-stages-") as folder:
        engine = EdgeEngine(Path(folder))
        generation = opened(Index(engine), HASH.info(), indexed.SEGMENTER, None)
        store = Index(writing.around(engine))
        try:
            indexer = Indexer(store, generation, lambda: time.time_ns() // 1000)
            for part in (outputs[:most], outputs[most:]):
                for polled in _polls(part):
                    with indexing.counting():
                        assert indexer(polled) == []
                with indexing.counting():
                    store.maintain()
                found = Cores()
                answered += asyncio.run(_ask(Index(found.around(engine)), generation, questions, asking, found))
                finding.seconds += found.seconds
                states.append((disk(Path(folder)), memory(), found.seconds))
        finally:
            engine.close()  # not through the store, where it would count as writing
    events = [EmbeddingEvent.FromString(each.value or b"") for each in outputs]
    passages, vectors = sum(len(event.origin.passages) for event in events), 0
    for event in events:
        vectors += 1 + len(event.origin.passages) + sum(len(passage.spans) // 2 for passage in event.origin.passages)
    (disk_few, memory_few, few), (disk_all, memory_all, many) = states
    more = passages / 3
    scanned = max(1e-12, (many - few) / len(questions) / more)
    sending = _sending([passage for event in events[:SENT] for passage in passages_of(event, generation)])
    return {
        "index_passage_seconds": (indexing.seconds - writing.seconds) / passages + sending,
        "write_passage_seconds": writing.seconds / passages,
        "search_query_seconds": max(1e-9, (asking.seconds - finding.seconds) / (2 * len(questions))),
        "find_query_seconds": max(1e-9, many / len(questions) - scanned * passages),
        "find_passage_seconds": scanned,
        "stored_passage_bytes": max(1.0, (disk_all - disk_few) / more - vectors / passages * 384 * COMPONENT_BYTES),
        "indexed_passage_bytes": max(1.0, (memory_all - memory_few) / more),
    }, answered


async def _ask(store: Index, generation: Generation, questions: Sequence[str], asking: Cores, finding: Cores) -> int:
    """Ask the search API all questions twice; the second time, when vectors are remembered, counts. How many were answered."""
    searcher = Searcher(store, HASH, {}, cache=QueryCache(1 << 24))
    app = FastAPI()
    problems.install(app)
    app.include_router(router(lambda: View(generation, store, searcher), Authenticator.from_file(None)))
    answered = 0
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        for question in questions:
            await client.post("/v1/search", json={"query": question})
        finding.seconds = 0.0
        for question in questions:
            with asking.counting():
                answer = await client.post("/v1/search", json={"query": question})
            answered += answer.status_code == 200 and len(answer.json()["hits"]) > 0
    searcher.close()
    return answered


def _sending(passages: Sequence[Passage]) -> float:
    """Core seconds to make a passage part of a request to a Qdrant server, which the engine in the process spares."""
    kept = _Kept()
    Index(kept).upsert_passages(passages)  # type: ignore[arg-type] # it is only written to
    done = {"status": "ok", "time": 0.0, "result": [{"operation_id": 1, "status": "completed"}]}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=done))
    client = QdrantClient("http://store", check_compatibility=False, transport=transport)
    engine = ServerEngine(client, "")
    engine._names = {Collection.PASSAGES: "passages"}  # as if it were open
    cores = Cores()
    with cores.counting():
        engine.write(Collection.PASSAGES, kept.operations)
    client.close()
    return cores.seconds / len(passages)


class _Kept:
    """An engine's writes."""

    def write(self, _collection: Collection, operations: Sequence[Operation]) -> None:
        self.operations = operations


def _passages(events: Iterable[PassageEvent]) -> int:
    return sum(len(event.passages) for event in events)


def _polls(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), indexed.POLL):
        yield records[start : start + indexed.POLL]
