"""What two releases are examined on: documents cut as the ingestor cuts them, and questions with what answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b

from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.segmentation import Passage, passages
from spanstream.ingestor.settings import IngestorSettings
from spanstream.representations.errors import RepresentationError
from spanstream.standalone.encoder.judgements import Collection

Answer = tuple[int, int, int]  # number of a document, start and end in its text


class Unexaminable(RepresentationError):
    """There is nothing to ask, or a judgement names what is not there: give other data."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A document of at least one passage; the sentences of a passage lie in it."""

    text: str = field(repr=False)
    title: str = field(repr=False)
    passages: tuple[Passage, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """`relevant`: number of a document -> grade; `answers`: where in those it is answered, if that is known."""

    text: str = field(repr=False)
    relevant: Mapping[int, float] = field(repr=False)
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Exam:
    """`drawn_from` says in words where the questions come from."""

    papers: Sequence[Paper] = field(repr=False)
    questions: Sequence[Question] = field(repr=False)
    drawn_from: str = ""


def paper(text: str, title: str = "") -> Paper:
    """Cut as the ingestor of this environment cuts documents. Raises SettingsError."""
    text = normalise(text.encode(errors="replace").decode())  # halves of characters, which no model reads
    settings = _settings()
    cut = passages(text, settings.passage_characters, settings.sentences_per_passage)
    return Paper(text, title.encode(errors="replace").decode(), tuple(cut) or (Passage(0, len(text), ()),))


@cache  # reading them anew for each document takes longer than cutting it
def _settings() -> IngestorSettings:
    return IngestorSettings.read(log_url="memory:", blob_url="memory:")


def judged(data: Collection, answers: Mapping[str, Sequence[tuple[str, int, int]]], name: str) -> Exam:
    """Of a team's own judgements. Raises Unexaminable."""
    refuse_unknown(data, answers)
    numbers = {document["_id"]: number for number, document in enumerate(data.documents)}
    questions = [
        Question(
            text.encode(errors="replace").decode(),
            {numbers[document]: grade for document, grade in data.relevant[query].items()},
            tuple((numbers[document], start, end) for document, start, end in answers.get(query, ())),
        )
        for query, text in data.queries.items()
    ]
    papers = [paper(document["text"], str(document.get("title") or "")) for document in data.documents]
    return Exam(papers, questions, f"judged queries of {name}")


def halves(whole: Exam) -> tuple[Exam, Exam]:
    """One to learn from, one to judge by; a question stays where it is when others come."""
    parts: tuple[list[Question], list[Question]] = ([], [])
    for question in whole.questions:
        parts[blake2b(question.text.encode(), digest_size=8).digest()[0] % 2].append(question)
    return Exam(whole.papers, parts[0]), Exam(whole.papers, parts[1], f"{whole.drawn_from} that were not learnt")


def refuse_unknown(data: Collection, answers: Mapping[str, Sequence[tuple[str, int, int]]]) -> None:
    """Raise Unexaminable where judgements name a query or a document that there is not."""
    if strangers := sorted(data.relevant.keys() - data.queries.keys()):
        raise Unexaminable(f"{len(strangers)} queries are judged that queries.jsonl lacks, such as {strangers[0]!r}")
    known = {document["_id"] for document in data.documents}
    named = [(query, document) for query, found in data.relevant.items() for document in found]
    named += [(query, document) for query, found in answers.items() for document, _, _ in found]
    if unknown := [pair for pair in named if pair[1] not in known]:
        query, document = unknown[0]
        raise Unexaminable(
            f"{len(unknown)} judgements name documents that corpus.jsonl lacks, such as {document!r} for query {query!r}"
        )
