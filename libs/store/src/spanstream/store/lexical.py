"""Text -> BM25 term weights. The store adds the inverse document frequencies, so a score is a sparse dot product.

    weight = tf (k1 + 1) / (tf + k1 (1 - b + b length / average length))      Robertson and Zaragoza 2009, eq. 3.15

Words are normalised (NFKC), lower-cased, freed of stop words and stemmed (Snowball English). Compounds and code
identifiers (`e-mail`, `os.path`, `max_poll`, `parseHTML`, `v1.2`) count in parts and, joined, as a whole: `e-mail` meets
`email`. Numbers stay as they are, `1,200` is `1200`; scripts written without spaces count as pairs of characters.
A term's id is 32 bits of its BLAKE2b hash. What each choice is worth: docs/decisions/0003-default-ranking.md.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise

import numpy as np
import Stemmer
from numpy.typing import NDArray

from spanstream.store.points import Sparse

LEXICAL_VERSION = "bm25-2"  # part of the generation's name: any change below needs a new one
K1 = 1.5
B = 0.75
AVERAGE_LENGTH = 100.0  # terms of a passage; a constant, so that a weight never depends on what else is stored
WHOLE_WEIGHT = 0.5  # of a compound as a whole in a query, beside its parts
CACHED_WORDS = 1 << 17  # about 30 MB; a vocabulary of running text is smaller

_STOP_WORDS = """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its
    itself they them their theirs themselves what which who whom this that these those am is are was were be been being
    have has had having do does did doing would should could ought a an the and but if or because as until while of at by
    for with about against between into through during before after above below to from up down in out on off over under
    again further then once here there when where why how all any both each few more most other some such no nor not
    dont doesnt didnt isnt arent wasnt werent cant couldnt wont wouldnt shouldnt hasnt havent hadnt im ive only own same
    so than too very can will may might must shall
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_WORD = re.compile(r"[^\W_]+(?:(?:[-‐‑'’._/+@:&]+|(?<=\d),(?=\d))[^\W_]+)*(?:\+\+|#)?")
_PART = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_POSSESSIVE = re.compile(r"['’][sS]$")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])['’](?=[^\W\d_])")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{2,}")
# A character with the marks, vowel signs and Korean letters that join it, which are normalised together.
_CLUSTER = re.compile(r"(?s:.)[\u0300-\u036f\u3099\u309a\u1160-\u11ff\uff9e\uff9f]*")
_stem = Stemmer.Stemmer("english", 0).stemWord  # its cache is off: ours keeps results, and threads may share it


def document_terms(text: str, title: str = "") -> Sparse:
    """The weights of a passage; its title counts like words of the text."""
    parts, wholes = _count(f"{title}\n{text}" if title else text)
    counts = parts.copy()
    counts.update(wholes)
    frequencies = np.fromiter(counts.values(), np.float32, len(counts))
    saturation = K1 * (1 - B + B * parts.total() / AVERAGE_LENGTH)
    return _sparse(counts, frequencies * (K1 + 1) / (frequencies + np.float32(saturation)))


def query_terms(text: str) -> Sparse:
    """The weights of a query: the root of how often each term occurs in it, a compound as a whole counting half."""
    parts, wholes = _count(text)
    weights = {term: math.sqrt(count) for term, count in parts.items()}
    for term, count in wholes.items():
        weights[term] = weights.get(term, 0.0) + WHOLE_WEIGHT * math.sqrt(count)
    return _sparse(weights, np.fromiter(weights.values(), np.float32, len(weights)))


def words(text: str) -> Iterator[tuple[int, int, frozenset[int]]]:
    """The words of a text, as offsets into it, each with the ids of its terms; of a script without spaces the pairs of
    characters. What a weight of `document_terms` or `query_terms` stands for is found by its id.
    """
    folded, starts, ends = _folded(text)
    for word in _WORD.finditer(folded):
        runs = list(_UNSPACED.finditer(folded, *word.span()))
        pieces = [(i, i + 2) for run in runs for i in range(run.start(), run.end() - 1)] or [word.span()]
        for first, last in pieces:
            parts, whole = _term_ids(folded[first:last])
            yield starts[first], ends[last - 1], frozenset(parts + whole)


def _folded(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """The text as `_count` reads it, and of each of its characters the start and the end of where it comes from."""
    if text.isascii():
        return text, range(len(text)), range(1, len(text) + 1)
    clusters = [(found.start(), found.end()) for found in _CLUSTER.finditer(text)]
    folded = [unicodedata.normalize("NFKC", text[start:end]) for start, end in clusters]
    starts = [start for piece, (start, _) in zip(folded, clusters, strict=True) for _ in piece]
    ends = [end for piece, (_, end) in zip(folded, clusters, strict=True) for _ in piece]
    return "".join(folded), starts, ends


def held_terms(text: str) -> set[int]:
    """The ids of all terms of a text, of its parts and compounds."""
    parts, wholes = _count(text)
    return parts.keys() | wholes.keys()


def _sparse(terms: Iterable[int], weights: NDArray[np.float32]) -> Sparse:
    ids = np.fromiter(terms, np.uint32, len(weights))
    order = np.argsort(ids)
    return Sparse(ids[order], weights[order])


def _count(text: str) -> tuple[Counter[int], Counter[int]]:
    """Term id -> frequency, of parts and of compounds as a whole."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    ids = [_term_ids(word) for word in _WORD.findall(text)]
    return Counter(chain.from_iterable(parts for parts, _ in ids)), Counter(
        chain.from_iterable(whole for _, whole in ids)
    )


@lru_cache(maxsize=CACHED_WORDS)
def _term_ids(word: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    parts, whole = terms(word)
    return tuple(map(_term_id, parts)), tuple(map(_term_id, whole))


def _term_id(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=4).digest())


def terms(word: str) -> tuple[list[str], list[str]]:
    """The terms of one word: of its parts (none for a stop word), and of the whole where it is a compound."""
    if _NUMBER.fullmatch(word):
        return [word.replace(",", "") if _THOUSANDS.fullmatch(word) else word], []
    if unspaced := _UNSPACED.findall(word):
        return [first + second for run in unspaced for first, second in pairwise(run)], []
    word = _APOSTROPHE.sub("", _POSSESSIVE.sub("", word))
    parts = [piece.casefold() for part in _PART.findall(word) for piece in _HUMP.split(part)]
    stems = [_stem(part) for part in parts if part not in STOP_WORDS]
    if len(parts) > 1:
        return stems, [word.casefold() if any(map(str.isdigit, word)) else _stem("".join(parts))]
    return stems, [word.casefold()] if word[-1] in "+#" else []
