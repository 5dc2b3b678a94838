"""What one release makes of an exam, question by question."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder, Text
from spanstream.ingestor.segmentation import Passage
from spanstream.representations.measures import ndcg
from spanstream.standalone.encoder import encoding
from spanstream.standalone.gate.exam import Answer, Exam, Paper, Question
from spanstream.standalone.gate.perturbations import PERTURBATIONS, perturbed
from spanstream.standalone.gate.rules import NDCG, POSITIONS, SPANS, under
from spanstream.standalone.gate.scores import Hits

if TYPE_CHECKING:
    from rich.progress import Progress

DEPTH = 10  # of a ranking
_MOVED = 200  # questions whose answer is moved within its passage, at most
_CALL = 64  # texts
_BLOCK = 64  # questions scored at once

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measured:
    """`scores`: measure -> points of 100 of each question that it can be asked of; `hits`: of all questions."""

    scores: dict[str, NDArray[np.float64]] = field(repr=False)
    hits: Hits


@dataclass(frozen=True, slots=True)
class Index:
    """Vectors of all passages [p, d] and sentences [s, d], which follow each other document by document."""

    papers: Sequence[Paper]
    passages: Vectors
    sentences: Vectors
    first_passage: NDArray[np.int64]  # of each document
    first_sentence: NDArray[np.int64]  # of each passage, and the number of all

    def ranked(self, questions: Vectors) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Of each question [q, d] its cosines with all passages [p], and those of the documents' best passages [n]."""
        for start in range(0, len(questions), _BLOCK):
            every = questions[start : start + _BLOCK] @ self.passages.T
            yield from zip(every, np.maximum.reduceat(every, self.first_passage, axis=1), strict=True)

    def best_sentence(self, document: int, cosines: NDArray[np.float32], question: Vectors) -> tuple[int, int] | None:
        """Where the sentence nearest to a question stands, of the document's best passage; None where that has none."""
        paper, first = self.papers[document], int(self.first_passage[document])
        place = int(np.argmax(cosines[first : first + len(paper.passages)]))
        low, high = self.first_sentence[first + place : first + place + 2].tolist()
        if low == high:
            return None
        return paper.passages[place].sentences[int(np.argmax(self.sentences[low:high] @ question))]


def measure(encoder: Encoder, exam: Exam, bar: Progress, side: str) -> Measured:
    """Documents are found by their best passage, exactly; passages and sentences are read as the index gets them."""
    if not exam.questions:
        return Measured({}, Hits(np.empty((0, 0)), np.empty((0, 0), bool)))
    index = index_of(encoder, exam.papers, bar, f"{side}: documents")
    asked = [question.text for question in exam.questions]
    vectors = encoding.vectors(encoder, asked, bar, f"{side}: queries", query=True)
    moved = _moved(exam)
    variants = _variants(encoder, [each for texts in moved.values() for each in texts], bar, f"{side}: answers moved")
    at = {number: 3 * place for place, number in enumerate(moved)}
    scores: dict[str, list[float]] = {NDCG: [], SPANS: [], **{under(f"answer {place}"): [] for place in POSITIONS}}
    first: list[NDArray[np.float32]] = []
    relevant: list[list[bool]] = []
    depth = min(DEPTH, len(exam.papers))
    for number, (every, best) in enumerate(index.ranked(vectors)):
        question = exam.questions[number]
        order = _first(best, depth)
        scores[NDCG].append(_ndcg(order, question))
        first.append(best[order])
        relevant.append([question.relevant.get(document, 0.0) > 0 for document in order.tolist()])
        if question.answers:
            top = int(order[0])
            found = index.best_sentence(top, every, vectors[number])
            scores[SPANS].append(100.0 * any(found and _holds(top, found, answer) for answer in question.answers))
        if number in at:
            others = np.delete(best, list(question.relevant))
            for place, vector in zip(POSITIONS, variants[at[number] : at[number] + 3], strict=True):
                rank = 1 + int((others > vector @ vectors[number]).sum())
                scores[under(f"answer {place}")].append(100 / math.log2(1 + rank) if rank <= DEPTH else 0.0)
    for name in PERTURBATIONS:
        changed = encoding.vectors(
            encoder, [perturbed(name, text) for text in asked], bar, f"{side}: {name}", query=True
        )
        ranked = zip(exam.questions, index.ranked(changed), strict=True)
        scores[under(name)] = [_ndcg(_first(best, depth), question) for question, (_, best) in ranked]
    told = {name: np.array(values) for name, values in scores.items() if values}
    return Measured(told, Hits(np.array(first, np.float64), np.array(relevant, bool)))


