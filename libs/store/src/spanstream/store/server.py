"""The store on a Qdrant server (1.19 or newer), over REST.

Collections `<prefix>documents-<generation>`, `<prefix>passages-<generation>` and, of all generations,
`<prefix>standing-queries`; aliases `<prefix>documents` and
`<prefix>passages` name the live generation for people and tools; this adapter always names collections.
A write has succeeded only when the server says `completed`: `wait_timeout` comes with HTTP 200 and means unknown.
"""

from __future__ import annotations

import logging
import ssl
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from spanstream.store import snapshots
from spanstream.store.compression import Compression
from spanstream.store.conditions import StoredCondition
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
from spanstream.store.errors import StoreError, StoreRejected, StoreUnavailable
from spanstream.store.filters import Dialect
from spanstream.store.index import Index
from spanstream.store.points import Sparse
from spanstream.store.queries import Range
from spanstream.store.transfer import Snapshots

BATCH_OPERATIONS = 256
BATCH_POINTS = 64
# Bytes of the vectors of one request, as JSON: a server takes 32 MiB by default, and payloads come on top. 64 points of
# 6 spans of 384 numbers are 4 MB; a passage may have 255 spans.
BATCH_VECTOR_BYTES = 8 << 20
NUMBER_BYTES = 24  # of a component, its sign, 17 digits, exponent and comma
READ_POINTS = 1000
TIMEOUT_S = 5  # of the server's own wait; the connection waits twice as long, so that its answer is heard
KIND = "server"
_REFUSED = (400, 409, 413, 422)

log = logging.getLogger(__name__)

DIALECT = Dialect(
    filter=models.Filter,
    field=models.FieldCondition,
    any_of=lambda values: models.MatchAny(any=values),
    equal=lambda value: models.MatchValue(value=value),
    range=models.Range,
    dates=models.DatetimeRange,
    ids=lambda ids: models.HasIdCondition(has_id=list(ids)),
    empty=lambda field: models.IsEmptyCondition(is_empty=models.PayloadField(key=field)),
)
_TURBO_BITS = {
    Compression.TURBO8: models.TurboQuantBitSize.BITS8,
    Compression.TURBO4: models.TurboQuantBitSize.BITS4,
    Compression.TURBO2: models.TurboQuantBitSize.BITS2,
    Compression.TURBO1: models.TurboQuantBitSize.BITS1,
}
_SCHEMAS: dict[IndexType, models.PayloadFieldSchema] = {
    IndexType.TENANT: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    IndexType.WORD: models.PayloadSchemaType.KEYWORD,
    IndexType.FACT: models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False),
    IndexType.NUMBER: models.PayloadSchemaType.FLOAT,
    IndexType.DATE: models.PayloadSchemaType.DATETIME,
}


class ServerStore(Index):
    """The store port on a Qdrant server. `prefix` lets several installations share one server."""

    def __init__(self, client: QdrantClient, prefix: str = "") -> None:
        super().__init__(ServerEngine(client, prefix))

    @classmethod
    def at(cls, url: str, api_key: str | None = None, prefix: str = "", ca_file: Path | None = None) -> ServerStore:
        """A store at `http(s)://host[:port]`; nothing is sent yet. Raises ValueError for a `ca_file` that cannot be used."""
        options: dict[str, Any] = {} if ca_file is None else {"verify": _trusting(url, ca_file)}
        client = QdrantClient(url=url, api_key=api_key, timeout=2 * TIMEOUT_S, check_compatibility=False, **options)
        return cls(client, prefix)


