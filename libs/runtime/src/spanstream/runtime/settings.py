"""Settings: one frozen model per service, read once from the environment in `__main__`, printed by `/config`.

Addresses that several services share (`LOG_URL`, `ENCODER_URL`, `STORE_URL`, `BLOB_URL`), what opens them (`LOG_PASSWORD`, …), who may call (`AUTH_…`), and
`SPANS`, on which they must agree, carry no prefix; everything else is `<SERVICE>_<FIELD>`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from spanstream.eventlog.access import Access
from spanstream.events.segmenter import Spans
from spanstream.runtime.fair_consumer import Ahead

_CREDENTIALS = re.compile(r"//[^/@\s]*@")  # user and password in front of a host
JWT_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
LEAST_RATE = 0.001  # a second, one in a quarter of an hour: far less is a mistake, and 1 / rate overflows
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _spans(form: str) -> str:
    Spans.parse(form)
    return form


SpansForm = Annotated[str, AfterValidator(_spans)]
# Of the ingestor, the indexer and the gateway. Why sentences alone: docs/decisions/0009-spans-are-sentences.md.
SPANS: Any = Field(
    "sentences",
    validation_alias="SPANS",
    description="spans with a vector: sentences, or sentences+clauses+phrases+windowsN:M, any of the three; N: words of a"
    " window, M: spans of a passage besides its sentences. Equal in ingestor, indexer and gateway; each value is an index",
)


class SettingsError(Exception):
    """The environment does not make valid settings; the message names each variable and what is wrong with it."""


class Settings(BaseSettings):
    """Base of every service's settings. A subclass sets `env_prefix` and lists its fields with a unit in each description."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    log_level: str = Field("info", validation_alias="LOG_LEVEL", pattern="^(debug|info|warning|error)$")
    traces_url: str | None = Field(
        None,
        validation_alias="TRACES_URL",
        pattern="^https?://",
        description="where spans are sent to, OTLP over HTTP: http://collector:4318/v1/traces. None: nowhere",
    )
    traces_share: float = Field(
        1.0,
        ge=0,
        le=1,
        validation_alias="TRACES_SHARE",
        description="of the traces that begin here, those whose spans are sent; who sends a traceparent decides itself",
    )

    @classmethod
    def read(cls, **overrides: Any) -> Self:
        """From the environment; raises SettingsError with one line per problem, unknown variables of our prefix included."""
        prefix = cls.model_config.get("env_prefix") or ""
        known = variables(cls)
        problems = [
            f"{name}: no such setting of {prefix.rstrip('_').lower()}{_shared(name.upper().removeprefix(prefix), known)}"
            for name in os.environ
            if prefix and name.upper().startswith(prefix) and name.upper() not in known
        ]
        try:
            settings = cls(**overrides)
        except ValidationError as error:
            for item in error.errors(include_input=False, include_url=False):
                field = ".".join(map(str, item["loc"])) or "settings"
                name = field if field.isupper() else (prefix + field).upper()
                problems.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
        if problems:
            raise SettingsError("\n".join(problems))
        return settings

    def shown(self, *, changed_only: bool = False) -> dict[str, Any]:
        """Effective values by environment variable, secrets and passwords in addresses redacted; with `changed_only` what differs from the default."""
        result = {}
        for variable, (name, field) in variables(type(self)).items():
            value = getattr(self, name)
            if changed_only and value == field.get_default(call_default_factory=True):
                continue
            result[variable] = _redacted(value)
        return result


def variables(kind: type[Settings]) -> dict[str, tuple[str, FieldInfo]]:
    """(name, field) by environment variable: its own name, or that of a setting that several services share."""
    prefix = kind.model_config.get("env_prefix") or ""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else (prefix + name).upper(): (name, field)
        for name, field in kind.model_fields.items()
    }


def _shared(name: str, known: Collection[str]) -> str:
    return f"; {name} is shared by the services and has no prefix" if name in known else ""


