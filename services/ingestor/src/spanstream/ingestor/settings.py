"""Settings of the ingestor."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from spanstream.events.segmenter import Spans
from spanstream.ingestor.batch import BEHIND, GROUP_BYTES
from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.parsing.parsed import Limits
from spanstream.ingestor.upload import FORM_BYTES
from spanstream.runtime.settings import SPANS, HttpSettings, SpansForm, WorkerSettings

ROLES = frozenset({"api", "worker"})


class IngestorSettings(HttpSettings, WorkerSettings):
    """`INGESTOR_…`, and the shared addresses."""

    model_config = SettingsConfigDict(env_prefix="INGESTOR_")

    http_port: int = Field(8081, ge=0, le=65535, description="0: a free one")
    blob_url: str = Field(validation_alias="BLOB_URL", description="where files are kept: file:<folder>, s3://…")
    gateway_url: str | None = Field(None, description="where heads and status are asked; none: publish everything")
    roles: str = Field("api,worker", description="what this process does: api, worker or both")

    max_text_bytes: int = Field(4 * 2**20, ge=1, description="bytes of a text sent as JSON")
    # With the largest title, metadata and groups, 370 KiB, an event must fit documents.v1: one that does not is refused,
    # and with it the lines that share its acknowledgement.
    inline_text_bytes: int = Field(512 * 2**10, ge=0, le=600 * 2**10, description="bytes; larger texts are blobs")
    max_file_bytes: int = Field(64 * 2**20, ge=1, description="bytes of an uploaded file")
    max_held_body_bytes: int = Field(
        256 * 2**20,
        ge=1,
        description="bytes of request bodies held at once, of all tenants. Room for the largest is kept for one request at a time;"
        " of the rest a tenant alone may hold half. Beyond, 429 or 503 with Retry-After",
    )
    # What may be received at once, and what the index in process wants free.
    min_free_bytes: int = Field(
        512 * 2**20,
        ge=0,
        description="bytes that stay free on the disk of the files (BLOB_URL file:), and in one process on those of its log and"
        " index: with less, documents are answered 503, and accepted ones wait in the log",
    )
    max_accepts_remembered: int = Field(200_000, ge=1, description="own events that may be in flight")
    backlog_seconds: float = Field(
        3600.0,
        ge=0,
        allow_inf_nan=False,
        description="seconds of work that may wait to be indexed, of all tenants; a tenant alone may have half of it."
        " Beyond, 429 or 503 with Retry-After; deletes have a quarter more. Where tenants share: 30 to 60. 0: any backlog",
    )
    refresh_seconds: float = Field(0.5, gt=0, description="seconds between two looks at what is in flight")

    max_match_streams: int = Field(
        32, ge=0, le=1000, description="streams of matches at once; each has a thread and a connection to the log"
    )

    receipt_key_file: Path | None = Field(
        None,
        description="private key (PEM, Ed25519) that deletion receipts are signed with; none: they are not signed",
    )

    max_failures_bytes: int = Field(
        64 * 2**20,
        ge=2**20,
        description="bytes of memory for dead letters that are open, 1 to 2 KB each, without their records; beyond them the"
        " newest of the tenant with the most are not listed until half of them are resolved",
    )

    max_poll_records: int = Field(50, ge=1, le=1000, description="records a poll")
    max_text_characters: int = Field(4 * 2**20, ge=1, description="characters of a document once parsed")
    max_word_characters: int = Field(100_000, ge=1, description="characters of a word; longer ones are no text")
    max_passages: int = Field(10_000, ge=1, description="passages of a document")
    passage_characters: int = Field(1_200, ge=50, le=10_000, description="characters of a passage at most")
    sentences_per_passage: int = Field(64, ge=1, le=255, description="sentences of a passage at most")
    spans: SpansForm = SPANS
    max_vectors_per_event: int = Field(512, ge=256, le=800, description="passages and spans of one event")
    max_text_bytes_per_event: int = Field(96 * 2**10, ge=2**10, le=256 * 2**10, description="bytes of text")
    remembered_keys: int = Field(100_000, ge=1, description="documents whose last content hash is remembered")

    parse_seconds: float = Field(10.0, gt=0, le=60, description="seconds for one document")
    parse_memory_bytes: int = Field(2**29, ge=2**27, description="bytes of address space of the parsers' process")
    max_uncompressed_bytes: int = Field(200 * 2**20, ge=1, description="bytes of an archive (DOCX) unpacked")
    max_archive_entries: int = Field(2_000, ge=1, description="entries of an archive (DOCX)")
    max_pages: int = Field(5_000, ge=1, description="pages of a PDF")

    @model_validator(mode="after")
    def _related(self) -> Self:
        if not self.role_names or self.role_names - ROLES:
            raise ValueError("INGESTOR_ROLES must be api, worker or api,worker")
        if self.max_held_body_bytes < 2 * self.largest_body_bytes:
            raise ValueError(
                "INGESTOR_MAX_HELD_BODY_BYTES must hold the largest file, and the largest group of a batch, twice"
            )
        if self.max_vectors_per_event <= self.sentences_per_passage + Spans.parse(self.spans).per_passage:
            raise ValueError("a passage, its sentences and its spans must fit INGESTOR_MAX_VECTORS_PER_EVENT")
        return self

    @property
    def role_names(self) -> frozenset[str]:
        """The roles, as a set."""
        return frozenset(name.strip() for name in self.roles.split(",") if name.strip())

    @property
    def max_body_bytes(self) -> int:
        """Of one document as JSON: escapes lengthen a text, and metadata comes on top."""
        return 2 * self.max_text_bytes + 2**20

    @property
    def batch_bytes(self) -> int:
        """What a batch holds at once, whatever its length."""
        return GROUP_BYTES + BEHIND * self.max_body_bytes

    @property
    def largest_body_bytes(self) -> int:
        """What one request may hold."""
        return max(self.max_file_bytes + FORM_BYTES, self.max_body_bytes, self.batch_bytes)

    @property
    def limits(self) -> Limits:
        """For the parsers."""
        return Limits(
            text_characters=self.max_text_characters,
            uncompressed_bytes=self.max_uncompressed_bytes,
            archive_entries=self.max_archive_entries,
            pages=self.max_pages,
            memory_bytes=self.parse_memory_bytes,
            seconds=self.parse_seconds,
        )

    @property
    def cutting(self) -> Cutting:
        """For the parse worker."""
        return Cutting(
            spans=self.spans,
            passage_characters=self.passage_characters,
            sentences_per_passage=self.sentences_per_passage,
            text_characters=self.max_text_characters,
            word_characters=self.max_word_characters,
            passages=self.max_passages,
            file_bytes=self.max_file_bytes,
            vectors_per_event=self.max_vectors_per_event,
            text_bytes_per_event=self.max_text_bytes_per_event,
        )
