"""What the index holds of some documents: asked of the gateway over HTTP, or read where a store is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self
from urllib.parse import quote

import httpx

from spanstream.runtime.identity import Identity

MAX_IDS = 1_000  # of one question to the gateway
_SECONDS = 5.0


class HeadsUnavailable(Exception):
    """Nobody answers, or not with what was asked: publish, which is always safe."""


@dataclass(frozen=True, slots=True)
class Known:
    """The newest version applied, the hash of its content, and whether searches see it and nothing newer failed."""

    version: int
    content_hash: bytes
    live: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf: the verified tenant, the header that proved it, for the next service to verify, and whether it may read."""

    tenant: str
    authorization: str | None = None
    may_read: bool = True

    @classmethod
    def of(cls, identity: Identity, authorization: str | None) -> Self:
        """Who sent a request with this Authorization header."""
        return cls(identity.tenant, authorization, "read" in identity.scopes)


class Heads(Protocol):
    """Thread-safe."""

    def lookup(self, caller: Caller, source: str, ids: Sequence[str]) -> Mapping[str, Known]:
        """Document id -> what is known; unknown ids are left out. Raises HeadsUnavailable."""
        ...


class GatewayHeads:
    """Asks the gateway's status route with the caller's own key, which must have the read scope."""

    def __init__(self, url: str, client: httpx.Client | None = None) -> None:
        self._url = url.rstrip("/")
        self._client = client or httpx.Client(timeout=_SECONDS)

    def lookup(self, caller: Caller, source: str, ids: Sequence[str]) -> Mapping[str, Known]:
        """See `Heads`."""
        if not caller.may_read:  # the gateway would refuse, and its audit log tell of it
            raise HeadsUnavailable("the caller may not read")
        found: dict[str, Known] = {}
        for start in range(0, len(ids), MAX_IDS):
            found |= self._ask(caller, source, ids[start : start + MAX_IDS])
        return found

    def _ask(self, caller: Caller, source: str, ids: Sequence[str]) -> dict[str, Known]:
        headers = {"authorization": caller.authorization} if caller.authorization else {}
        try:
            answer = self._client.post(
                f"{self._url}/v1/sources/{quote(source, safe='')}/documents:status",
                json={"documents": [{"id": id} for id in ids]},
                headers=headers,
            )
            answer.raise_for_status()
            return {row["id"]: _known(row) for row in answer.json()["documents"] if row["content_hash"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise HeadsUnavailable(type(error).__name__) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _known(row: Mapping[str, Any]) -> Known:
    return Known(int(row["version"]), bytes.fromhex(row["content_hash"]), row["state"] == "searchable")
