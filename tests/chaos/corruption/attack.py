"""Bits that a disk has changed, 1 to 64 at a time, in files, log, index and model. What is shown afterwards is what was written, or
less of it; each attack says which, or what else, which is wrong.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
from kafka import TopicPartition  # type: ignore[import-untyped]
from kafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder  # type: ignore[import-untyped]

from spanstream.encoder.encoder import Text
from spanstream.eventlog.log import Outgoing, Record
from spanstream.events import codec
from spanstream.events.ids import Key, content_hash
from spanstream.events.v1.document_pb2 import OPERATION_UPSERT, DocumentEvent
from spanstream.ingestor.blobs import Blobs
from spanstream.ingestor.handler import Cutting, Handler
from spanstream.ingestor.parsing.parsed import Parsed
from spanstream.representations.errors import RepresentationError
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import fingerprint, load
from spanstream.representations.release import Release
from tests.chaos.corruption.flips import flipped
from tests.chaos.corruption.index import Index
from tests.unit.representations.tiny import build

SERVED = "SERVED"  # begins what is wrong
SAME, LESS, REFUSED = "same", "less", "refused"
RECORDS = 20
TEXT = "Bees dance. They do so to tell where the flowers are. " * 20


class Surfaces:
    """What is attacked, made once below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = Blobs(f"file:{folder / 'blobs'}")
        self._handler = Handler(
            self._blobs, lambda kind, data: Parsed(data.decode("latin-1"), "", ""), Cutting(), remembered_keys=1
        )
        self._batch = _batch()
        self._model = build(folder / "model", "bert", {"pooling_mode": "mean"}, dense=8)
        self._release = Release(name="tiny", model=str(self._model), revision=f"sha256:{fingerprint(self._model)}")
        self._vectors = self._encoded(self._release)
        self._index = Index(folder / "index")

    def attack(self, seed: int, number: int) -> tuple[str, str]:
        """(what was attacked, how that ended). An index takes a hundred times longer than a record, a model a thousand times."""
        chance = random.Random(f"{seed} {number}")
        match number % 50:
            case 0:
                return "model", self._of_model(chance)
            case 1 | 2 | 3 | 4:
                return "index", self._index.attack(chance)
            case rest if rest % 2:
                return "file", self._of_file(chance)
            case _:
                return "log", self._of_log(chance)

    def _of_file(self, chance: random.Random) -> str:
        key, data = Key("t", "s", "d"), TEXT.encode()
        hashed = content_hash(title="", content_type="text/plain", body=data, metadata={}, groups=())
        blob = self._blobs.put(key, 1, data)  # which mends what was changed before
        path = self._folder / "blobs" / blob
        path.write_bytes(flipped(chance, data))
        event = DocumentEvent(tenant="t", source="s", id="d", version=1, operation=OPERATION_UPSERT)
        event.blob, event.content_type, event.content_hash = blob, "text/plain", hashed
        given = Record("documents.v1", 0, 0, key.encode(), event.SerializeToString(), codec.headers(event))
        (result,) = self._handler([given])
        return f"{SERVED} a file that was changed" if isinstance(result, Outgoing) else REFUSED

    def _of_log(self, chance: random.Random) -> str:
        header = chance.random() < 0.1  # of which the sum does not cover the first 17 bytes
        data = flipped(chance, self._batch[:61]) + self._batch[61:] if header else flipped(chance, self._batch)
        place = TopicPartition("documents.v1", 0)
        try:
            records = Fetcher.PartitionRecords(0, place, MemoryRecords(data), on_drain=lambda _: None)
            found = {(record.key, record.value) for record in records.take()}
        except Exception:  # noqa: BLE001 whatever it is ends the consumer
            return REFUSED
        if found - {_record(number) for number in range(RECORDS)}:
            return f"{SERVED} a record that nobody wrote"
        return SAME if len(found) == RECORDS else LESS

    def _of_model(self, chance: random.Random) -> str:
        folder = self._folder / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._model, folder)
        path = chance.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        path.write_bytes(flipped(chance, path.read_bytes()))
        try:
            found = self._encoded(Release(name="tiny", model=str(folder), revision=self._release.revision))
        except RepresentationError:
            return REFUSED
        if found == self._vectors:
            return SAME
        # Not the same model: its vectors go to an index of their own.
        return f"{SERVED} vectors of a model that was changed" if found[0] == self._vectors[0] else "another generation"

    def _encoded(self, release: Release) -> tuple[str, bytes]:
        """(what names its generation, vectors)."""
        encoder = LocalEncoder(load(release))
        try:
            (found,) = encoder.encode([Text("Bees dance.", np.zeros((0, 2), np.int32))])
            return encoder.info().release, found.whole.tobytes()
        finally:
            encoder.close()


def _record(number: int) -> tuple[bytes, bytes]:
    return b"key %d" % number, b"The record %d tells of bees." % number


def _batch() -> bytes:
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1 << 20)
    for number in range(RECORDS):
        builder.append(1_700_000_000_000 + number, *_record(number))
    builder.close()
    return bytes(builder.buffer())
