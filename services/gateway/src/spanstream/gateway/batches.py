"""Several searches of one request, each with an answer of its own: a wrong one spoils no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from spanstream.gateway.meanings import Words, leaves
from spanstream.gateway.models import BatchAnswer, SearchProblem, SearchRequest, SearchResponse
from spanstream.gateway.question import Mode
from spanstream.runtime.problems import Problem, invalid


def read(raw: Any) -> SearchRequest | Problem:
    """The search, or what is wrong with it."""
    try:
        return SearchRequest.model_validate(raw)
    except ValidationError as error:
        return invalid(error.errors(), "body")


def texts(requests: Sequence[SearchRequest]) -> list[str]:
    """Those that go through the encoder, each once."""
    asked = [request.question() for request in requests]
    found = (leaf for question in asked if question.mode is not Mode.LEXICAL for leaf in leaves(question.meaning))
    return list(dict.fromkeys(leaf.text for leaf in found if isinstance(leaf, Words)))


def answer(request: SearchRequest | Problem, answered: Callable[[SearchRequest], SearchResponse]) -> BatchAnswer:
    """What the search alone would be answered; `answered` raises Problem."""
    if isinstance(request, Problem):
        return _problem(request)
    try:
        return BatchAnswer(response=answered(request))
    except Problem as problem:
        return _problem(problem)


def _problem(problem: Problem) -> BatchAnswer:
    return BatchAnswer(problem=SearchProblem.model_validate(problem.body()))
