"""The parse worker: documents in, passages out. Pure but for the blob store and the parser it is handed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.intervals import POLL_SECONDS
from spanstream.eventlog.log import Outgoing, Record, Rejected
from spanstream.eventlog.unfinished import Unfinished
from spanstream.events import codec
from spanstream.events.errors import Undecodable
from spanstream.events.ids import MAX_VERSION
from spanstream.events.segmenter import Spans, segmenter
from spanstream.events.topics import PASSAGES
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.events.v1.failure_pb2 import (
    REASON_BLOB_HASH,
    REASON_BLOB_MISSING,
    REASON_EMPTY_TEXT,
    REASON_PARSE_LIMIT,
    REASON_SCHEMA_INVALID,
    REASON_TENANT_MISMATCH,
    REASON_TOO_MANY_PASSAGES,
    REASON_TYPE_UNSUPPORTED,
)
from spanstream.events.v1.passage_pb2 import Passage as PassageMessage
from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.ingestor.blobs import BlobMissing, Blobs, BlobsUnavailable, BlobTooLarge, is_key, tenant_of
from spanstream.ingestor.documents import (
    MAX_CONTENT_TYPE_CHARACTERS,
    MAX_GROUP_CHARACTERS,
    MAX_GROUPS,
    MAX_TITLE_CHARACTERS,
    deleted_hash,
    event_hash,
)
from spanstream.ingestor.metadata import InvalidMetadata, from_struct
from spanstream.ingestor.normalise import is_empty, normalise
from spanstream.ingestor.parsing import text as plain
from spanstream.ingestor.parsing.kinds import Kind, by_media_type
from spanstream.ingestor.parsing.parsed import Parsed, ParseError, ParserUnavailable
from spanstream.ingestor.recent import Recent
from spanstream.ingestor.segmentation import SENTENCES, Passage, passages
from spanstream.ingestor.spans import propose

BLOB_RETRY_SECONDS = 5.0
PARSER_RETRY_SECONDS = 5.0
T = TypeVar("T")
Result = Outgoing | Rejected
Parse = Callable[[Kind, bytes], Parsed]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Cutting:
    """How texts are cut, and what no document may exceed. Vectors are passages plus their spans."""

    spans: str = "sentences"  # a value of SPANS
    passage_characters: int = 1_200
    sentences_per_passage: int = 64
    text_characters: int = 4 * 2**20
    word_characters: int = 100_000
    passages: int = 10_000
    file_bytes: int = 64 * 2**20
    vectors_per_event: int = 512  # of 384 float16 components: 384 KiB
    text_bytes_per_event: int = 96 * 2**10


class Handler:
    """A `Handler` of the consumer loop. Raises Retry while the blob store does not answer."""

    def __init__(
        self,
        blobs: Blobs,
        parse: Parse,
        cutting: Cutting,
        *,
        remembered_keys: int,
        parsed: Callable[[str, int], None] = lambda parser, passages: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`parsed` is told of each document: its parser and its number of passages. `clock` counts seconds."""
        self._blobs = blobs
        self._parse = parse
        self._cutting = cutting
        self._spans = Spans.parse(cutting.spans)
        self._segmenter = f"{segmenter(cutting.spans)} {SENTENCES}"
        self._parsed = parsed
        self._seen: Recent[bytes, tuple[int, bytes]] = Recent(remembered_keys)  # key -> version, content hash
        self._clock = clock
        self._done: Unfinished[list[Result]] = Unfinished()

    def __call__(self, records: Sequence[Record]) -> list[Result]:
        """In the order of the records. A poll that takes too long is put back, and goes on where it was when it returns."""
        self._done.begin(records)
        end = self._clock() + POLL_SECONDS
        for record in records:
            if self._done.get(record) is not None:
                continue
            if self._clock() >= end:
                raise Retry(0.0, f"a poll of {len(records)} records takes more than {POLL_SECONDS:.0f} seconds")
            self._done.put(record, self._results(record))
        return [result for record in records for result in self._done.take(record)]

    def _results(self, record: Record) -> list[Result]:
        try:
            event = codec.decode(DocumentEvent, record.key, record.value, record.headers)
            events = self._passages(event, record.timestamp_ms)
        except (Undecodable, ParseError) as refusal:
            return [Rejected(record, refusal.reason, refusal.detail)]
        return [
            Outgoing(PASSAGES.name, codec.key_of(event).encode(), event.SerializeToString(), codec.headers(event))
            for event in events
        ]

    def _passages(self, event: DocumentEvent, logged_ms: int) -> list[PassageEvent]:
        key = codec.key_of(event).encode()
        if event.operation == OPERATION_DELETE:
            self._seen.forget(key)
            self._reach(lambda: self._blobs.forget(codec.key_of(event), event.version))
            return [_message(event, event.content_hash or deleted_hash())]
        self._check(event)
        try:
            parsed, hashed = self._read(event)
        except BlobMissing as error:
            if self._reach(lambda: self._blobs.erased(codec.key_of(event), event.version)):
                return []  # read once more after its delete: the index shows that, or will
            # By the log's clock: by what the event says of itself its sender could have it waited for, for ever.
            self._reach(lambda: self._blobs.existed(logged_ms))
            raise ParseError(REASON_BLOB_MISSING, "the blob store has no such blob") from error
        text = normalise(parsed.text)
        self._check_text(text)
        cut = self._cut(text)
        if len(cut) > self._cutting.passages:
            raise ParseError(REASON_TOO_MANY_PASSAGES, f"{len(cut)} passages, more than {self._cutting.passages}")
        self._parsed(parsed.parser.partition("/")[0], len(cut))
        title = " ".join(normalise(event.title or parsed.title).split())[:MAX_TITLE_CHARACTERS]
        unchanged = self._guess(key, event.version, hashed)
        return [
            _upsert(
                event,
                hashed,
                title=title,
                text=text[part[0].start : part[-1].end],
                text_offset=part[0].start,
                passages=[_passage(first + i, passage) for i, passage in enumerate(part)],
                passage_count=len(cut),
                parser=parsed.parser,
                segmenter=self._segmenter,
                unchanged=unchanged,
            )
            for first, part in _parts(text, cut, self._cutting)
        ]

    def _cut(self, text: str) -> list[Passage]:
        """The passages with their spans."""
        cut = passages(text, self._cutting.passage_characters, self._cutting.sentences_per_passage)
        if not self._spans.per_passage:
            return cut
        return [replace(passage, candidates=tuple(propose(text, passage, self._spans))) for passage in cut]

    def _guess(self, key: bytes, version: int, hashed: bytes) -> bool:
        """Whether the event before this one in the log had the same content, as far as this worker remembers.

        The same event seen again (a batch put back) proves nothing, hence the versions.
        """
        before = self._seen.get(key)
        self._seen.put(key, (version, hashed))
        return before is not None and before[0] < version and before[1] == hashed

    def _check(self, event: DocumentEvent) -> None:
        """What the HTTP API refuses but a direct producer may send."""
        if len(event.groups) > MAX_GROUPS or len(event.title) > MAX_TITLE_CHARACTERS:
            raise Undecodable(REASON_SCHEMA_INVALID, "too many groups, or too long a title")
        if any(len(group) > MAX_GROUP_CHARACTERS for group in event.groups):
            raise Undecodable(REASON_SCHEMA_INVALID, f"a group has more than {MAX_GROUP_CHARACTERS} characters")
        if len(event.content_type) > MAX_CONTENT_TYPE_CHARACTERS:
            raise Undecodable(
                REASON_SCHEMA_INVALID, f"content_type has more than {MAX_CONTENT_TYPE_CHARACTERS} characters"
            )
        if not (0 <= event.expires_at_us <= MAX_VERSION and 0 <= event.accepted_at_us <= MAX_VERSION):
            raise Undecodable(REASON_SCHEMA_INVALID, "expires_at_us and accepted_at_us must be 0 to 2^53-1")
        if event.WhichOneof("body") == "blob":
            if not is_key(event.blob):
                raise Undecodable(REASON_SCHEMA_INVALID, "blob must be a key below the blob store's root")
            if tenant_of(event.blob) != event.tenant:
                raise Undecodable(REASON_TENANT_MISMATCH, "the blob belongs to another tenant")

    def _read(self, event: DocumentEvent) -> tuple[Parsed, bytes]:
        """The parsed body and the content hash; a blob must have the one that the event carries, if it does. Raises
        BlobMissing too.
        """
        kind = by_media_type(event.content_type or Kind.TEXT)
        if kind is None:
            raise ParseError(REASON_TYPE_UNSUPPORTED, "no parser for this content type")
        in_blob = event.WhichOneof("body") == "blob"
        body = self._fetch(event.blob) if in_blob else event.text.encode()
        try:
            metadata = from_struct(event.metadata)
        except InvalidMetadata as error:
            raise Undecodable(REASON_SCHEMA_INVALID, f"metadata: {error}") from error
        # Never the event's own word: with a hash that stayed the same its new text would count as unchanged.
        hashed = event_hash(event, body, metadata)
        if in_blob and event.content_hash and hashed != event.content_hash:
            raise ParseError(REASON_BLOB_HASH, "the blob is not what was accepted")
        if kind is Kind.TEXT and not in_blob:
            return Parsed(event.text, "", plain.PARSER), hashed
        try:
            return self._parse(kind, body), hashed
        except ParserUnavailable as error:
            raise Retry(PARSER_RETRY_SECONDS, str(error)) from error

    def _fetch(self, blob: str) -> bytes:
        try:
            return self._reach(lambda: self._blobs.get(blob, self._cutting.file_bytes))
        except BlobTooLarge as error:
            raise ParseError(REASON_PARSE_LIMIT, str(error)) from error

    def _reach(self, ask: Callable[[], T]) -> T:
        """What the blob store answers; Retry where it does not."""
        try:
            return ask()
        except BlobsUnavailable as error:
            raise Retry(BLOB_RETRY_SECONDS, str(error)) from error

    def _check_text(self, text: str) -> None:
        if is_empty(text):
            raise ParseError(REASON_EMPTY_TEXT, "there is nothing to read in it")
        if len(text) > self._cutting.text_characters:
            raise ParseError(REASON_PARSE_LIMIT, f"more than {self._cutting.text_characters} characters of text")
        longest = self._cutting.word_characters
        if len(text) > longest and any(word.end() - word.start() > longest for word in _WORD.finditer(text)):
            raise ParseError(REASON_PARSE_LIMIT, f"a word of more than {longest} characters")


