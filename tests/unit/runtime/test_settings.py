from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from spanstream.runtime.auth import Authenticator
from spanstream.runtime.settings import HttpSettings, LogSettings, SettingsError, StoreAccessSettings


class Example(HttpSettings):
    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")

    log_url: str = Field("memory:", validation_alias="LOG_URL")
    size: int = Field(3, ge=1, description="records")
    secret: SecretStr = SecretStr("")


def test_values_come_from_prefixed_and_shared_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_SIZE", "7")
    monkeypatch.setenv("LOG_URL", "kafka://h:1")
    settings = Example.read()
    assert (settings.size, settings.log_url) == (7, "kafka://h:1")


def test_every_problem_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_SIZE", "0")
    monkeypatch.setenv("EXAMPLE_SIZ", "5")
    with pytest.raises(SettingsError) as caught:
        Example.read()
    assert "EXAMPLE_SIZE: " in str(caught.value)
    assert "EXAMPLE_SIZ: no such setting" in str(caught.value)


@pytest.mark.parametrize("name", ["EXAMPLE_LOG_URL", "EXAMPLE_AUTH_KEYS_FILE", "EXAMPLE_LOG_LEVEL"])
def test_prefix_before_a_shared_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "debug")
    with pytest.raises(SettingsError, match=f"{name}: no such setting of example; {name[8:]} is shared"):
        Example.read()


def test_a_listener_beyond_loopback_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_HTTP_HOST", "0.0.0.0")
    with pytest.raises(SettingsError, match="AUTH_KEYS_FILE"):
        Example.read()


def test_shown_redacts_secrets_and_can_show_only_what_differs() -> None:
    settings = Example.read(secret="hush", size=4)
    assert settings.shown()["EXAMPLE_SECRET"] == "**********"
    assert settings.shown(changed_only=True) == {"EXAMPLE_SIZE": 4, "EXAMPLE_SECRET": "**********"}


@pytest.mark.parametrize(("given", "secret"), [(None, None), ("", None), ("hush", "hush")])
def test_the_key_of_the_store_is_none_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch, given: str | None, secret: str | None
) -> None:
    monkeypatch.delenv("STORE_API_KEY", raising=False)
    if given is not None:
        monkeypatch.setenv("STORE_API_KEY", given)
    settings = StoreAccessSettings.read()
    assert settings.store_secret == secret
    assert "hush" not in f"{settings} {settings.shown()}"


def test_shown_redacts_passwords_in_addresses() -> None:
    shown = Example.read(log_url="kafka://user:hush@host:1").shown()
    assert shown["LOG_URL"] == "kafka://**********@host:1"


def test_shown_can_be_written_as_json() -> None:
    class WithFolder(Example):
        folder: Path = Path("a/b")

    assert json.loads(json.dumps(WithFolder.read().shown()))["EXAMPLE_FOLDER"] == "a/b"


def test_overrides_are_possible_by_field_name() -> None:
    assert Example.read(log_url="memory:x", http_port=80).log_url == "memory:x"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "host.example", "", "127.0.0.1.example", "127.0.0.2"])
def test_without_keys_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(SettingsError, match="AUTH_KEYS_FILE"):
        Example.read(http_host=host)
    tokens = {"auth_jwks_file": "jwks.json", "auth_jwt_issuer": "i", "auth_jwt_audience": "a"}
    for secured in ({"auth_keys_file": "keys.json"}, tokens):
        assert Example.read(http_host=host, **secured).http_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert Example.read(http_host=host).auth_keys_file is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth_jwks_file": "jwks.json"},
        {"auth_jwks_file": "jwks.json", "auth_jwt_issuer": "i"},
        {"auth_jwks_file": "jwks.json", "auth_jwt_audience": "a"},
        {"auth_jwks_file": "jwks.json", "auth_jwt_issuer": "", "auth_jwt_audience": "a"},
        {"auth_jwt_issuer": "i"},
        {"auth_jwt_algorithms": "HS256"},
        {"auth_jwt_algorithms": "RS256,none"},
        {"auth_jwt_algorithms": ""},
        {"auth_jwt_leeway_seconds": 301},
        {"auth_jwt_tenant_claim": ""},
        {"tenant_requests_per_second": -1},
        {"tenant_requests_per_second": 1e-310},
        {"tenant_bytes_per_second": float("inf")},
        {"tenant_burst_seconds": 0},
    ],
)
def test_settings_that_would_let_the_wrong_in_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Example.read(**wrong)


@pytest.mark.parametrize("name", ["AUTH_KEYS_FILE", "AUTH_JWKS_FILE"])
def test_an_empty_name_of_a_file_does_not_start_open(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    if name == "AUTH_JWKS_FILE":
        monkeypatch.setenv("AUTH_JWT_ISSUER", "i")
        monkeypatch.setenv("AUTH_JWT_AUDIENCE", "a")
    with pytest.raises(SettingsError, match=name):
        Authenticator.from_settings(Example.read())


def test_half_a_login_to_the_log_is_refused_and_a_password_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_URL", "kafka://broker:9093")
    monkeypatch.setenv("LOG_PASSWORD", "hush")
    with pytest.raises(SettingsError, match="LOG_USERNAME and LOG_PASSWORD go together") as caught:
        LogSettings.read()
    assert "hush" not in str(caught.value)
    monkeypatch.setenv("LOG_USERNAME", "indexer")
    monkeypatch.setenv("LOG_CA_FILE", "/etc/ca.crt")
    settings = LogSettings.read()
    assert settings.log_access.password == "hush"
    assert "hush" not in json.dumps(settings.shown())
