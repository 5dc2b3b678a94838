from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Resolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESOLUTION_UNSPECIFIED: _ClassVar[Resolution]
    RESOLUTION_REPLAYED: _ClassVar[Resolution]
    RESOLUTION_DISCARDED: _ClassVar[Resolution]
    RESOLUTION_SUPERSEDED: _ClassVar[Resolution]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_ENVELOPE_UNREADABLE: _ClassVar[Reason]
    REASON_SCHEMA_UNKNOWN: _ClassVar[Reason]
    REASON_SCHEMA_INVALID: _ClassVar[Reason]
    REASON_TENANT_MISMATCH: _ClassVar[Reason]
    REASON_VERSION_CONFLICT: _ClassVar[Reason]
    REASON_VERSION_OUT_OF_RANGE: _ClassVar[Reason]
    REASON_BLOB_MISSING: _ClassVar[Reason]
    REASON_BLOB_HASH: _ClassVar[Reason]
    REASON_TYPE_UNSUPPORTED: _ClassVar[Reason]
    REASON_PARSE_FAILED: _ClassVar[Reason]
    REASON_PARSE_LIMIT: _ClassVar[Reason]
    REASON_ENCRYPTED: _ClassVar[Reason]
    REASON_EMPTY_TEXT: _ClassVar[Reason]
    REASON_TOO_MANY_PASSAGES: _ClassVar[Reason]
    REASON_PARTS_MISSING: _ClassVar[Reason]
    REASON_EMBED_INVALID: _ClassVar[Reason]
    REASON_INDEX_REJECTED: _ClassVar[Reason]
    REASON_HANDLER_CRASH: _ClassVar[Reason]
RESOLUTION_UNSPECIFIED: Resolution
RESOLUTION_REPLAYED: Resolution
RESOLUTION_DISCARDED: Resolution
RESOLUTION_SUPERSEDED: Resolution
REASON_UNSPECIFIED: Reason
REASON_ENVELOPE_UNREADABLE: Reason
REASON_SCHEMA_UNKNOWN: Reason
REASON_SCHEMA_INVALID: Reason
REASON_TENANT_MISMATCH: Reason
REASON_VERSION_CONFLICT: Reason
REASON_VERSION_OUT_OF_RANGE: Reason
REASON_BLOB_MISSING: Reason
REASON_BLOB_HASH: Reason
REASON_TYPE_UNSUPPORTED: Reason
REASON_PARSE_FAILED: Reason
REASON_PARSE_LIMIT: Reason
REASON_ENCRYPTED: Reason
REASON_EMPTY_TEXT: Reason
REASON_TOO_MANY_PASSAGES: Reason
REASON_PARTS_MISSING: Reason
REASON_EMBED_INVALID: Reason
REASON_INDEX_REJECTED: Reason
REASON_HANDLER_CRASH: Reason

class FailureEvent(_message.Message):
    __slots__ = ("stage", "reason", "detail", "fingerprint", "attempts", "failed_at_us", "topic", "partition", "offset", "key", "value", "headers", "tenant", "source", "id", "version", "resolution", "resolved_at_us")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_AT_US_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    stage: str
    reason: Reason
    detail: str
    fingerprint: str
    attempts: int
    failed_at_us: int
    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    tenant: str
    source: str
    id: str
    version: int
    resolution: Resolution
    resolved_at_us: int
    def __init__(self, stage: _Optional[str] = ..., reason: _Optional[_Union[Reason, str]] = ..., detail: _Optional[str] = ..., fingerprint: _Optional[str] = ..., attempts: _Optional[int] = ..., failed_at_us: _Optional[int] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., tenant: _Optional[str] = ..., source: _Optional[str] = ..., id: _Optional[str] = ..., version: _Optional[int] = ..., resolution: _Optional[_Union[Resolution, str]] = ..., resolved_at_us: _Optional[int] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
