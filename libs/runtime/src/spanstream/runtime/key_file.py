"""Changes of a file of API keys: create, rotate, revoke. What services do with it: `keys.py`."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from spanstream.runtime.keys import PREFIX, Key, KeyFile, Previous, hash_of
from spanstream.runtime.private_file import write_private

DEFAULT_SCOPES = frozenset({"read", "write"})


def read_keys(path: Path) -> list[Key]:
    """The entries of a file; raises OSError or ValueError."""
    return list(KeyFile.model_validate_json(path.read_bytes()).keys)


def create_key(
    path: Path,
    id: str,
    tenant: str,
    scopes: Collection[str] = DEFAULT_SCOPES,
    groups: Collection[str] | None = None,
    sources: Collection[str] | None = None,
    expires: datetime | None = None,
) -> str:
    """Add a key to the file (made with mode 0600 if missing), replacing one of the same id; returns the token.

    Raises ValueError or OSError.
    """
    token, digest = _token(id)
    entry = {"id": id, "tenant": tenant, "scopes": scopes, "sha256": digest}
    key = Key.model_validate(entry | {"groups": groups, "sources": sources, "expires": expires})
    with _changing(path) as keys:
        keys[id] = key
    return token


def rotate_key(path: Path, id: str, overlap: timedelta, now: datetime, expires: datetime | None = None) -> str:
    """Give the key a new secret; the old one is accepted for `overlap` more. Returns the token.

    `expires` None: as before. Raises LookupError where there is no such key or it is revoked, ValueError or OSError.
    """
    token, digest = _token(id)

    def rotated(key: Key) -> Key:
        if key.revoked is not None:
            raise LookupError(f"the key {id} is revoked")
        previous = Previous(sha256=key.sha256, expires=now + overlap) if overlap else None
        changed = {"sha256": digest, "previous": previous, "expires": expires or key.expires}
        return key.model_copy(update=changed)

    _change(path, id, rotated)
    return token


def revoke_key(path: Path, id: str, now: datetime) -> None:
    """Let the key be accepted no more; its entry stays, to be listed. Raises LookupError, ValueError or OSError."""
    _change(path, id, lambda key: key.model_copy(update={"revoked": key.revoked or now, "previous": None}))


def _token(id: str) -> tuple[str, str]:
    """A new token of this id, and the hash of its secret."""
    secret = secrets.token_urlsafe(32).replace("_", "-")
    return f"{PREFIX}{id}_{secret}", hash_of(secret)


def _change(path: Path, id: str, change: Callable[[Key], Key]) -> None:
    if not path.exists():
        raise LookupError(f"there is no file {path}")
    with _changing(path) as keys:
        if id not in keys:
            raise LookupError(f"no key has the id {id}")
        keys[id] = change(keys[id])


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Key]]:
    """The keys by id, written back at the end, whole or not at all; one change at a time."""
    with open(os.open(path.with_name(f"{path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = {key.id: key for key in read_keys(path)} if path.exists() else {}
        yield keys
        write_private(path, KeyFile(keys=tuple(keys.values())).model_dump_json(indent=2, exclude_none=True).encode())
