"""Passages in batches, epoch after epoch: never all in memory, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from random import Random

from spanstream.representations.training.errors import CorpusUnsuitable
from spanstream.representations.training.objective import Document

MIN_DOCUMENTS = 20  # different ones, without those that are held out
_BUFFER = 10_000  # passages among which an epoch is shuffled
_SHARE = 10  # of so many passages one is held out
_MOST_HELD_OUT = 200

Source = Callable[[], Iterable[Document]]


def held_out(source: Source) -> list[Document]:
    """The same passages each time, which `batches` never gives; 200 at most."""
    found = {document.text: document for document in islice(filter(_is_held_out, source()), _MOST_HELD_OUT)}
    return list(found.values())


def refuse_unsuitable(source: Source) -> None:
    """Raise CorpusUnsuitable where there are too few different passages to tell apart."""
    different: set[str] = set()
    for document in source():
        if not _is_held_out(document):
            different.add(document.text)
        if len(different) >= MIN_DOCUMENTS:
            return
    raise CorpusUnsuitable(f"{len(different)} different passages to learn from; {MIN_DOCUMENTS} are needed at least")


def batches(source: Source, size: int, seed: int) -> Iterator[list[Document]]:
    """Without end; each of `size` passages, the last one of an epoch may be smaller, but never 1."""
    epoch = 0
    while True:
        chance = Random(f"{seed}/{epoch}")
        shuffled = _shuffled((each for each in source() if not _is_held_out(each)), chance)
        while batch := list(islice(shuffled, size)):
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


def _is_held_out(document: Document) -> bool:
    return blake2b(document.text.encode(), digest_size=8).digest()[0] % _SHARE == 0
