"""Settings of the indexer."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from spanstream.indexer.retention import parse_retention
from spanstream.indexer.standing import REFRESH_SECONDS
from spanstream.runtime.settings import SPANS, LogSettings, SpansForm, StoreSettings
from spanstream.store.compression import Compression


class IndexerSettings(LogSettings, StoreSettings):
    """`INDEXER_…`, and the shared addresses."""

    model_config = SettingsConfigDict(env_prefix="INDEXER_")

    store_compression: Compression | None = Field(
        None,
        validation_alias="STORE_COMPRESSION",
        description="codes of the vectors in memory; unset: as the encoder's release says. The same for all services",
    )
    replaces_generation: str = Field(
        "",
        description="the generation of the index, by its name, that may be replaced by an empty one of another release; others"
        " that hold documents are not: move them with `spanstream migrate`",
    )
    encoder_url: str = Field(
        validation_alias="ENCODER_URL", description="asked once for the encoder's release; nothing is encoded here"
    )
    spans: SpansForm = SPANS
    max_poll_records: int = Field(64, ge=1, le=500, description="records per poll")
    standing_seconds: float = Field(
        REFRESH_SECONDS, gt=0, le=60, description="between two looks for changed standing queries"
    )
    expiry_seconds: float = Field(60.0, gt=0, le=3600, description="between two looks for documents that have expired")
    expiry_documents: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="documents that one look deletes at most, tombstones that it forgets, and passages that it looks at for"
        " lost parts",
    )
    source_retention_days: str = Field(
        "",
        description="tenant/source=days, separated by commas: documents of these sources are deleted so long after they"
        " were accepted; others only by their own expires_at",
    )
    drift_seconds: float = Field(
        900.0, gt=0, le=86_400, description="between two looks at whether new documents are like those of the index"
    )
    backup_days: float = Field(
        30.0,
        ge=0,
        allow_inf_nan=False,
        description="age in days of the oldest backup of the index that may be restored",
    )
    vacuum_hours: float = Field(
        24.0,
        gt=0,
        allow_inf_nan=False,
        description="hours after which the texts of deleted documents are taken out of the files of the engine in process,"
        " while it answers nothing: seconds for 50,000 passages; a server has rules of its own",
    )
    maintenance_seconds: float = Field(
        1.0, gt=0, le=3600, description="between two looks for housekeeping of the store"
    )

    @field_validator("source_retention_days")
    @classmethod
    def _readable(cls, text: str) -> str:
        parse_retention(text)
        return text
