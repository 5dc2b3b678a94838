from __future__ import annotations

from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.parsing.parsed import Limits
from spanstream.ingestor.settings import IngestorSettings


def test_what_is_tested_without_settings_has_the_limits_that_settings_give() -> None:
    settings = IngestorSettings(log_url="memory:", blob_url="file:/blobs")
    assert (settings.cutting, settings.limits) == (Cutting(), Limits())
