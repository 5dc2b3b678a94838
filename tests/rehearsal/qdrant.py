"""A stand-in for a Qdrant server, of which none can be had here: the part of its REST API that our adapter speaks.

It is answered by the local mode of Qdrant's own client: plain Python in memory. So pods run the commands and the address
of their manifests, several of them write to one index, and what they ask is answered as a server answers. Nothing is
said of a server itself: how fast it is, what it keeps when it dies, its replicas, its upgrade.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from qdrant_client import QdrantClient, models
from qdrant_client.local.local_collection import LocalCollection

ROOT = Path(__file__).resolve().parents[2]
API_KEY = "QDRANT__SERVICE__API_KEY"  # as the server's image names it
SECONDS = 500.0  # until it answers
_DEAD = 256  # points of a collection


@contextmanager
def serving(address: str, folder: Path, api_key: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """In a process of its own at host:port, ready; its log is in `folder`."""
    host, _, port = address.partition(":")
    command = [sys.executable, "-m", "tests.rehearsal.qdrant", host, port]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {API_KEY: api_key}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + SECONDS
        while not _answers(address):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _sweep(client: QdrantClient, name: str) -> None:
    """Local mode keeps the points that were deleted, and computes with them in every query: make the collection anew without them."""
    local: Any = client._client
    name = local.aliases.get(name, name)
    collection = local.collections[name]
    if collection.deleted.sum() < _DEAD or 2 * collection.deleted.sum() < len(collection.deleted):
        return
    points, _ = client.scroll(name, limit=len(collection.deleted), with_payload=True, with_vectors=True)
    made = LocalCollection(collection.config)
    made.upsert([models.PointStruct(id=each.id, payload=each.payload, vector=each.vector) for each in points])
    local.collections[name] = made


def application(client: QdrantClient, api_key: str = "") -> FastAPI:
    """Over a client in local mode, which one thread at a time may use. With `api_key` callers must name it."""
    made, lock = FastAPI(), threading.Lock()

    @made.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        if api_key and request.headers.get("api-key") != api_key and request.url.path != "/readyz":
            return _error(401, "Must provide an API key or an Authorization bearer token")
        answer: Response = await call_next(request)
        return answer

    @made.exception_handler(ValueError)
    def refused(_: Request, error: ValueError) -> Response:
        missing, taken = "not found" in str(error), "already exists" in str(error)
        return _error(404 if missing else 409 if taken else 400, str(error))

    @made.get("/readyz")
    def readyz() -> str:
        return "all shards are ready"

    @made.get("/")
    def info() -> Response:
        return JSONResponse({"title": "stand-in for a Qdrant server", "version": version("qdrant-client")})

    made.include_router(_collections(client, lock))
    made.include_router(_points(client, lock))
    return made


def _collections(client: QdrantClient, lock: threading.Lock) -> APIRouter:
    made = APIRouter()

    @made.get("/collections")
    def collections() -> Response:
        with lock:
            return _answer(client.get_collections())

    @made.get("/collections/{name}")
    def collection(name: str) -> Response:
        with lock:
            return _answer(client.get_collection(name))

    @made.get("/collections/{name}/exists")
    def exists(name: str) -> Response:
        with lock:
            return _answer({"exists": client.collection_exists(name)})

    @made.put("/collections/{name}")
    def create(name: str, body: models.CreateCollection) -> Response:
        with lock:
            return _answer(
                client.create_collection(
                    name, vectors_config=body.vectors or {}, sparse_vectors_config=body.sparse_vectors
                )
            )

    @made.delete("/collections/{name}")
    def drop(name: str) -> Response:
        with lock:
            return _answer(client.delete_collection(name))

    @made.put("/collections/{name}/index")
    def index(name: str, body: models.CreateFieldIndex) -> Response:
        with lock:
            return _answer(client.create_payload_index(name, body.field_name, body.field_schema))

    @made.get("/aliases")
    def aliases() -> Response:
        with lock:
            return _answer(client.get_aliases())

    @made.post("/collections/aliases")
    def change_aliases(body: models.ChangeAliasesOperation) -> Response:
        with lock:
            return _answer(client.update_collection_aliases(body.actions))

    return made


def _points(client: QdrantClient, lock: threading.Lock) -> APIRouter:
    made = APIRouter(prefix="/collections/{name}")

    @made.post("/points/batch")
    def write(name: str, body: models.UpdateOperations) -> Response:
        with lock:
            done = client.batch_update_points(name, body.operations)
            _sweep(client, name)
            return _answer(done)

    @made.post("/points/delete")
    def delete(name: str, body: models.PointsSelector) -> Response:
        with lock:
            done = client.delete(name, body)
            _sweep(client, name)
            return _answer(done)

    @made.post("/points")
    def retrieve(name: str, body: models.PointRequest) -> Response:
        with lock:
            return _answer(
                client.retrieve(
                    name, body.ids, with_payload=body.with_payload or False, with_vectors=body.with_vector or False
                )
            )

    @made.post("/points/query/batch")
    def query(name: str, body: models.QueryRequestBatch) -> Response:
        with lock:
            return _answer(client.query_batch_points(name, body.searches))

    @made.post("/points/count")
    def count(name: str, body: models.CountRequest) -> Response:
        with lock:
            return _answer(client.count(name, body.filter))

    @made.post("/facet")
    def facet(name: str, body: models.FacetRequest) -> Response:
        with lock:
            return _answer(client.facet(name, body.key, facet_filter=body.filter, limit=body.limit or 10))

    @made.post("/points/scroll")
    def scroll(name: str, body: models.ScrollRequest) -> Response:
        with lock:
            points, following = client.scroll(
                name, body.filter, body.limit or 10, offset=body.offset, with_payload=body.with_payload or False
            )
            return _answer({"points": points, "next_page_offset": following})

    return made


def _answer(result: Any) -> Response:
    return JSONResponse({"result": _plain(result), "status": "ok", "time": 0.0})


def _plain(value: Any) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json", exclude_none=True)
        case list():
            return [_plain(each) for each in value]
        case dict():
            return {name: _plain(each) for name, each in value.items()}
    return value


def _error(status: int, words: str) -> Response:
    return JSONResponse({"status": {"error": words}, "time": 0.0}, status)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal.qdrant", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", "Payload indexes have no effect")
    made = application(QdrantClient(":memory:"), os.environ.get(API_KEY, ""))
    uvicorn.run(made, host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