def _first(scores: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """The numbers of the `depth` highest of [n], best first; equals by number."""
    return np.argsort(-scores, kind="stable")[:depth]


def _ndcg(order: NDArray[np.int64], question: Question) -> float:
    relevant = {str(document): grade for document, grade in question.relevant.items()}
    return 100 * ndcg([str(document) for document in order], relevant, DEPTH)


def _holds(document: int, sentence: tuple[int, int], answer: Answer) -> bool:
    """Whether the sentence holds the answer, or is a part of a longer one."""
    where, start, end = answer
    (low, high) = sentence
    return where == document and ((low <= start and end <= high) or (start <= low and high <= end))


def index_of(encoder: Encoder, papers: Sequence[Paper], bar: Progress, what: str) -> Index:
    """Of all documents, as the index gets them."""
    passages, sentences = list[Vectors](), list[Vectors]()
    task = bar.add_task(what, total=len(papers))
    for start in range(0, len(papers), _CALL):
        several = papers[start : start + _CALL]
        for one, encoded in zip(several, encoder.encode([_text(one) for one in several]), strict=True):
            passages.append(encoded.ranges[: len(one.passages)])
            sentences.append(encoded.ranges[len(one.passages) :])
        bar.update(task, completed=start + len(several))
    counts = [len(passage.sentences) for one in papers for passage in one.passages]
    return Index(
        papers,
        np.concatenate(passages),
        np.concatenate(sentences),
        np.cumsum([0, *(len(one.passages) for one in papers[:-1])], dtype=np.int64),
        np.cumsum([0, *counts], dtype=np.int64),
    )


def _text(one: Paper) -> Text:
    """As the embedder gives it to the encoder: passages, then all their sentences; cut where one of these starts."""
    sentences = [sentence for passage in one.passages for sentence in passage.sentences]
    bounds = [(passage.start, passage.end) for passage in one.passages]
    starts = np.unique(np.array([start for start, _ in [*bounds, *sentences]], np.int32))
    return Text(one.text, np.array([*bounds, *sentences], np.int32), one.title, starts, context_ranges=len(bounds))


def _moved(exam: Exam) -> dict[int, list[Text]]:
    """Number of a question -> the passage that answers it with the answer's sentence first, in the middle and last."""
    found: dict[int, list[Text]] = {}
    for number, question in enumerate(exam.questions):
        if len(found) == _MOVED:
            break
        for document, *answer in question.answers:
            one = exam.papers[document]
            texts = [text for passage in one.passages for text in _orders(one, passage, (answer[0], answer[1]))]
            if texts:
                found[number] = texts
                break
    return found


def _orders(one: Paper, passage: Passage, answer: tuple[int, int]) -> list[Text]:
    """Three texts; none where the answer is not inside one sentence of three at least."""
    sentences = list(passage.sentences)
    held = [place for place in sentences if place[0] <= answer[0] and answer[1] <= place[1]]
    if len(sentences) < len(POSITIONS) or not held:
        return []
    rest = [one.text[start:end] for start, end in sentences if (start, end) != held[0]]
    told, texts = one.text[slice(*held[0])], []
    for place in (0, len(rest) // 2, len(rest)):
        text = " ".join([*rest[:place], told, *rest[place:]])
        texts.append(Text(text, np.array([(0, len(text))], np.int32), one.title, context_ranges=1))
    return texts


def _variants(encoder: Encoder, texts: Sequence[Text], bar: Progress, what: str) -> Vectors:
    """Of each text its passage's vector [n, d]."""
    found = np.empty((len(texts), encoder.info().dimension), np.float32)
    task = bar.add_task(what, total=len(texts))
    for start in range(0, len(texts), _CALL):
        several = texts[start : start + _CALL]
        found[start : start + len(several)] = [encoded.ranges[0] for encoded in encoder.encode(several)]
        bar.update(task, completed=start + len(several))
    return found
