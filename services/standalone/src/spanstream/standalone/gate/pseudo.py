"""Questions where nobody has judged any: words of sentences, of passages that no training has seen.

Two kinds. "Left out": some words of a sentence are to find its passage, and in it the sentence. "Cloze": words of a sentence
are to find its passage without that sentence (inverse cloze task, Lee et al., 2019), so that shared words help less.
Both favour what was trained on questions made alike: they say less than judgements do.
"""

from __future__ import annotations

from random import Random

from spanstream.representations.training.objective import Document
from spanstream.representations.training.stream import Source, Split, split
from spanstream.representations.training.views import thinned
from spanstream.standalone.encoder.texts import draw
from spanstream.standalone.gate.exam import Exam, Paper, Question, paper

PAPERS = 2000  # passages to search, at most
_ASKED = 300  # passages that are asked for, at most
_QUESTIONS = 4  # of one passage, at most
_LEAST_WORDS = 5  # of a sentence
_SHARES = (0.3, 0.7)  # of its words
_CLOZE_SENTENCES = 3  # of a passage, at least: two stay


def exam(passages: Source, drawn_from: str) -> Exam:
    """Passages for the test with questions about them, among others of the corpus; the same for the same corpus."""
    asked, _ = draw((each for each in passages() if split(each) is Split.TEST), _ASKED)
    around, _ = draw((each for each in passages() if split(each) is not Split.TEST), PAPERS - len(asked))
    papers: list[Paper] = []
    questions: list[Question] = []
    for number, document in enumerate(asked):
        text, found = _asked(document, number)
        papers.append(paper(text, document.title))
        questions += found
    papers += [paper(document.text, document.title) for document in around]
    return Exam(papers, questions, drawn_from)


def _asked(document: Document, number: int) -> tuple[str, list[Question]]:
    """The passage as it is searched, and questions about it."""
    chance = Random(f"pseudo/{document.text}")
    places = [
        (start, end) for start, end in document.sentences if len(document.text[start:end].split()) >= _LEAST_WORDS
    ]
    if not places:
        return document.text, []
    if len(document.sentences) >= _CLOZE_SENTENCES and chance.random() < 0.5:
        start, end = chance.choice(places)
        rest = f"{document.text[:start]}{document.text[end:].lstrip()}"
        return rest, [Question(thinned(document.text[start:end], chance, *_SHARES), {number: 1.0})]
    chosen = sorted(chance.sample(places, min(_QUESTIONS, len(places))))
    return document.text, [
        Question(thinned(document.text[start:end], chance, *_SHARES), {number: 1.0}, ((number, start, end),))
        for start, end in chosen
    ]
