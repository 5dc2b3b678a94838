"""From a passage event to what the encoder is asked, and from its answer to the embedding events. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from spanstream.embedder.economy import kept
from spanstream.encoder.encoder import Encoded, Text
from spanstream.events.v1.embedding_pb2 import VECTOR_TYPE_FLOAT16, EmbeddingEvent
from spanstream.events.v1.passage_pb2 import PassageEvent


class Unsplittable(Exception):
    """One passage with its spans and vectors exceeds what the topic takes."""


def text_of(event: PassageEvent) -> Text:
    """The event's text with its passages' ranges, then all their spans' ranges, passage after passage.

    A title is pooled into passages only. Windows are best cut where a passage or a sentence starts: a span in no other.
    """
    passages = np.array([(passage.start, passage.end) for passage in event.passages], np.int64).reshape(-1, 2)
    spans = np.array([bound for passage in event.passages for bound in passage.spans], np.int64)
    if len(spans) % 2:
        raise ValueError("a span has no end")
    ranges = np.concatenate([passages, spans.reshape(-1, 2)]) - event.text_offset
    starts = np.union1d(ranges[: len(passages), 0], _outer(ranges[len(passages) :])[:, 0]).astype(np.int32)
    return Text(event.text, ranges.astype(np.int32), event.title, starts, context_ranges=len(passages))


def _outer(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of `spans` [n, 2] that lie in no other, rising; each of the rest lies in one of them."""
    ordered = spans[np.lexsort((-spans[:, 1], spans[:, 0]))]
    reached = np.concatenate([[-1], np.maximum.accumulate(ordered[:, 1])])[: len(ordered)]
    return ordered[ordered[:, 0] >= reached]


def thinned(event: PassageEvent, encoded: Encoded, similarity: float) -> tuple[PassageEvent, Encoded]:
    """Both without the spans whose vector the one of a span around them can stand for (`economy`)."""
    count = len(event.passages)
    thin = PassageEvent()
    thin.CopyFrom(event)
    rows, at = [np.arange(count)], count
    for passage in thin.passages:
        spans = np.array(passage.spans, np.int64).reshape(-1, 2)
        stay = kept(spans, encoded.ranges[at : at + len(spans)], similarity)
        passage.spans[:] = spans[stay].ravel().tolist()
        rows.append(at + stay)
        at += len(spans)
    chosen = np.concatenate(rows)
    return thin, Encoded(encoded.whole, encoded.ranges[chosen], encoded.tokens[chosen])


def forwarded(event: PassageEvent) -> EmbeddingEvent:
    """A delete or an unchanged document: nothing to encode."""
    return EmbeddingEvent(origin=event)


def embeddings(
    event: PassageEvent, encoded: Encoded, release: str, fits: Callable[[EmbeddingEvent], bool]
) -> Iterator[EmbeddingEvent]:
    """The event with its vectors, halved by passages until each part `fits`; raises Unsplittable.

    A part carries the slice of text that its passages lie in, and the total `passage_count`. The document's vector
    is there only when one event holds all of the document.
    """
    count = len(event.passages)
    spans = np.cumsum([0, *(len(passage.spans) // 2 for passage in event.passages)])
    vectors = encoded.ranges.astype("<f2")
    whole = encoded.whole.astype("<f2") if count == event.passage_count else None

    def parts(first: int, last: int) -> Iterator[EmbeddingEvent]:
        entire = (first, last) == (0, count)
        part = EmbeddingEvent(
            origin=event if entire else _slice(event, first, last),
            release=release,
            dimension=len(encoded.whole),
            vector_type=VECTOR_TYPE_FLOAT16,
            passage_vectors=vectors[first:last].tobytes(),
            span_vectors=vectors[count + spans[first] : count + spans[last]].tobytes(),
            document_vector=whole.tobytes() if whole is not None and entire else b"",
            passage_tokens=encoded.tokens[first:last].tolist(),
        )
        if fits(part):
            yield part
        elif last - first <= 1:
            raise Unsplittable("a passage with its spans and vectors exceeds the largest message")
        else:
            middle = (first + last) // 2
            yield from parts(first, middle)
            yield from parts(middle, last)

    yield from parts(0, count)


def _slice(event: PassageEvent, first: int, last: int) -> PassageEvent:
    """The event with passages `first` to `last` only, and the text they lie in."""
    passages = event.passages[first:last]
    start = min(passage.start for passage in passages)
    end = max(passage.end for passage in passages)
    part = PassageEvent()
    for field, value in event.ListFields():
        if field.name in ("text", "passages"):
            continue
        if field.is_repeated or field.message_type:
            getattr(part, field.name).MergeFrom(value)
        else:
            setattr(part, field.name, value)
    part.text = event.text[start - event.text_offset : end - event.text_offset]
    part.text_offset = start
    part.passages.extend(passages)
    return part
