from google.protobuf import struct_pb2 as _struct_pb2
from spanstream.events.v1 import document_pb2 as _document_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PassageEvent(_message.Message):
    __slots__ = ("tenant", "source", "id", "version", "operation", "content_hash", "title", "metadata", "groups", "accepted_at_us", "text", "text_offset", "passages", "passage_count", "parser", "segmenter", "unchanged", "content_type", "expires_at_us", "blob", "embedded_again_us")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_US_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PARSER_FIELD_NUMBER: _ClassVar[int]
    SEGMENTER_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    EMBEDDED_AGAIN_US_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    source: str
    id: str
    version: int
    operation: _document_pb2.Operation
    content_hash: bytes
    title: str
    metadata: _struct_pb2.Struct
    groups: _containers.RepeatedScalarFieldContainer[str]
    accepted_at_us: int
    text: str
    text_offset: int
    passages: _containers.RepeatedCompositeFieldContainer[Passage]
    passage_count: int
    parser: str
    segmenter: str
    unchanged: bool
    content_type: str
    expires_at_us: int
    blob: bool
    embedded_again_us: int
    def __init__(self, tenant: _Optional[str] = ..., source: _Optional[str] = ..., id: _Optional[str] = ..., version: _Optional[int] = ..., operation: _Optional[_Union[_document_pb2.Operation, str]] = ..., content_hash: _Optional[bytes] = ..., title: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., groups: _Optional[_Iterable[str]] = ..., accepted_at_us: _Optional[int] = ..., text: _Optional[str] = ..., text_offset: _Optional[int] = ..., passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ..., passage_count: _Optional[int] = ..., parser: _Optional[str] = ..., segmenter: _Optional[str] = ..., unchanged: _Optional[bool] = ..., content_type: _Optional[str] = ..., expires_at_us: _Optional[int] = ..., blob: _Optional[bool] = ..., embedded_again_us: _Optional[int] = ...) -> None: ...

class Passage(_message.Message):
    __slots__ = ("ordinal", "start", "end", "spans")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    start: int
    end: int
    spans: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ordinal: _Optional[int] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., spans: _Optional[_Iterable[int]] = ...) -> None: ...
