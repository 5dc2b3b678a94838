"""A matrix behind an encoder, learnt on its vectors: words of a sentence find it, and its passage, among all others.

The encoder does not change, so a step costs milliseconds, and every passage can stand against every other one, where a
training of the encoder has only those of a batch. A residual map learnt from retrieval alone is Search-Adaptor's (Yoon et
al., 2024); words of a sentence in place of labelled queries are the inverse cloze task's (Lee et al., 2019).

A rotation changes no cosine, so the matrix ends with the one that puts first what vectors have most of: they may be cut
after any component, as those of a model trained for it (Matryoshka, Kusupati et al., 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from spanstream.representations.stages import widest_first
from spanstream.representations.training.losses import info_nce
from spanstream.representations.training.objective import Document
from spanstream.representations.training.settings import Count, CountOrNone, NotNegative, Positive, at_least
from spanstream.representations.training.stream import MIN_DOCUMENTS
from spanstream.representations.training.views import crop, sentence, sentences, thinned

Array = NDArray[np.float32]

_BATCH = 64  # queries of a step
_LOOK_EVERY = 20  # steps between two looks at what is held out
_APART = 0.2  # of all queries
_LEAST, _MOST = 0.3, 0.7  # shares of a sentence's words that a query has


@dataclass(frozen=True, slots=True)
class Projection:
    """What a recipe may say of it. `passages` are drawn, and of each of them `queries` sentences; `decay` holds the matrix
    near to none, by as much however many queries it learns from, which each weigh 1: the fewer, the nearer; `sentences`: the
    weight of finding the sentence, beside 1 for the passage.
    """

    steps: CountOrNone = 100
    learning_rate: Positive = 5e-4
    temperature: Positive = 0.1
    decay: NotNegative = 32.0
    sentences: NotNegative = 1.0
    passages: Annotated[int, at_least(MIN_DOCUMENTS)] = 5000
    queries: Count = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """Words of sentences, and whose: numbers of their passages and of their sentences, counted through all passages.

    `held_out` [q]: every fifth or so is only judged by. It is queries that are held out, and not passages: the passages that
    it learns to tell apart are those that will be searched.
    """

    words: list[str] = field(repr=False)
    passages: NDArray[np.int64]
    sentences: NDArray[np.int64]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Examples:
    """Unit vectors: of queries [q, d], whose passages and sentences the numbers [q] name, of passages [p, d] and sentences
    [s, d]; `held_out` [q] is what the matrix is only judged by.
    """

    queries: Array = field(repr=False)
    own_passages: NDArray[np.int64]
    own_sentences: NDArray[np.int64]
    passages: Array = field(repr=False)
    sentences: Array = field(repr=False)
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Learnt:
    """`matrix` [d, d] after `kept` steps, `turned`: right-multiplied, the identity after none. `losses`: held out, at the start
    and kept.
    """

    matrix: Array = field(repr=False)
    kept: int
    losses: tuple[float, float]


def ask(documents: Sequence[Document], settings: Projection, seed: int) -> Asked:
    """Half of the queries are runs of words, half are words here and there."""
    chance = Random(f"{seed}/projection")
    words, owners, own, apart = list[str](), list[int](), list[int](), list[bool]()
    places = sentences(documents)
    number = 0
    for i, document in enumerate(documents):
        count = len(document.sentences)
        for chosen in sorted(chance.sample(range(count), min(settings.queries, count))):
            cut = crop if chance.random() < 0.5 else thinned
            words.append(cut(sentence(documents, places[number + chosen]), chance, _LEAST, _MOST))
            owners.append(i)
            own.append(number + chosen)
            apart.append(chance.random() < _APART)
        number += count
    return Asked(words, np.array(owners, np.int64), np.array(own, np.int64), np.array(apart, bool))


def learn(
    examples: Examples, settings: Projection, seed: int, progress: Callable[[int], None] = lambda step: None
) -> Learnt:
    """The matrix that does best on what is held out, turned; the same input gives the same. The identity where none does better."""
    asked, found, parts = map(torch.from_numpy, (examples.queries, examples.passages, examples.sentences))
    learning = torch.from_numpy(np.flatnonzero(~examples.held_out))
    judging = torch.from_numpy(np.flatnonzero(examples.held_out))
    own = torch.from_numpy(examples.own_passages), torch.from_numpy(examples.own_sentences)
    identity = torch.eye(examples.passages.shape[1])

    def loss(added: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Of the queries of these numbers, a step's at once: they stand against everything, which is what memory is for."""
        matrix = identity + added
        queries, passages, sentences = (normalize(each @ matrix, dim=1) for each in (asked[chosen], found, parts))
        total = torch.zeros(())
        for first in range(0, len(chosen), _BATCH):
            some = slice(first, first + _BATCH)
            of_passages = info_nce(queries[some], passages, own[0][chosen[some]], settings.temperature)
            of_sentences = info_nce(queries[some], sentences, own[1][chosen[some]], settings.temperature)
            total = total + (of_passages + settings.sentences * of_sentences) * (len(chosen[some]) / len(chosen))
        return total

    added = torch.zeros_like(identity, requires_grad=True)
    with torch.no_grad():
        start = float(loss(added, judging))
    best, kept, lowest = torch.zeros_like(identity), 0, start
    optimizer = torch.optim.Adam([added], lr=settings.learning_rate)
    drawn = torch.Generator().manual_seed(Random(f"{seed}/projection/steps").getrandbits(63))
    for step in range(1, settings.steps + 1):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - (step - 1) / settings.steps)
        chosen = learning[torch.randint(len(learning), (_BATCH,), generator=drawn)]
        total = loss(added, chosen) + settings.decay / len(learning) * added.square().sum()
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress(step)
        if step % _LOOK_EVERY == 0 or step == settings.steps:
            with torch.no_grad():
                now = float(loss(added, judging))
            if now < lowest:  # what is no number is below nothing
                best, kept, lowest = added.detach().clone(), step, now
    if not kept:
        return Learnt(identity.numpy(), kept, (start, lowest))
    matrix = turned((identity + best).numpy(), np.concatenate([examples.passages, examples.sentences]))
    return Learnt(matrix, kept, (start, lowest))


def turned(matrix: Array, vectors: Array) -> Array:
    """`matrix` [d, d] and behind it the rotation, in float64, after which the first k components hold most of what it makes
    of `vectors` [n, d], for every k: no other k directions leave less of them out (Eckart and Young, 1936).

    Of unit vectors, as cosines see them, and not around their mean: that a cosine does not subtract, and a cut that leaves
    it out changes them all.
    """
    found = vectors.astype(np.float64) @ matrix
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    _, axes = widest_first(found.T @ found)
    return np.ascontiguousarray(matrix @ axes, np.float32)
