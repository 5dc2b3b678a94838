"""Settings of the process that moves the index of services in processes of their own."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from spanstream.runtime.settings import SPANS, LogSettings, SpansForm, StoreAccessSettings
from spanstream.store.compression import Compression


class MigrationSettings(LogSettings, StoreAccessSettings):
    """`MIGRATION_…`, and the shared addresses. How texts are parsed and cut: as the ingestor, `INGESTOR_…`."""

    model_config = SettingsConfigDict(env_prefix="MIGRATION_")

    store_url: str = Field(
        validation_alias="STORE_URL", pattern="^https?://", description="http(s)://… of the Qdrant server"
    )
    store_compression: Compression | None = Field(
        None,
        validation_alias="STORE_COMPRESSION",
        description="codes of the vectors in memory; unset: as the encoder's release says. The same for all services",
    )
    encoder_url: str = Field(validation_alias="ENCODER_URL", description="of the encoder that the services have")
    next_encoder_url: str = Field(
        validation_alias="NEXT_ENCODER_URL",
        description="of the encoder to move to. The same as ENCODER_URL once the services have it: that ends the migration",
    )
    blob_url: str = Field(validation_alias="BLOB_URL", description="where files are kept: file:<folder>, s3://…")
    spans: SpansForm = SPANS
    span_similarity: float | None = Field(
        None, validation_alias="EMBEDDER_SPAN_SIMILARITY", gt=0, le=1, description="as of the embedders"
    )
    rate: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="documents a second at most while the new index is filled; 0: any number",
    )
    loops: int = Field(
        4, ge=1, le=64, description="consumers that fill the new index at once: as many as keep the encoder busy"
    )
    overlap: float = Field(
        0.2, ge=0, le=1, description="share of the first ten hits that both indexes must find before the switch"
    )
    success_drop: float = Field(
        0.05, ge=0, le=1, description="by which the share of sentences that find their document may fall"
    )
    begin: bool = Field(
        True, description="begin by itself; else `spanstream migrate apply` does, asked in this process's pod"
    )