class ServerEngine:
    """The engine port over a client. Thread-safe as the client is."""

    def __init__(self, client: QdrantClient, prefix: str, *, alone: bool = True) -> None:
        """`alone`: else it is beside another one, which owns the client and the aliases."""
        self._client = client
        self._prefix = prefix
        self._alone = alone
        self._compression = Compression.NONE  # of what is open
        self._generation = ""  # of what is open
        self._names: dict[Collection, str] = {}

    def open(self, generation: str, dimension: int, compression: Compression) -> None:
        """Create what is missing, prove that conditions are honoured, point the aliases."""
        names = {collection: self._name(collection, generation) for collection in Collection}
        with _translated():
            for collection, name in names.items():
                self._ensure(collection, name, dimension, compression)
            self._names, self._compression, self._generation = names, compression, generation
            self._prove_conditions()
            if self._alone:
                self._point_aliases(generation)

    def open_live(self) -> str:
        """What the aliases name; nothing is changed."""
        live = self.live()
        if live is None:
            raise StoreUnavailable(f"there is no index on the server: no alias {self._prefix}{Collection.DOCUMENTS}")
        self._use(live)
        return live

    def beside(self) -> ServerEngine:
        """Over the same client."""
        return ServerEngine(self._client, self._prefix, alone=False)

    def generations(self) -> dict[str, bool]:
        """Those that have both collections."""
        live = self.live()
        with _translated():
            there = [each.name for each in self._client.get_collections().collections]
        both = [{name for _, name in self._parts(there, each)} for each in (Collection.DOCUMENTS, Collection.PASSAGES)]
        return {name: name == live for name in sorted(both[0] & both[1])}

    def live(self) -> str | None:
        """What the aliases name."""
        alias = f"{self._prefix}{Collection.DOCUMENTS}"
        with _translated():
            known = {item.alias_name: item.collection_name for item in self._client.get_aliases().aliases}
        return unquote(known[alias].removeprefix(f"{alias}-")) if alias in known else None

    def make_live(self, generation: str) -> None:
        """One call for both aliases. Which compression it has decides how it is asked, so that is read."""
        if generation not in self.generations():
            raise StoreRejected(f"the index has no generation {generation}")
        with _translated():
            config = self._client.get_collection(self._name(Collection.PASSAGES, generation)).config.params.vectors
            codes = config["dense"].quantization_config if isinstance(config, dict) else None
            self._point_aliases(generation)
            self._use(generation)
            self._compression = _compression(codes) or Compression.NONE

    def drop(self, generation: str) -> None:
        """The documents first: a generation is there as long as it has both. Of one that is not, what there is."""
        with _translated():
            if generation == self.live():
                raise StoreRejected(f"generation {generation} is the live one: make another one live first")
            for collection in (Collection.DOCUMENTS, Collection.PASSAGES):
                name = self._name(collection, generation)
                if self._client.collection_exists(name):
                    self._client.delete_collection(name)

    def write(self, collection: Collection, operations: Sequence[Operation]) -> None:
        """Apply operations in order, several per call."""
        most = BATCH_POINTS if collection is Collection.PASSAGES else BATCH_OPERATIONS
        with _translated():
            for batch in _batches(operations, most):
                results = self._client.batch_update_points(
                    self._collection(collection),
                    [_operation(step) for step in runs(batch)],
                    wait=True,
                    ordering=models.WriteOrdering.STRONG,
                    timeout=TIMEOUT_S,
                )
                if any(result.status is not models.UpdateStatus.COMPLETED for result in results):
                    raise StoreUnavailable("the index server did not confirm a write: " + _statuses(results))

    def retrieve(
        self, collection: Collection, ids: Sequence[str], *, payload: bool = True, vectors: Sequence[str] = ()
    ) -> list[Record]:
        """The points that exist, as the majority of replicas knows them."""
        found: list[Record] = []
        with _translated():
            for start in range(0, len(ids), READ_POINTS):
                points = self._client.retrieve(
                    self._collection(collection),
                    list(ids[start : start + READ_POINTS]),
                    with_payload=payload,
                    with_vectors=list(vectors) or False,
                    consistency=models.ReadConsistencyType.MAJORITY,
                    timeout=TIMEOUT_S,
                )
                found += [
                    Record(str(point.id), point.payload or {}, point.vector if isinstance(point.vector, dict) else {})
                    for point in points
                ]
        return found

    def search(self, searches: Sequence[Search]) -> list[list[tuple[str, float]]]:
        """All searches in one call."""
        if not searches:
            return []
        with _translated():
            answers = self._client.query_batch_points(
                self._collection(Collection.PASSAGES),
                [_request(search, self._compression) for search in searches],
                timeout=TIMEOUT_S,
            )
        return [[(str(hit.id), hit.score) for hit in answer.points] for answer in answers]

    def indexed(self, collection: Collection) -> set[str]:
        """As the server notes them."""
        with _translated():
            return set(self._client.get_collection(self._collection(collection)).payload_schema)

    def index(self, collection: Collection, path: str, kind: IndexType) -> None:
        """Made by the server while it goes on answering."""
        with _translated():
            self._client.create_payload_index(self._collection(collection), path, _SCHEMAS[kind], wait=False)

    def count(self, collection: Collection, condition: StoredCondition) -> int:
        """Exact count."""
        with _translated():
            result = self._client.count(
                self._collection(collection), DIALECT.build(condition), exact=True, timeout=TIMEOUT_S
            )
        return result.count

    def tally(self, collection: Collection, field: str, condition: StoredCondition, limit: int) -> dict[str, int]:
        """Exact counts per value."""
        with _translated():
            answer = self._client.facet(
                self._collection(collection),
                field,
                facet_filter=DIALECT.build(condition),
                limit=limit,
                exact=True,
                timeout=TIMEOUT_S,
            )
        return {str(hit.value): hit.count for hit in answer.hits}

    def scroll(
        self,
        collection: Collection,
        condition: StoredCondition | None,
        fields: Sequence[str] | None = None,
        first: str | None = None,
    ) -> Iterator[Record]:
        """Page by page, by id."""
        filter = None if condition is None else DIALECT.build(condition)
        offset: Any = first  # what the client gives back is of more types than an id that is asked for
        while True:
            with _translated():
                points, offset = self._client.scroll(
                    self._collection(collection),
                    scroll_filter=filter,
                    limit=READ_POINTS,
                    offset=offset,
                    with_payload=True if fields is None else list(fields) or False,
                    consistency=models.ReadConsistencyType.MAJORITY,
                    timeout=TIMEOUT_S,
                )
            yield from (Record(str(point.id), point.payload or {}, {}) for point in points)
            if offset is None:
                return

    @property
    def generation(self) -> str:
        """The open one's name."""
        return self._generation

    def elsewhere(self, condition: StoredCondition) -> dict[str, int]:
        """Of the collections with this installation's prefix."""
        found: dict[str, int] = {}
        with _translated():
            there = sorted(each.name for each in self._client.get_collections().collections)
            for collection in (Collection.DOCUMENTS, Collection.PASSAGES):
                for name, generation in self._parts(there, collection):
                    if generation != self._generation:
                        held = self._client.count(name, DIALECT.build(condition), exact=True, timeout=TIMEOUT_S).count
                        found[generation] = found.get(generation, 0) + held
        return found

    def cleared_at_us(self, generation: str) -> None:
        """The server does not tell."""

    def vacuum(self) -> None:
        """The server's optimizer does that when it finds it worth while."""

    def snapshot(self, folder: Path) -> None:
        """Let the server make one of each collection, after another, fetch it, and have it removed there.

        Of one node: of a cluster's collection it holds that node's shards alone.
        """
        server = self._snapshots()
        for collection in Collection:
            name = self._collection(collection)
            with server.made(name) as made:
                server.download(name, made, folder / f"{collection}.snapshot")
        snapshots.write(folder, snapshots.Told(KIND, self._generation, self._version()))

    def restore(self, folder: Path) -> None:
        """Send each collection's to the server, which puts it in place; then point the aliases."""
        told = snapshots.read(folder, KIND, self._version())
        server = self._snapshots()
        for collection in Collection:
            server.upload(self._name(collection, told.generation), folder / f"{collection}.snapshot")
        with _translated():
            self._point_aliases(told.generation)

    def _snapshots(self) -> Snapshots:
        """Over the client's own connections; itself it reads whole answers into memory, within seconds."""
        with _translated():
            client = self._client.http.client
            return Snapshots(client._client, client.host)

    def _version(self) -> str:
        with _translated():
            return str(self._client.info().version)

    def maintain(self) -> bool:
        """The server looks after itself."""
        return False

    def flush(self) -> None:
        """Nothing to do: the server's write-ahead log is its own affair, and `completed` its word."""

    def unready(self) -> list[str]:
        """Whether the server does not answer, or the collection is not there."""
        try:
            with _translated():
                there = self._client.collection_exists(self._collection(Collection.DOCUMENTS))
        except StoreError as error:
            return [str(error)]
        return [] if there else ["the index server at STORE_URL has lost the collection of documents"]

    def close(self) -> None:
        """Close the connections, which are those of all engines beside this one too."""
        if self._alone:
            self._client.close()

    def _use(self, generation: str) -> None:
        self._generation = generation
        self._names = {collection: self._name(collection, generation) for collection in Collection}

    def _parts(self, there: Sequence[str], collection: Collection) -> Iterator[tuple[str, str]]:
        """Those of these collections that are of some generation, with its name."""
        for name in there:
            before, start, generation = name.partition(f"{self._prefix}{collection}-")
            if start and not before:
                yield name, unquote(generation)

    def _name(self, collection: Collection, generation: str) -> str:
        if collection is Collection.QUERIES:
            return f"{self._prefix}standing-{collection}"
        return f"{self._prefix}{collection}-{quote(generation, safe='+')}"

    def _collection(self, collection: Collection) -> str:
        try:
            return self._names[collection]
        except KeyError:
            raise StoreUnavailable("the store is not open") from None

    def _ensure(self, collection: Collection, name: str, dimension: int, compression: Compression) -> None:
        if not self._client.collection_exists(name):
            try:
                with _offered(compression):
                    self._create(collection, name, dimension, compression)
            except UnexpectedResponse as error:
                if error.status_code != 409:  # another process was quicker
                    raise
        if collection is not Collection.QUERIES:
            self._check_vectors(name, dimension, compression)
        for field, kind in INDEXES[collection].items():
            self._client.create_payload_index(name, field, _SCHEMAS[kind], wait=True)

    def _check_vectors(self, name: str, dimension: int, compression: Compression) -> None:
        """They have the dimension, else StoreRejected, and the compression, else they get it."""
        vectors = self._client.get_collection(name).config.params.vectors
        if not isinstance(vectors, dict) or vectors["dense"].size != dimension:
            size = vectors["dense"].size if isinstance(vectors, dict) else None
            raise StoreRejected(f"collection {name} holds vectors of {size} components, not {dimension}")
        if _compression(vectors["dense"].quantization_config) != compression:
            with _offered(compression):
                self._compress(name, list(vectors), compression)

    def _create(self, collection: Collection, name: str, dimension: int, compression: Compression) -> None:
        if collection is Collection.QUERIES:
            self._client.create_collection(name, vectors_config={})
            return
        half, cosine = models.Datatype.FLOAT16, models.Distance.COSINE
        codes = _quantization(compression)
        memory = None if codes is None else models.Memory.COLD  # of the originals
        vectors = {
            "dense": models.VectorParams(
                size=dimension, distance=cosine, datatype=half, memory=memory, quantization_config=codes
            )
        }
        sparse = {}
        if collection is Collection.PASSAGES:
            vectors["spans"] = models.VectorParams(
                size=dimension,
                distance=cosine,
                datatype=half,
                memory=memory,
                quantization_config=codes,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
                hnsw_config=models.HnswConfigDiff(m=0),  # never a graph of spans: see Search.shortlist
            )
            sparse["lexical"] = models.SparseVectorParams(modifier=models.Modifier.IDF)
        self._client.create_collection(name, vectors_config=vectors, sparse_vectors_config=sparse)

    def _compress(self, name: str, vectors: Sequence[str], compression: Compression) -> None:
        """Tell the server to make the codes over; until it has, it searches by those that it has."""
        log.warning("the vectors in collection %s are compressed anew: %s", name, compression)
        codes = _quantization(compression)
        change = models.VectorParamsDiff(
            quantization_config=models.Disabled.DISABLED if codes is None else codes,
            memory=models.Memory.CACHED if codes is None else models.Memory.COLD,
        )
        self._client.update_collection(name, vectors_config=dict.fromkeys(vectors, change))

    def _prove_conditions(self) -> None:
        """An old server takes a conditional write without its condition, and the order of versions would be lost."""
        probe = str(uuid.uuid4())
        for version in (2, 3):
            point = Point(probe, {"version": version}, {})
            self.write(Collection.DOCUMENTS, [Upsert(point, Range("version", lt=1))])
        found = self.retrieve(Collection.DOCUMENTS, [probe])
        self._client.delete(self._collection(Collection.DOCUMENTS), models.PointIdsList(points=[probe]), wait=True)
        if [record.payload["version"] for record in found] != [2]:
            raise StoreRejected("this Qdrant server ignores conditional writes: version 1.19 or newer is needed")

    def _point_aliases(self, generation: str) -> None:
        """Both in one call."""
        known = {item.alias_name: item.collection_name for item in self._client.get_aliases().aliases}
        changes: list[models.AliasOperations] = []
        for collection in (Collection.DOCUMENTS, Collection.PASSAGES):
            alias, name = f"{self._prefix}{collection}", self._name(collection, generation)
            if known.get(alias) == name:
                continue
            if alias in known:
                changes.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
            create = models.CreateAlias(alias_name=alias, collection_name=name)
            changes.append(models.CreateAliasOperation(create_alias=create))
        if changes:
            self._client.update_collection_aliases(changes)


