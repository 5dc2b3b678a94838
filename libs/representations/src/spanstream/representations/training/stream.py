"""Passages in batches, epoch after epoch: never all in memory, and the same for the same seed.

Who is learnt from is decided by a hash of what a passage is of: of ten, one is for validation (it says when to stop, and
which weights are kept), and one for the test afterwards, of which training sees nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from hashlib import blake2b
from itertools import islice
from random import Random

from spanstream.representations.training.errors import CorpusUnsuitable
from spanstream.representations.training.objective import Document

MIN_DOCUMENTS = 20  # different ones, without those that are held out
_BUFFER = 10_000  # passages among which an epoch is shuffled
_SHARE = 10  # of so many sources one is held out, and another one is for the test
_MOST_HELD_OUT = 200

Source = Callable[[], Iterable[Document]]


class Split(StrEnum):
    """What a passage is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def split(document: Document) -> Split:
    """The same for all passages of one source, whatever else there is."""
    place = blake2b((document.source or document.text).encode(), digest_size=8).digest()[0] % _SHARE
    return {0: Split.VALIDATION, 1: Split.TEST}.get(place, Split.TRAIN)


def held_out(source: Source) -> list[Document]:
    """Those for validation, the same each time, which `batches` never gives; 200 different ones at most, those with
    questions first.
    """
    plain, asked = dict[str, Document](), dict[str, Document]()
    for document in source():
        if split(document) is Split.VALIDATION and len(found := asked if document.queries else plain) < _MOST_HELD_OUT:
            found.setdefault(document.text, document)
    return list((asked | {text: each for text, each in plain.items() if text not in asked}).values())[:_MOST_HELD_OUT]


def refuse_unsuitable(source: Source) -> None:
    """Raise CorpusUnsuitable where there are too few different passages to tell apart."""
    different: set[str] = set()
    for document in source():
        if split(document) is Split.TRAIN:
            different.add(document.text)
        if len(different) >= MIN_DOCUMENTS:
            return
    raise CorpusUnsuitable(f"{len(different)} different passages to learn from; {MIN_DOCUMENTS} are needed at least")


def batches(source: Source, size: int, seed: int) -> Iterator[list[Document]]:
    """Without end; each of `size` different passages, fewer where some are equal or an epoch ends, but never 1."""
    epoch = 0
    while True:
        chance = Random(f"{seed}/{epoch}")
        shuffled = _shuffled((each for each in source() if split(each) is Split.TRAIN), chance)
        while several := list(islice(shuffled, size)):
            # A text that is there twice would be told from itself; that with questions says more.
            batch = list({each.text: each for each in sorted(several, key=_asked)}.values())
            if len(batch) > 1:
                yield batch
        epoch += 1


def _shuffled(documents: Iterable[Document], chance: Random) -> Iterator[Document]:
    """Each leaves a buffer at random, once it is full."""
    buffer: list[Document] = []
    for document in documents:
        buffer.append(document)
        if len(buffer) == _BUFFER:
            place = chance.randrange(_BUFFER)
            buffer[place], buffer[-1] = buffer[-1], buffer[place]
            yield buffer.pop()
    chance.shuffle(buffer)
    yield from buffer


def _asked(document: Document) -> bool:
    return bool(document.queries)
