"""The index in process whose files a disk has changed. Each is opened in a child: what the engine does with it may kill."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from spanstream.events.ids import Key
from spanstream.store.compression import Compression
from spanstream.store.edge import EdgeStore
from spanstream.store.points import Head, Passage
from spanstream.store.queries import Dense, Query, Scope
from tests.chaos.corruption.flips import flipped
from tests.fixtures.store import DIMENSION, head, passage

DOCUMENTS, PASSAGES = 30, 3
BLOCK = 4096
LOOK_SECONDS = 60


def _documents() -> list[tuple[Head, list[Passage]]]:
    keys = [Key("acme", "wiki", f"d{number}") for number in range(DOCUMENTS)]
    return [(head(key, count=PASSAGES), [passage(key, ordinal) for ordinal in range(PASSAGES)]) for key in keys]


class Index:
    """A whole one, half of it in its log alone, and what it holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        assert _child(lambda: _write(folder)) == "written"
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._sizes = {path.relative_to(folder): path.stat().st_size for path in files}  # most of it empty
        self._blocks = [(path.relative_to(folder), *block) for path in files for block in _filled(path)]
        self._told = [block for block in self._blocks if block[0].name not in ("lock", "live")]

    def attack(self, chance: random.Random) -> str:
        """1 write it anew, 2 flip bits of a block that holds something, 3 open, read and search it."""
        shutil.rmtree(self._folder)
        for name, size in self._sizes.items():  # 1
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            with open(self._folder / name, "wb") as file:
                file.truncate(size)
        for name, start, data in self._blocks:
            self._put(name, start, data)
        name, start, data = chance.choice(self._told)
        self._put(name, start, flipped(chance, data))  # 2
        told = _child(lambda: _look(self._folder))  # 3
        return f"{told}, in {name.name}" if told.startswith("SERVED") else told

    def _put(self, name: Path, start: int, data: bytes) -> None:
        with open(self._folder / name, "r+b") as file:
            file.seek(start)
            file.write(data)


def _filled(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where the blocks begin that are not empty, and what is in them."""
    data = path.read_bytes()
    for start in range(0, len(data), BLOCK):
        if any(block := data[start : start + BLOCK]):
            yield start, block


def _write(folder: Path) -> str:
    store = EdgeStore(folder)
    store.open("g", DIMENSION, Compression.NONE)
    documents = _documents()
    for number, (one, passages) in enumerate(documents):
        if number == len(documents) // 2:
            store.close()
            store = EdgeStore(folder)
            store.open("g", DIMENSION, Compression.NONE)
        store.upsert_passages(passages)
        store.flip_heads([one])
    return "written"


def _look(folder: Path) -> str:
    """As a gateway does: what cannot be opened or read is refused; what is shown must be what was written."""
    expected = {one.id: one for _, passages in _documents() for one in passages}
    heads = {one.key: one for one, _ in _documents()}
    try:
        store = EdgeStore(folder)
        store.open("g", DIMENSION, Compression.NONE)
        found = store.fetch(list(expected))
        (ranked,) = store.search([Query(Dense(np.ones(DIMENSION, np.float32)), Scope("acme"), 10)])
        known = store.heads(list(heads))
    except Exception:  # noqa: BLE001 whatever it is, nothing is shown
        return "refused"
    if wrong := [id for id, one in found.items() if _shown(one) != _shown(expected[id])]:
        return f"SERVED {len(wrong)} passages that nobody wrote"
    if wrong_heads := [key for key, one in known.items() if replace(one, indexed_at_us=0) != heads.get(key)]:
        return f"SERVED {len(wrong_heads)} heads that nobody wrote"
    return "same" if len(found) == len(expected) and len(known) == len(heads) and len(ranked) == 10 else "less"


def _shown(one: Passage) -> tuple[object, ...]:
    return one.key, one.version, one.content_hash, one.ordinal, one.start, one.end, one.text, one.title, one.groups


def _child(work: Callable[[], str]) -> str:
    """What it says; "refused" where it dies of it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(LOOK_SECONDS)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)  # an engine that panics says so at length
        said = b"refused"
        try:
            said = work().encode()
        finally:
            os.write(writing, said)
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as told:
        said = told.read().decode()
    os.waitpid(pid, 0)
    return said or "refused"
