"""The store in this process: Qdrant's own engine (Qdrant Edge) in a folder.

    <folder>/lock                                    held while open: one process at a time
    <folder>/live                                    the live generation's name, replaced atomically
    <folder>/restoring                               while a snapshot takes their place: nothing can be opened
    <folder>/<generation>/{documents,passages}/      one shard each
    <folder>/<generation>.dropped/                   a generation that is being removed
    <folder>/<generation>/cleared                    when the last vacuum began, microseconds since 1970
    <folder>/standing/queries/                       one shard, of all generations

Writes are in the write-ahead logs when they return, so they survive the death of the process; `flush` brings those logs
to the disk, so that they survive power loss. The shards' own flush, after which the logs can be cut, stops every thread
of the interpreter for 40 to 250 ms: `maintain` does it once a minute. Vectors are kept in half precision: that is how they travel, it halves the memory, and the exact
scan, bound by memory, is up to 1.8 times faster. With a compression, codes are pinned in memory beside them. Binary and
turbo codes are written with the vectors; scalar ones come with the housekeeping, once there are enough vectors.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote, unquote
from uuid import UUID

import numpy as np
import qdrant_edge as qdrant

from spanstream.store import snapshots
from spanstream.store.compression import Compression
from spanstream.store.conditions import StoredCondition
from spanstream.store.copying import copy_folder, sync_folder
from spanstream.store.engine import (
    INDEXES,
    SPAN_SHORTLIST,
    Collection,
    Delete,
    IndexType,
    Operation,
    Point,
    Record,
    Search,
    SetPayload,
    Upsert,
    Vector,
    runs,
)
from spanstream.store.errors import StoreCorrupt, StoreError, StoreRejected, StoreUnavailable
from spanstream.store.filters import Dialect
from spanstream.store.folder import FolderLock, write_atomically
from spanstream.store.gate import Gate
from spanstream.store.index import Index
from spanstream.store.points import Sparse

BATCH_POINTS = 256
SCROLL_POINTS = 4096
# Storage grows in mapped files of 64 MiB, and a full disk below a mapping kills the process.
MIN_FREE_BYTES = 256 << 20
LOG_FREE_BYTES = 64 << 20  # for what is only logged, deletes among them: two parts of a log
SHARD_FLUSH_SECONDS = 60.0  # what a start after a kill has to read again at most: a second or two
STANDING = "standing"  # the folder of what belongs to no generation
LIVE = "live"  # the file with the live generation's name
DROPPED = ".dropped"
LOG_PART_BYTES = 32 << 20  # the files of a shard's log are this long
PADDING_BYTES = 1 << 20
EXACT_SPANS = 8192  # passages up to which every span is compared: 3.5 ms on one core
GRAPH_THRESHOLD_KB = 1_000_000  # about 200,000 passages of 6 spans; below, an exact scan costs one query 10 ms at most
# Scalar codes are made segment by segment, of those above this. It leaves the newest 900 passages of 6 spans in half
# precision at most; making the codes of as many takes 0.1 s.
SCALAR_THRESHOLD_KB = 4_000
KIND = "edge"
_REFUSED = ("dimension error", "Wrong input", "Bad request", "Validation", "not existing vector", "Not existing vector")

log = logging.getLogger(__name__)


@lru_cache(maxsize=8)  # legs of a search ask among the same ids, and each of these takes microseconds
def _ids(ids: tuple[str, ...]) -> qdrant.HasIdCondition:
    return qdrant.HasIdCondition(set(map(_uuid, ids)))


# 4 MB each; a search meets each of its candidates in every leg.
_uuid = lru_cache(maxsize=1 << 14)(UUID)


@lru_cache(maxsize=1 << 14)
def _hexadecimal(number: int) -> str:
    return str(UUID(int=number))


def _text(id: qdrant.PointId) -> str:
    return _hexadecimal(id.int) if isinstance(id, UUID) else str(id)


DIALECT = Dialect(
    filter=qdrant.Filter,
    field=qdrant.FieldCondition,
    any_of=qdrant.MatchAny,
    # The binding reads Python's bool as a number, numpy's as what it is.
    equal=lambda value: qdrant.MatchValue(np.bool_(value) if isinstance(value, bool) else value),  # type: ignore[arg-type]
    range=qdrant.RangeFloat,
    dates=qdrant.RangeDateTime,
    ids=lambda ids: _ids(tuple(ids)),
    empty=qdrant.IsEmptyCondition,
)
_TURBO_BITS = {
    Compression.TURBO8: qdrant.TurboQuantBitSize.Bits8,
    Compression.TURBO4: qdrant.TurboQuantBitSize.Bits4,
    Compression.TURBO2: qdrant.TurboQuantBitSize.Bits2,
    Compression.TURBO1: qdrant.TurboQuantBitSize.Bits1,
}
# Up to that many KB that a condition is estimated to keep the engine scans them, instead of walking the graph.
FULL_SCAN_KB = 10_000
_NO_GRAPH = qdrant.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=0)
_SCHEMAS: dict[IndexType, qdrant.KeywordIndexParams | qdrant.IntegerIndexParams | qdrant.PayloadSchemaType] = {
    IndexType.TENANT: qdrant.KeywordIndexParams(is_tenant=True),
    IndexType.WORD: qdrant.PayloadSchemaType.Keyword,
    IndexType.FACT: qdrant.IntegerIndexParams(lookup=True, range=False),
    IndexType.NUMBER: qdrant.PayloadSchemaType.Float,
    IndexType.DATE: qdrant.PayloadSchemaType.Datetime,
}


_NOBODY = UUID(int=0)
_OF_NOBODY = qdrant.Filter(must=[qdrant.HasIdCondition({_NOBODY})])
# What a point held before it was written again lies in the segment that is written to; that goes with its deleted points.
_PROBE = qdrant.UpdateOperation.upsert_points([qdrant.Point(str(_NOBODY), {}, {})])
_NO_PROBE = qdrant.UpdateOperation.delete_points_by_filter(_OF_NOBODY)
# A write that finds nothing to change, and fills the log.
_PADDING = qdrant.UpdateOperation.set_payload_by_filter(_OF_NOBODY, {"padding": "-" * PADDING_BYTES})


class EdgeStore(Index):
    """The store port on a folder that only this process has open. Raises StoreUnavailable if another one has."""

    def __init__(self, folder: Path) -> None:
        super().__init__(EdgeEngine(folder))


@dataclass(slots=True)
class _Opened:
    """A generation that is loaded, and by how many engines. `compression` None: whatever it has."""

    generation: str
    dimension: int
    compression: Compression | None
    shards: dict[Collection, qdrant.EdgeShard] = field(default_factory=dict)
    users: int = 0
    gate: Gate = field(default_factory=Gate)  # of the shards, which a vacuum closes and loads again


class _Home:
    """A folder's lock and what is loaded of it: the engine loads no shard twice, so engines of one folder share them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = FolderLock(folder)
        self.opening = threading.Lock()
        self.writing = Gate()  # whoever writes, and who copies
        self.queries: qdrant.EdgeShard | None = None
        self.opened: dict[str, _Opened] = {}
        for left in folder.glob(f"*{DROPPED}"):
            shutil.rmtree(left, ignore_errors=True)

    def path(self, collection: Collection, generation: str) -> Path:
        """Of a shard."""
        return self.generation(STANDING if collection is Collection.QUERIES else generation) / collection

    def generation(self, name: str) -> Path:
        """Of a generation's shards."""
        return self.folder / quote(name, safe="+")

    def load(self, generation: str, dimension: int, compression: Compression | None) -> _Opened:
        """As it is where there is no `compression`; one that is loaded with another one is made over."""
        found = self.opened.get(generation) or _Opened(generation, dimension, compression)
        if found.shards and compression in (None, found.compression):
            return found
        with found.gate.alone():
            self._close(found)
            try:
                for collection in Collection:
                    found.shards[collection] = self._loaded(collection, generation, dimension, compression)
            except BaseException:
                self._close(found)
                raise
            self.queries = found.shards[Collection.QUERIES]
            found.dimension, found.compression = dimension, compression
            self.opened[generation] = found
        return found

    def _loaded(
        self, collection: Collection, generation: str, dimension: int, compression: Compression | None
    ) -> qdrant.EdgeShard:
        if collection is Collection.QUERIES and self.queries is not None:
            return self.queries
        path = self.path(collection, generation)
        if compression is None:
            with _readable(path, collection):
                return _load(path, None)
        shard = _load_or_create(path, collection, dimension, compression)
        with _translated(path):
            _index_what_is_new(shard, collection)
        return shard

    def release(self, found: _Opened) -> None:
        """Close it; the standing queries with the last one."""
        with found.gate.alone():
            self._close(found)
            if not self.opened and self.queries is not None:
                queries, self.queries = self.queries, None
                with _translated(self.folder):
                    _end(queries)

    def _close(self, found: _Opened) -> None:
        self.opened.pop(found.generation, None)
        shards = list(found.shards.values())
        found.shards.clear()
        with _translated(self.folder):
            for shard in shards:
                if shard is not self.queries:
                    _end(shard)


