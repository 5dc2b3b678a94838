"""Settings of the indexer."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from spanstream.indexer.standing import REFRESH_SECONDS
from spanstream.runtime.settings import SPANS, LogSettings, SpansForm
from spanstream.store.compression import Compression


class IndexerSettings(LogSettings):
    """`INDEXER_…`, and the shared addresses."""

    model_config = SettingsConfigDict(env_prefix="INDEXER_")

    store_url: str = Field(validation_alias="STORE_URL", description="http(s)://… (Qdrant server) or edge:<folder>")
    store_api_key: SecretStr | None = Field(
        None, validation_alias="STORE_API_KEY", description="of the Qdrant server; none: it asks for none"
    )
    store_compression: Compression | None = Field(
        None,
        validation_alias="STORE_COMPRESSION",
        description="codes of the vectors in memory; unset: as the encoder's release says. The same for all services",
    )
    encoder_url: str = Field(
        validation_alias="ENCODER_URL", description="asked once for the encoder's release; nothing is encoded here"
    )
    spans: SpansForm = SPANS
    max_poll_records: int = Field(64, ge=1, le=500, description="records per poll")
    standing_seconds: float = Field(
        REFRESH_SECONDS, gt=0, le=60, description="between two looks for changed standing queries"
    )
    maintenance_seconds: float = Field(
        1.0, gt=0, le=3600, description="between two looks for housekeeping of the store"
    )
