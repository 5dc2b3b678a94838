"""Queries asked of both generations before one takes over: how alike their answers are, and how often each finds what it must.

Nobody has judged anything here, so the questions come from the documents: a sentence of a passage must find its document
among the first ten (known-item search). That says what a person's questions would only roughly; what a release is worth
the evaluation gate of the training says. Here it keeps a release away that is broken, or the wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from random import SystemRandom

from spanstream.gateway.live import Shown
from spanstream.gateway.meanings import Words
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.search import Searcher
from spanstream.store.lexical import words
from spanstream.store.queries import Scope
from spanstream.store.sampling import drawn
from spanstream.store.store import Store

QUERIES = 100
DEPTH = 10
MAX_CHARACTERS = 300
_WORDS = 4  # fewer say little; of a script without spaces these are pairs of characters


@dataclass(frozen=True, slots=True)
class Probe:
    """A sentence of a document, asked by its own tenant."""

    tenant: str
    text: str
    source: str
    id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`overlap`: the mean share of the first DEPTH documents that both find, asked as people ask. `old_success`,
    `new_success`: the share of queries whose own document is among them by meaning alone: words would find it whatever the
    vectors are worth. All 0 to 1; 1 where there was nothing to ask."""

    queries: int
    overlap: float
    old_success: float
    new_success: float

    def good(self, overlap: float, success_drop: float) -> bool:
        """Whether the new one finds as much, and much the same."""
        return self.overlap >= overlap and self.new_success >= self.old_success - success_drop


def probes(store: Store) -> list[Probe]:
    """One for each of QUERIES documents, drawn by chance: the longest sentence of its middle passage, if that has _WORDS. Where
    none has, those that there are: a release that was asked nothing would pass. Raises what the store does.
    """
    found, short = list[Probe](), list[Probe]()
    for head in drawn(store, QUERIES, SystemRandom()):
        passages = store.passages(head)
        if not passages:
            continue
        passage = passages[len(passages) // 2]
        sentences = [passage.text[a - passage.start : b - passage.start] for a, b in passage.span_offsets.tolist()]
        text = max(sentences or [passage.text], key=len)[:MAX_CHARACTERS].strip()
        if text:
            enough = len(list(islice(words(text), _WORDS))) == _WORDS
            (found if enough else short).append(Probe(head.key.tenant, text, head.key.source, head.key.id))
    return found or short


def ask(asked: Sequence[Probe], old: Shown, new: Shown) -> Verdict:
    """Both are searched as requests are. Raises what a search raises."""
    overlaps, successes = [], [0, 0]
    with ExitStack() as stack:
        sides = [(Searcher(each.store, each.encoder, {}), each.generation.dimension) for each in (old, new)]
        for searcher, _ in sides:
            stack.callback(searcher.close)
        for probe in asked:
            both = [_found(searcher, dimension, probe, Mode.HYBRID) for searcher, dimension in sides]
            overlaps.append(len(both[0] & both[1]) / max(1, len(both[0]), len(both[1])))
            for side, (searcher, dimension) in enumerate(sides):
                successes[side] += (probe.source, probe.id) in _found(searcher, dimension, probe, Mode.DENSE)
    count = len(asked)
    if not count:
        return Verdict(0, 1.0, 1.0, 1.0)
    return Verdict(count, sum(overlaps) / count, successes[0] / count, successes[1] / count)


def _found(searcher: Searcher, dimension: int, probe: Probe, mode: Mode) -> set[tuple[str, str]]:
    question = Question(Words(probe.text), mode=mode, limit=DEPTH, spans_per_passage=0)
    answer = searcher.search(Scope(probe.tenant), question, dimension)
    return {(hit.head.key.source, hit.head.key.id) for hit in answer.hits}
