"""What the index still holds: asked of the gateway over HTTP, or of a function in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from spanstream.ingestor.heads import Caller

_SECONDS = 60.0  # an index counts exactly, and may have to open other generations


class HoldingsUnavailable(Exception):
    """Nobody answers, or not with what was asked: nothing can be said."""


@dataclass(frozen=True, slots=True)
class Held:
    """Numbers of points; as the gateway's route tells them."""

    generation: str
    documents: int
    tombstones: int
    passages: int
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    uncleared: Mapping[str, int] = field(default_factory=dict)
    deleted_at_us: int = 0
    cleared_at_us: int | None = None
    live: Sequence[tuple[str, str, int]] = ()  # source, id, version


class Holdings(Protocol):
    """Thread-safe."""

    def held(self, caller: Caller, source: str | None, id: str | None, live: int = 0) -> Held:
        """Of a document, of a source, or of the caller's tenant; names at most so many live ones. Raises
        HoldingsUnavailable.
        """
        ...


class GatewayHoldings:
    """Asks the gateway with the caller's own key."""

    def __init__(self, url: str, client: httpx.Client | None = None) -> None:
        self._url = url.rstrip("/")
        self._client = client or httpx.Client(timeout=_SECONDS)

    def held(self, caller: Caller, source: str | None, id: str | None, live: int = 0) -> Held:
        """See `Holdings`."""
        headers = {"authorization": caller.authorization} if caller.authorization else {}
        asked = {"source": source, "id": id, "live": live}
        try:
            answer = self._client.post(f"{self._url}/v1/holdings", json=asked, headers=headers)
            answer.raise_for_status()
            return _held(answer.json())
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise HoldingsUnavailable(type(error).__name__) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _held(body: Mapping[str, Any]) -> Held:
    return Held(
        generation=body["generation"],
        documents=body["documents"],
        tombstones=body["tombstones"],
        passages=body["passages"],
        elsewhere=body["elsewhere"],
        uncleared=body["uncleared"],
        deleted_at_us=body["deleted_at_us"],
        cleared_at_us=body["cleared_at_us"],
        live=[(row["source"], row["id"], row["version"]) for row in body["live"]],
    )
