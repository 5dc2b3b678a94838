"""`python -m tests.quality.spans [--questions N] [--ranking SET ...] [--out FILE]`: which span candidates find answers, and at what cost.

Every set with answer spans is cut and encoded once, with all candidates as ranges of one pass; each variant then looks at
a part of these vectors. A question is asked of the passage that holds most of its answer, as the gateway asks it.

    inside, overlap   share of questions whose answer lies in a candidate besides the sentences, or shares a character
    best in           share of questions whose best span overlaps the answer
    best F1           of the words of the best span and of the answer (Rajpurkar et al., SQuAD, 2016)
    MRR               1 / rank of that passage among all, by its best span's cosine alone (the leg `spans`)
    vectors           sentences and candidates, per passage

With --ranking also the nDCG@10 of the default search over these sets, computed offline.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanstream.embedder.economy import kept
from spanstream.encoder.encoder import Encoder, Text
from spanstream.events.ids import Key
from spanstream.events.segmenter import Spans
from spanstream.gateway.asking import Asked
from spanstream.gateway.spans import best
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.segmentation import Passage, Range, passages
from spanstream.ingestor.settings import IngestorSettings
from spanstream.ingestor.spans import propose
from spanstream.representations.local import open_local
from spanstream.store.lexical import query_terms
from spanstream.store.points import Passage as StoredPassage
from tests.conftest import DATA
from tests.quality.measures import Dataset, interval, load, ndcg
from tests.quality.offline import OfflineIndex

SETS = ("xquad", "longdocs")
SENTENCES = "sentences"
# Name -> value of SPANS, and of EMBEDDER_SPAN_SIMILARITY or none. With the latter a variant is compared with itself
# without, the others with sentences alone.
VARIANTS: Mapping[str, tuple[str, float | None]] = {
    SENTENCES: (SENTENCES, None),
    **{
        f"{name}:{n}": (f"sentences+{name}:{n}", None)
        for name, budgets in {
            "clauses": (8, 16),
            "phrases": (16, 64),
            "windows8": (16, 64),
            "clauses+phrases": (16, 64),
        }.items()
        for n in budgets
    },
    **{
        f"{name} at {similarity}": (f"sentences+{name}", similarity)
        for name, similarities in {
            "clauses:16": (0.9, 0.8),
            "clauses+phrases:64": (0.7, 0.5),
            "windows8:64": (0.9, 0.8),
        }.items()
        for similarity in similarities
    },
}
RANKED = (SENTENCES, "sentences+clauses:16", "sentences+clauses+phrases:32", "sentences+windows8:64")
EVERY = ("sentences+clauses:255", "sentences+phrases:255", "sentences+windows8:255")
MEASURES = ("inside", "overlap", "best in", "best F1", "MRR")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A passage with its text's start, and of every candidate: range -> row of `vectors`."""

    document: str
    text: str = field(repr=False)  # the whole document's
    passage: Passage
    rows: dict[Range, int] = field(repr=False)
    vectors: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """Which passage holds most of the answer, and the answers in it."""

    text: str = field(repr=False)
    passage: int
    answers: list[Range]
    vector: NDArray[np.float32] = field(repr=False)


def measure(sets: Iterable[Dataset], encoder: Encoder, questions: int, variants: Iterable[str]) -> dict[str, Any]:
    """Figures of each set and variant, with 95 % intervals of the differences to what each is compared with; JSON-able."""
    results: dict[str, Any] = {}
    for data in sets:
        encoded = [passage for document in data.documents for passage in _encoded(document, encoder)]
        asked = _questions(data, encoded, encoder, questions)
        figures: dict[str, Any] = {}
        known: dict[str, dict[str, NDArray[np.float64]]] = {}
        for name in variants:
            scores, vectors = _variant(encoded, asked, *VARIANTS[name])
            known[name] = scores
            base = name.partition(" at ")[0] if " at " in name else SENTENCES
            figures[name] = {"vectors": round(vectors, 2), "compared_with": base} | {
                measure: {
                    "mean": round(float(100 * scores[measure].mean()), 2),
                    "difference": [round(100 * x, 2) for x in interval(scores[measure] - known[base][measure])],
                }
                for measure in MEASURES
            }
        results[data.name] = {"questions": len(asked), "passages": len(encoded), "variants": figures}
    return results