class EdgeEngine:
    """The engine port on two shards. Thread-safe; `open` and `close` are not called while others are at work."""

    def __init__(self, folder: Path, home: _Home | None = None) -> None:
        """`home`: of the engine that this one is beside."""
        self._folder = folder
        self._home = home or _Home(folder)
        self._alone = home is None
        self._opened: _Opened | None = None
        self._flushed_at = time.monotonic()  # all of it, by the shards themselves

    def open(self, generation: str, dimension: int, compression: Compression) -> None:
        """Load or create the generation's shards and note it as live. Vectors kept in another way are made over."""
        with self._home.opening:
            was = self._opened
            if was and was.shards and (generation, compression) == (was.generation, was.compression):
                return
            if was and was.generation != generation:
                self._leave()
            self._check_whole()
            fresh = not self._path(Collection.PASSAGES, generation).exists()
            if fresh:
                self._check_space(MIN_FREE_BYTES)
            self._take(self._home.load(generation, dimension, compression))
            if self._alone:
                write_atomically(self._folder / LIVE, generation)
            if fresh:
                write_atomically(self._cleared(generation), str(_now_us()))

    def open_live(self) -> str:
        """Load what was opened last, with the configuration that it has."""
        with self._home.opening:
            self._check_whole()
            generation = self.live()
            if generation is None:
                raise StoreUnavailable(f"there is no index in {self._folder}")
            self._take(self._home.load(generation, 0, None))
            return generation

    def beside(self) -> EdgeEngine:
        """It shares what is loaded, and the lock."""
        return EdgeEngine(self._folder, self._home)

    def generations(self) -> dict[str, bool]:
        """A folder each."""
        live = self.live()
        return {name: name == live for name in sorted(unquote(folder.name) for folder in self._folders())}

    def live(self) -> str | None:
        """As its file says."""
        try:
            return (self._folder / LIVE).read_text()
        except OSError:
            return None

    def make_live(self, generation: str) -> None:
        """1 bring it to the disk, 2 note it."""
        with self._home.opening:
            self._check_whole()
            if generation not in self.generations():
                raise StoreRejected(f"the index has no generation {generation}")
            found = self._home.load(generation, 0, None)
            with _translated(self._folder):
                for collection in found.shards:
                    _sync(self._path(collection, generation) / "wal")  # 1
                write_atomically(self._folder / LIVE, generation)  # 2
            self._take(found)

    def drop(self, generation: str) -> None:
        """1 close it, 2 take its name away, so that it is there or not, 3 remove its files."""
        with self._home.opening, _translated(self._folder):
            if generation == self.live():
                raise StoreRejected(f"generation {generation} is the live one: make another one live first")
            if generation in self._home.opened:
                self._home.release(self._home.opened[generation])  # 1
            folder = self._home.generation(generation)
            gone = folder.with_name(folder.name + DROPPED)
            shutil.rmtree(gone, ignore_errors=True)
            if not generation or generation == STANDING or not folder.is_dir():
                return
            os.replace(folder, gone)  # 2
            sync_folder(self._folder)
            shutil.rmtree(gone, ignore_errors=True)  # 3

    def write(self, collection: Collection, operations: Sequence[Operation]) -> None:
        """Apply operations in order; runs of plain upserts go in batches."""
        grows = any(isinstance(operation, Upsert) for operation in operations)
        self._check_space(MIN_FREE_BYTES if grows else LOG_FREE_BYTES)
        with self._home.writing.inside(), self._using(collection) as shard:
            for start in range(0, len(operations), BATCH_POINTS):
                for step in runs(operations[start : start + BATCH_POINTS]):
                    shard.update(_update(step))

    def retrieve(
        self, collection: Collection, ids: Sequence[str], *, payload: bool = True, vectors: Sequence[str] = ()
    ) -> list[Record]:
        """The points that exist."""
        if not ids:
            return []
        with self._using(collection) as shard:
            found = shard.retrieve(list(ids), payload, list(vectors) or False)
            return [_record(point) for point in found]

    def search(self, searches: Sequence[Search]) -> list[list[tuple[str, float]]]:
        """All searches as one planned batch."""
        if not searches:
            return []
        with self._using(Collection.PASSAGES) as shard:
            large = shard.info().points_count > EXACT_SPANS
            compression = self._required().compression or Compression.NONE
            request = qdrant.QueryBatchRequest([_request(search, large, compression) for search in searches])
            return [[(_text(hit.id), hit.score) for hit in hits] for hits in shard.query_batch(request)]

    def indexed(self, collection: Collection) -> set[str]:
        """As the shard notes them."""
        with self._using(collection) as shard:
            return set(shard.info().payload_schema)

    def index(self, collection: Collection, path: str, kind: IndexType) -> None:
        """Made at once: 25 µs or more a point, and the interpreter waits."""
        self._check_space(MIN_FREE_BYTES)
        with self._home.writing.inside(), self._using(collection) as shard:
            shard.update(qdrant.UpdateOperation.create_field_index(path, _SCHEMAS[kind]))

    def count(self, collection: Collection, condition: StoredCondition) -> int:
        """Exact count."""
        with self._using(collection) as shard:
            return _count(shard, condition)

    def tally(self, collection: Collection, field: str, condition: StoredCondition, limit: int) -> dict[str, int]:
        """Exact counts per value."""
        with self._using(collection) as shard:
            request = qdrant.FacetRequest(field, limit, True, DIALECT.build(condition))
            return {str(hit.value): hit.count for hit in shard.facet(request)}

    def scroll(
        self,
        collection: Collection,
        condition: StoredCondition | None,
        fields: Sequence[str] | None = None,
        first: str | None = None,
    ) -> Iterator[Record]:
        """Page by page, by id."""
        filter = None if condition is None else DIALECT.build(condition)
        offset: qdrant.PointId | None = first
        payload = True if fields is None else qdrant.PayloadSelector.Include(list(fields)) if fields else False
        while True:
            with self._using(collection) as shard:
                points, offset = shard.scroll(qdrant.ScrollRequest(offset, SCROLL_POINTS, filter, payload, False))
            yield from (Record(str(point.id), point.payload or {}, {}) for point in points)
            if offset is None:
                return

    def maintain(self) -> bool:
        """Run the optimizers of both shards, slow only when there is something to do; now and then cut their logs."""
        self._check_space(MIN_FREE_BYTES)
        opened = self._required()
        with self._home.writing.inside(), opened.gate.inside(), _translated(self._folder):
            shards = list(opened.shards.values())
            done = [shard.optimize() for shard in shards]
            if time.monotonic() - self._flushed_at >= SHARD_FLUSH_SECONDS:
                for shard in shards:
                    shard.flush()
                self._flushed_at = time.monotonic()
        return any(done)

    @property
    def generation(self) -> str:
        """The open one's name."""
        return self._opened.generation if self._opened else ""

    def elsewhere(self, condition: StoredCondition) -> dict[str, int]:
        """Those that are not open are loaded for as long as it takes to count."""
        found = {}
        with self._home.opening:  # one load of a folder at a time
            for folder in self._folders():
                name = unquote(folder.name)
                if name != self.generation:
                    with _translated(folder):
                        found[name] = self._held(name, folder, condition)
        return found

    def _held(self, name: str, folder: Path, condition: StoredCondition) -> int:
        both = (Collection.DOCUMENTS, Collection.PASSAGES)
        if opened := self._home.opened.get(name):
            with opened.gate.inside():
                return sum(_count(opened.shards[each], condition) for each in both)
        return sum(_count_in(folder / each, condition) for each in both if (folder / each).exists())

    def cleared_at_us(self, generation: str) -> int:
        """As the file says that a vacuum leaves."""
        try:
            return int(self._cleared(generation).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def vacuum(self) -> None:
        """1 load the shards as ones that mind each deleted point, 2 write their segments anew without those, 3 push what
        was deleted out of the logs, 4 load them as usual. Others wait during 1 and 4, and work during 2 and 3.

        Without this deleted texts stay: in segments below 1,000 points or 20 % of deleted ones, and in the last 64 MiB of a
        log. The logs cannot be deleted instead: the engine would take new writes for older ones and drop them.
        """
        held = (self._path(collection, self.generation) for collection in (Collection.DOCUMENTS, Collection.PASSAGES))
        self._check_space(MIN_FREE_BYTES + max(_allocated(path) for path in held))
        began = _now_us()
        with self._home.writing.inside():  # nobody copies meanwhile
            for collection in (Collection.DOCUMENTS, Collection.PASSAGES):
                self._load_again(collection, vacuum=True)  # 1
                try:
                    with self._using(collection) as shard:
                        shard.update(_PROBE)
                        shard.update(_NO_PROBE)
                        shard.optimize()  # 2
                        for _ in range(2):  # 3 once into a full part of the log, and once until that is let go
                            for _ in range(LOG_PART_BYTES // PADDING_BYTES + 1):
                                shard.update(_PADDING)
                            shard.flush()
                finally:
                    self._load_again(collection)  # 4
        write_atomically(self._cleared(self.generation), str(began))

    def flush(self) -> None:
        """Bring the write-ahead logs to the disk."""
        with _translated(self._folder):
            for collection in self._shards:
                _sync(self._path(collection, self.generation) / "wal")

    def snapshot(self, folder: Path) -> None:
        """Copy the shards. Writes and housekeeping wait for it, searches do not: a second or so for a gigabyte."""
        opened = self._required()
        with self._home.writing.alone(), opened.gate.inside(), _translated(self._folder):
            for collection in Collection:
                _shard(opened, collection).flush()
                copy_folder(self._path(collection, self.generation), folder / collection)
            snapshots.write(folder, snapshots.Told(KIND, self.generation, _engine()))

    def restore(self, folder: Path) -> None:
        """1 copy beside their places, 2 note that places are changing, 3 move, 4 make it the live one, 5 done.

        Nothing is lost before 2; who is interrupted after it does it again, and until then nothing opens.
        """
        told = snapshots.read(folder, KIND, _engine())
        if self._home.opened:
            raise StoreRejected("a snapshot cannot take the place of an index that is open")
        places = {collection: self._path(collection, told.generation) for collection in Collection}
        with _translated(self._folder):
            for collection, place in places.items():  # 1
                shutil.rmtree(_restored(place), ignore_errors=True)
                copy_folder(folder / collection, _restored(place))
            write_atomically(self._folder / "restoring", told.generation)  # 2
            self._cleared(told.generation).unlink(missing_ok=True)  # that was of the index which goes
            for place in places.values():  # 3
                shutil.rmtree(place, ignore_errors=True)
                os.replace(_restored(place), place)
                sync_folder(place.parent)
            write_atomically(self._folder / LIVE, told.generation)  # 4
            (self._folder / "restoring").unlink()  # 5
            sync_folder(self._folder)

    def unready(self) -> list[str]:
        """Whether it is not open."""
        return [] if self._shards else ["the index is not open"]

    def close(self) -> None:
        """Flush, close the shards, let go of the folder, for all engines of it; one beside another closes only what is its own."""
        with self._home.opening:
            self._leave()
            if self._alone:
                for each in list(self._home.opened.values()):
                    self._home.release(each)
                self._home.lock.release()

    def _take(self, found: _Opened) -> None:
        """Use it, and no longer what was used before."""
        if found is not self._opened:
            self._leave()
            self._opened, found.users = found, found.users + 1

    def _leave(self) -> None:
        was, self._opened = self._opened, None
        if was is not None:
            was.users -= 1
            if not was.users and was.shards:
                self._home.release(was)

    def _folders(self) -> list[Path]:
        """Of the generations."""
        there = sorted(path for path in self._folder.iterdir() if path.is_dir() and path.name != STANDING)
        return [path for path in there if not path.name.endswith(DROPPED) and (path / Collection.PASSAGES).exists()]

    @property
    def _shards(self) -> dict[Collection, qdrant.EdgeShard]:
        return self._opened.shards if self._opened else {}

    def _required(self) -> _Opened:
        if self._opened is None:
            raise StoreUnavailable("the store is not open")
        return self._opened

    def _path(self, collection: Collection, generation: str) -> Path:
        return self._home.path(collection, generation)

    def _cleared(self, generation: str) -> Path:
        return self._path(Collection.PASSAGES, generation).with_name("cleared")

    def _load_again(self, collection: Collection, *, vacuum: bool = False) -> None:
        opened, path = self._required(), self._path(collection, self.generation)
        config = _config(collection, opened.dimension, opened.compression or Compression.NONE, vacuum=vacuum)
        with opened.gate.alone():
            shard = _shard(opened, collection)
            with _translated(self._folder):
                shard.flush()
            shard.close()
            try:
                opened.shards[collection] = qdrant.EdgeShard.load(str(path), config)
            except Exception as error:  # nothing can be done without it, and a start says what to do
                raise StoreCorrupt(f"the index folder {path} cannot be read again: {error}") from error

    @contextmanager
    def _using(self, collection: Collection) -> Iterator[qdrant.EdgeShard]:
        opened = self._required()
        with opened.gate.inside(), _translated(self._folder):
            yield _shard(opened, collection)

    def _check_whole(self) -> None:
        if (self._folder / "restoring").exists():
            raise StoreCorrupt(
                f"a restore of the index in {self._folder} was interrupted: restore it again, from the same backup"
            )

    def _check_space(self, needed: int) -> None:
        """Raises StoreUnavailable where fewer bytes are free."""
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise StoreUnavailable(
                f"the disk of {self._folder} is full: {free >> 20} MiB free, {needed >> 20} MiB needed; "
                "make room and it goes on"
            )


def _end(shard: qdrant.EdgeShard) -> None:
    try:
        shard.flush()
    except Exception as error:  # noqa: BLE001 what it holds is in its log, which the next start reads
        log.warning("a part of the index was not flushed: %s", error)
    shard.close()


def _allocated(folder: Path) -> int:
    """Bytes on the disk of what lies in it, without the empty room of its files."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _record(point: qdrant.Record) -> Record:
    vectors = point.vector  # each look makes all numbers anew
    return Record(str(point.id), point.payload or {}, vectors if isinstance(vectors, dict) else {})


def _config(
    collection: Collection, dimension: int, compression: Compression, *, vacuum: bool = False
) -> qdrant.EdgeConfig:
    if collection is Collection.QUERIES:  # the engine wants to be told of some vector
        return qdrant.EdgeConfig(sparse_vectors={"none": qdrant.EdgeSparseVectorParams()})
    # The engine makes scalar codes and graphs at the same threshold; at one low enough for codes, graphs cost too much.
    scalar = compression is Compression.SCALAR
    half, cosine = qdrant.VectorStorageDatatype.Float16, qdrant.Distance.Cosine
    memory = None if compression is Compression.NONE else qdrant.Memory.Cold  # of the originals
    codes = _quantization(compression)
    vectors = {
        "dense": qdrant.EdgeVectorParams(
            dimension,
            cosine,
            datatype=half,
            memory=memory,
            quantization_config=codes,
            hnsw_config=_NO_GRAPH if scalar else qdrant.HnswIndexConfig(16, 100, FULL_SCAN_KB),
        )
    }
    sparse = {}
    if collection is Collection.PASSAGES:
        vectors["spans"] = qdrant.EdgeVectorParams(
            dimension,
            cosine,
            datatype=half,
            memory=memory,
            quantization_config=codes,
            multivector_config=qdrant.MultiVectorConfig(qdrant.MultiVectorComparator.MaxSim),
            hnsw_config=_NO_GRAPH,
        )
        sparse["lexical"] = qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf)
    threshold = SCALAR_THRESHOLD_KB if scalar else GRAPH_THRESHOLD_KB
    return qdrant.EdgeConfig(
        vectors=vectors,
        sparse_vectors=sparse,
        optimizers=qdrant.EdgeOptimizersConfig(
            indexing_threshold=threshold,
            deleted_threshold=1e-9 if vacuum else None,
            vacuum_min_vector_number=1 if vacuum else None,
        ),
    )


def _quantization(
    compression: Compression,
) -> qdrant.ScalarQuantizationConfig | qdrant.BinaryQuantizationConfig | qdrant.TurboQuantQuantizationConfig | None:
    pinned = qdrant.Memory.Pinned
    match compression:
        case Compression.NONE:
            return None
        case Compression.SCALAR:
            return qdrant.ScalarQuantizationConfig(qdrant.ScalarType.Int8, memory=pinned)
        case Compression.BINARY:
            query = qdrant.BinaryQuantizationQueryEncoding.Scalar4Bits
            return qdrant.BinaryQuantizationConfig(query_encoding=query, memory=pinned)
        case _:
            return qdrant.TurboQuantQuantizationConfig(bits=_TURBO_BITS[compression], memory=pinned)


def _load_or_create(path: Path, collection: Collection, dimension: int, compression: Compression) -> qdrant.EdgeShard:
    """The shard. One with another compression is made over at once: its originals are all there."""
    config = _config(collection, dimension, compression)
    if not path.exists():
        _create(path, collection, config)
    with _readable(path, collection):
        before = _stored_codes(path)
        shard = _load(path, config)  # it stores this configuration
        if _stored_codes(path) != before:
            log.warning("the vectors in %s are compressed anew: %s", path, compression)
            shard.optimize()
        return shard


def _load(path: Path, config: qdrant.EdgeConfig | None) -> qdrant.EdgeShard:
    """The shard with this configuration, or with the one that it has."""
    if not any((path / "segments").iterdir()):
        raise FileNotFoundError("it holds no segments")  # the engine would start an empty one
    return qdrant.EdgeShard.load(str(path), config)


@contextmanager
def _readable(path: Path, collection: Collection) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if "incompatible with existing" in str(error):
            raise StoreRejected(f"the index folder {path} was made for other vectors: {error}") from error
        queries = collection is Collection.QUERIES
        again = (
            "save the standing queries again."
            if queries
            else ("ingest again: the documents are still in the log and at their sources.")
        )
        raise StoreCorrupt(
            f"the index folder {path} cannot be read ({error}). Restore it from a backup; or delete {path.parent} "
            f"and {again}"
        ) from error


def _index_what_is_new(shard: qdrant.EdgeShard, collection: Collection) -> None:
    """A folder of an older version has fewer indexes."""
    there = set(shard.info().payload_schema)
    for path, kind in INDEXES[collection].items():
        if path not in there:
            shard.update(qdrant.UpdateOperation.create_field_index(path, _SCHEMAS[kind]))


def _shard(opened: _Opened, collection: Collection) -> qdrant.EdgeShard:
    try:
        return opened.shards[collection]
    except KeyError:  # it was dropped
        raise StoreUnavailable("the store is not open") from None


def _restored(place: Path) -> Path:
    return place.with_name(place.name + ".restored")


def _engine() -> str:
    return version("qdrant-edge-py")


def _stored_codes(path: Path) -> object:
    """The shard's configuration of codes, as the engine writes it; None: it has none."""
    vectors = json.loads((path / "edge_config.json").read_text())["vectors"]
    return vectors.get("dense", {}).get("quantization_config")


def _create(path: Path, collection: Collection, config: qdrant.EdgeConfig) -> None:
    """Make the shard beside its place and move it there, so that a crash leaves either nothing or a whole one."""
    new = path.with_name(path.name + ".new")
    with _translated(path):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        shard = qdrant.EdgeShard.create(str(new), config)
        for field, kind in INDEXES[collection].items():
            shard.update(qdrant.UpdateOperation.create_field_index(field, _SCHEMAS[kind]))
        shard.flush()
        shard.close()
        os.replace(new, path)


def _count(shard: qdrant.EdgeShard, condition: StoredCondition) -> int:
    return shard.count(qdrant.CountRequest(True, DIALECT.build(condition)))


def _count_in(path: Path, condition: StoredCondition) -> int:
    shard = qdrant.EdgeShard.load(str(path))
    try:
        return _count(shard, condition)
    finally:
        shard.close()


def _now_us() -> int:
    return time.time_ns() // 1000


def _sync(folder: Path) -> None:
    """Bring the files of a folder, and their names, to the disk. The engine writes them through mappings."""
    for path in (*folder.iterdir(), folder):
        try:
            opened = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # cut meanwhile: it is not needed any more
            continue
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _update(step: list[Point] | Operation) -> qdrant.UpdateOperation:
    match step:
        case list():
            return qdrant.UpdateOperation.upsert_points([_point(point) for point in step])
        case Upsert(point, condition, insert_only):
            return qdrant.UpdateOperation.upsert_points(
                [_point(point)],
                condition=None if condition is None else DIALECT.build(condition),
                update_mode=qdrant.UpdateMode.InsertOnly if insert_only else qdrant.UpdateMode.Upsert,
            )
        case SetPayload(condition, payload):
            return qdrant.UpdateOperation.set_payload_by_filter(DIALECT.build(condition), payload)
        case Delete(condition):
            return qdrant.UpdateOperation.delete_points_by_filter(DIALECT.build(condition))


def _point(point: Point) -> qdrant.Point:
    return qdrant.Point(point.id, {name: _vector(vector) for name, vector in point.vectors.items()}, point.payload)


def _vector(vector: Vector) -> list[float] | list[list[float]] | qdrant.SparseVector:
    if isinstance(vector, Sparse):
        return qdrant.SparseVector(vector.indices.tolist(), vector.values.tolist())
    return vector


def _request(search: Search, large: bool, compression: Compression) -> qdrant.QueryRequest:
    condition = DIALECT.build(search.condition)
    prefetches = []
    if large and search.shortlist is not None:
        nearest = qdrant.Query.Nearest(search.shortlist, using="dense")
        by_codes = qdrant.SearchParams(quantization=qdrant.QuantizationSearchParams(rescore=False), exact=search.exact)
        limit = max(SPAN_SHORTLIST, search.limit)
        prefetches.append(qdrant.Prefetch(limit, query=nearest, filter=condition, params=by_codes))
    corpus = None if search.corpus is None else qdrant.IdfParams(DIALECT.build(search.corpus))
    rescored = qdrant.QuantizationSearchParams(rescore=True, oversampling=compression.oversampling(search.limit))
    return qdrant.QueryRequest(
        search.limit,
        query=qdrant.Query.Nearest(_vector(search.vector), using=search.using),
        prefetches=prefetches,
        filter=condition,
        params=qdrant.SearchParams(idf=corpus, quantization=rescored, exact=search.exact),
    )


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """The binding raises bare exceptions with the engine's message; say what the caller should do."""
    try:
        yield
    except StoreError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreRejected(str(error)) from error
    except Exception as error:
        if any(sign in str(error) for sign in _REFUSED):
            raise StoreRejected(str(error)) from error
        raise StoreUnavailable(f"the index in {folder} did not answer: {error}") from error
