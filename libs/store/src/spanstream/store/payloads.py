"""Heads and passages as payloads (plain JSON values) and back. The names of the stored fields are set here."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np

from spanstream.events.ids import Key
from spanstream.store.facts import facts_payload
from spanstream.store.points import Failure, Head, Passage, PassageMark, State

Payload = dict[str, Any]


@lru_cache(maxsize=1024)  # passages of one document come together
def key_text(key: Key) -> str:
    """The stored form of a key: its record key."""
    return key.encode().decode()


def body_text(key: Key, version: int, content_hash: bytes) -> str:
    """Names one version's passages: equal for all passages of (key, version, content hash), different otherwise."""
    return f"{key_text(key)}\n{version}\n{content_hash.hex()}"


def head_payload(head: Head) -> Payload:
    """What is stored of a head, besides its vector."""
    order = head.order
    metadata = plain(head.metadata)
    return {
        "tenant": head.key.tenant,
        "source": head.key.source,
        "id": head.key.id,
        "version": head.version,
        "rank": order.rank,
        "hash52": order.hash52,
        "hash": head.content_hash.hex(),
        "state": head.state.value,
        "body_version": head.body_version,
        "passage_count": head.passage_count,
        "title": head.title,
        "content_type": head.content_type,
        "metadata": metadata,
        "groups": list(head.groups),
        "accepted_at_us": head.accepted_at_us,
        "indexed_at_us": head.indexed_at_us,
        "failure": failure_payload(head.failure) if head.failure else None,
        **({"expires_at_us": head.expires_at_us} if head.expires_at_us else {}),  # few have any: so the index is small
        **facts_payload(metadata),
    }


def failure_payload(failure: Failure) -> Payload:
    """What is stored of a failure, within its head."""
    return asdict(failure) | {"groups": list(failure.groups)}


def head_from(payload: Mapping[str, Any]) -> Head:
    """The inverse of `head_payload`; a failure that the head has outrun is forgotten."""
    noted = payload.get("failure")
    failure = Failure(**noted | {"groups": tuple(noted.get("groups", ()))}) if noted else None
    return Head(
        key=Key(payload["tenant"], payload["source"], payload["id"]),
        version=payload["version"],
        state=State(payload["state"]),
        content_hash=bytes.fromhex(payload["hash"]),
        body_version=payload["body_version"],
        passage_count=payload["passage_count"],
        title=payload["title"],
        content_type=payload["content_type"],
        metadata=payload["metadata"],
        groups=tuple(payload["groups"]),
        accepted_at_us=payload["accepted_at_us"],
        indexed_at_us=payload["indexed_at_us"],
        expires_at_us=payload.get("expires_at_us", 0),
        failure=failure if failure and failure.version > payload["version"] else None,
    )


HEAD_MARKS = ("tenant", "source", "id", "version", "hash", "state", "body_version", "passage_count")
PASSAGE_MARKS = ("tenant", "source", "id", "body", "ordinal")


def head_mark(payload: Mapping[str, Any]) -> Head:
    """A head from its HEAD_MARKS alone: without what search shows of it."""
    return Head(
        key=Key(payload["tenant"], payload["source"], payload["id"]),
        version=payload["version"],
        state=State(payload["state"]),
        content_hash=bytes.fromhex(payload["hash"]),
        body_version=payload["body_version"],
        passage_count=payload["passage_count"],
    )


def passage_mark(id: str, payload: Mapping[str, Any]) -> PassageMark:
    """A passage from its PASSAGE_MARKS."""
    _, version, content_hash = payload["body"].rsplit("\n", 2)
    key = Key(payload["tenant"], payload["source"], payload["id"])
    return PassageMark(id, key, int(version), bytes.fromhex(content_hash), payload["ordinal"])


def passage_payload(passage: Passage) -> Payload:
    """What is stored of a passage, besides its vectors. Span offsets are packed: a list costs 1 µs per number to write."""
    key = passage.key
    offsets = np.ascontiguousarray(passage.span_offsets, dtype="<i4")
    metadata = plain(passage.metadata)
    payload = {
        "tenant": key.tenant,
        "source": key.source,
        "id": key.id,
        "key": key_text(key),
        "body": body_text(key, passage.version, passage.content_hash),
        "version": passage.version,
        "hash52": int.from_bytes(passage.content_hash[:7], "big") >> 4,
        "ordinal": passage.ordinal,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "title": passage.title,
        "metadata": metadata,
        "groups": list(passage.groups),
        "tokens": passage.tokens,
        "spans": base64.b64encode(offsets.tobytes()).decode(),
    }
    return payload | {"sum": _sum(payload)} | facts_payload(metadata)


def sound(payload: Mapping[str, Any]) -> bool:
    """Whether a passage is as it was written: the engine does not see what a disk has changed. One of an older version is
    taken for sound.
    """
    try:
        return "sum" not in payload or bool(payload["sum"] == _sum(payload))
    except (KeyError, TypeError):
        return False


def _sum(payload: Mapping[str, Any]) -> int:
    """CRC-32 of what is shown of a passage, and whose it is. Not of metadata, in which a server may write numbers anew."""
    shown = (*(str(payload[name]) for name in _SUMMED), *payload["groups"])
    return zlib.crc32("\0".join(shown).encode("utf-8", "surrogatepass"))


_SUMMED = ("tenant", "source", "id", "body", "ordinal", "start", "end", "text", "title", "tokens", "spans")


def passage_from(payload: Mapping[str, Any], dense: list[float] | None = None) -> Passage:
    """The inverse of `passage_payload`."""
    offsets = np.frombuffer(base64.b64decode(payload["spans"]), dtype="<i4")
    return Passage(
        key=Key(payload["tenant"], payload["source"], payload["id"]),
        version=payload["version"],
        content_hash=bytes.fromhex(payload["body"].rsplit("\n", 1)[1]),
        ordinal=payload["ordinal"],
        start=payload["start"],
        end=payload["end"],
        text=payload["text"],
        title=payload["title"],
        metadata=payload["metadata"],
        groups=tuple(payload["groups"]),
        tokens=payload["tokens"],
        span_offsets=offsets.astype(np.int32).reshape(-1, 2),
        dense=None if dense is None else np.asarray(dense, dtype=np.float32),
    )


def plain(value: Any) -> Any:
    """Metadata as the store filters it: whole doubles become integers, because 1990.0 does not match 1990."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