def _quantization(
    compression: Compression,
) -> models.ScalarQuantization | models.BinaryQuantization | models.TurboQuantization | None:
    pinned = models.Memory.PINNED
    match compression:
        case Compression.NONE:
            return None
        case Compression.SCALAR:
            scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, memory=pinned)
            return models.ScalarQuantization(scalar=scalar)
        case Compression.BINARY:
            query = models.BinaryQuantizationQueryEncoding.SCALAR4BITS
            binary = models.BinaryQuantizationConfig(query_encoding=query, memory=pinned)
            return models.BinaryQuantization(binary=binary)
        case _:
            turbo = models.TurboQuantQuantizationConfig(bits=_TURBO_BITS[compression], memory=pinned)
            return models.TurboQuantization(turbo=turbo)


def _compression(codes: models.QuantizationConfig | None) -> Compression | None:
    """What a collection has; None for a method that is none of ours. Where it keeps its codes is the operator's to change."""
    match codes:
        case None:
            return Compression.NONE
        case models.ScalarQuantization():
            return Compression.SCALAR
        case models.BinaryQuantization():
            return Compression.BINARY
        case models.TurboQuantization(turbo=turbo):
            return next((each for each, bits in _TURBO_BITS.items() if bits is turbo.bits), None)
        case _:
            return None