def _parts(text: str, cut: Sequence[Passage], limits: Cutting) -> Iterator[tuple[int, Sequence[Passage]]]:
    """Runs of passages that fit one event each, with the ordinal of their first."""
    first = end = size = vectors = 0
    for ordinal, passage in enumerate(cut):
        more = len(text[end : passage.end].encode())
        fits = size + more <= limits.text_bytes_per_event
        fits = fits and vectors + 1 + len(passage.spans) <= limits.vectors_per_event
        if ordinal > first and not fits:
            yield first, cut[first:ordinal]
            first, size, vectors = ordinal, 0, 0
        if ordinal == first:
            more = len(text[passage.start : passage.end].encode())
        size += more
        vectors += 1 + len(passage.spans)
        end = passage.end
    yield first, cut[first:]


def _passage(ordinal: int, passage: Passage) -> PassageMessage:
    spans = [offset for span in passage.spans for offset in span]
    return PassageMessage(ordinal=ordinal, start=passage.start, end=passage.end, spans=spans)


def _upsert(event: DocumentEvent, hashed: bytes, **fields: object) -> PassageEvent:
    """With what the document is shown and found by, all of it bounded."""
    message = _message(
        event,
        hashed,
        groups=event.groups,
        content_type=event.content_type or Kind.TEXT,
        expires_at_us=event.expires_at_us,
        **fields,
    )
    if event.HasField("metadata"):
        message.metadata.CopyFrom(event.metadata)
        message.metadata.DiscardUnknownFields()
    return message


def _message(event: DocumentEvent, hashed: bytes, **fields: object) -> PassageEvent:
    """Which document it is about: all that a delete says, whatever else its sender put in."""
    return PassageEvent(
        tenant=event.tenant,
        source=event.source,
        id=event.id,
        version=event.version,
        operation=event.operation,
        content_hash=hashed,
        accepted_at_us=event.accepted_at_us,
        blob=event.WhichOneof("body") == "blob",
        **fields,  # type: ignore[arg-type]
    )
