"""Judged queries to learn from: each with the passage that answers it, and hard negatives that the start model mines.

A negative is a passage that the start finds for the query, of a document that is not judged relevant. One whose cosine comes
near that of the right passage is left out: it may well be right, and nobody has marked it (the filter TopK-PercPos of
NV-Retriever, Moreira et al., 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder
from spanstream.representations.training.errors import CorpusUnsuitable
from spanstream.representations.training.objective import Document
from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.texts import digest
from spanstream.standalone.gate.exam import Exam, Question
from spanstream.standalone.gate.measuring import Index, index_of

if TYPE_CHECKING:
    from rich.progress import Progress

NEGATIVES = 4  # of a query, at most
NEAR = 0.95  # of the right passage's cosine: from there on a passage may be right itself
_DEPTH = 100  # passages that are looked through for negatives


def plain(exam: Exam) -> Iterator[Document]:
    """All passages, without questions."""
    for paper in exam.papers:
        name = digest(paper.text)
        for passage in paper.passages:
            yield Document(paper.text[passage.start : passage.end], paper.title, source=name)


def labelled(encoder: Encoder, exam: Exam, bar: Progress) -> Iterator[Document]:
    """All passages, those that answer a question with it and its negatives. Raises CorpusUnsuitable where none does."""
    if not any(grade > 0 for question in exam.questions for grade in question.relevant.values()):
        raise CorpusUnsuitable("no judged query to learn from: half of them are, by a hash; judge more")
    index = index_of(encoder, exam.papers, bar, "mining: documents")
    vectors = encoding.vectors(encoder, [each.text for each in exam.questions], bar, "mining: queries", query=True)
    documents = np.repeat(
        np.arange(len(exam.papers)), [len(paper.passages) for paper in exam.papers]
    )  # of each passage
    queries: dict[int, list[str]] = {}
    mined: dict[int, dict[str, list[int]]] = {}
    for question, (cosines, _) in zip(exam.questions, index.ranked(vectors), strict=True):
        for document in (number for number, grade in question.relevant.items() if grade > 0):
            own = _answering(question, document, cosines, index)
            queries.setdefault(own, []).append(question.text)
            mined.setdefault(own, {})[question.text] = _negatives(question, own, cosines, documents)
    every = [
        Document(each.text, each.title, (), tuple(queries.get(number, ())), each.source)
        for number, each in enumerate(plain(exam))
    ]
    for number, each in enumerate(every):
        found = {
            question: tuple(every[place] for place in places) for question, places in mined.get(number, {}).items()
        }
        yield Document(each.text, each.title, (), each.queries, each.source, found)


def _answering(question: Question, document: int, cosines: NDArray[np.float32], index: Index) -> int:
    """The document's passage that holds the start of an answer; where none is known, the nearest one."""
    first, cut = int(index.first_passage[document]), index.papers[document].passages
    for where, start, _ in question.answers:
        for place, passage in enumerate(cut):
            if where == document and passage.start <= start < passage.end:
                return first + place
    return first + int(np.argmax(cosines[first : first + len(cut)]))


def _negatives(question: Question, own: int, cosines: NDArray[np.float32], documents: NDArray[np.int64]) -> list[int]:
    """Passages, the hardest first."""
    order = np.argsort(-cosines, kind="stable")[:_DEPTH].tolist()
    far = (place for place in order if cosines[place] < NEAR * cosines[own])
    found = [place for place in far if question.relevant.get(int(documents[place]), 0.0) <= 0]
    return found[:NEGATIVES]
