from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class MatchEvent(_message.Message):
    __slots__ = ("tenant", "source", "id", "version", "content_hash", "match_id", "query_id", "query_revision", "score", "title", "groups", "ordinal", "start", "end", "span_start", "span_end", "span_text", "indexed_at_us", "query_uid")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    MATCH_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_REVISION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SPAN_START_FIELD_NUMBER: _ClassVar[int]
    SPAN_END_FIELD_NUMBER: _ClassVar[int]
    SPAN_TEXT_FIELD_NUMBER: _ClassVar[int]
    INDEXED_AT_US_FIELD_NUMBER: _ClassVar[int]
    QUERY_UID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    source: str
    id: str
    version: int
    content_hash: bytes
    match_id: str
    query_id: str
    query_revision: int
    score: float
    title: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    ordinal: int
    start: int
    end: int
    span_start: int
    span_end: int
    span_text: str
    indexed_at_us: int
    query_uid: str
    def __init__(self, tenant: _Optional[str] = ..., source: _Optional[str] = ..., id: _Optional[str] = ..., version: _Optional[int] = ..., content_hash: _Optional[bytes] = ..., match_id: _Optional[str] = ..., query_id: _Optional[str] = ..., query_revision: _Optional[int] = ..., score: _Optional[float] = ..., title: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ..., ordinal: _Optional[int] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., span_start: _Optional[int] = ..., span_end: _Optional[int] = ..., span_text: _Optional[str] = ..., indexed_at_us: _Optional[int] = ..., query_uid: _Optional[str] = ...) -> None: ...