def _encoded(document: Mapping[str, str], encoder: Encoder) -> list[Encoded]:
    """The document's passages with the vectors of all candidates."""
    settings = IngestorSettings.read(log_url="memory:", blob_url="memory:")
    text = normalise(document["text"])
    cut = passages(text, settings.passage_characters, settings.sentences_per_passage)
    if not cut:
        return []
    candidates = []
    for passage in cut:
        proposed = [span for form in EVERY for span in propose(text, passage, Spans.parse(form))]
        candidates.append(list(dict.fromkeys([*passage.sentences, *proposed])))
    ranges = np.array([span for spans in candidates for span in spans], np.int32)
    sentences = np.array([start for passage in cut for start, _ in passage.sentences], np.int32)
    vectors = encoder.encode([Text(text, ranges, document.get("title", ""), sentences)])[0].ranges
    ends = np.cumsum([len(spans) for spans in candidates])
    return [
        Encoded(
            document["_id"], text, passage, {span: i for i, span in enumerate(spans)}, vectors[end - len(spans) : end]
        )
        for passage, spans, end in zip(cut, candidates, ends.tolist(), strict=True)
    ]


def _questions(data: Dataset, encoded: Sequence[Encoded], encoder: Encoder, count: int) -> list[Question]:
    """`count` questions with answers, chosen by a hash of their ids."""
    chosen = sorted(
        (id for id in data.spans if id in data.queries), key=lambda id: hashlib.sha256(id.encode()).digest()
    )
    found = []
    for id in chosen[:count]:
        by_passage = [
            [
                clip
                for document, *answer in data.spans[id]
                if document == each.document and (clip := _clip(each, *answer))
            ]
            for each in encoded
        ]
        best = max(range(len(encoded)), key=lambda i: sum(end - start for start, end in by_passage[i]))
        if by_passage[best]:
            vector = encoder.encode([Text(data.queries[id], np.empty((0, 2), np.int32))])[0].whole
            found.append(Question(data.queries[id], best, by_passage[best], vector))
    return found


def _clip(encoded: Encoded, start: int, end: int) -> Range | None:
    low, high = max(start, encoded.passage.start), min(end, encoded.passage.end)
    return (low, high) if low < high else None


