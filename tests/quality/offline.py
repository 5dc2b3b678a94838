"""The default ranking computed without the product's index, log or services: float32 encoder, exact search in numpy.

What is shared with the product is what defines the ranking: where texts are cut, which terms count, how legs are fused.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from spanstream.embedder.embeddings import text_of
from spanstream.encoder.encoder import Encoder, Text
from spanstream.events.segmenter import Spans
from spanstream.events.v1.passage_pb2 import Passage, PassageEvent
from spanstream.gateway.fusion import fuse
from spanstream.gateway.search import CANDIDATES
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.segmentation import passages
from spanstream.ingestor.settings import IngestorSettings
from spanstream.ingestor.spans import propose
from spanstream.store.lexical import document_terms, query_terms
from tests.quality.measures import Dataset

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
        self.terms = [dict(zip(w.indices.tolist(), w.values.tolist(), strict=True)) for w in weights]
        self.frequency = Counter(term for found in self.terms for term in found)
        self.holders: dict[int, list[int]] = {}
        for number, found in enumerate(self.terms):
            for term in found:
                self.holders.setdefault(term, []).append(number)

    def search(self, question: str, limit: int = 10) -> list[str]:
        """The best documents, by their best passage."""
        vector = self._encoder.encode([Text(question, NO_RANGES)])[0].whole
        legs = {"dense": self.dense @ vector, "spans": np.maximum.reduceat(self.spans @ vector, self.starts)}
        legs["lexical"] = self._lexical(question)
        best = [np.argsort(-legs[name], kind="stable")[:CANDIDATES] for name in ("dense", "lexical")]
        best[1] = best[1][legs["lexical"][best[1]] > 0]
        chosen = np.union1d(*best)
        fused = fuse({name: scores[chosen].astype(np.float32) for name, scores in legs.items()})
        ranked = (self.documents[number] for number in chosen[np.argsort(-fused, kind="stable")])
        return list(dict.fromkeys(ranked))[:limit]

    def _lexical(self, question: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        terms, scores = query_terms(question), np.zeros(len(self.terms))
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
