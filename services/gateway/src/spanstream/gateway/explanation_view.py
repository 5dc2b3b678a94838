"""An explanation as the API answers it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from spanstream.gateway.explanation import Explanation, PartGrade
from spanstream.gateway.meanings import All, AnyOf, Example, Meaning, Not, Words
from spanstream.gateway.queries import Document


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LegResponse(_View):
    """A leg: `contribution` is `weight` times `normalised`; `rank` counts the candidates that it scores higher, and one."""

    leg: str
    score: float
    normalised: float
    weight: float
    contribution: float
    rank: int


class AddedResponse(_View):
    """What a step behind the legs added to the score. `words`: those that feedback asked for beside the query's."""

    step: str
    amount: float
    words: list[str]


class PartResponse(_View):
    """A part of a query in its shortest form, and how well the passage belongs to it, 0 to 1."""

    kind: Literal["all", "any", "not", "text", "like"]
    text: str | None = None
    like: Document | None = None
    grade: float
    parts: list[PartResponse]
    legs: list[LegResponse]

    @classmethod
    def of(cls, part: PartGrade) -> PartResponse:
        """From the explanation's value."""
        legs = [LegResponse.model_validate(leg) for leg in part.legs]
        parts = [cls.of(each) for each in part.parts]
        text, like = text_or_document(part.meaning)
        return cls(kind=_kind(part.meaning), text=text, like=like, grade=part.grade, parts=parts, legs=legs)


class WordResponse(_View):
    """A word of the passage that the query asks for; offsets as in spans."""

    start: int
    end: int
    text: str


class ExplanationResponse(_View):
    """Why the best passage of a hit has its score, and its `rank` among so many `candidates`.

    Of one text or example `score` is the sum of the contributions of `legs` and the amounts `added`; of a set of meanings
    it is the grade of `parts`. `without`: the rank if a leg had no say. `title_words`: words of the title that the query
    asks for.
    """

    score: float
    rank: int
    candidates: int
    legs: list[LegResponse]
    added: list[AddedResponse]
    parts: PartResponse | None
    without: dict[str, int]
    words: list[WordResponse]
    title_words: list[str]

    @classmethod
    def of(cls, explanation: Explanation) -> ExplanationResponse:
        """From the explanation's value."""
        return cls(
            score=explanation.score,
            rank=explanation.rank,
            candidates=explanation.candidates,
            legs=[LegResponse.model_validate(leg) for leg in explanation.legs],
            added=[AddedResponse.model_validate(added) for added in explanation.added],
            parts=PartResponse.of(explanation.parts) if explanation.parts else None,
            without=dict(explanation.without),
            words=[WordResponse.model_validate(word) for word in explanation.words],
            title_words=list(explanation.title_words),
        )


def text_or_document(meaning: Meaning) -> tuple[str | None, Document | None]:
    """What a text or an example says; neither of what has parts."""
    match meaning:
        case Words(text):
            return text, None
        case Example():
            return None, Document.of(meaning)
        case _:
            return None, None


def _kind(meaning: Meaning) -> Literal["all", "any", "not", "text", "like"]:
    match meaning:
        case All():
            return "all"
        case AnyOf():
            return "any"
        case Not():
            return "not"
        case Words():
            return "text"
        case Example():
            return "like"
