"""The answer of a document's content route, and the path it is asked under."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from starlette.routing import Match
from starlette.types import Scope

from spanstream.gateway.contents import Content
from spanstream.runtime.guard import GuardedRoute
from spanstream.store.points import Passage

PAGE_PASSAGES = 50
MAX_PAGE_PASSAGES = 200  # of about 1,000 characters
MAX_ORDINAL = 2**31 - 1


class Offsets(BaseModel):
    """Characters of the document's normalised text, half-open."""

    start: int
    end: int


class PassageContent(BaseModel):
    """A passage with the offsets of everything in it that a search can name: sentences first, then what lies within them."""

    ordinal: int
    start: int
    end: int
    text: str
    spans: list[Offsets]

    @classmethod
    def of(cls, passage: Passage) -> PassageContent:
        """From the store's value."""
        spans = [Offsets(start=start, end=end) for start, end in passage.span_offsets.tolist()]
        return cls(ordinal=passage.ordinal, start=passage.start, end=passage.end, text=passage.text, spans=spans)


class ContentResponse(BaseModel):
    """A page of a live document. Between passages there is white space alone. `next`: ask on with `from` so many; null at the end.

    Pages belong together where their `content_hash` (hexadecimal) is the same.
    """

    source: str
    id: str
    version: int
    content_hash: str
    title: str
    content_type: str
    metadata: dict[str, Any]
    passage_count: int
    passages: list[PassageContent]
    next: int | None

    @classmethod
    def of(cls, content: Content) -> ContentResponse:
        """From the reader's value."""
        head = content.head
        return cls(
            source=head.key.source,
            id=head.key.id,
            version=head.version,
            content_hash=head.content_hash.hex(),
            title=head.title,
            content_type=head.content_type,
            metadata=dict(head.metadata),
            passage_count=head.passage_count,
            passages=[PassageContent.of(passage) for passage in content.passages],
            next=content.next,
        )


class ContentRoute(GuardedRoute):
    """Takes only a path whose last part was sent as `/content`: in `a%2Fcontent` it is the end of an id."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As the framework's, of the path before percent-decoding where the server tells it."""
        sent = scope.get("raw_path") or b"/content"
        return super().matches(scope) if sent.endswith(b"/content") else (Match.NONE, {})
