"""What a flow may ask of its transport. Flows are generators written once; `Client` and `AsyncClient` only perform effects."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """Send this; answered with a Response, or Unreachable, Broken thrown in. `ingest`: to the ingest address."""

    method: str
    path: str
    ingest: bool = False
    params: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)
    timeout: float | None = None  # seconds; none: the client's own


@dataclass(frozen=True, slots=True)
class Response:
    """Status, headers with lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Next:
    """The next item of what is being ingested; answered with None at the end."""


Flow = Generator[Request | Sleep | Next, Any, T]
