"""P13: BM25 of the product's index beside bm25s, rank_bm25 and tantivy, on the very same terms: questions/s and nDCG@10.

Our side is the store as the gateway asks it, with its tenant and on disk; the peers hold a set in memory. A document is one passage
here. One thread and one question at a time each, from the question's text to ten ids.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spanstream.events.ids import Key, passage_id
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.lexical import K1, B, _count, document_terms, query_terms  # the peers get the very same terms
from spanstream.store.points import Passage
from spanstream.store.queries import Lexical, Query, Scope
from tests.bench import corpus
from tests.bench.ratio import ratio
from tests.bench.result import Result, Row, row
from tests.conftest import DATA
from tests.quality.measures import Dataset, load, ndcg

COUNT = 10
SETS = ("cranfield", "cisi", "medline", "xquad")
OURS = "ours"
PEERS = {"bm25s": "bm25s", "rank_bm25": "rank_bm25", "tantivy": "tantivy"}
BARS = {"bm25s": 0.5, "rank_bm25": 20.0}
Search = Callable[[str], list[str]]
_HASH = b"\0" * 32
_NO_SPANS = np.zeros((0, 2), np.int32)


def measure(*, short: bool) -> Result:
    """Each development set in each index, all questions in turn; short: a small made-up set."""
    folders = [DATA / name for name in SETS if not short and (DATA / name).is_dir()]
    sets = [load(folder) for folder in folders] or [_made_up(60 if short else 2000)]
    makers = {OURS: _ours} | {name: make for name, make in _MAKERS.items() if importlib.util.find_spec(PEERS[name])}
    repetitions, most = (1, 10) if short else (5, 200)
    rates: dict[str, list[float]] = {name: [] for name in makers}
    quality: dict[str, dict[str, float]] = {name: {} for name in makers}
    alike: list[float] = []
    for data in sets:
        with TemporaryDirectory(prefix="spanstream-lexical-") as folder:
            held = {name: make(data, Path(folder)) for name, make in makers.items()}
            asked = list(data.queries.items())[:most]
            answers = {
                name: {id: search(text) for id, text in data.queries.items()} for name, (search, _) in held.items()
            }
            for name, found in answers.items():
                scores = [ndcg(ranked, data.relevant.get(id, {})) for id, ranked in found.items()]
                quality[name][data.name] = 100 * float(np.mean(scores))
            if "bm25s" in answers:
                alike += [_shared(found, answers["bm25s"][id]) for id, found in answers[OURS].items()]
            for _ in range(repetitions):
                for name, (search, _) in held.items():
                    begun = time.perf_counter()
                    for _, text in asked:
                        search(text)
                    rates[name].append(len(asked) / (time.perf_counter() - begun))
            for _, close in held.values():
                close()
    return _result(rates, quality, alike, judged=bool(folders))


Made = tuple[Search, Callable[[], None]]


def _ours(data: Dataset, folder: Path) -> Made:
    store, scope = EdgeStore(folder), Scope("bench")
    store.open("bench", 1, Compression.NONE)
    names: dict[str, str] = {}
    one = np.ones(1, np.float32)
    passages = []
    for document in data.documents:
        key = Key("bench", "bench", document["_id"])
        names[str(passage_id(key, 1, _HASH, 0))] = document["_id"]
        terms = document_terms(document["text"], document.get("title", ""))
        passages.append(Passage(key, 1, _HASH, 0, 0, 1, "x", "", {}, (), 1, _NO_SPANS, dense=one, lexical=terms))
    store.upsert_passages(passages)
    store.maintain()

    def search(text: str) -> list[str]:
        (found,) = store.rank([Query(Lexical(query_terms(text)), scope, COUNT)])
        return [names[id] for id, _ in found]

    return search, store.close


def _bm25s(data: Dataset, folder: Path) -> Made:
    bm25s: Any = importlib.import_module("bm25s")
    index = bm25s.BM25(method="lucene", k1=K1, b=B)
    index.index([_tokens(_text(document)) for document in data.documents], show_progress=False)
    ids, known = [document["_id"] for document in data.documents], index.vocab_dict

    def search(text: str) -> list[str]:
        tokens = [token for token in dict.fromkeys(_tokens(text)) if token in known]
        if not tokens:
            return []
        found, scores = index.retrieve([tokens], k=min(COUNT, len(ids)), show_progress=False)
        return [ids[i] for i, score in zip(found[0], scores[0], strict=True) if score > 0]

    return search, _nothing


def _rank_bm25(data: Dataset, folder: Path) -> Made:
    rank_bm25: Any = importlib.import_module("rank_bm25")
    index = rank_bm25.BM25Okapi([_tokens(_text(document)) for document in data.documents], k1=K1, b=B)
    ids = [document["_id"] for document in data.documents]

    def search(text: str) -> list[str]:
        scores = index.get_scores(list(dict.fromkeys(_tokens(text))))
        best = np.argsort(-scores, kind="stable")[:COUNT]
        return [ids[i] for i in best if scores[i] > 0]

    return search, _nothing


def _tantivy(data: Dataset, folder: Path) -> Made:
    tantivy: Any = importlib.import_module("tantivy")
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("body", tokenizer_name="whitespace", index_option="freq")
    schema = builder.build()
    index = tantivy.Index(schema)
    writer = index.writer(num_threads=1)
    for document in data.documents:
        writer.add_document(tantivy.Document(id=document["_id"], body=" ".join(_tokens(_text(document)))))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(text: str) -> list[str]:
        parts = [tantivy.Query.term_query(schema, "body", token, "freq") for token in dict.fromkeys(_tokens(text))]
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])
        return [searcher.doc(address)["id"][0] for _, address in searcher.search(query, COUNT).hits]

    return search, _nothing


_MAKERS: Mapping[str, Callable[[Dataset, Path], Made]] = {
    "bm25s": _bm25s,
    "rank_bm25": _rank_bm25,
    "tantivy": _tantivy,
}


def _nothing() -> None:
    pass


def _text(document: Mapping[str, str]) -> str:
    title = document.get("title", "")
    return f"{title}\n{document['text']}" if title else document["text"]


def _tokens(text: str) -> list[str]:
    parts, wholes = _count(text)
    return [str(term) for term in (parts + wholes).elements()]


def _shared(found: Sequence[str], other: Sequence[str]) -> float:
    return len(set(found) & set(other)) / max(len(other), 1)


def _made_up(count: int) -> Dataset:
    records = list(corpus.documents(count, seed=3))
    return Dataset("made up", records, dict(enumerate(corpus.questions(50))), {}, {})  # type: ignore[arg-type]


def _result(
    rates: dict[str, list[float]], quality: dict[str, dict[str, float]], alike: list[float], *, judged: bool
) -> Result:
    rows: list[Row] = [row("P13 questions/s, ours", f"{np.median(rates[OURS]):,.0f}")]
    ratios = {}
    macro = {name: float(np.mean(list(each.values()))) for name, each in quality.items()}
    for name in PEERS:
        if name not in rates:
            rows.append(row(f"P13 questions/s, ours ÷ {name}", "absent"))
            continue
        found = ratios[name] = ratio(rates[OURS], rates[name])
        bar = BARS.get(name)
        met = None if bar is None else found["interval"][0] >= bar
        shown = f"{found['ratio']} {found['interval']}"
        rows.append(row(f"P13 questions/s, ours ÷ {name}", shown, f"≥ {bar}" if bar else "", met))
    guards = {}
    if judged:
        rows.append(row("P13 nDCG@10, macro", ", ".join(f"{name} {score:.2f}" for name, score in macro.items())))
        if "bm25s" in macro:
            guards["nDCG@10 at most 0.3 below bm25s"] = macro[OURS] >= macro["bm25s"] - 0.3
    if alike:
        rows.append(row("P13 share of bm25s' top 10", f"{np.mean(alike):.3f}"))
    guards["every question answered"] = all(len(each) > 0 for each in rates.values())
    return {"rows": rows, "guards": guards, "figures": {"ratios": ratios, "ndcg": quality, "rates": rates}}
