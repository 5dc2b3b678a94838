"""Texts drawn from documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import numpy as np

from spanstream.encoder.encoder import Text
from spanstream.representations.training.objective import Document

_WORD = re.compile(r"\w+|[^\w\s]")
_NO_RANGES = np.empty((0, 2), np.int32)


def alone(text: str) -> Text:
    """A text by itself."""
    return Text(text, _NO_RANGES)


def in_context(document: Document) -> Text:
    """A passage as the index gets it: read behind its title, each sentence a range, the first range the passage."""
    ranges = np.array([(0, len(document.text)), *document.sentences], np.int32)
    return Text(document.text, ranges, document.title, ranges[1:, 0].copy(), context_ranges=1)


def by_words(text: str, places: Sequence[tuple[int, int]], title: str = "") -> Text:
    """A text behind its title, of which each word is a range."""
    ranges = np.array(places, np.int32).reshape(-1, 2)
    return Text(text, ranges, title, ranges[:, 0].copy())


def words(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Where words and marks stand, in a part of a text."""
    return [each.span() for each in _WORD.finditer(text, start, len(text) if end is None else end)]


def crop(text: str, chance: Random, least: float, most: float) -> str:
    """A run of its words, `least` to `most` of them (shares), one at least."""
    found = text.split()
    size = max(1, round(len(found) * chance.uniform(least, most)))
    first = chance.randint(0, max(0, len(found) - size))
    return " ".join(found[first : first + size])


def thinned(text: str, chance: Random, least: float, most: float) -> str:
    """`least` to `most` of its words (shares), in their order, one at least: something like a query."""
    found = text.split()
    size = min(len(found), max(1, round(len(found) * chance.uniform(least, most))))
    return " ".join(found[place] for place in sorted(chance.sample(range(len(found)), size)))


def sentences(documents: Sequence[Document]) -> list[tuple[int, int]]:
    """All of them, as (document, number of the sentence)."""
    return [(i, number) for i, document in enumerate(documents) for number in range(len(document.sentences))]


def sentence(documents: Sequence[Document], place: tuple[int, int]) -> str:
    """The text of one of these."""
    start, end = documents[place[0]].sentences[place[1]]
    return documents[place[0]].text[start:end]


def some_sentences(documents: Sequence[Document], chance: Random, most: int) -> list[str]:
    """The texts of `most` of them, drawn; of all, in any order, where there are no more."""
    found = sentences(documents)
    return [sentence(documents, place) for place in chance.sample(found, min(most, len(found)))]
