"""Snapshots of a Qdrant server over HTTP, piece by piece: they need not fit into memory."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx

from spanstream.store.errors import StoreRejected, StoreUnavailable

SECONDS = 3600.0  # between two pieces; a server answers an upload once it has read it all


def download(http: httpx.Client, host: str, collection: str, snapshot: str, file: Path) -> None:
    """Write the snapshot that the server has made into a file. Raises StoreUnavailable."""
    address = f"{host.rstrip('/')}/collections/{quote(collection, safe='')}/snapshots/{quote(snapshot, safe='')}"
    try:
        with http.stream("GET", address, timeout=SECONDS) as answer, open(file, "wb") as written:
            if answer.status_code != 200:
                raise StoreUnavailable(f"the index server answered {answer.status_code} for a snapshot")
            for piece in answer.iter_bytes():
                written.write(piece)
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"the index server cannot be reached: {error}") from error


def upload(http: httpx.Client, host: str, collection: str, file: Path) -> None:
    """Put it in the collection's place. Raises StoreUnavailable, or StoreRejected where the server refuses it."""
    address = f"{host.rstrip('/')}/collections/{quote(collection, safe='')}/snapshots/upload"
    try:
        with open(file, "rb") as read:
            answer = http.post(
                address,
                params={"wait": "true", "priority": "snapshot"},
                files={"snapshot": read},
                timeout=SECONDS,
            )
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"the index server cannot be reached: {error}") from error
    if answer.status_code in (400, 409, 422):
        raise StoreRejected(f"the index server refuses the snapshot: {answer.text[:500]}")
    if answer.status_code != 200:
        raise StoreUnavailable(f"the index server answered {answer.status_code} to a snapshot")
