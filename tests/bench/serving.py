"""P5: the encoder service under 32 clients beside what others would run, and what bulk does to the latency of queries.

All servers run before the first is measured; one is at work at a time, in turn, on the same fresh texts. Clients and servers
share the cores, so a server that answers faster also has its clients take more of them.
"""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.model import Model, load
from tests.bench import clients, corpus, servers
from tests.bench.clients import Address, Answers, Asked
from tests.bench.ratio import percentiles, ratio
from tests.bench.result import Result, Row, row

PROCESSES = 2  # of clients
LEAD = 0.2  # seconds in which all clients connect before they begin
DOCUMENT_WORDS = 100  # at most
MOST_TOKENS = 250  # special ones too: a text fits one window, where the peers cut it and ours would read it all
BULK_CLIENTS, BULK_TEXTS = 8, 8  # requests at once and documents of each: two workers as they come, whose polls have 8
QUERIES_PER_SECOND, QUERY_CLIENTS = 25.0, 4
RAMP = 1.0  # seconds of bulk before the first query

DEFAULT = "ours, one process"
ONE, TWO = "ours, Serve, 1 replica", "ours, Serve, 2 replicas"
BARS = {servers.PER_REQUEST.name: 4.0, servers.COUNTED.name: 1.5}


@dataclass(slots=True)
class _Side:
    """What one server did over all repetitions; `cosines` to the float32 vector of the same text."""

    rates: list[float] = field(default_factory=list)  # texts/s of each repetition
    seconds: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    asked: int = 0
    retried: int = 0
    refused: int = 0
    lost: int = 0


def measure(*, short: bool) -> Result:
    """Texts/s and latency of all in turn, then queries with and without bulk. Short: ours and peer (a) alone, hardly a request."""
    count, each, repetitions = (4, 2, 1) if short else (32, 4, 5)
    model = load("minilm")  # for its tokenizer
    wanted = _short() if short else _long()
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(PROCESSES, context, initializer=clients.share, initargs=(stop,)) as pool:
        sides = _in_turn(pool, wanted, model, count, each, repetitions)
        promised: dict[str, dict[str, Any]] = {}
        for server in (one for one in wanted if one.name in sides and one.name in (DEFAULT, TWO)):
            with servers.running([server]) as addresses:  # by itself: what others do at rest is not its bulk
                promised |= {name: _priority(pool, stop, at, short=short) for name, at in addresses.items()}
    return _result(sides, promised, absent=[server.name for server in wanted if server.name not in sides])


def _in_turn(
    pool: ProcessPoolExecutor, wanted: Sequence[servers.Server], model: Model, count: int, each: int, repetitions: int
) -> dict[str, _Side]:
    """What all that start do with the same requests of `count` clients."""
    with servers.running(wanted) as addresses:
        sides = {name: _Side() for name in addresses}
        for repetition in range(repetitions + 1):  # the first warms up
            asked = count * (each if repetition else 1)
            requests = _requests(asked, repetition, lambda text: _tokens(model, text) <= MOST_TOKENS)
            found: dict[str, Answers] = {}
            for name, address in addresses.items():
                found[name], seconds = _turn(pool, address, requests, count)
                if repetition:
                    _add(sides[name], found[name], seconds, len(requests))
            if repetition:
                reference = _by_number(found[servers.PER_REQUEST.name])
                for name, answers in found.items():
                    sides[name].cosines += _cosines(answers, reference)
    return sides


def _short() -> list[servers.Server]:
    return [servers.one_process(DEFAULT, ENCODER_DTYPE="float32"), servers.PER_REQUEST]  # calibration takes a while


def _long() -> list[servers.Server]:
    return [
        servers.one_process(DEFAULT),
        servers.PER_REQUEST,
        servers.COUNTED,
        servers.replicated(ONE, 1),
        servers.replicated(TWO, 2),
    ]


def _requests(count: int, repetition: int, fits: Callable[[str], bool]) -> list[Asked]:
    """One text each: half of them questions, half documents of 3 to DOCUMENT_WORDS words, mixed; others each repetition.

    Those that do not fit are left out, some in a hundred.
    """
    chance = random.Random(repetition)
    half = count // 2
    questions = corpus.questions(half * (repetition + 1))[-half:]
    documents = []
    for record in corpus.documents(count - half, seed=9000 + repetition):
        words = record["text"].split()[: chance.randint(3, DOCUMENT_WORDS)]
        documents.append(" ".join(words))
    asked = [Asked([text], query=True) for text in questions] + [Asked([text], query=False) for text in documents]
    chance.shuffle(asked)
    return [each for each in asked if fits(each.texts[0])]


def _tokens(model: Model, text: str) -> int:
    (read,) = model.tokenize([text])
    return len(model.before) + len(read.ids) + len(model.after)


def _turn(pool: ProcessPoolExecutor, address: Address, requests: Sequence[Asked], count: int) -> tuple[Answers, float]:
    """What `count` clients got for these requests, and the seconds from the first request to the last answer."""
    numbered = list(enumerate(requests))
    shares = [numbered[place::count] for place in range(count)]
    begin = time.perf_counter() + LEAD
    parts = [pool.submit(clients.at_once, address, shares[place::PROCESSES], begin) for place in range(PROCESSES)]
    answers = Answers()
    for part in parts:
        answers.add(part.result())
    return answers, answers.ended - begin


def _add(side: _Side, answers: Answers, seconds: float, asked: int) -> None:
    side.rates.append(len(answers.numbers) / seconds)
    side.seconds += answers.seconds
    side.asked += asked
    side.retried += answers.retried
    side.refused += answers.refused
    side.lost += asked - len(answers.numbers) - answers.refused