def _redacted(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "**********" if value else ""
    if isinstance(value, Path):  # which JSON does not know
        return str(value)
    return _CREDENTIALS.sub("//**********@", value) if isinstance(value, str) else value


class LogAccessSettings(Settings):
    """How the log's brokers are known, and who asks them."""

    log_ca_file: Path | None = Field(
        None,
        validation_alias="LOG_CA_FILE",
        description="certificates (PEM) of who signs the brokers'; none: without TLS",
    )
    log_username: str | None = Field(
        None, validation_alias="LOG_USERNAME", description="for SCRAM-SHA-512, with TLS alone; none: no login"
    )
    log_password: SecretStr | None = Field(None, validation_alias="LOG_PASSWORD", description="of LOG_USERNAME")
    log_member: str | None = Field(
        None,
        validation_alias="LOG_MEMBER",
        pattern="^[A-Za-z0-9._-]{1,200}$",
        description="this process among those of its group: a name that it has again after a restart, and no other has, such"
        " as its pod's. One that was killed then takes its partitions up at once; none: after the session's 45 s",
    )

    @property
    def log_access(self) -> Access:
        """For `open_log`."""
        password = self.log_password.get_secret_value() if self.log_password else None
        return Access(self.log_ca_file, self.log_username, password, self.log_member)

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        _ = self.log_access
        return self


class LogSettings(LogAccessSettings):
    """A service that reads or writes the log."""

    log_url: str = Field(validation_alias="LOG_URL", description="kafka://host:port[,host:port] or memory:")


class StoreAccessSettings(Settings):
    """How the store's server is known, and who asks it."""

    store_api_key: SecretStr | None = Field(
        None, validation_alias="STORE_API_KEY", description="of the Qdrant server; none: it asks for none"
    )
    store_ca_file: Path | None = Field(
        None,
        validation_alias="STORE_CA_FILE",
        description="certificates (PEM) of who signs the Qdrant server's; none: the machine's own",
    )

    @property
    def store_secret(self) -> str | None:
        """For `open_store`."""
        return self.store_api_key.get_secret_value() if self.store_api_key else None


class StoreSettings(StoreAccessSettings):
    """A service that reads or writes the index."""

    store_url: str = Field(validation_alias="STORE_URL", description="http(s)://… (Qdrant server) or edge:<folder>")


class WorkerSettings(LogSettings):
    """A service that takes documents from the log, tenant by tenant."""

    ahead_records: int = Field(
        1000, ge=1, le=10_000, description="records that a consumer reads ahead, so that tenants take turns among them"
    )
    ahead_bytes: int = Field(
        32 * 2**20, ge=2**20, le=2**30, description="bytes of them; one fetch, 16 MiB, comes on top"
    )

    @property
    def ahead(self) -> Ahead:
        """For `FairConsumer`."""
        return Ahead(self.ahead_records, self.ahead_bytes)


def _of_use(rate: float) -> float:
    if 0 < rate < LEAST_RATE:
        raise ValueError(f"must be 0, for any number, or at least {LEAST_RATE}")
    return rate


Rate = Annotated[float, AfterValidator(_of_use)]


class HttpSettings(Settings):
    """A service with an HTTP API. Beyond loopback it must have keys to check. What begins with AUTH is shared."""

    http_host: str = Field("127.0.0.1", description="address to listen on")
    http_port: int = Field(0, ge=0, le=65535, description="0: a free one")
    auth_keys_file: str | None = Field(
        None,
        validation_alias="AUTH_KEYS_FILE",
        description="hashed API keys; read again when it changes. Neither these nor AUTH_JWKS_FILE: everyone on loopback is "
        "tenant 'default'",
    )
    auth_jwks_file: str | None = Field(
        None,
        validation_alias="AUTH_JWKS_FILE",
        description="public keys of an identity provider, as a JWK set; read again when it changes. None: no tokens",
    )
    auth_jwt_issuer: str | None = Field(None, validation_alias="AUTH_JWT_ISSUER", description="`iss` of its tokens")
    auth_jwt_audience: str | None = Field(None, validation_alias="AUTH_JWT_AUDIENCE", description="in their `aud`")
    auth_jwt_algorithms: str = Field(
        "RS256,PS256,ES256,EdDSA",
        validation_alias="AUTH_JWT_ALGORITHMS",
        description="signatures that are accepted, asymmetric ones alone",
    )
    auth_jwt_leeway_seconds: float = Field(
        30.0,
        ge=0,
        le=300,
        validation_alias="AUTH_JWT_LEEWAY_SECONDS",
        description="seconds by which the provider's clock may differ",
    )
    auth_jwt_tenant_claim: str = Field(
        "tenant", min_length=1, validation_alias="AUTH_JWT_TENANT_CLAIM", description="claim with the tenant"
    )
    auth_jwt_scopes_claim: str = Field(
        "scope", min_length=1, validation_alias="AUTH_JWT_SCOPES_CLAIM", description="claim with read, write or admin"
    )
    auth_jwt_groups_claim: str = Field(
        "groups",
        validation_alias="AUTH_JWT_GROUPS_CLAIM",
        description="claim with groups of documents; a token without it has none. Empty: every token has all",
    )
    auth_jwt_sources_claim: str = Field(
        "",
        validation_alias="AUTH_JWT_SOURCES_CLAIM",
        description="claim with sources; a token without it has none. Empty: every token has all",
    )
    auth_audit_file: str | None = Field(
        None,
        validation_alias="AUTH_AUDIT_FILE",
        description="the audit log, one file for all services of a machine; none: standard error",
    )
    tenant_requests_per_second: Rate = Field(
        0.0, ge=0, allow_inf_nan=False, description="requests a second of one tenant, for each process; 0: any number"
    )
    tenant_bytes_per_second: Rate = Field(
        0.0, ge=0, allow_inf_nan=False, description="bytes of request bodies a second of one tenant; 0: any number"
    )
    tenant_requests_at_once: int = Field(
        0, ge=0, description="requests of one tenant that run at once, open streams among them; 0: any number"
    )
    tenant_burst_seconds: float = Field(
        10.0, ge=1, le=3600, description="seconds whose requests and bytes a tenant that was quiet may send at once"
    )

    @model_validator(mode="after")
    def _closed_beyond_loopback(self) -> Self:
        if self.auth_keys_file is None and self.auth_jwks_file is None and self.http_host not in LOOPBACK:
            raise ValueError("AUTH_KEYS_FILE (or AUTH_JWKS_FILE) is required to listen beyond loopback")
        return self

    @model_validator(mode="after")
    def _tokens_are_bound(self) -> Self:
        if self.auth_jwks_file is not None and not (self.auth_jwt_issuer and self.auth_jwt_audience):
            raise ValueError("AUTH_JWKS_FILE needs AUTH_JWT_ISSUER and AUTH_JWT_AUDIENCE")
        if self.auth_jwks_file is None and (self.auth_jwt_issuer or self.auth_jwt_audience):
            raise ValueError("AUTH_JWT_ISSUER and AUTH_JWT_AUDIENCE need AUTH_JWKS_FILE")
        if not self.jwt_algorithms or self.jwt_algorithms - JWT_ALGORITHMS:
            raise ValueError(f"AUTH_JWT_ALGORITHMS must be of {', '.join(sorted(JWT_ALGORITHMS))}")
        return self

    @property
    def jwt_algorithms(self) -> frozenset[str]:
        """As a set."""
        return frozenset(name.strip() for name in self.auth_jwt_algorithms.split(",") if name.strip())


class AdminSettings(Settings):
    """The admin port of a process: /livez /readyz /metrics /config, without authentication, so keep it internal."""

    model_config = SettingsConfigDict(env_prefix="ADMIN_")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(9464, ge=0, le=65535, description="0: a free one")
