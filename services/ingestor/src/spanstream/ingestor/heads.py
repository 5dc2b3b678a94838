"""What the index holds of some documents: asked of the gateway over HTTP, or of a function in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import httpx

MAX_IDS = 1_000  # of one question to the gateway
_SECONDS = 5.0


class HeadsUnavailable(Exception):
    """Nobody answers, or not with what was asked: publish, which is always safe."""


class Known(Protocol):
    """The newest version applied, the hash of its content, and whether searches see it and nothing newer failed."""

    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def content_hash(self) -> bytes: ...  # noqa: D102
    @property
    def live(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf: the verified tenant, the header that proved it, for the next service to verify, and whether it may read."""

    tenant: str
    authorization: str | None = None
    may_read: bool = True


class Heads(Protocol):
    """Thread-safe."""

    def lookup(self, caller: Caller, source: str, ids: Sequence[str]) -> Mapping[str, Known]:
        """Document id -> what is known; unknown ids are left out. Raises HeadsUnavailable."""
        ...


class LocalHeads:
    """Asks a function (tenant, source, ids) of the same process; an error of the kinds given means "no answer"."""

    def __init__(
        self, ask: Callable[[str, str, Sequence[str]], Mapping[str, Known]], unavailable: tuple[type[Exception], ...]
    ) -> None:
        self._ask = ask
        self._unavailable = unavailable

    def lookup(self, caller: Caller, source: str, ids: Sequence[str]) -> Mapping[str, Known]:
        """See `Heads`."""
        try:
            return self._ask(caller.tenant, source, ids)
        except self._unavailable as error:
            raise HeadsUnavailable(type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class _Head:
    version: int
    content_hash: bytes
    live: bool


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
            return {row["id"]: _head(row) for row in answer.json()["documents"] if row["content_hash"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise HeadsUnavailable(type(error).__name__) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _head(row: Mapping[str, Any]) -> _Head:
    return _Head(int(row["version"]), bytes.fromhex(row["content_hash"]), row["state"] == "searchable")
