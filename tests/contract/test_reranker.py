"""What every adapter of the Reranker port promises: the model in process, and over HTTP at the encoder application."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import httpx
import numpy as np
import pytest

from spanstream.embedder.admission import Admission
from spanstream.embedder.reranking import rerank_router
from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder.errors import EncoderRejected, EncoderUnavailable, InvalidVectors
from spanstream.encoder.rerank_http import HttpReranker
from spanstream.encoder.reranker import Reranker
from spanstream.representations.cross_encoder import open_cross_encoder
from spanstream.runtime.http import HttpServer
from tests.unit.representations.test_cross_encoder import QUERY, TEXTS, cross_encoder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    return open_cross_encoder(str(cross_encoder(tmp_path_factory.mktemp("cross"))))


@pytest.fixture(scope="module")
def address(model: Reranker) -> Iterator[str]:
    server = HttpServer("encoder", "127.0.0.1", 0)
    server.include(rerank_router(model, Admission(8, 2, 1 << 20), EncoderSettings(max_rerank_texts=20)))
    server.start(lambda error: None)
    yield server.url
    server.stop(monotonic() + 5)


@pytest.fixture(params=["local", "http"])
def reranker(request: pytest.FixtureRequest, model: Reranker, address: str) -> Iterator[Reranker]:
    if request.param == "local":
        yield model
        return
    client = HttpReranker(address)
    yield client
    client.close()


def test_one_finite_score_per_text_in_order(reranker: Reranker, model: Reranker) -> None:
    scores = reranker.score(QUERY, TEXTS)
    assert (scores.dtype, scores.shape) == (np.float32, (len(TEXTS),))
    np.testing.assert_allclose(scores, model.score(QUERY, TEXTS), atol=1e-5)
    np.testing.assert_allclose(reranker.score(QUERY, TEXTS[::-1]), scores[::-1], atol=1e-4)


def test_no_texts_no_scores(reranker: Reranker) -> None:
    assert reranker.score(QUERY, []).shape == (0,)


def test_the_route_answers_as_text_embeddings_inference_does(address: str) -> None:
    answer = httpx.post(f"{address}/rerank", json={"query": QUERY, "texts": TEXTS}).json()
    assert sorted(row["index"] for row in answer) == list(range(len(TEXTS)))
    scores = [row["score"] for row in answer]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": "", "texts": ["a"]}, 422),
        ({"query": "a", "texts": []}, 422),
        ({"query": "a", "texts": ["a"], "unknown": 1}, 422),
        ({"query": "a", "texts": ["a"] * 21}, 413),
        ({"query": "a", "texts": ["b" * 40_000]}, 422),
    ],
)
def test_bad_requests_are_refused(address: str, body: object, status: int) -> None:
    assert httpx.post(f"{address}/rerank", json=body).status_code == status


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, "", EncoderUnavailable),
        (500, "", EncoderUnavailable),
        (400, "", EncoderRejected),
        (200, "no JSON", InvalidVectors),
        (200, '[{"index": 0, "score": 1}]', InvalidVectors),
        (200, '[{"index": 0, "score": 1}, {"index": 5, "score": 1}]', InvalidVectors),
        (200, '[{"index": 0, "score": 1}, {"index": 1, "score": null}]', InvalidVectors),
    ],
)
def test_what_a_server_may_answer(status: int, body: str, error: type[Exception]) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=body))
    with pytest.raises(error):
        HttpReranker("http://nowhere", transport=transport).score(QUERY, ["a", "b"])
