"""`python -m tests.bench.peers.per_request PORT`: FastAPI that calls sentence-transformers' `encode()` for each request.

A plain function as endpoint, so the framework runs requests in threads; float32, and torch with its own number of threads.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

from spanstream.representations.model import find


class Asked(BaseModel):
    """A request."""

    text: str


def application(model: SentenceTransformer) -> FastAPI:
    """The server's one route over `model`."""
    app = FastAPI()

    @app.post("/encode")
    def encode(asked: Asked) -> dict[str, list[float]]:
        return {"vector": model.encode(asked.text).tolist()}

    return app


if __name__ == "__main__":
    loaded = SentenceTransformer(str(find("minilm")), device="cpu")
    uvicorn.run(application(loaded), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
