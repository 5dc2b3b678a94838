from spanstream.events.v1 import passage_pb2 as _passage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VectorType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VECTOR_TYPE_UNSPECIFIED: _ClassVar[VectorType]
    VECTOR_TYPE_FLOAT32: _ClassVar[VectorType]
    VECTOR_TYPE_FLOAT16: _ClassVar[VectorType]
VECTOR_TYPE_UNSPECIFIED: VectorType
VECTOR_TYPE_FLOAT32: VectorType
VECTOR_TYPE_FLOAT16: VectorType

class EmbeddingEvent(_message.Message):
    __slots__ = ("origin", "release", "dimension", "vector_type", "passage_vectors", "span_vectors", "document_vector", "passage_tokens")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    VECTOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_VECTORS_FIELD_NUMBER: _ClassVar[int]
    SPAN_VECTORS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_VECTOR_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    origin: _passage_pb2.PassageEvent
    release: str
    dimension: int
    vector_type: VectorType
    passage_vectors: bytes
    span_vectors: bytes
    document_vector: bytes
    passage_tokens: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, origin: _Optional[_Union[_passage_pb2.PassageEvent, _Mapping]] = ..., release: _Optional[str] = ..., dimension: _Optional[int] = ..., vector_type: _Optional[_Union[VectorType, str]] = ..., passage_vectors: _Optional[bytes] = ..., span_vectors: _Optional[bytes] = ..., document_vector: _Optional[bytes] = ..., passage_tokens: _Optional[_Iterable[int]] = ...) -> None: ...
