from __future__ import annotations

import pytest
from pydantic import ValidationError

from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.parsing.parsed import Limits
from spanstream.ingestor.settings import IngestorSettings


def test_one_request_must_fit_what_all_may_hold() -> None:
    with pytest.raises(ValidationError, match="INGESTOR_MAX_HELD_BODY_BYTES"):
        IngestorSettings(log_url="memory:", blob_url="file:/blobs", max_file_bytes=2**30)


def test_what_is_tested_without_settings_has_the_limits_that_settings_give() -> None:
    settings = IngestorSettings(log_url="memory:", blob_url="file:/blobs")
    assert (settings.cutting, settings.limits) == (Cutting(), Limits())
