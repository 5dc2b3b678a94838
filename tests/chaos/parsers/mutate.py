"""Changes of bytes from a seed: what breaks, repeats, cuts, joins and inflates."""

from __future__ import annotations

import random
import re
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO

MOST_BYTES = 2**20  # of a mutated file
_NUMBER = re.compile(rb"\d+")
_NUMBERS = (b"0", b"-1", b"255", b"65536", b"2147483647", b"4294967295", b"9223372036854775808", b"1e999")


def mutated(rng: random.Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """One of the seeds after one to six changes; an archive often from within, so that it stays one."""
    data = rng.choice(seeds)
    if data.startswith(b"PK") and rng.random() < 0.6:
        return _repacked(rng, data, tokens)[:MOST_BYTES]
    return _changed(rng, data, seeds, tokens)[:MOST_BYTES]


def _changed(rng: random.Random, data: bytes, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    for _ in range(rng.randint(1, 6)):
        data = rng.choice(_CHANGES)(rng, data, seeds, tokens)
    return data


def _repacked(rng: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    """The archive with some of its entries changed, left out, renamed, repeated or blown up."""
    file = BytesIO()
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
            for entry in archive.infolist():
                content, name, roll = archive.read(entry), entry.filename, rng.random()
                if roll < 0.25 and content:
                    content = _changed(rng, content, [content], tokens)
                elif roll < 0.30:
                    continue
                elif roll < 0.34:
                    name = rng.choice(("../" + name, "/" + name, name.upper(), name + "\x00.xml", "word/document.xml"))
                elif roll < 0.37:
                    content += b" " * rng.choice((2**16, 2**20))
                out.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    except (zipfile.BadZipFile, UserWarning):
        return data
    return file.getvalue()


Change = Callable[[random.Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 4, 16, 256, 4096)))


def _flip(rng: random.Random, data: bytes, _seeds: Sequence[bytes], _tokens: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 16) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, data: bytes, _seeds: Sequence[bytes], _tokens: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _leave_out(rng: random.Random, data: bytes, _seeds: Sequence[bytes], _tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _repeat(rng: random.Random, data: bytes, _seeds: Sequence[bytes], _tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 8, 200)) + data[end:]


def _insert(rng: random.Random, data: bytes, _seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(tokens) * rng.choice((1, 1, 3)) + data[place:]


def _join(rng: random.Random, data: bytes, seeds: Sequence[bytes], _tokens: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _number(rng: random.Random, data: bytes, _seeds: Sequence[bytes], _tokens: Sequence[bytes]) -> bytes:
    found = [match.span() for match in _NUMBER.finditer(data[:65536])]
    if not found:
        return data
    start, end = rng.choice(found)
    return data[:start] + rng.choice(_NUMBERS) + data[end:]


def _random(rng: random.Random, data: bytes, _seeds: Sequence[bytes], _tokens: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.randbytes(end - start) + data[end:]


_CHANGES: Sequence[Change] = (_flip, _cut, _leave_out, _repeat, _insert, _insert, _join, _number, _random)
