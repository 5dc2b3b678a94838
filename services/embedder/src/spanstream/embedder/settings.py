"""Settings of the embedder worker and of the encoder application."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from spanstream.embedder.admission import bulk_bytes
from spanstream.eventlog.intervals import POLL_SECONDS
from spanstream.runtime.settings import Settings, WorkerSettings


class EmbedderSettings(WorkerSettings):
    """`EMBEDDER_…`, and the shared addresses."""

    model_config = SettingsConfigDict(env_prefix="EMBEDDER_")

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
    model: str = Field(
        "minilm", description="minilm (the packaged one), a folder, a Hugging Face name, or a release file"
    )
    reranker: str | None = Field(
        None, description="a cross-encoder (a folder or a Hugging Face name) served beside it at /rerank; none: none"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto", description="auto: measured at start; float16: on GPUs"
    )
    device: str = Field("cpu", description="of torch: cpu, cuda, cuda:1 …")
    threads: int | None = Field(None, ge=1, le=1024, description="of torch; none: as many as cores")
    max_requests: int = Field(64, ge=1, le=1024, description="requests at once; more are answered 503")
    query_requests: int = Field(
        16, ge=0, description="of them for queries alone, so that these find room whatever else is asked"
    )
    max_bytes: int = Field(
        256 << 20,
        ge=1 << 17,
        description="of all requests and the vectors of their answers, in float32, at once; queries have the same share of"
        " it to themselves as of requests. Memory peaks at three to four times the answers",
    )
    max_body_bytes: int = Field(32 << 20, ge=1 << 16, le=1 << 30, description="largest request")
    max_answer_bytes: int = Field(
        64 << 20, ge=1 << 16, le=1 << 30, description="of the vectors of an answer, in float32; more are refused"
    )
    max_rerank_texts: int = Field(256, ge=1, le=10_000, description="texts of one request to /rerank")
    cache_folder: Path | None = Field(
        None,
        description="where documents' windows are remembered, so that an edit reads only changed ones; none: nowhere",
    )
    cache_bytes: int = Field(256 << 20, ge=0, description="of vectors that are remembered at most; 0: none")
    cache_days: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="days after which what no text has used is forgotten"
    )

    @model_validator(mode="after")
    def _room_for_all(self) -> Self:
        if self.query_requests >= self.max_requests:
            raise ValueError("ENCODER_QUERY_REQUESTS must be below ENCODER_MAX_REQUESTS")
        room = bulk_bytes(self.max_requests, self.query_requests, self.max_bytes)
        if self.max_body_bytes + self.max_answer_bytes > room:
            raise ValueError(
                "ENCODER_MAX_BODY_BYTES and ENCODER_MAX_ANSWER_BYTES together must fit what ENCODER_MAX_BYTES leaves"
                f" beside queries: {room}"
            )
        return self


class DeploymentSettings(EncoderSettings):
    """`ENCODER_…`: the encoder application on Ray Serve."""

    model: str = Field(
        "minilm",
        min_length=1,
        description="as of one process, or several, separated by commas: each answers under /<last part of its name>",
    )
    replicas: int = Field(1, ge=1, le=1000, description="processes of each model, at least")
    max_replicas: int | None = Field(
        None, ge=1, le=1000, description="processes of each model, at most; none: ENCODER_REPLICAS, whatever the load"
    )
    target_tokens: int = Field(
        32_768, ge=1, description="tokens waiting or being read, per replica, that autoscaling aims at"
    )
    target_requests: float = Field(6.0, gt=0, description="ongoing requests per replica that autoscaling aims at")
    scale_up_seconds: float = Field(30.0, ge=0, description="of too much load before replicas are added")
    scale_down_seconds: float = Field(600.0, ge=0, description="of too little load before replicas are removed")
    cpus: float = Field(1.0, gt=0, description="cores per replica; threads follow from it unless they are set")
    gpus: float = Field(0.0, ge=0, description="GPUs per replica; 0.5: two replicas share one")
    drain_seconds: float = Field(20.0, ge=0, description="a replica that is to stop has to finish its requests")
    health_seconds: float = Field(10.0, gt=0, description="between two health checks, which run the model")
    answer_seconds: float = Field(60.0, gt=0, description="for one answer; then the request is answered 408")
    metrics_port: int = Field(0, ge=0, le=65535, description="where Ray exports the replicas' metrics; 0: a free one")

    @property
    def routes(self) -> dict[str, str]:
        """Models by the part of the path under which they answer."""
        return {name.rstrip("/").rpartition("/")[2]: name for name in self.model.split(",")}

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        names = self.model.split(",")
        if len(self.routes) < len(names) or not all(re.fullmatch(r"[\w.-]+", route) for route in self.routes):
            raise ValueError("ENCODER_MODEL must be names, separated by commas, whose last parts differ")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError("ENCODER_MAX_REPLICAS must not be below ENCODER_REPLICAS")
        if (self.gpus > 0) != (self.device != "cpu"):
            raise ValueError("ENCODER_GPUS and ENCODER_DEVICE must agree: cuda with GPUs, cpu without")
        return self
