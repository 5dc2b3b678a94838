"""The default ranking computed without the product's index, log or services: float32 encoder, exact search in numpy.

What is shared with the product is what defines the ranking: where texts are cut, which terms count, how legs are fused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spanstream.embedder.embeddings import text_of
from spanstream.encoder.encoder import Encoder, Text
from spanstream.events.segmenter import Spans
from spanstream.events.v1.passage_pb2 import Passage, PassageEvent
from spanstream.gateway import feedback, neighbours
from spanstream.gateway.asking import Asked
from spanstream.gateway.fusion import fuse
from spanstream.gateway.pool import Pool
from spanstream.gateway.ranking import POOL
from spanstream.gateway.search import CANDIDATES
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.segmentation import passages
from spanstream.ingestor.settings import IngestorSettings
from spanstream.ingestor.spans import propose
from spanstream.store.lexical import document_terms, query_terms
from spanstream.store.points import Sparse, Vectors
from tests.quality.measures import Dataset

Vector = NDArray[np.float32]
NO_RANGES = np.empty((0, 2), np.int32)


class OfflineIndex:
    """All passages of a set with their vectors and term weights, in memory."""

    def __init__(self, data: Dataset, encoder: Encoder, spans: str = "sentences") -> None:
        self._encoder = encoder
        events = [event for document in data.documents if (event := _event(document, spans)).passages]
        encoded = []
        for start in range(0, len(events), 64):
            encoded += encoder.encode([text_of(event) for event in events[start : start + 64]])
        self.documents, dense, spans, weights = [], [], [], []
        for event, vectors in zip(events, encoded, strict=True):
            at = len(event.passages)
            for ordinal, passage in enumerate(event.passages):
                count = len(passage.spans) // 2
                self.documents.append(event.id)
                dense.append(vectors.ranges[ordinal])
                spans.append(vectors.ranges[at : at + count])
                weights.append(document_terms(event.text[passage.start : passage.end], event.title))
                at += count
        self.dense = np.array(dense)
        self.spans = np.concatenate(spans)
        self.starts = np.cumsum([0, *(len(vectors) for vectors in spans)])[:-1]
        self.weights = weights
        self.terms = [dict(zip(w.indices.tolist(), w.values.tolist(), strict=True)) for w in weights]
        self.frequency = Counter(term for found in self.terms for term in found)
        self.holders: dict[int, list[int]] = {}
        for number, found in enumerate(self.terms):
            for term in found:
                self.holders.setdefault(term, []).append(number)

    def search(self, question: str, limit: int = 10) -> list[str]:
        """The best documents, by their best passage."""
        first = Asked(self._encoder.encode([Text(question, NO_RANGES)])[0].whole, query_terms(question))
        legs = [self._legs(first)]
        chosen = self._candidates(legs)
        again = feedback.second(first, *self._pool(chosen, self._fused(legs, chosen)))
        if again:
            legs.append(self._legs(again))
            chosen = self._candidates(legs)
        fused = self._fused(legs, chosen)
        order = np.argsort(-fused, kind="stable")
        chosen, fused = chosen[order], fused[order]
        fused[:POOL] = neighbours.evened(*reversed(self._pool(chosen, fused)))
        ranked = (self.documents[number] for number in chosen[np.argsort(-fused, kind="stable")])
        return list(dict.fromkeys(ranked))[:limit]

    def _legs(self, asked: Asked) -> dict[str, Vector]:
        """Of every passage."""
        assert asked.vector is not None
        spans = np.maximum.reduceat(self.spans @ asked.vector, self.starts)
        return {"dense": self.dense @ asked.vector, "spans": spans, "lexical": self._lexical(asked.terms)}

    def _candidates(self, legs: Sequence[dict[str, Vector]]) -> NDArray[np.intp]:
        best = [np.argsort(-each[name], kind="stable")[:CANDIDATES] for each in legs for name in ("dense", "lexical")]
        best[1::2] = [found[each["lexical"][found] > 0] for found, each in zip(best[1::2], legs, strict=True)]
        return np.unique(np.concatenate(best))

    def _fused(self, legs: Sequence[dict[str, Vector]], chosen: NDArray[np.intp]) -> Vector:
        each = [fuse({name: scores[chosen].astype(np.float32) for name, scores in of.items()}) for of in legs]
        return np.mean(each, axis=0)

    def _pool(self, chosen: NDArray[np.intp], fused: Vector) -> tuple[Pool, Vector]:
        best = np.argsort(-fused, kind="stable")[:POOL]
        return Pool.of([Vectors(self.dense[i], self.weights[i]) for i in chosen[best]]), fused[best]

    def _lexical(self, terms: Sparse) -> Vector:
        scores = np.zeros(len(self.terms), np.float32)
        for term, weight in zip(terms.indices.tolist(), terms.values.tolist(), strict=True):
            held = self.holders.get(term, [])
            idf = np.log(1 + (len(self.terms) - len(held) + 0.5) / (len(held) + 0.5))
            for number in held:
                scores[number] += weight * idf * self.terms[number][term]
        return scores


def _event(document: dict[str, str], spans: str) -> PassageEvent:
    settings = IngestorSettings.read(log_url="memory:", blob_url="memory:")
    text = normalise(document["text"])
    cut = passages(text, settings.passage_characters, settings.sentences_per_passage)
    event = PassageEvent(id=document["_id"], title=document.get("title", ""), text=text, passage_count=len(cut))
    for ordinal, passage in enumerate(cut):
        bounds = [bound for span in passage.sentences for bound in span]
        if spans != "sentences":
            bounds += [bound for span in propose(text, passage, Spans.parse(spans)) for bound in span]
        event.passages.append(Passage(ordinal=ordinal, start=passage.start, end=passage.end, spans=bounds))
    return event