def _by_number(answers: Answers) -> dict[int, NDArray[np.float32]]:
    return {number: vectors[0] for number, vectors in zip(answers.numbers, answers.vectors, strict=True)}


def _cosines(answers: Answers, reference: dict[int, NDArray[np.float32]]) -> list[float]:
    """To the reference of the same request, so that an answer to another's text is seen."""
    pairs = [(vector, reference[number]) for number, vector in _by_number(answers).items() if number in reference]
    return [float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)) for ours, theirs in pairs]


def _priority(pool: ProcessPoolExecutor, stop: Event, address: Address, *, short: bool) -> dict[str, Any]:
    """Queries at a steady rate from one process, alone and while another one's clients send bulk: A B A B A B."""
    seconds, repetitions, bulk_clients = (1.0, 1, 2) if short else (3.0, 3, BULK_CLIENTS)
    texts = [record["text"] for record in corpus.documents(32 * BULK_TEXTS, seed=9100)]
    documents = [Asked(texts[at : at + BULK_TEXTS], query=False) for at in range(0, len(texts), BULK_TEXTS)]
    queries = [Asked([text], query=True) for text in corpus.questions(int(seconds * QUERIES_PER_SECOND))]
    idle, loaded = Answers(), Answers()
    rates: list[float] = []
    bulk_answered = True
    for _ in range(repetitions):
        begin = time.perf_counter() + LEAD
        idle.add(_queries(pool, address, queries, begin).result())
        begun = time.perf_counter()
        stop.clear()
        bulk = pool.submit(clients.bulk, address, documents, bulk_clients)
        loaded.add(_queries(pool, address, queries, begun + RAMP).result())
        stop.set()
        done = bulk.result()
        rates.append(BULK_TEXTS * len(done.numbers) / (done.ended - begun))
        bulk_answered = bulk_answered and len(done.numbers) > 0 and done.lost == 0
    asked = len(queries) * repetitions
    return {
        "idle": percentiles(idle.seconds),
        "under_bulk": percentiles(loaded.seconds),
        "bulk_texts_per_second": [round(rate, 1) for rate in rates],
        "queries_per_second": QUERIES_PER_SECOND,
        "refused": idle.refused + loaded.refused,
        "retried": idle.retried + loaded.retried,
        "all_answered": len(idle.numbers) == len(loaded.numbers) == asked,
        "bulk_answered": bulk_answered,
    }


def _queries(pool: ProcessPoolExecutor, address: Address, queries: Sequence[Asked], begin: float) -> Any:
    return pool.submit(clients.steady, address, queries, QUERIES_PER_SECOND, QUERY_CLIENTS, begin)


def _result(sides: dict[str, _Side], promised: dict[str, dict[str, Any]], absent: Sequence[str]) -> Result:
    rows: list[Row] = []
    ratios: dict[str, dict[str, Any]] = {}
    for name in (DEFAULT, ONE, TWO):
        for peer, bar in BARS.items():
            if name in sides and peer in sides:
                found = ratios[f"{name} ÷ {peer}"] = ratio(sides[name].rates, sides[peer].rates)
                shown = f"{found['ratio']} {found['interval']}"
                rows.append(row(f"P5 {name} ÷ {peer[:3]}", shown, f"≥ {bar}", found["interval"][0] >= bar))
    latencies = {name: percentiles(side.seconds) for name, side in sides.items()}
    for name, side in sides.items():
        figures = latencies[name]
        p99 = figures["p99_ms"]
        target = ("≤ 100", p99 <= 100) if name not in BARS else ("", None)
        rows += [
            row(f"P5 {name}: texts/s", f"{np.median(side.rates):.0f}"),
            row(f"P5 {name}: p99 ms", f"{p99}", *target),
            row(f"P5 {name}: p50, max ms", f"{figures['p50_ms']}, {figures['max_ms']}"),
            row(f"P5 {name}: 503, given up, of {side.asked}", f"{side.retried}, {side.refused}"),
        ]
    for name, found in promised.items():
        idle, loaded = found["idle"]["p99_ms"], found["under_bulk"]["p99_ms"]
        rows += [
            row(f"P5 {name}: queries' p99, bulk ÷ idle", f"{loaded / idle:.2f}", "≤ 3.00", loaded / idle <= 3),
            row("   the same in ms: under bulk, idle", f"{loaded}, {idle}"),
            row("   bulk texts/s meanwhile", f"{np.median(found['bulk_texts_per_second']):.0f}"),
        ]
    rows += [row(f"P5 {name}", "did not start here") for name in absent]
    ours = {name: side for name, side in sides.items() if name not in BARS}
    return {
        "rows": rows,
        "guards": {
            **{f"{name}: nothing lost": side.lost == 0 for name, side in sides.items()},
            **{
                f"{name}: cosine to float32 mean ≥ 0.999, min ≥ 0.99": bool(
                    side.cosines and np.mean(side.cosines) >= 0.999 and min(side.cosines) >= 0.99
                )
                for name, side in ours.items()
            },
            **{f"{name}: every query answered": found["all_answered"] for name, found in promised.items()},
            **{f"{name}: bulk answered, none lost": found["bulk_answered"] for name, found in promised.items()},
        },
        "figures": {
            "ratios": ratios,
            "sides": {
                name: latencies[name]
                | {"texts_per_second": [round(rate, 1) for rate in side.rates]}
                | {"asked": side.asked, "retried": side.retried, "refused": side.refused, "lost": side.lost}
                | {"cosine": {"mean": float(np.mean(side.cosines)), "min": min(side.cosines)} if side.cosines else None}
                for name, side in sides.items()
            },
            "priority": promised,
            "versions": {name: _version(name) for name in ("ray", "fastapi")},
        },
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
