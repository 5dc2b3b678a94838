"""Settings of the process that moves the index of services in processes of their own."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from spanstream.runtime.settings import SPANS, LogSettings, SpansForm
from spanstream.store.compression import Compression


class MigrationSettings(LogSettings):
    """`MIGRATION_…`, and the shared addresses. How texts are parsed and cut is the ingestor's: its settings are read beside these."""

    model_config = SettingsConfigDict(env_prefix="MIGRATION_")

    store_url: str = Field(validation_alias="STORE_URL", description="http(s)://… of the Qdrant server")
    store_api_key: SecretStr | None = Field(
        None, validation_alias="STORE_API_KEY", description="of the Qdrant server; none: it asks for none"
    )
    store_compression: Compression | None = Field(
        None,
        validation_alias="STORE_COMPRESSION",
        description="codes of the vectors in memory; unset: as the encoder's release says. The same for all services",
    )
    encoder_url: str = Field(
        validation_alias="ENCODER_URL", description="http(s)://… of the encoder that all services ask"
    )
    next_encoder_url: str = Field(
        validation_alias="NEXT_ENCODER_URL",
        description="http(s)://… of the encoder that documents move to; ENCODER_URL itself once all services ask it, which"
        " ends the migration",
    )
    blob_url: str = Field(validation_alias="BLOB_URL", description="where files are kept: file:<folder>, s3://…")
    spans: SpansForm = SPANS
    rate: float = Field(0.0, ge=0, allow_inf_nan=False, description="documents a second; 0: as fast as it goes")
    overlap: float = Field(
        0.2, ge=0, le=1, description="of the first ten documents, the share that both indexes must have in common"
    )
    success_drop: float = Field(
        0.05, ge=0, le=1, description="by which the share of sentences that find their own document may fall"
    )
    begin: bool = Field(True, description="whether it begins by itself; else `spanstream migrate apply` does")
