"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from spanstream.runtime.settings import SPANS, HttpSettings, SpansForm
from spanstream.store.compression import Compression


class GatewaySettings(HttpSettings):
    """`GATEWAY_…`, and the shared addresses."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    http_port: int = Field(8080, ge=0, le=65535, description="0: a free one")
    store_url: str = Field(validation_alias="STORE_URL", description="http(s)://… (Qdrant server) or edge:<folder>")
    store_api_key: SecretStr | None = Field(
        None, validation_alias="STORE_API_KEY", description="of the Qdrant server; none: it asks for none"
    )
    store_compression: Compression | None = Field(
        None,
        validation_alias="STORE_COMPRESSION",
        description="codes of the vectors in memory; unset: as the encoder's release says. The same for all services",
    )
    encoder_url: str = Field(validation_alias="ENCODER_URL", description="http(s)://… of the encoder application")
    spans: SpansForm = SPANS
    max_standing_queries: int = Field(100, ge=0, le=200, description="of one tenant")
