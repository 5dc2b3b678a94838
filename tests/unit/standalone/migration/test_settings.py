from __future__ import annotations

import threading
from pathlib import Path

import pytest

from spanstream.runtime.settings import SettingsError
from spanstream.standalone.migration.service import build
from spanstream.standalone.migration.settings import MigrationSettings

NEIGHBOURS = {
    "LOG_URL": "kafka://kafka:9092",
    "STORE_URL": "http://qdrant:6333",
    "ENCODER_URL": "http://encoder:8082",
    "NEXT_ENCODER_URL": "http://other-encoder:8082",
    "BLOB_URL": "file:/srv/blobs",
}


@pytest.fixture(autouse=True)
def _neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEIGHBOURS.items():
        monkeypatch.setenv(name, value)


def test_what_is_not_said_is_as_the_command_has_it() -> None:
    settings = MigrationSettings.read()
    assert (settings.rate, settings.overlap, settings.success_drop, settings.begin) == (0.0, 0.2, 0.05, True)
    assert settings.next_encoder_url == "http://other-encoder:8082"


def test_what_is_said_is_read_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_BEGIN", "false")
    monkeypatch.setenv("MIGRATION_RATE", "2.5")
    settings = MigrationSettings.read()
    assert (settings.begin, settings.rate) == (False, 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MIGRATION_RATE", "-1"), ("MIGRATION_OVERLAP", "1.1"), ("MIGRATION_SUCCESS_DROP", "x"), ("MIGRATION_RATES", "1")],
)
def test_what_cannot_be_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        MigrationSettings.read()


def test_without_the_next_encoder_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEXT_ENCODER_URL")
    with pytest.raises(SettingsError, match="NEXT_ENCODER_URL"):
        MigrationSettings.read()


def test_the_certificates_of_the_stores_authority_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STORE_URL", "https://qdrant:6333")
    monkeypatch.setenv("STORE_CA_FILE", str(tmp_path / "missing.crt"))
    with pytest.raises(ValueError, match=r"STORE_CA_FILE: .*missing\.crt cannot be read"):
        build(MigrationSettings.read(), tmp_path, threading.Event())
