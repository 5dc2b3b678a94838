"""Settings of the gateway."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from spanstream.gateway.admission import AT_ONCE, WAITING
from spanstream.gateway.blend import read_weights
from spanstream.gateway.expansion import open_writer
from spanstream.gateway.query_cache import BYTES
from spanstream.runtime.settings import SPANS, HttpSettings, SpansForm, StoreSettings
from spanstream.store.compression import Compression


class GatewaySettings(HttpSettings, StoreSettings):
    """`GATEWAY_…`, and the shared addresses."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    http_port: int = Field(8080, ge=0, le=65535, description="0: a free one")
    store_compression: Compression | None = Field(
        None,
        validation_alias="STORE_COMPRESSION",
        description="codes of the vectors in memory; unset: as the encoder's release says. The same for all services",
    )
    encoder_url: str = Field(validation_alias="ENCODER_URL", description="http(s)://… of the encoder application")
    next_encoder_url: str | None = Field(
        None,
        validation_alias="NEXT_ENCODER_URL",
        description="http(s)://… of the encoder that the index is being moved to: searches are answered with whichever is"
        " live; none: it is not being moved",
    )
    reranker_url: str | None = Field(
        None,
        validation_alias="RERANKER_URL",
        description="http(s)://… of a server that has /rerank, such as the encoder application with ENCODER_RERANKER; "
        "none: no cross-encoder",
    )
    blend: Path | None = Field(
        None, description="weights that `spanstream tune` has written, for the rerank stage blend; none: none"
    )
    writer: str | None = Field(
        None,
        description="package.module:name of what writes texts that might answer a query, for searches with expand; "
        "none: none",
    )
    ingest_url: str | None = Field(
        None,
        validation_alias="INGEST_URL",
        description="where files that the search page sends are handed on to; none: the page sends no files, "
        "but where the ingest API has this service's own address",
    )
    spans: SpansForm = SPANS
    query_cache_bytes: int = Field(BYTES, ge=0, description="bytes of queries' vectors that are remembered; 0: none")
    searches_at_once: int = Field(AT_ONCE, ge=1, le=256, description="searches that run at once")
    searches_waiting: int = Field(
        WAITING,
        ge=0,
        le=65536,
        description="searches that wait for their turn, tenant by tenant; beyond, they are answered 503, and 429 where a"
        " tenant has as many of them as are free",
    )
    tenant_searches_at_once: int = Field(
        0, ge=0, le=256, description="searches of one tenant that run at once; 0: as many as run at all"
    )
    max_body_bytes: int = Field(
        2**23, ge=2**10, le=2**30, description="bytes of a request, beyond which it is answered 413; a file passes"
    )
    max_standing_queries: int = Field(100, ge=0, le=200, description="of one tenant")

    @field_validator("blend")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                read_weights(path)
            except OSError as error:
                raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        return path

    @field_validator("writer")
    @classmethod
    def _importable(cls, path: str | None) -> str | None:
        if path is not None:
            open_writer(path)
        return path
