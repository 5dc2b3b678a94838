"""What an objective is: it draws texts from a batch of documents, and says how wrong their vectors are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from spanstream.encoder.encoder import Text
from spanstream.representations.training.student import Student, Vectors


@dataclass(frozen=True, slots=True)
class Document:
    """A passage to learn from: `sentences` are half-open character ranges of its text; `queries` are questions that it
    is known to answer, `negatives` of each of these passages that look as if they did. `source` names what it is a passage
    of, where others may be too.
    """

    text: str = field(repr=False)
    title: str = field(default="", repr=False)
    sentences: tuple[tuple[int, int], ...] = ()
    queries: tuple[str, ...] = field(default=(), repr=False)
    source: str = ""
    negatives: Mapping[str, tuple[Document, ...]] = field(default_factory=dict, repr=False, hash=False)


class Sight(NamedTuple):
    """The vectors of what was drawn: the student's, and on demand those that the model gave before it learnt, of the
    texts and then of the `reference`; and the objective's assistant, if it has one.
    """

    now: list[Vectors]
    start: Callable[[], list[Vectors]]
    assistant: Callable[..., torch.Tensor] | None = None


class Draw(NamedTuple):
    """`texts` to encode, and the loss of their vectors, a scalar; nothing to learn from is an empty list. `reference`:
    what only the model before it learnt reads. `layers`: after which the whole of a text is pooled too, from 1.
    """

    texts: list[Text]
    loss: Callable[[Sight], torch.Tensor]
    reference: Sequence[Text] = ()
    layers: tuple[int, ...] = ()


class Objective(Protocol):
    """One way to learn. Its fields are what a recipe may set."""

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """From one batch; the same `chance` draws the same."""
        ...


@runtime_checkable
class Assisted(Protocol):
    """An objective with something beside the model that learns, and is thrown away at the end."""

    def assistant(self, student: Student) -> torch.nn.Module:
        """Made before the first step; draws from torch's generator."""
        ...
