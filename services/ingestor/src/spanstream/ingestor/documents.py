"""A document as the API takes it: its schema, its checks, and the event it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from spanstream.events.ids import MAX_ID_CHARACTERS, MAX_VERSION, Key, content_hash
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, OPERATION_UPSERT, DocumentEvent
from spanstream.ingestor.expiry import Moment, microseconds
from spanstream.ingestor.metadata import canonical, is_storable
from spanstream.ingestor.parsing.kinds import TEXT_KINDS, Kind, bare
from spanstream.runtime import problems
from spanstream.runtime.names import DocumentId
from spanstream.runtime.problems import Problem

MAX_TITLE_CHARACTERS = 2_000
MAX_GROUPS = 100
MAX_GROUP_CHARACTERS = 256
MAX_CONTENT_TYPE_CHARACTERS = 100


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("contains NUL or a lone surrogate")
    return text


def _readable(text: str) -> str:
    if not text or text.isspace():
        raise ValueError("is empty")
    return text


Storable = AfterValidator(_storable)
Group = Annotated[str, Field(min_length=1, max_length=MAX_GROUP_CHARACTERS), Storable]
Version = Annotated[int, Field(ge=0, le=MAX_VERSION)]


class DocumentBody(BaseModel):
    """A document to upsert."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"title": "On bees", "text": "Bees dance. They do so to tell.", "metadata": {"year": 1927}}]
        },
    )

    text: Annotated[str, Storable, AfterValidator(_readable)] = Field(description="at most 4 MiB of UTF-8 by default")
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS), Storable] = ""
    content_type: str = Field(
        Kind.TEXT.value,
        description="text/plain, text/markdown or text/html",
        max_length=MAX_CONTENT_TYPE_CHARACTERS,
        examples=["text/plain"],
    )
    metadata: Annotated[dict[str, Any], AfterValidator(canonical)] = Field(
        {}, description="any JSON object: at most 1,000 values, 65,536 characters, 8 levels"
    )
    groups: list[Group] = Field([], max_length=MAX_GROUPS, description="who may see it; empty: all of the tenant")
    version: Version | None = Field(
        None, description="the source's own order of this document's events; none: the time of acceptance"
    )
    expires_at: Moment | None = None


class RecordBody(DocumentBody):
    """A line of a batch: the same with its id."""

    id: DocumentId = Field(min_length=1, max_length=MAX_ID_CHARACTERS)


class FileFields(BaseModel):
    """What goes with an uploaded file."""

    model_config = ConfigDict(strict=True, extra="forbid")

    title: Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS), Storable] = ""
    metadata: Annotated[dict[str, Any], AfterValidator(canonical)] = {}
    groups: list[Group] = Field([], max_length=MAX_GROUPS)
    version: Version | None = None
    expires_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    """A checked document. `body` are the bytes of a text (UTF-8) or of a file."""

    key: Key
    version: int | None
    content_type: str
    body: bytes = field(repr=False)
    is_file: bool = False
    title: str = field(default="", repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    groups: Sequence[str] = ()
    expires_at_us: int = 0  # since 1970; 0: never

    def hash(self) -> bytes:
        """The content hash, over everything that search shows or filters."""
        return content_hash(
            title=self.title,
            content_type=self.content_type,
            body=self.body,
            metadata=self.metadata,
            groups=self.groups,
            expires_at_us=self.expires_at_us,
        )

    def event(self, version: int, hashed: bytes, blob: str | None, now_us: int) -> DocumentEvent:
        """The event; its body is in the blob store if `blob` names it there."""
        body = {"blob": blob} if blob is not None else {"text": self.body.decode()}
        event = DocumentEvent(
            tenant=self.key.tenant,
            source=self.key.source,
            id=self.key.id,
            version=version,
            operation=OPERATION_UPSERT,
            title=self.title,
            content_type=self.content_type,
            groups=sorted(set(self.groups)),
            content_hash=hashed,
            accepted_at_us=now_us,
            expires_at_us=self.expires_at_us,
            **body,  # type: ignore[arg-type]
        )
        if self.metadata:
            event.metadata.update(self.metadata)
        return event


@dataclass(frozen=True, slots=True)
class Delete:
    """A document to forget."""

    key: Key
    version: int | None

    def event(self, version: int, now_us: int) -> DocumentEvent:
        """The event."""
        return DocumentEvent(
            tenant=self.key.tenant,
            source=self.key.source,
            id=self.key.id,
            version=version,
            operation=OPERATION_DELETE,
            content_hash=deleted_hash(),
            accepted_at_us=now_us,
        )


@cache
def deleted_hash() -> bytes:
    """The content hash of every delete: that of nothing."""
    return content_hash(title="", content_type="", body=b"", metadata={}, groups=())


def event_hash(event: DocumentEvent, body: bytes, metadata: Mapping[str, Any]) -> bytes:
    """The content hash of an upsert, whose body is these bytes and whose metadata is this object, canonical."""
    return content_hash(
        title=event.title,
        content_type=event.content_type,
        body=body,
        metadata=metadata,
        groups=event.groups,
        expires_at_us=event.expires_at_us,
    )


def upsert(key: Key, body: DocumentBody, max_text_bytes: int) -> Upsert:
    """From a validated body; raises Problem 413 or 415."""
    kind = bare(body.content_type)
    if kind not in TEXT_KINDS:
        raise Problem(415, "content_type must be text/plain, text/markdown or text/html; other formats go to …/files")
    data = body.text.encode()
    if len(data) > max_text_bytes:
        raise Problem(413, f"the text has {len(data)} bytes, more than {max_text_bytes}")
    return Upsert(
        key,
        body.version,
        kind,
        data,
        title=body.title,
        metadata=body.metadata,
        groups=tuple(body.groups),
        expires_at_us=expiry(body),
    )


def expiry(fields: DocumentBody | FileFields) -> int:
    """Microseconds since 1970; 0: never."""
    return 0 if fields.expires_at is None else microseconds(fields.expires_at)


def invalid(error: ValidationError, where: str = "body") -> Problem:
    """The problem behind a failed validation: field paths, never values."""
    return problems.invalid(error.errors(include_url=False, include_context=False, include_input=False), where)
