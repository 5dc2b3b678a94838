"""Text -> BM25 term weights. The store adds the inverse document frequencies, so a score is a sparse dot product.

    weight = tf (k1 + 1) / (tf + k1 (1 - b + b length / average length))      Robertson and Zaragoza 2009, eq. 3.15

Words are normalised (NFKC), lower-cased, freed of stop words and stemmed (Snowball English). Compounds and code
identifiers (`state-of-the-art`, `os.path`, `max_poll`, `parseHTML`) count whole and in parts; numbers stay as they
are; scripts written without spaces count as pairs of characters. A term's id is 32 bits of its BLAKE2b hash.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise

import numpy as np
import Stemmer  # type: ignore[import-not-found]  # it has no types

from spanstream.store.points import Sparse

LEXICAL_VERSION = "bm25-1"  # part of the generation's name: any change below needs a new one
K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 120.0  # words of a passage; a constant, so that a weight never depends on what else is stored
CACHED_WORDS = 1 << 17  # about 30 MB; a vocabulary of running text is smaller

_STOP_WORDS = """
    a about above after again against all am an and any are as at be because been before being below between both but by
    can cannot could did do does doing down during each few for from further had has have having he her here hers
    herself him himself his how i if in into is it its itself just me more most my myself no nor not now of off on once
    only or other our ours ourselves out over own same she should so some such than that the their theirs them
    themselves then there these they this those through to too under until up very was we were what when where which
    while who whom why will with would you your yours yourself yourselves aren't can't couldn't didn't doesn't don't
    hadn't hasn't haven't i'm i've isn't it's let's shouldn't that's there's they're wasn't we're we've weren't what's
    won't wouldn't you're
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_WORD = re.compile(r"\w+(?:[-.'’]\w+)*")
_JOINT = re.compile(r"[-._]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER = re.compile(r"[\d.-]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{2,}")
_stem = Stemmer.Stemmer("english", 0).stemWord  # its cache is off: ours keeps results, and threads may share it


def document_terms(text: str, title: str = "") -> Sparse:
    """The weights of a passage; its title counts like words of the text."""
    counts, length = _count(f"{title}\n{text}" if title else text)
    frequencies = np.fromiter(counts.values(), np.float32, len(counts))
    saturation = K1 * (1 - B + B * length / AVERAGE_LENGTH)
    return _sparse(counts, frequencies * (K1 + 1) / (frequencies + np.float32(saturation)))


def query_terms(text: str) -> Sparse:
    """The weights of a query: how often each term occurs in it."""
    counts, _ = _count(text)
    return _sparse(counts, np.fromiter(counts.values(), np.float32, len(counts)))


def _sparse(counts: Counter[int], weights: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Sparse:
    ids = np.fromiter(counts, np.uint32, len(counts))
    order = np.argsort(ids)
    return Sparse(ids[order], weights[order])


def _count(text: str) -> tuple[Counter[int], int]:
    """Term id -> frequency, and the number of words."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    words = _WORD.findall(text)
    counts: Counter[int] = Counter()
    for word in words:
        for term in _term_ids(word):
            counts[term] += 1
    return counts, len(words)


@lru_cache(maxsize=CACHED_WORDS)
def _term_ids(word: str) -> tuple[int, ...]:
    return tuple(int.from_bytes(hashlib.blake2b(term.encode(), digest_size=4).digest()) for term in terms(word))


def terms(word: str) -> list[str]:
    """The terms that one word of a text stands for: none for a stop word, several for a compound."""
    whole = word.replace("’", "'").lower()
    if _NUMBER.fullmatch(whole):
        return [whole]
    if unspaced := _UNSPACED.findall(whole):
        return [first + second for run in unspaced for first, second in pairwise(run)]
    pieces = [piece for joined in _JOINT.split(word) for piece in _HUMP.split(joined) if piece]
    parts = [piece.replace("’", "'").lower() for piece in pieces]
    found = [_stem(part) for part in parts if part not in STOP_WORDS]
    return [*found, whole] if len(parts) > 1 else found
