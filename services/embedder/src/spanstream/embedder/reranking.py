"""POST /rerank of the encoder application: a cross-encoder, in the form that text-embeddings-inference has given to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import anyio.to_thread
import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from spanstream.embedder.admission import Admission
from spanstream.embedder.problems import translated
from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder.reranker import Reranker
from spanstream.runtime.problems import Problem, responses

_MAX_CHARACTERS = 32_768  # of a text; more than any model's window holds is cut off anyway


class RerankRequest(BaseModel):
    """Which texts are to be scored against which query."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(min_length=1, max_length=_MAX_CHARACTERS)
    texts: list[Annotated[str, Field(max_length=_MAX_CHARACTERS)]] = Field(min_length=1)
    raw_scores: bool = Field(False, description="the model's own scores; else between 0 and 1")
    truncate: bool = Field(True, description="what does not fit the model's window is cut off, whatever this says")


class Score(BaseModel):
    """Of the text at `index` of those asked for."""

    index: int
    score: float


def open_reranker(settings: EncoderSettings) -> Reranker | None:
    """The cross-encoder that the settings name. Raises ModelNotFound or ModelUnsupported."""
    if settings.reranker is None:
        return None
    import torch

    from spanstream.representations.cross_encoder import open_cross_encoder

    dtype = torch.float32 if settings.dtype in ("auto", "int8") else getattr(torch, settings.dtype)
    return open_cross_encoder(settings.reranker, dtype=dtype, device=settings.device, threads=settings.threads)


def rerank_router(reranker: Reranker, admission: Admission, settings: EncoderSettings) -> APIRouter:
    """The route over `reranker`, admitted like a query."""
    routes = APIRouter(responses=responses(413, 422, 503))

    @routes.post("/rerank", summary="Score texts against a query")
    async def rerank(request: RerankRequest) -> list[Score]:
        if len(request.texts) > settings.max_rerank_texts:
            raise Problem(413, f"a request may have at most {settings.max_rerank_texts} texts")
        with admission.request(query=True) as place:
            place.ask(sum(map(len, request.texts)))
            scores = await anyio.to_thread.run_sync(_scored, reranker, request.query, request.texts)
        told = scores if request.raw_scores else 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
        return [Score(index=int(i), score=float(told[i])) for i in np.argsort(-told, kind="stable")]

    return routes


def _scored(reranker: Reranker, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
    with translated():
        return reranker.score(query, texts)