def _batches(operations: Sequence[Operation], most: int) -> Iterator[list[Operation]]:
    """Runs of at most `most` operations and BATCH_VECTOR_BYTES; one that is larger goes alone."""
    batch: list[Operation] = []
    size = 0
    for operation in operations:
        vectors = operation.point.vectors.values() if isinstance(operation, Upsert) else ()
        more = sum(map(_numbers, vectors)) * NUMBER_BYTES
        if batch and (len(batch) == most or size + more > BATCH_VECTOR_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(operation)
        size += more
    if batch:
        yield batch


def _numbers(vector: Vector) -> int:
    if isinstance(vector, Sparse):
        return 2 * len(vector.indices)
    return sum(len(one) if isinstance(one, list) else 1 for one in vector)


def _operation(step: list[Point] | Operation) -> models.UpdateOperation:
    match step:
        case list():
            return models.UpsertOperation(upsert=models.PointsList(points=[_point(point) for point in step]))
        case Upsert(point, condition, insert_only):
            return models.UpsertOperation(
                upsert=models.PointsList(
                    points=[_point(point)],
                    update_filter=None if condition is None else DIALECT.build(condition),
                    update_mode=models.UpdateMode.INSERT_ONLY if insert_only else None,
                )
            )
        case SetPayload(condition, payload):
            return models.SetPayloadOperation(
                set_payload=models.SetPayload(payload=payload, filter=DIALECT.build(condition))
            )
        case Delete(condition):
            return models.DeleteOperation(delete=models.FilterSelector(filter=DIALECT.build(condition)))


def _point(point: Point) -> models.PointStruct:
    vectors = {name: _vector(vector) for name, vector in point.vectors.items()}
    return models.PointStruct(id=point.id, payload=point.payload, vector=vectors)


def _vector(vector: Vector) -> list[float] | list[list[float]] | models.SparseVector:
    if isinstance(vector, Sparse):
        return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
    return vector


def _request(search: Search, compression: Compression) -> models.QueryRequest:
    condition = DIALECT.build(search.condition)
    rescored = by_codes = None
    if compression is not Compression.NONE and not isinstance(search.vector, Sparse):
        factor = compression.oversampling(search.limit)
        rescored = models.QuantizationSearchParams(rescore=True, oversampling=factor)
        by_codes = models.SearchParams(
            quantization=models.QuantizationSearchParams(rescore=False), exact=search.exact or None
        )
    elif search.exact:
        by_codes = models.SearchParams(exact=True)
    prefetch = None
    if search.shortlist is not None:
        limit = max(SPAN_SHORTLIST, search.limit)
        prefetch = models.Prefetch(
            query=search.shortlist, using="dense", filter=condition, limit=limit, params=by_codes
        )
    corpus = None if search.corpus is None else models.IdfCorpusParams(corpus=DIALECT.build(search.corpus))
    return models.QueryRequest(
        query=_vector(search.vector),
        using=search.using,
        prefetch=prefetch,
        filter=condition,
        limit=search.limit,
        params=models.SearchParams(idf=corpus, quantization=rescored, exact=search.exact or None)
        if corpus or rescored or search.exact
        else None,
        with_payload=False,
    )


def _statuses(results: Sequence[models.UpdateResult]) -> str:
    return ", ".join(sorted({result.status.value for result in results}))


@contextmanager
def _offered(compression: Compression) -> Iterator[None]:
    """An older server knows fewer compressions, and answers that it cannot read the request."""
    try:
        yield
    except UnexpectedResponse as error:
        if compression is Compression.NONE or error.status_code not in (400, 422):
            raise
        raise StoreRejected(
            f"this Qdrant server does not offer compression {compression}; `none`, `scalar` and `binary` are known to all, "
            f"`turbo…` to newer ones. It answered: {error.content.decode(errors='replace')[:500]}"
        ) from error


def _trusting(url: str, ca_file: Path) -> ssl.SSLContext:
    if not url.startswith("https:"):
        raise ValueError(f"STORE_CA_FILE needs a STORE_URL that begins with https://, not {url!r}")
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"STORE_CA_FILE: {ca_file} cannot be read ({type(error).__name__})") from error


@contextmanager
def _translated() -> Iterator[None]:
    """Refusals of this very request are rejected; everything else may pass, so the caller tries again."""
    try:
        yield
    except UnexpectedResponse as error:
        text = f"the index server at STORE_URL answered {error.status_code}: {error.content.decode(errors='replace')[:500]}"
        if error.status_code in _REFUSED:
            raise StoreRejected(text) from error
        raise StoreUnavailable(text) from error
    except QdrantException as error:  # for this one status with that header, and for a header that it cannot read
        raise StoreUnavailable("the index server at STORE_URL answered 429 with Retry-After") from error
    except ApiException as error:
        raise StoreUnavailable(f"the index server at STORE_URL cannot be reached: {error}") from error
    except NotImplementedError as error:
        raise StoreRejected(f"the index client offers no such thing: {error}") from error
    except ValueError as error:  # a value that the client's models refuse, and would quote
        raise StoreRejected(f"the index client refuses a value: {type(error).__name__}") from error
