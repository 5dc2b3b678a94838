"""Identity and order: record keys, content hashes, point ids, and which of two events of a document wins."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote

from spanstream.events.errors import InvalidKey

MAX_VERSION = 2**53 - 1  # the store compares numbers as float64
MAX_ID_CHARACTERS = 512
CONTENT_HASH_BYTES = 32

SOURCE_PATTERN = "[a-z0-9][a-z0-9._-]{0,63}"  # of tenants too
FINGERPRINT_PATTERN = "[0-9a-f]{16}"  # of the cause of dead letters

_NAME = re.compile(SOURCE_PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NAMESPACE = uuid.UUID("6f1a4f0e-6d5c-5a53-9c40-3f5b2f6c8d11")


class Key(NamedTuple):
    """Which document. `tenant` and `source` are lower-case names of 1..64 characters, `id` is 1..512 characters."""

    tenant: str
    source: str
    id: str

    @classmethod
    def checked(cls, tenant: str, source: str, id: str) -> Self:
        """The key, or InvalidKey saying which part is wrong (never its value)."""
        for field, value in (("tenant", tenant), ("source", source)):
            if not _NAME.fullmatch(value):
                raise InvalidKey(
                    f"{field} must be 1 to 64 characters of a-z, 0-9, '.', '_', '-', first a letter or digit"
                )
        if not 1 <= len(id) <= MAX_ID_CHARACTERS:
            raise InvalidKey(f"id must have 1 to {MAX_ID_CHARACTERS} characters, not {len(id)}")
        if id in (".", ".."):
            raise InvalidKey("id must not be '.' or '..', which no URL can carry, not even percent-encoded")
        if _CONTROL.search(id):
            raise InvalidKey("id must not contain control characters or lone surrogates")
        return cls(tenant, source, id)

    def encode(self) -> bytes:
        """The record key: the three parts, percent-encoded, joined by '/'."""
        return "/".join(quote(part, safe="") for part in self).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The inverse of `encode`; raises InvalidKey."""
        try:
            parts = [unquote(part, errors="strict") for part in data.decode("ascii").split("/")]
        except UnicodeDecodeError as error:
            raise InvalidKey("the record key is not percent-encoded UTF-8") from error
        if len(parts) != 3:
            raise InvalidKey(f"the record key must have 3 parts separated by '/', not {len(parts)}")
        return cls.checked(*parts)


class Order(NamedTuple):
    """Events of one key compare by version, then delete over upsert, then content hash; the largest wins."""

    version: int
    rank: int  # 0 upsert, 1 delete
    hash52: int

    @classmethod
    def of(cls, version: int, content_hash: bytes, deleted: bool) -> Self:
        """`hash52` is the first 52 bits of the content hash, because the store compares only numbers."""
        return cls(version, int(deleted), int.from_bytes(content_hash[:7], "big") >> 4)


def content_hash(
    *,
    title: str,
    content_type: str,
    body: bytes,
    metadata: Mapping[str, Any],
    groups: Iterable[str],
    expires_at_us: int = 0,
) -> bytes:
    """BLAKE2b-256 over everything that search shows or filters, each part length-prefixed; and over when it expires, if
    it does: the same text with another time is another content, else it would be taken for unchanged.
    """
    canonical = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    digest = hashlib.blake2b(digest_size=CONTENT_HASH_BYTES)
    for part in (
        title.encode(),
        content_type.encode(),
        body,
        canonical.encode(),
        *map(str.encode, sorted(set(groups))),
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    if expires_at_us:
        digest.update(b"expires" + expires_at_us.to_bytes(8, "big"))
    return digest.digest()


def head_id(key: Key) -> uuid.UUID:
    """The point id of a document's head."""
    return uuid.uuid5(_NAMESPACE, key.encode().decode())


def standing_id(tenant: str, groups: Iterable[str] | None, id: str) -> uuid.UUID:
    """The point id of a standing query: the same id in another scope, a tenant with its groups, is another query."""
    owner = "*" if groups is None else json.dumps(sorted(set(groups)))
    return uuid.uuid5(_NAMESPACE, f"standing query\n{tenant}\n{owner}\n{id}")


def match_id(query: uuid.UUID, revision: int, key: Key, version: int, content_hash: bytes) -> uuid.UUID:
    """The id of a match: one for each revision of a query and version of a document, however often it is found."""
    return uuid.uuid5(query, f"{revision}\n{key.encode().decode()}\n{version}\n{content_hash.hex()}")


def passage_id(key: Key, version: int, content_hash: bytes, ordinal: int) -> uuid.UUID:
    """The point id of a passage: the same event always gives the same ids, so writing it twice changes nothing."""
    return uuid.uuid5(_NAMESPACE, f"{key.encode().decode()}\n{version}\n{content_hash.hex()}\n{ordinal}")
