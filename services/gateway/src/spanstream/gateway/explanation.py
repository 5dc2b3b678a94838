"""Why a passage has its score and rank, out of what the search kept while it computed them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spanstream.gateway import fusion
from spanstream.gateway.meanings import All, AnyOf, Leaf, Meaning, Not, grade, leaves, sought
from spanstream.gateway.trace import Scores, Trace
from spanstream.store.lexical import words
from spanstream.store.points import Passage
from spanstream.store.queries import Lexical

_ROUNDING = 5e-7  # of a score: the same sum of float32 in another order is another one by as much


@dataclass(frozen=True, slots=True)
class LegScore:
    """What a leg says of a passage. `contribution` is weight times normalised; `rank`: 1 + how many candidates it has above."""

    leg: str
    score: float
    normalised: float
    weight: float
    contribution: float
    rank: int


@dataclass(frozen=True, slots=True)
class Added:
    """What a later step added to the score, and the words it looked for beside the query's."""

    step: str
    amount: float
    words: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class PartGrade:
    """How well the passage belongs to a part of a query: the parts' own grades make up its grade."""

    meaning: Meaning
    grade: float
    parts: Sequence[PartGrade] = ()
    legs: Sequence[LegScore] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the passage that the query asks for. Offsets are characters of the document's normalised text."""

    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A single text or example: `score` is the sum of the contributions of `legs` and the amounts `added`. A set of
    meanings: it is the grade of `parts`. `rank` among so many `candidates`, the same for `without` each leg while all later
    steps add what they added.
    """

    score: float
    rank: int
    candidates: int
    legs: Sequence[LegScore] = ()
    added: Sequence[Added] = ()
    parts: PartGrade | None = None
    without: Mapping[str, int] = field(default_factory=dict)
    words: Sequence[Word] = ()
    title_words: Sequence[str] = field(default=(), repr=False)


class Explainer:
    """Of one search: what concerns all candidates is computed once. `taught`: readable words of the terms that the second
    question added.
    """

    def __init__(self, trace: Trace, taught: Sequence[str] = ()) -> None:
        self._trace = trace
        self._taught = taught
        self._places = {id: place for place, id in enumerate(trace.ids)}
        self._graded = len(trace.questions) == len(leaves(trace.meaning)) > 1
        self._steps = trace.steps
        self._shares = [_shares(trace, scores) for scores in trace.questions]
        self._grades = _grades(trace, trace.questions) if self._graded else {}
        self._without = _without(trace, self._graded)
        self._terms = frozenset(int(id) for leaf in sought(trace.meaning) for id in trace.asked[leaf].terms.indices)

    def __call__(self, passage: Passage) -> Explanation:
        """Of a candidate."""
        trace, place = self._trace, self._places[passage.id]
        final = trace.final
        return Explanation(
            score=float(final[place]),
            rank=_rank(final, place),
            candidates=len(trace.ids),
            legs=() if self._graded else self._legs(0, place),
            added=self._added(place),
            parts=self._part(trace.meaning, place) if self._graded else None,
            without={name: _rank(scores, place) for name, scores in self._without.items()},
            words=_matching(passage.text, passage.start, self._terms),
            title_words=[word.text for word in _matching(passage.title, 0, self._terms)],
        )

    def _added(self, place: int) -> list[Added]:
        steps = pairwise(self._steps)
        amounts = [(name, float(after[place] - before[place])) for (_, before), (name, after) in steps]
        return [Added(name, amount, self._taught if name == "feedback" else ()) for name, amount in amounts]

    def _legs(self, question: int, place: int) -> list[LegScore]:
        found = []
        for name, share in self._shares[question].items():
            raw, normalised = self._trace.questions[question][name], float(share.normalised[place])
            contribution = share.weight * normalised
            found.append(LegScore(name, float(raw[place]), normalised, share.weight, contribution, _rank(raw, place)))
        return found

    def _part(self, part: Meaning, place: int) -> PartGrade:
        here = {leaf: grades[place : place + 1] for leaf, grades in self._grades.items()}
        own = float(grade(part, here)[0])
        match part:
            case Not(inner):
                return PartGrade(part, own, [self._part(inner, place)])
            case All(parts) | AnyOf(parts):
                return PartGrade(part, own, [self._part(each, place) for each in parts])
            case _:
                return PartGrade(part, own, legs=self._legs(leaves(self._trace.meaning).index(part), place))


def taught_terms(trace: Trace) -> list[int]:
    """The ids of the terms that the second question has beside the first one's, the heaviest first."""
    lexical = trace.legs[1].get("lexical") if trace.asked_again else None
    if not isinstance(lexical, Lexical):
        return []
    known = trace.asked[leaves(trace.meaning)[0]].terms.indices
    order = np.argsort(-lexical.terms.values, kind="stable")
    return [int(id) for id in lexical.terms.indices[order] if id not in known]


def readable(terms: Sequence[int], texts: Iterable[str]) -> list[str]:
    """The shortest word of the texts for each term that stands in any of them, in the terms' order, none twice."""
    wanted, found = set(terms), dict[int, str]()
    for text in texts:
        for start, end, ids in words(text):
            for id in ids & wanted:
                word = text[start:end].casefold()
                if id not in found or (len(word), word) < (len(found[id]), found[id]):
                    found[id] = word
    return list(dict.fromkeys(found[id] for id in terms if id in found))


def _shares(trace: Trace, scores: Scores) -> Mapping[str, fusion.Share]:
    """What each leg gives; a single leg of one text or example keeps its own scores."""
    if len(scores) == 1 and len(trace.questions) == 1:
        return {name: fusion.Share(1.0, only) for name, only in scores.items()}
    return fusion.shares(scores, trace.fusion) if scores else {}


def _grades(trace: Trace, questions: Sequence[Scores]) -> dict[Leaf, NDArray[np.float32]]:
    graded = fusion.grades_of(questions, len(trace.ids), trace.fusion)
    return dict(zip(leaves(trace.meaning), graded, strict=True))


def _without(trace: Trace, graded: bool) -> dict[str, NDArray[np.float32]]:
    """The scores if a leg had no say and all later steps added what they added."""
    names = list(dict.fromkeys(name for scores in trace.questions for name in scores))
    if len(names) < 2:
        return {}
    found = {}
    for left_out in names:
        rest = [{name: each for name, each in scores.items() if name != left_out} for scores in trace.questions]
        if graded:
            fused = grade(trace.meaning, _grades(trace, rest))
        else:
            fused = np.mean([fusion.combined(scores, trace.fusion) for scores in rest], axis=0).astype(np.float32)
        found[left_out] = fused + (trace.final - trace.total)
    return found


def _rank(scores: NDArray[np.float32], place: int) -> int:
    """Equals have the same rank: who is above them by no more than rounding is one, whatever the order of the sums."""
    own = float(scores[place])
    return 1 + int((scores > own + _ROUNDING * max(1.0, abs(own))).sum())


def _matching(text: str, offset: int, terms: frozenset[int]) -> list[Word]:
    """The words with any of these terms; pairs of characters that overlap are one."""
    ranges: list[tuple[int, int]] = []
    for start, end, ids in words(text):
        if ids.isdisjoint(terms):
            continue
        if ranges and start < ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((start, end))
    return [Word(offset + start, offset + end, text[start:end]) for start, end in ranges]
