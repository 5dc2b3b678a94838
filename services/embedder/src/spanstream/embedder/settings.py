"""Settings of the embedder worker and of the encoder application."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from spanstream.eventlog.intervals import POLL_SECONDS
from spanstream.runtime.settings import Settings


class EmbedderSettings(Settings):
    """`EMBEDDER_…`, and the shared addresses."""

    model_config = SettingsConfigDict(env_prefix="EMBEDDER_")

    log_url: str = Field(validation_alias="LOG_URL", description="kafka://host:port or memory:")
    encoder_url: str = Field(validation_alias="ENCODER_URL", description="http(s)://… of the encoder application")
    loops: int = Field(
        2,
        ge=1,
        le=64,
        description="consumers in this process: while one waits for Kafka, another one's texts are encoded",
    )
    max_poll_records: int = Field(
        8,
        ge=1,
        le=500,
        description="records per poll: what is encoded together is late together; batches are made across polls",
    )
    seconds_per_record: float = Field(
        3.0, gt=0, description="worst seconds to encode one record; max_poll_records times this must stay within 120 s"
    )
    encoder_timeout_seconds: float = Field(60.0, gt=0, le=POLL_SECONDS, description="for one answer of the encoder")
    encoder_in_flight: int = Field(
        4, ge=1, le=64, description="requests at once; at most what the encoder application takes"
    )
    span_similarity: float | None = Field(
        None,
        gt=0,
        le=1,
        description="cosine from which a span within another one gets no vector of its own; none: each gets one. It says"
        " something only where SPANS has more than sentences",
    )

    @model_validator(mode="after")
    def _within_the_poll_interval(self) -> Self:
        if self.max_poll_records * self.seconds_per_record > POLL_SECONDS:
            raise ValueError(
                f"EMBEDDER_MAX_POLL_RECORDS x EMBEDDER_SECONDS_PER_RECORD must not exceed {POLL_SECONDS:g} seconds"
            )
        return self


class EncoderSettings(Settings):
    """`ENCODER_…`: the encoder application. It has no authentication, so keep it internal."""

    model_config = SettingsConfigDict(env_prefix="ENCODER_")

    url: str | None = Field(None, description="the address under which others reach it; not used here")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8082, ge=0, le=65535, description="0: a free one")
    model: str = Field("minilm", description="a folder, a Hugging Face name, or minilm: the packaged all-MiniLM-L6-v2")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: measured at start")
    device: str = Field("cpu", description="of torch: cpu, cuda, cuda:1 …")
    threads: int | None = Field(None, ge=1, le=1024, description="of torch; none: as many as cores")
    max_requests: int = Field(16, ge=1, le=1024, description="requests at once; more are answered 503")
    max_body_bytes: int = Field(32 << 20, ge=1 << 16, le=1 << 30, description="largest request")
