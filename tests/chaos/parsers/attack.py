"""Mutated files through the parser. Whatever is in them, the outcome is a text or a refusal with a reason, and nobody else is hurt."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from spanstream.events.v1.failure_pb2 import REASON_UNSPECIFIED, Reason
from spanstream.ingestor.parsing.kinds import Kind
from spanstream.ingestor.parsing.parsed import Limits, ParseError
from spanstream.ingestor.parsing.parser import Parser
from tests.chaos.parsers.mutate import mutated
from tests.chaos.parsers.seeds import TOKENS, seeds
from tests.unit.ingestor import files

WEIGHTS = {Kind.PDF: 30, Kind.DOCX: 30, Kind.HTML: 20, Kind.MARKDOWN: 10, Kind.TEXT: 5, Kind.JSON: 5}
GOOD_EVERY = 100  # files: one that can be read, which must be, whatever came before
DETAIL_CHARACTERS = 300


@dataclass(slots=True)
class Outcome:
    """Of many files: how many of each kind ended how, the slowest, and what must not be."""

    files: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)


def file_of(seed: int, number: int) -> tuple[Kind, bytes]:
    """Always the same."""
    rng = random.Random(f"{seed} {number}")
    (kind,) = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return kind, mutated(rng, _SEEDS[kind], TOKENS[kind])


def attacked(parser: Parser, seed: int, numbers: range, limits: Limits) -> Outcome:
    """These files, one after another, by the one parser."""
    done = Outcome()
    for number in numbers:
        kind, data = file_of(seed, number)
        began = time.monotonic()
        name, wrong = _ended(parser, kind, data, limits)
        done.slowest = max(done.slowest, time.monotonic() - began)
        done.files += 1
        done.ended[f"{kind.name} {name}"] += 1
        done.wrong += [f"seed {seed}, file {number}, {kind.name}: {each}" for each in wrong]
        if number % GOOD_EVERY == 0 and parser.parse(Kind.PDF, _GOOD).text != "Bees dance.":
            done.wrong.append(f"seed {seed}, after file {number}: a good file is not read")
    return done


def _ended(parser: Parser, kind: Kind, data: bytes, limits: Limits) -> tuple[str, list[str]]:
    try:
        parsed = parser.parse(kind, data)
    except ParseError as error:
        return Reason.Name(error.reason).removeprefix("REASON_"), list(_wrong_refusal(error))
    except Exception as error:  # noqa: BLE001 whatever it is, it must not come out of a parser
        return "ERROR", [f"{type(error).__name__} instead of a refusal"]
    wrong = [] if len(parsed.text) <= limits.text_characters + 1 else [f"{len(parsed.text)} characters"]
    try:
        (parsed.text + parsed.title).encode()
    except UnicodeEncodeError:
        wrong.append("a text with lone surrogates")
    return "read", wrong


def _wrong_refusal(error: ParseError) -> Iterator[str]:
    if error.reason == REASON_UNSPECIFIED:
        yield "a refusal without a reason"
    if not error.detail or len(error.detail) > DETAIL_CHARACTERS:
        yield "a refusal without words, or with too many"
    if "Bees" in error.detail or "dance" in error.detail:
        yield "a refusal that holds words of the document"


_SEEDS = seeds()
_GOOD = files.pdf("Bees dance.")
