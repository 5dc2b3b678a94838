"""Several searches of one request: the texts of all go through the encoder together, and each has its own answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from spanstream.encoder.encoder import Encoded, Encoder, EncoderInfo, Text
from spanstream.encoder.errors import EncoderError
from spanstream.gateway.asking import whole
from spanstream.gateway.meanings import Words, leaves
from spanstream.gateway.models import BatchAnswer, SearchProblem, SearchRequest, SearchResponse
from spanstream.gateway.search import Mode, Searcher
from spanstream.runtime.problems import Problem, invalid

Answered = Callable[..., SearchResponse]  # of a request and a searcher


class Ahead:
    """An encoder that has read some queries already, and asks `encoder` for all others."""

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        """An encoder that fails is asked again by each search, which knows what that means for it."""
        self._encoder = encoder
        self._known: dict[str, Encoded] = {}
        try:
            vectors = encoder.encode([whole(text) for text in texts], query=True) if texts else []
        except EncoderError:
            return
        self._known = dict(zip(texts, vectors, strict=False))  # whoever asks checks them

    def info(self) -> EncoderInfo:
        """As the encoder's."""
        return self._encoder.info()

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """Known queries at once."""
        if query and all(text.text in self._known and not len(text.ranges) for text in texts):
            return [self._known[text.text] for text in texts]
        return self._encoder.encode(texts, query=query)

    def ready(self) -> bool:
        """As the encoder."""
        return self._encoder.ready()

    def close(self) -> None:
        """The encoder is not ours."""


def answers(raw: Sequence[Any], searcher: Searcher, answered: Answered) -> list[BatchAnswer]:
    """One for each of the requests, in order; `answered` raises Problem."""
    read = [_read(each) for each in raw]
    texts = dict.fromkeys(text for request in read if isinstance(request, SearchRequest) for text in _texts(request))
    prepared = searcher.using(lambda encoder: Ahead(encoder, list(texts)))
    return [_problem(each) if isinstance(each, Problem) else _answer(each, prepared, answered) for each in read]


def _read(raw: Any) -> SearchRequest | Problem:
    try:
        return SearchRequest.model_validate(raw)
    except ValidationError as error:
        return invalid(error.errors(), "body")


def _texts(request: SearchRequest) -> list[str]:
    if request.mode is Mode.LEXICAL:
        return []
    return [leaf.text for leaf in leaves(request.question().meaning) if isinstance(leaf, Words)]


def _answer(request: SearchRequest, searcher: Searcher, answered: Answered) -> BatchAnswer:
    try:
        return BatchAnswer(response=answered(request, searcher=searcher))
    except Problem as problem:
        return _problem(problem)


def _problem(problem: Problem) -> BatchAnswer:
    return BatchAnswer(problem=SearchProblem.model_validate(problem.body()))
