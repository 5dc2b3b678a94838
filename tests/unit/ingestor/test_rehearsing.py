"""What the parse worker's record is tried out with must neither change anything nor take an outage for poison."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from spanstream.eventlog.log import Record
from spanstream.events import codec
from spanstream.events.ids import Key
from spanstream.events.v1.document_pb2 import OPERATION_DELETE, DocumentEvent
from spanstream.ingestor import rehearsing
from spanstream.ingestor.blobs import Blobs, BlobsUnavailable
from spanstream.ingestor.handler import Cutting
from spanstream.ingestor.parsing.parsed import Limits

KEY = Key("t", "s", "a")


@pytest.mark.promise("I14")
def test_a_blob_store_that_hangs_is_no_poison(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    os.mkfifo(tmp_path / "t/x")  # who opens it waits until somebody writes
    with pytest.raises(BlobsUnavailable):
        rehearsing.Looking(f"file:{tmp_path}", seconds=0.1).get("t/x", 10)
    (tmp_path / "t/x").write_bytes(b"")


def test_a_rehearsal_leaves_the_blobs_of_a_deleted_document(tmp_path: Path) -> None:
    blobs = Blobs(f"file:{tmp_path}")
    blobs.put(KEY, 1, b"Bees.")
    delete = DocumentEvent(tenant="t", source="s", id="a", version=2, operation=OPERATION_DELETE)
    handle = rehearsing.handler(f"file:{tmp_path}", asdict(Limits()), asdict(Cutting()))
    list(handle([Record("documents.v1", 0, 0, KEY.encode(), delete.SerializeToString(), codec.headers(delete))]))
    assert blobs.count(*KEY) == 1
