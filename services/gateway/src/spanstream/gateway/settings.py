"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from spanstream.gateway.admission import AT_ONCE, WAITING
from spanstream.gateway.query_cache import BYTES
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
    query_cache_bytes: int = Field(BYTES, ge=0, description="bytes of queries' vectors that are remembered; 0: none")
    searches_at_once: int = Field(AT_ONCE, ge=1, le=256, description="searches that run at once")
    searches_waiting: int = Field(
        WAITING, ge=0, le=65536, description="searches that wait for their turn; beyond, they are answered 503"
    )
