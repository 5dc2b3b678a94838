"""Snapshots of a Qdrant server's collections over HTTP, piece by piece: they need not fit into memory, nor be made quickly.

Every function raises StoreUnavailable where the server does not do it, StoreRejected where it refuses what it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from spanstream.store.errors import StoreRejected, StoreUnavailable

SECONDS = 3600.0  # for an answer to begin: the server has then made a snapshot, or read one and put it in place
_REFUSED = (400, 409, 422)


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Of the server at `host`, spoken to through a client that has its key."""

    http: httpx.Client
    host: str

    @contextmanager
    def made(self, collection: str) -> Iterator[str]:
        """The name of a new one, which is removed afterwards."""
        answer = self._asked("POST", self._address(collection), params={"wait": "true"})
        name = str(answer.json()["result"]["name"])
        try:
            yield name
        finally:
            self._asked("DELETE", self._address(collection, name), params={"wait": "true"})

    def download(self, collection: str, name: str, file: Path) -> None:
        """Write it into a file."""
        try:
            with self.http.stream("GET", self._address(collection, name), timeout=SECONDS) as answer:
                if answer.status_code != 200:
                    raise StoreUnavailable(f"the index server answered {answer.status_code} for a snapshot")
                with open(file, "wb") as written:
                    for piece in answer.iter_bytes():
                        written.write(piece)
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"the index server cannot be reached: {error}") from error

    def upload(self, collection: str, file: Path) -> None:
        """Put it in the collection's place, which is made if it is not there."""
        with open(file, "rb") as read:
            wanted = {"wait": "true", "priority": "snapshot"}
            self._asked("POST", self._address(collection, "upload"), params=wanted, files={"snapshot": read})

    def _address(self, *names: str) -> str:
        collection, *rest = (quote(name, safe="") for name in names)
        return "/".join([self.host.rstrip("/"), "collections", collection, "snapshots", *rest])

    def _asked(self, method: str, address: str, **options: object) -> httpx.Response:
        try:
            answer = self.http.request(method, address, timeout=SECONDS, **options)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"the index server cannot be reached: {error}") from error
        text = f"the index server answered {answer.status_code}: {answer.text[:500]}"
        if answer.status_code in _REFUSED:
            raise StoreRejected(text)
        if answer.status_code != 200:
            raise StoreUnavailable(text)
        return answer
