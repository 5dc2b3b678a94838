"""Clients that go on while pods come and go: every answer counts.

What goes over a connection of its own is sent once. On a connection that is kept, a server that ends may close it in the same moment
as the next request leaves: there is no protection from that in HTTP/1.1, so such a request is sent once more, as every
client does with one that changes nothing when it is repeated (RFC 9110, 9.2.2), and counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from itertools import count

import httpx

from spanstream.events.ids import Key, content_hash
from spanstream.runtime.identity import DEFAULT_TENANT
from tests.chaos.history import Call, Content, History, Receipt

SOURCE = "rehearsal"
DOCUMENTS = 200  # after which the first is written anew: the index stays of one size however long it takes
_PAUSE_SECONDS = 0.5  # between two requests of one client: it is a rehearsal, no bench
_SECONDS = 60.0  # for one answer
Act = Callable[[httpx.Client, int], None]
_CLOSED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class Load:
    """Writers put, rewrite and delete documents through the ingest API, searchers ask the gateway; `history` is what they saw."""

    def __init__(self, gateway: str, ingest: str, token: str) -> None:
        self.history = History()
        self.failures: dict[str, list[str]] = {"writes": [], "searches": []}
        self.counts = {"writes": 0, "searches": 0}
        self.resent = 0
        self._urls = {"writes": ingest, "searches": gateway}
        self._headers = {"authorization": f"Bearer {token}"}
        self._moments, self._calls = count(1), count(1)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # Two each: one on a connection that it keeps, one with a connection for every request.
        acts: dict[str, Act] = {"writes": self._write, "searches": self._search}
        self._threads = [
            threading.Thread(target=self._run, args=(kind, act, kept), daemon=True)
            for kind, act in acts.items()
            for kept in (False, True)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_SECONDS * 2)

    def passed(self, more: int) -> Callable[[], bool]:
        """A condition: each kind has been answered so many times more."""
        before = dict(self.counts)
        return lambda: all(self.counts[kind] >= before[kind] + more for kind in before)

    def _run(self, kind: str, act: Act, kept: bool) -> None:
        limits = httpx.Limits(max_keepalive_connections=1 if kept else 0)
        with httpx.Client(base_url=self._urls[kind], headers=self._headers, timeout=_SECONDS, limits=limits) as client:
            turn = 0
            while not self._stop.wait(_PAUSE_SECONDS):
                try:
                    self._act(act, client, turn * 2 + kept, kept)
                    with self._lock:
                        self.counts[kind] += 1
                except (httpx.HTTPError, AssertionError) as error:
                    where = "kept" if kept else "new"
                    self.failures[kind].append(f"{time.strftime('%H:%M:%S')} {where} connection: {error!r}")
                turn += 1

    def _act(self, act: Act, client: httpx.Client, number: int, kept: bool) -> None:
        try:
            act(client, number)
        except _CLOSED:
            if not kept:
                raise
            with self._lock:
                self.resent += 1
            act(client, number)

    def _write(self, client: httpx.Client, turn: int) -> None:
        """Each third document is written again, each fifth deleted, a while after it was put, and all go round."""
        self._send(client, turn, 1)
        if turn >= 6 and turn % 3 == 0:
            self._send(client, turn - 6, 2)
        if turn >= 10 and turn % 5 == 0:
            self._send(client, turn - 10, 3, deleted=True)

    def _send(self, client: httpx.Client, turn: int, step: int, *, deleted: bool = False) -> None:
        lap, number = divmod(turn, DOCUMENTS)
        version = lap * 3 + step
        key = Key(DEFAULT_TENANT, SOURCE, f"d{number}")
        text = "" if deleted else f"Ferry {number} leaves the quay at noon. It carries lanterns, version {version}."
        content = _hash(text, deleted)
        with self._lock:
            call = Call(next(self._moments), next(self._calls), key, version, content, deleted)
            self.history.contents[content] = Content(text)
            self.history.entries.append(call)
        path = f"/v1/sources/{SOURCE}/documents/{key.id}"
        if deleted:
            answer = client.delete(path, params={"version": version})
        else:
            answer = client.put(path, json={"text": text, "version": version})
        assert answer.status_code == 202, (answer.status_code, answer.text)
        with self._lock:
            self.history.entries.append(Receipt(next(self._moments), call.id, answer.json()["version"]))

    def _search(self, client: httpx.Client, turn: int) -> None:
        answer = client.post("/v1/search", json={"query": f"ferry {turn} with lanterns", "limit": 3})
        assert answer.status_code == 200, (answer.status_code, answer.text)


def _hash(text: str, deleted: bool) -> bytes:
    return content_hash(
        title="", content_type="" if deleted else "text/plain", body=text.encode(), metadata={}, groups=()
    )


def last_versions(history: History) -> Mapping[Key, int]:
    """The greatest version of each document that was acknowledged."""
    calls = {entry.id: entry for entry in history.entries if isinstance(entry, Call)}
    found: dict[Key, int] = {}
    for entry in history.entries:
        if isinstance(entry, Receipt):
            key = calls[entry.call].key
            found[key] = max(entry.version, found.get(key, 0))
    return found


def settled(gateway: str, token: str, history: History) -> Callable[[], bool]:
    """A condition: whatever was acknowledged is searchable or deleted, or something newer is."""
    left = dict(last_versions(history))

    def none_left() -> bool:
        with httpx.Client(base_url=gateway, headers={"authorization": f"Bearer {token}"}, timeout=_SECONDS) as client:
            for key, version in list(left.items()):
                path = f"/v1/sources/{key.source}/documents/{key.id}"
                if client.get(path, params={"version": version}).json()["state"] in ("searchable", "deleted"):
                    del left[key]
        return not left

    return none_left
