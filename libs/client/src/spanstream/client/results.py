"""What the server answers, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spanstream.client.explanations import Explanation


@dataclass(frozen=True, slots=True)
class Receipt:
    """A document is durable in the log as `version`. `unchanged`: the index already holds this very content."""

    source: str
    id: str
    version: int
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that did not become searchable. `stage` is where: "accept" for one the server refused to take."""

    source: str
    id: str
    stage: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Status:
    """`state`: pending, searchable, deleted, failed (then with stage, reason, detail). `version` is what searches see now,
    0 where they see nothing."""

    source: str
    id: str
    state: str
    version: int = 0
    stage: str = ""
    reason: str = ""
    detail: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to the version that was asked for."""
        return self.state != "pending"


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of an ingest so far. `accepted` includes the unchanged; `searchable` counts what a search now finds."""

    accepted: int = 0
    unchanged: int = 0
    searchable: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The end of an ingest. `failures` holds the first thousand; `counts.failed` is the true number."""

    counts: Progress
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of the document's normalised text, and the words there."""

    start: int
    end: int
    text: str = field(repr=False)
    score: float


@dataclass(frozen=True, slots=True)
class Snippet:
    """What to show of a passage: whole sentences around its best span where they fit, and no word cut."""

    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that matched, with its best spans first. Offsets are those of the document's normalised text."""

    ordinal: int
    start: int
    end: int
    text: str = field(repr=False)
    score: float
    spans: tuple[Span, ...] = ()
    snippet: Snippet | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that matched, with its best passages first."""

    source: str
    id: str
    version: int
    title: str = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    score: float
    passages: tuple[Passage, ...] = ()
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first. `took_ms` is the server's own time; `partial`: it could not fill the list in time; `by_words`: its
    model did not answer, so a hybrid search was ranked by words alone. `facets`: of each field that was asked for the values with
    their numbers of documents. `cursor`: for the hits behind these, None where there are none. `unfinished`: the steps that
    it did not wait for."""

    hits: tuple[Hit, ...]
    took_ms: float
    partial: bool = False
    by_words: bool = False
    facets: Mapping[str, tuple[tuple[str | float | bool, int], ...]] = field(default_factory=dict)
    cursor: str | None = None
    unfinished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContentPassage:
    """A passage of a document; `spans` are the offsets (start, end) of all that a search can name in it."""

    ordinal: int
    start: int
    end: int
    text: str = field(repr=False)
    spans: tuple[tuple[int, int], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """A live document as the index holds it, `content_hash` in hexadecimal. Between passages there is white space alone."""

    source: str
    id: str
    version: int
    content_hash: str
    title: str = field(repr=False)
    content_type: str
    metadata: Mapping[str, Any] = field(repr=False)
    passages: tuple[ContentPassage, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A source and how many documents of it are live."""

    name: str
    documents: int
