from __future__ import annotations

import pytest
from pydantic import ValidationError

from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.parsing.parsed import Limits
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.settings import SettingsError


def test_one_request_must_fit_what_all_may_hold() -> None:
    with pytest.raises(ValidationError, match="INGESTOR_MAX_HELD_BODY_BYTES"):
        IngestorSettings(log_url="memory:", blob_url="file:/blobs", max_file_bytes=2**30)


def test_what_is_tested_without_settings_has_the_limits_that_settings_give() -> None:
    settings = IngestorSettings(log_url="memory:", blob_url="file:/blobs")
    assert (settings.cutting, settings.limits) == (Cutting(), Limits())


def test_spans_are_a_shared_setting_whose_form_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANS", "sentences+clauses:8")
    assert IngestorSettings.read(log_url="memory:", blob_url="file:/blobs").cutting.spans == "sentences+clauses:8"
    monkeypatch.setenv("SPANS", "clauses")
    with pytest.raises(SettingsError, match=r"SPANS: .*must be sentences, or"):
        IngestorSettings.read(log_url="memory:", blob_url="file:/blobs")


def test_a_passage_with_all_its_spans_must_fit_an_event() -> None:
    with pytest.raises(ValidationError, match="INGESTOR_MAX_VECTORS_PER_EVENT"):
        IngestorSettings(
            log_url="memory:",
            blob_url="file:/blobs",
            spans="sentences+phrases:255",
            max_vectors_per_event=319,
        )
