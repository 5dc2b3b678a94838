"""Spans of a passage that a search may name besides its sentences, by rule and without a model. Pure, linear.

Three proposers: clauses (proposition-like), phrases (runs of content words) and windows of n words. All propose within a
sentence, from its first word to its last at most, and cut between words only. Scripts written without spaces have
sentences and clauses only; there two characters count as a word.

Rules for English; elsewhere punctuation still makes clauses, and phrases are bounded by punctuation alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from spanstream.events.segmenter import Spans
from spanstream.ingestor.segmentation import Passage, Range

CLAUSE_WORDS = range(4, 26)
PHRASE_WORDS = 6

_STOP_WORDS = """
    a about above after again against all also am an and any are as at be because been before being below between both but
    by can cannot could did do does doing down during each either etc even few for from further had has have having he her
    here hers herself him himself his how however i if in into is it its itself just may me might more most much must my
    myself neither no nor not now of off on once one only or other ought our ours ourselves out over own per quite rather
    same shall she should since so some such than that the their theirs them themselves then there these they this those
    through thus to too toward towards under until unless up upon us very via was we were what when where whereas whether
    which while who whom whose why will with within without would yet you your yours yourself yourselves although though
    among around across along despite except
"""
_VERBS = """
    become becomes became begin begins began begun bring brings brought call called calls came come comes consist consists
    contain contains found gave get gets give given gives go goes going gone got held hold holds include included includes
    including keep kept knew know known knows led let lets made make makes making mean means meant put puts said saw say says
    see seem seemed seems seen set show showed shown shows take taken takes taking tell tells think thought told took use
    used uses using want wants went won
"""
# They open a clause wherever they stand; the second list only behind a comma.
_OPENERS = "although because but if since though unless until whereas whether which while who whom whose"
_OPENERS_BEHIND_COMMA = """
    and as for he her his however i in it its nor or she so than that the their then there these they this those thus we
    what when where with you yet
"""
_BREAKING = frozenset((_STOP_WORDS + _VERBS).split())
_OPENING = frozenset(_OPENERS.split())
_OPENING_BEHIND_COMMA = frozenset(_OPENERS_BEHIND_COMMA.split())

_MARKS = r"\s!-/:-@\[-`{-~¡-©«¬®°±¶·»¿×÷‐-⁞、-〟﹐-﹫！-／：-＠［-｀｛-･"
# A word holds hyphens, apostrophes and the like inside, and commas and colons between digits. Never given back
# (possessive), so the search is linear.
_WORD = re.compile(rf"[^{_MARKS}]++(?:(?:[-‐‑'’./&@+_]|(?<=\d)[,:](?=\d))[^{_MARKS}]++)*+")
_CUT = re.compile(r"[;:–—()\[\]{}「」『』，、；：（）。]|(?<=\s)-(?=\s)")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class _Word(NamedTuple):
    """Offsets into the text, the word in lower case, and whether its script has spaces between words."""

    start: int
    end: int
    lower: str
    spaced: bool


def propose(text: str, passage: Passage, spans: Spans) -> list[Range]:
    """At most `spans.per_passage` ranges inside the passage's sentences, by (start, longer first); none twice.

    Clauses come before phrases, phrases before windows. Of clauses the longer ones, of phrases those of more words
    that are rare in the passage.
    """
    sentences = [list(_words(text, *sentence)) for sentence in passage.sentences]
    known = {(words[0].start, words[-1].end) for words in sentences if words} | set(passage.sentences)
    ranked: list[Range] = []
    if spans.clauses:
        clauses = [clause for words in sentences for clause in _clauses(text, words)]
        ranked += _ranges(sorted(clauses, key=len, reverse=True))
    if spans.phrases:
        phrases = [phrase for words in sentences for phrase in _phrases(text, words)]
        count = Counter(word.lower for phrase in phrases for word in phrase)
        ranked += _ranges(
            sorted(phrases, key=lambda phrase: sum(1 / count[word.lower] for word in phrase), reverse=True)
        )
    if spans.window_words:
        ranked += _ranges(window for words in sentences for window in _windows(words, spans.window_words))
    chosen = [span for span in dict.fromkeys(ranked) if span not in known][: spans.per_passage]
    return sorted(chosen, key=lambda span: (span[0], -span[1]))


def _words(text: str, start: int, end: int) -> Iterator[_Word]:
    """The words of text[start:end]; none begins with a mark that belongs to the character before it."""
    for found in _WORD.finditer(text, start, end):
        first, last = found.span()
        while first < last and unicodedata.category(text[first]) in ("Mn", "Mc", "Me", "Cf"):
            first += 1
        if first < last:
            word = text[first:last]
            yield _Word(first, last, word.lower(), not _UNSPACED.search(word))


def _clauses(text: str, words: Sequence[_Word]) -> Iterator[Sequence[_Word]]:
    """The runs between signs that end a clause, and words that open one."""
    cuts = [0, *(i for i, (before, word) in enumerate(pairwise(words), 1) if _opens(text, before, word)), len(words)]
    for first, last in pairwise(cuts):
        run = words[first:last]
        if sum(1 if word.spaced else (word.end - word.start + 1) // 2 for word in run) in CLAUSE_WORDS:
            yield run


def _opens(text: str, before: _Word, word: _Word) -> bool:
    if word.lower in _OPENING or _CUT.search(text, before.end, word.start):
        return True
    return word.lower in _OPENING_BEHIND_COMMA and "," in text[before.end : word.start]


def _phrases(text: str, words: Sequence[_Word]) -> Iterator[Sequence[_Word]]:
    """Runs of content words, "of" between two of them; a run of more than 6 words goes in pieces of 6."""
    run: list[_Word] = []
    for i, word in enumerate(words):
        adjoins = bool(run) and text[run[-1].end : word.start].isspace()
        inner = word.lower == "of" and adjoins and i + 1 < len(words) and _is_content(words[i + 1])
        if run and not (adjoins and (inner or _is_content(word))):
            yield from _pieces(run)
            run = []
        if inner or _is_content(word):
            run.append(word)
    yield from _pieces(run)


def _is_content(word: _Word) -> bool:
    return word.spaced and word.lower not in _BREAKING


def _pieces(run: list[_Word]) -> Iterator[Sequence[_Word]]:
    for first in range(0, len(run), PHRASE_WORDS):
        piece = run[first : first + PHRASE_WORDS]
        while piece and piece[-1].lower == "of":
            piece.pop()
        while piece and piece[0].lower == "of":
            piece.pop(0)
        if piece:
            yield piece


def _windows(words: Sequence[_Word], size: int) -> Iterator[Sequence[_Word]]:
    """Runs of `size` words, each half a window behind the one before; the last ends with the sentence."""
    last = len(words) - size
    if last < 0:
        return
    for first in [*range(0, last, max(1, size // 2)), last]:
        window = words[first : first + size]
        if all(word.spaced for word in window):
            yield window


def _ranges(runs: Iterator[Sequence[_Word]] | Sequence[Sequence[_Word]]) -> list[Range]:
    return [(run[0].start, run[-1].end) for run in runs]
