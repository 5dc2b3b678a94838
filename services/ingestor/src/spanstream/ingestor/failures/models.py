"""The dead-letter workbench as JSON; every limit is in the schema."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from spanstream.events.codec import reason_name
from spanstream.ingestor.failures import reasons
from spanstream.ingestor.failures.groups import Group
from spanstream.ingestor.failures.letter import Letter
from spanstream.ingestor.positions import MAX_CHARACTERS

MAX_RECORDS = 1_000  # of one request
MAX_RATE = 1_000  # records a second
MAX_GROUPS = 1_000  # of one answer

Id = Annotated[str, Field(min_length=5, max_length=300, description="of a record, as it was listed")]


class Selection(BaseModel):
    """Which open dead letters of the group."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    ids: list[Id] | None = Field(None, min_length=1, max_length=MAX_RECORDS, description="these alone; else all")
    limit: int = Field(MAX_RECORDS, ge=1, le=MAX_RECORDS, description="at most so many, the oldest first")
    until: str | None = Field(
        None, max_length=MAX_CHARACTERS, description="of an earlier answer: none that failed after it was given"
    )
    dry_run: bool = Field(False, description="only say how many")


class ReplayBody(Selection):
    """What to send again, and how fast."""

    rate_per_second: int = Field(50, ge=1, le=MAX_RATE, description="records a second")


class Resolution(BaseModel):
    """`done` were replayed or discarded (with `dry_run`: would be), `left` are to be asked for again, with `until`, for
    one request does as much as it can in 2 seconds. `unreplayable`: dead letters of the selection without their bytes.
    """

    done: int
    left: int
    unreplayable: int
    until: str


class FailedRecord(BaseModel):
    """A dead letter. Times are µs since 1970; `topic`, `partition` and `offset` are those of the record that failed, `bytes`
    what is kept of it, `replays` how often it had been sent again by then. `version` 0: it could not be read.
    """

    id: str
    source: str
    document: str
    version: int
    detail: str
    attempts: int
    replays: int
    failed_at_us: int
    topic: str
    partition: int
    offset: int
    bytes: int
    replayable: bool

    @classmethod
    def of(cls, letter: Letter) -> Self:
        """From what is remembered."""
        return cls(
            id=str(letter.origin),
            source=letter.key.source,
            document=letter.key.id,
            version=letter.version,
            detail=letter.detail,
            attempts=letter.attempts,
            replays=letter.replays,
            failed_at_us=letter.failed_at_us,
            topic=letter.origin.topic,
            partition=letter.origin.partition,
            offset=letter.origin.offset,
            bytes=letter.size,
            replayable=letter.replayable,
        )


class FailureGroup(BaseModel):
    """Open dead letters of one cause. `meaning` says the reason in words, `detail` what the newest one adds to it. `count`
    records of so many `documents` failed, the first and the last at these times (µs since 1970); `replayable` of them can
    be sent again. `samples` are ids of the newest.
    """

    fingerprint: str
    stage: str
    reason: str
    meaning: str
    detail: str
    count: int
    replayable: int
    documents: int
    first_at_us: int
    last_at_us: int
    samples: list[str]

    @classmethod
    def of(cls, group: Group) -> Self:
        """From the value."""
        newest = group.latest[0]
        return cls(
            fingerprint=newest.fingerprint,
            stage=newest.stage,
            reason=reason_name(newest.reason),
            meaning=reasons.words(newest.reason),
            detail=newest.detail,
            count=group.count,
            replayable=group.replayable,
            documents=group.documents,
            first_at_us=group.first_at_us,
            last_at_us=group.last_at_us,
            samples=[str(letter.origin) for letter in group.latest],
        )


class FailureGroups(BaseModel):
    """The caller's, the last to fail first. `left_out`: there are more in the log, counted when these are resolved."""

    groups: list[FailureGroup]
    left_out: bool


class FailedRecords(BaseModel):
    """A group and its records, the newest first. `cursor`: for those behind, None where there are none."""

    group: FailureGroup
    records: list[FailedRecord]
    cursor: str | None
