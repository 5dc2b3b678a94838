"""`client.standing_queries`: what both clients offer, to be called or to be awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from spanstream.client import flows, standing
from spanstream.client.effects import Flow
from spanstream.client.standing import StandingQuery


class StandingQueries:
    """Raises what the client's methods raise."""

    def __init__(self, run: Callable[[Flow[Any]], Any]) -> None:
        self._run = run

    def save(
        self,
        id: str,
        query: str | Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,
        threshold: float | None = None,
    ) -> StandingQuery:
        """Save a query under a name, in place of any of that name; it takes effect within about a second."""
        found: StandingQuery = self._run(flows.call(standing.put(id, query, filter, threshold), standing.read_one))
        return found

    def get(self, id: str) -> StandingQuery:
        """The query of this name; raises NotFound."""
        found: StandingQuery = self._run(flows.call(standing.get(id), standing.read_one))
        return found

    def all(self) -> list[StandingQuery]:
        """All, by name."""
        found: list[StandingQuery] = self._run(flows.call(standing.listed(), standing.read_list))
        return found

    def delete(self, id: str) -> None:
        """Delete the query of this name; raises NotFound."""
        self._run(flows.call(standing.delete(id), standing.read_nothing))


class AsyncStandingQueries:
    """The same, to be awaited."""

    def __init__(self, run: Callable[[Flow[Any]], Awaitable[Any]]) -> None:
        self._run = run

    async def save(
        self,
        id: str,
        query: str | Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,
        threshold: float | None = None,
    ) -> StandingQuery:
        """Save a query under a name, in place of any of that name; it takes effect within about a second."""
        found: StandingQuery = await self._run(
            flows.call(standing.put(id, query, filter, threshold), standing.read_one)
        )
        return found

    async def get(self, id: str) -> StandingQuery:
        """The query of this name; raises NotFound."""
        found: StandingQuery = await self._run(flows.call(standing.get(id), standing.read_one))
        return found

    async def all(self) -> list[StandingQuery]:
        """All, by name."""
        found: list[StandingQuery] = await self._run(flows.call(standing.listed(), standing.read_list))
        return found

    async def delete(self, id: str) -> None:
        """Delete the query of this name; raises NotFound."""
        await self._run(flows.call(standing.delete(id), standing.read_nothing))
