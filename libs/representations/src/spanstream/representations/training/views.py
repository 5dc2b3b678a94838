"""Texts drawn from documents."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from spanstream.encoder.encoder import Text
from spanstream.representations.training.objective import Document

_NO_RANGES = np.empty((0, 2), np.int32)


def alone(text: str) -> Text:
    """A text by itself."""
    return Text(text, _NO_RANGES)


def in_context(document: Document) -> Text:
    """A passage as the index gets it: read behind its title, each sentence a range, the first range the passage."""
    ranges = np.array([(0, len(document.text)), *document.sentences], np.int32)
    return Text(document.text, ranges, document.title, ranges[1:, 0].copy(), context_ranges=1)


def crop(text: str, chance: Random, least: float, most: float) -> str:
    """A run of its words, `least` to `most` of them (shares), one at least."""
    words = text.split()
    size = max(1, round(len(words) * chance.uniform(least, most)))
    first = chance.randint(0, max(0, len(words) - size))
    return " ".join(words[first : first + size])


def thinned(text: str, chance: Random, least: float, most: float) -> str:
    """`least` to `most` of its words (shares), in their order, one at least: something like a query."""
    words = text.split()
    size = min(len(words), max(1, round(len(words) * chance.uniform(least, most))))
    return " ".join(words[place] for place in sorted(chance.sample(range(len(words)), size)))


def sentences(documents: Sequence[Document]) -> list[tuple[int, int]]:
    """All of them, as (document, number of the sentence)."""
    return [(i, number) for i, document in enumerate(documents) for number in range(len(document.sentences))]


def sentence(documents: Sequence[Document], place: tuple[int, int]) -> str:
    """The text of one of these."""
    start, end = documents[place[0]].sentences[place[1]]
    return documents[place[0]].text[start:end]
