"""What each worker tries out in a child does what the worker does: its canary is handled, and not rejected."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from spanstream.embedder import rehearsing as embedder
from spanstream.eventlog.log import Outgoing
from spanstream.indexer import rehearsing as indexer
from spanstream.ingestor import rehearsing as ingestor
from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.parsing.parsed import Limits


def test_the_ingestors(tmp_path: Path) -> None:
    handle = ingestor.handler(f"file:{tmp_path}", asdict(Limits()), asdict(Cutting()))
    (result,) = handle([ingestor.canary()])
    assert isinstance(result, Outgoing)


def test_the_embedders() -> None:
    (result,) = embedder.handler()([embedder.canary()])
    assert isinstance(result, Outgoing)


@pytest.mark.parametrize("edge", [False, True])
def test_the_indexers(edge: bool) -> None:
    assert list(indexer.handler(edge)([indexer.canary()])) == []
