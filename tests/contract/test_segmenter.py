"""What the indexer and the gateway call a generation must follow what the ingestor and the encoder really do."""

from __future__ import annotations

from spanstream.ingestor.segmentation import SEGMENTER
from spanstream.store import generation


def test_the_generation_names_the_ingestors_segmenter() -> None:
    assert SEGMENTER.startswith(generation.SEGMENTER)
