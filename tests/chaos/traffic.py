"""Clients of a real pipeline: they send, insist on an answer, look, and write down what they saw as a history.

Every (document, version) has a content of its own, so that whatever is shown says which version it came from.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from spanstream.events.ids import Key, Order, content_hash
from spanstream.ingestor.documents import deleted_hash
from spanstream.runtime.identity import DEFAULT_TENANT
from tests.chaos.history import Call, Content, Found, History, Receipt, Shown, Told

WORD = "tide"  # in every passage
SENTENCES = 26  # of about 70 characters: two passages
AGAIN_SECONDS = 0.2  # until a client that was refused asks again
INSIST_SECONDS = 300.0  # until it gives up: the fault was to have ended long before
ANSWER_SECONDS = 60.0
_NAME = re.compile(r"w([a-j]+)q([a-j]+)x")


def _letters(number: int) -> str:
    """Digits as letters: a word that no stemmer shortens."""
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


def text(number: int, version: int) -> str:
    """Each of its sentences says whose it is."""
    name = f"w{_letters(number)}q{_letters(version)}x"
    return " ".join(f"Sentence {i} of {name} says that the {WORD} comes and goes." for i in range(SENTENCES))


def _version_of(passage: str) -> int | None:
    """Which version a passage is of; None: it does not say, or says several."""
    names = {name for _, name in _NAME.findall(passage)}
    if len(names) != 1:
        return None
    return int("".join(str("abcdefghij".index(letter)) for letter in names.pop()))


@dataclass
class Notes:
    """A history as it grows, from several threads."""

    history: History = field(default_factory=History)
    refused: int = 0  # answers 503
    broken: int = 0  # no answer
    _at: int = 0
    _calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self) -> int:
        with self._lock:
            self._at += 1
            return self._at

    def call(self, key: Key, version: int, content: bytes, deleted: bool) -> int:
        with self._lock:
            self._at += 1
            self._calls += 1
            self.history.entries.append(Call(self._at, self._calls, key, version, content, deleted))
            return self._calls

    def receipt(self, call: int, version: int, unchanged: bool) -> None:
        with self._lock:
            self._at += 1
            self.history.entries.append(Receipt(self._at, call, version, unchanged))

    def saw(self, make: Callable[[int], Told | Found]) -> None:
        with self._lock:
            self._at += 1
            self.history.entries.append(make(self._at))

    @property
    def receipts(self) -> int:
        with self._lock:
            return sum(isinstance(entry, Receipt) for entry in self.history.entries)


class World:
    """Documents of one source, and which content each of their versions has."""

    def __init__(self, source: str, documents: int) -> None:
        self.source = source
        self.keys = [Key(DEFAULT_TENANT, source, str(number)) for number in range(documents)]
        self.notes = Notes()
        self._contents: dict[tuple[Key, int], bytes] = {}  # b"": a delete
        self._newest = dict.fromkeys(self.keys, 0)
        self._lock = threading.Lock()

    def choose(self, chance: random.Random) -> tuple[Key, int, bool]:
        """(document, version, whether it is a delete): mostly new, now and then a little before what was sent last, or
        the very same again.
        """
        with self._lock:
            key = chance.choice(self.keys)
            newest = self._newest[key]
            if newest and chance.random() < 0.1:
                version = chance.randint(max(1, newest - 3), newest)
                if (key, version) in self._contents:
                    return key, version, self._contents[key, version] == deleted_hash()
            else:
                version = newest + chance.randint(1, 2)  # the gaps are for those that come late
            deleted = chance.random() < 0.1
            self._newest[key] = max(newest, version)
            self._contents[key, version] = deleted_hash() if deleted else self._hash(key, version)
            return key, version, deleted

    def content(self, key: Key, version: int | None) -> bytes:
        """The hash of what the version is; empty: nobody sent it."""
        return self._contents.get((key, version), b"") if version is not None else b""

    def accepted(self) -> list[tuple[Key, int]]:
        """What was acknowledged."""
        entries = self.notes.history.entries
        calls = {entry.id: entry.key for entry in entries if isinstance(entry, Call)}
        return sorted({(calls[entry.call], entry.version) for entry in entries if isinstance(entry, Receipt)})

    def _hash(self, key: Key, version: int) -> bytes:
        body = text(int(key.id), version)
        hashed = content_hash(title="", content_type="text/plain", body=body.encode(), metadata={}, groups=())
        self.notes.history.contents[hashed] = Content(body)
        return hashed


class Client:
    """One caller of the API."""

    def __init__(self, world: World, url: str, key: str, chance: random.Random) -> None:
        self._world, self._notes, self._chance = world, world.notes, chance
        self._http = httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=ANSWER_SECONDS, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def attempt(self, key: Key, version: int, deleted: bool) -> httpx.Response | None:
        """Send one event, once; None: there was no answer. A refusal must say when to come again."""
        call = self._notes.call(key, version, self._world.content(key, version), deleted)
        path = f"/v1/sources/{key.source}/documents/{key.id}"
        try:
            if deleted:
                answer = self._http.delete(path, params={"version": version})
            else:
                answer = self._http.put(path, json={"text": text(int(key.id), version), "version": version})
        except httpx.TransportError:
            self._notes.broken += 1
            return None
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0, answer.headers
            self._notes.refused += 1
        else:
            assert answer.status_code in (200, 202), (answer.status_code, answer.text)
            body = answer.json()
            self._notes.receipt(call, body["version"], body["status"] == "unchanged")
        return answer

    def send(self) -> None:
        """A chosen event, until it is accepted."""
        key, version, deleted = self._world.choose(self._chance)
        deadline = time.monotonic() + INSIST_SECONDS
        while True:
            answer = self.attempt(key, version, deleted)
            if answer is not None and answer.status_code != 503:
                return
            assert time.monotonic() < deadline, f"{key} version {version} is not accepted: {answer}"
            time.sleep(AGAIN_SECONDS)

    def ask(self, key: Key, version: int | None) -> None:
        """What became of a document. No answer is no observation."""
        called = self._notes.at()
        query = {} if version is None else {"version": version}
        body = self._answer(
            lambda: self._http.get(f"/v1/sources/{key.source}/documents/{key.id}", params=query), {200, 404}
        )
        if body is None or "state" not in body:
            return
        told = (called, key, None, version, body["state"], body["version"], bytes.fromhex(body["content_hash"]))
        self._notes.saw(lambda at: Told(at, *told))

    def look(self) -> None:
        """At one document, and at all."""
        self.ask(self._chance.choice(self._world.keys), None)
        self.search()

    def search(self) -> bool:
        """All documents, by what every passage holds; whether there was a full answer."""
        called = self._notes.at()
        wanted = {
            "query": WORD,
            "mode": "lexical",
            "limit": 100,
            "passages_per_document": 20,
            "filter": {"field": "source", "in": [self._world.source]},
        }
        body = self._answer(lambda: self._http.post("/v1/search", json=wanted), {200, 422})  # 422: no such source yet
        if body is None or "hits" not in body or body["partial"]:
            return False
        hits = tuple(self._shown(hit) for hit in body["hits"])
        self._notes.saw(lambda at: Found(at, called, DEFAULT_TENANT, None, hits))
        return True

    def _shown(self, hit: dict) -> Shown:  # type: ignore[type-arg]
        key = Key(DEFAULT_TENANT, hit["source"], hit["id"])
        content = self._world.content(key, hit["version"])
        passages = []
        for passage in hit["passages"]:
            version = _version_of(passage["text"])
            passages.append((version or -1, self._world.content(key, version), passage["ordinal"], passage["text"]))
        return Shown(key, Order.of(hit["version"], content, False), 0, tuple(passages))

    def _answer(self, ask: Callable[[], httpx.Response], statuses: set[int]) -> dict | None:  # type: ignore[type-arg]
        try:
            answer = ask()
        except httpx.TransportError:
            return None
        if answer.status_code == 503:
            return None
        assert answer.status_code in statuses, (answer.status_code, answer.text)
        found: dict = answer.json()  # type: ignore[type-arg]
        return found


class Traffic:
    """`writers` that send without a pause and one that looks, in threads of their own, from `start` to `stop`."""

    def __init__(self, world: World, url: str, key: str, seed: int, writers: int = 3) -> None:
        self.world = world
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        clients = [Client(world, url, key, random.Random(f"{seed} {number}")) for number in range(writers + 1)]
        acts = [self._write] * writers + [self._look]
        self._threads = [
            threading.Thread(target=self._guard, args=(act, client), daemon=True)
            for act, client in zip(acts, clients, strict=True)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Each finishes what it is at. Raises what a client found wrong."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def wait(self, receipts: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Until so many more events are accepted."""
        notes = self.world.notes
        wanted, deadline = notes.receipts + receipts, time.monotonic() + INSIST_SECONDS
        while notes.receipts < wanted:
            assert self.failure is None, repr(self.failure)
            assert time.monotonic() < deadline, f"{notes.receipts} of {wanted} accepted"
            meanwhile()
            time.sleep(0.02)

    def _guard(self, act: Callable[[Client], None], client: Client) -> None:
        try:
            while not self._stop.is_set():
                act(client)
        except BaseException as error:  # noqa: BLE001 raised again by `stop`
            self.failure = error
        finally:
            client.close()

    def _write(self, client: Client) -> None:
        client.send()
        self._stop.wait(0.02)  # a short form is about faults, not about load

    def _look(self, client: Client) -> None:
        client.look()
        self._stop.wait(0.1)
