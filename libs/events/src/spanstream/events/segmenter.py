"""How texts are cut, as one short name: the setting `SPANS`, part of every passage event and of the index's name.

The ingestor cuts as the name says; the indexer and the gateway name the index after it. So two ways of cutting are never
mixed in one index, and a service that was told of another one shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

PASSAGES = "passages/3"  # passages and sentences; raised when these are cut differently
CANDIDATES = "spans/1"  # the proposers; raised when one of them proposes differently

MAX_WINDOW_WORDS = 32
MAX_PER_PASSAGE = 255
_FORM = re.compile(r"sentences(\+clauses)?(\+phrases)?(?:\+windows([1-9]\d?))?(?::([1-9]\d{0,2}))?")


@dataclass(frozen=True, slots=True)
class Spans:
    """Which spans a passage has besides its sentences, at most `per_passage` of them; `window_words` 0: no windows."""

    clauses: bool = False
    phrases: bool = False
    window_words: int = 0
    per_passage: int = 0

    @classmethod
    def parse(cls, form: str) -> Self:
        """Of "sentences", or of it with proposers and their budget, "sentences+clauses+phrases+windows8:32"; raises ValueError."""
        found = _FORM.fullmatch(form)
        clauses, phrases, words, budget = found.groups() if found else (None, None, None, None)
        spans = cls(bool(clauses), bool(phrases), int(words or 0), int(budget or 0))
        proposes = spans.clauses or spans.phrases or spans.window_words > 0
        within = spans.window_words <= MAX_WINDOW_WORDS and spans.per_passage <= MAX_PER_PASSAGE
        if found is None or proposes != (spans.per_passage > 0) or not within:
            raise ValueError(
                "must be sentences, or sentences+clauses+phrases+windowsN:M with at least one of the three, in this order;"
                f" N: words of a window, 1 to {MAX_WINDOW_WORDS}, M: spans of a passage besides its sentences,"
                f" 1 to {MAX_PER_PASSAGE}"
            )
        return spans


def segmenter(form: str) -> str:
    """The name that events and the index carry for a value of `SPANS`."""
    return f"{PASSAGES}+{CANDIDATES}+{form.partition('+')[2]}" if Spans.parse(form).per_passage else PASSAGES