def _variant(
    encoded: Sequence[Encoded], asked: Sequence[Question], form: str, similarity: float | None
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Per measure a figure of each question, and the vectors per passage."""
    chosen = [_chosen(each, form, similarity) for each in encoded]
    sizes = [len(spans) for spans in chosen]
    starts = np.cumsum([0, *sizes])[:-1]
    every = np.concatenate(
        [each.vectors[[each.rows[span] for span in spans]] for each, spans in zip(encoded, chosen, strict=True)]
    )
    scores: dict[str, list[float]] = {name: [] for name in MEASURES}
    for question in asked:
        each, spans = encoded[question.passage], chosen[question.passage]
        cosines = every @ question.vector
        best = _best(each, spans, question)
        besides = set(spans) - set(each.passage.sentences)
        scores["inside"].append(_any(besides, question, lambda s, a: s[0] <= a[0] and a[1] <= s[1]))
        scores["overlap"].append(_any(besides, question, _overlap))
        scores["best in"].append(_any([best], question, _overlap))
        scores["best F1"].append(max(f1(each.text[slice(*best)], each.text[slice(*a)]) for a in question.answers))
        maxima = np.maximum.reduceat(cosines, starts)
        scores["MRR"].append(1 / (1 + int((maxima > maxima[question.passage]).sum())))
    return {name: np.array(values) for name, values in scores.items()}, float(np.mean(sizes))


def _chosen(each: Encoded, form: str, similarity: float | None) -> list[Range]:
    spans = list(each.passage.sentences)
    if form != SENTENCES:
        spans += propose(each.text, each.passage, Spans.parse(form))
    if similarity is not None:
        rows = [each.rows[span] for span in spans]
        spans = [spans[i] for i in kept(np.array(spans), each.vectors[rows], similarity).tolist()]
    return spans


def _best(each: Encoded, spans: Sequence[Range], question: Question) -> Range:
    """The span that the gateway would name."""
    passage = StoredPassage(
        key=Key("t", "s", "d"),
        version=1,
        content_hash=b"",
        ordinal=0,
        start=each.passage.start,
        end=each.passage.end,
        text=each.text[each.passage.start : each.passage.end],
        title="",
        metadata={},
        groups=(),
        tokens=0,
        span_offsets=np.array(spans, np.int32),
    )
    vectors = each.vectors[[each.rows[span] for span in spans]]
    found = best(passage, vectors, [Asked(question.vector, query_terms(question.text))], 1)[0]
    return found.start, found.end


def _any(spans: Iterable[Range], question: Question, holds: Callable[[Range, Range], bool]) -> float:
    return float(any(holds(span, answer) for span in spans for answer in question.answers))


def _overlap(span: Range, answer: Range) -> bool:
    return span[0] < answer[1] and answer[0] < span[1]


def f1(found: str, wanted: str) -> float:
    """Of lower-case words, 0..1."""
    ours, theirs = Counter(found.lower().split()), Counter(wanted.lower().split())
    shared = (ours & theirs).total()
    return 2 * shared / (ours.total() + theirs.total())


def ranking(data: Dataset, encoder: Encoder) -> dict[str, list[float]]:
    """Value of SPANS -> nDCG@10 of the default search, and mean and interval of its difference to sentences alone."""
    found: dict[str, list[float]] = {}
    base: list[float] = []
    for form in RANKED:
        index = OfflineIndex(data, encoder, form)
        scores = [100 * ndcg(index.search(text), data.relevant[query]) for query, text in data.queries.items()]
        base = base or scores
        differences = interval([ours - theirs for ours, theirs in zip(scores, base, strict=True)])
        found[form] = [round(x, 2) for x in (float(np.mean(scores)), *differences)]
    return found


def table(results: Mapping[str, Any]) -> str:
    """A table for people."""
    lines = []
    for name, each in results.items():
        lines.append(f"\n{name}: {each['questions']} questions, {each['passages']} passages")
        lines.append(f"{'':<32}{'vectors':>8}" + "".join(f"{measure:>25}" for measure in MEASURES))
        for variant, figures in each["variants"].items():
            cells = []
            for measure in MEASURES:
                low, high = figures[measure]["difference"][1:]
                cells.append(f"{figures[measure]['mean']:>9.1f} [{low:+6.1f}, {high:+6.1f}]")
            lines.append(f"{variant:<32}{figures['vectors']:>8.1f}" + "".join(f"{cell:>25}" for cell in cells))
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.spans", description=__doc__)
    parser.add_argument("--questions", type=int, default=300, help="of each set at most")
    parser.add_argument("--ranking", nargs="*", default=[], metavar="SET", help="sets to search, say xquad")
    parser.add_argument("--out", type=Path, default=Path("bench-results", "spans.json"))
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print("no development data beside the project", file=sys.stderr)
        return 1
    encoder = open_local(dtype="float32")
    try:
        results = measure([load(DATA / name) for name in SETS], encoder, arguments.questions, VARIANTS)
        print(table(results), flush=True)
        ranked = {name: ranking(load(DATA / name), encoder) for name in arguments.ranking}
    finally:
        encoder.close()
    for name, forms in ranked.items():
        for form, (mean, difference, low, high) in forms.items():
            print(f"{name}: nDCG@10 {mean:.2f}, {difference:+.2f} [{low:+.2f}, {high:+.2f}]  {form}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(
        json.dumps({"model": encoder.info().release, "sets": results, "ranking": ranked}, indent=1)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
