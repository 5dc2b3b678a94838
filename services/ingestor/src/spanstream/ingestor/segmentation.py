"""Sentences and passages of a normalised text, as exact character offsets. Pure, deterministic, linear.

Every sentence and passage is free of surrounding white space, and together they cover every character that is not
white space. Sentences come from sentencex (rules for abbreviations, quotes and numbers; about 100 MB/s); blank lines,
list items and headings end a sentence too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import sentencex

from spanstream.ingestor.parsing.parsed import release

SENTENCES = release("sentencex")
LANGUAGE = "en"  # sentencex falls back to the same rules for most languages

Range = tuple[int, int]

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_BLOCK = re.compile(r"\n(?=[^\S\n]*(?:[-*+•–]\s|\d{1,3}[.)]\s|#{1,6}\s|\|))|(?:^|(?<=\n))#{1,6}[^\S\n][^\n]*\n")
_WORD_CHARACTER = re.compile(r"\w")
_LAST_SPACE = re.compile(r"\s\S*\Z")
# sentencex 1.0.32 counts a space as one byte when it looks behind "A ." and panics on those that take more.
_SPACES = {code: " " for code in range(0x80, 0x3001) if chr(code).isspace()}
_NUMBER = re.compile(r"\d{1,3}[.)]")
_DOT_WITHIN_A_NAME = re.compile(r"(?<=\w\.)\w")  # sentencex 1.0.32 ends a sentence within asyncio.CancelledError


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of whole sentences, half-open offsets; `candidates` lie within its sentences."""

    start: int
    end: int
    sentences: tuple[Range, ...]
    candidates: tuple[Range, ...] = ()

    @property
    def spans(self) -> tuple[Range, ...]:
        """All that has a vector besides the passage, sentences first."""
        return self.sentences + self.candidates


def passages(text: str, characters: int, max_sentences: int) -> list[Passage]:
    """Cut `text` into passages of at most `characters` characters and `max_sentences` sentences.

    A paragraph that fits joins what stands before it; one that does not starts a passage of its own if the passage
    before is at least half full, so that a heading stays with its text.
    """
    found: list[Passage] = []
    current: list[Range] = []

    def close() -> None:
        if current:
            found.append(Passage(current[0][0], current[-1][1], tuple(current)))
            current.clear()

    for paragraph in _paragraphs(text):
        sentences = list(_sentences(text, *paragraph, characters))
        if not sentences:
            continue
        if current:
            half_full = current[-1][1] - current[0][0] >= characters // 2
            if half_full and sentences[-1][1] - current[0][0] > characters:
                close()
        for sentence in sentences:
            if current and (sentence[1] - current[0][0] > characters or len(current) >= max_sentences):
                close()
            current.append(sentence)
    close()
    return found


def _paragraphs(text: str) -> Iterator[Range]:
    start = 0
    for gap in _PARAGRAPH.finditer(text):
        if gap.start() > start:
            yield start, gap.start()
        start = gap.end()
    if start < len(text):
        yield start, len(text)


def _sentences(text: str, start: int, end: int, longest: int) -> Iterator[Range]:
    """The sentences of text[start:end], none longer than `longest` characters."""
    cuts = [start, *(block.end() for block in _BLOCK.finditer(text, start, end)), end]
    for low, high in pairwise(cuts):
        previous: Range | None = None
        for sentence in _split(text, low, high):
            if previous and sentence[1] - previous[0] <= longest and _belongs(text, previous, sentence):
                previous = (previous[0], sentence[1])
                continue
            if previous:
                yield from _shortened(text, *previous, longest)
            previous = sentence
        if previous:
            yield from _shortened(text, *previous, longest)


def _belongs(text: str, before: Range, sentence: Range) -> bool:
    """Punctuation alone belongs to the sentence before it, a list item to its number, a dotted name together."""
    return (
        not _WORD_CHARACTER.search(text, *sentence)
        or bool(_NUMBER.fullmatch(text, *before))
        or (before[1] == sentence[0] and bool(_DOT_WITHIN_A_NAME.match(text, sentence[0])))
    )


def _split(text: str, start: int, end: int) -> Iterator[Range]:
    block = text[start:end].translate(_SPACES)
    pieces = sentencex.segment(LANGUAGE, block)
    if sum(map(len, pieces)) != len(block):  # its promise, on which every offset rests
        pieces = [block]
    for piece in pieces:
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        if left < right:
            yield left, right
        start += len(piece)


def _shortened(text: str, start: int, end: int, longest: int) -> Iterator[Range]:
    """Cut at the last word border within reach, or anywhere where a single word is too long."""
    while end - start > longest:
        window = text[start : start + longest + 1]
        border = _LAST_SPACE.search(window)
        kept = len(window[: border.start()].rstrip()) if border else longest
        yield start, start + kept
        start += kept
        while text[start].isspace():
            start += 1
    yield start, end
