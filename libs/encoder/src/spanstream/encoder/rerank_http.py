"""The reranker over HTTP, at any server with the route `/rerank` of text-embeddings-inference: our encoder application is one."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.errors import EncoderFailed, EncoderRejected, EncoderUnavailable, InvalidVectors
from spanstream.encoder.reranker import check_scores

_AT_ONCE = 32  # texts of a request, which is what text-embeddings-inference takes where nobody says otherwise
_BUSY = frozenset({408, 424, 429, 502, 503, 504})


class HttpReranker:
    """The server at `url`, which may have a path. `timeout`: seconds for one answer."""

    def __init__(self, url: str, *, timeout: float = 30.0, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=url.rstrip("/"), timeout=httpx.Timeout(timeout, connect=min(5.0, timeout)), transport=transport
        )

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """See the port."""
        parts = [self._score(query, texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def _score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        body = {"query": query, "texts": list(texts), "raw_scores": True, "truncate": True}
        try:
            answer = self._client.post("/rerank", json=body)
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: this client is closed
            raise EncoderUnavailable(f"the reranker does not answer: {type(error).__name__}") from error
        if answer.status_code in _BUSY:
            raise EncoderUnavailable(f"the reranker answers {answer.status_code}")
        if answer.status_code >= 500:
            raise EncoderFailed(f"the reranker answers {answer.status_code}")
        if not answer.is_success:
            raise EncoderRejected(f"the reranker refuses this request with {answer.status_code}")
        return _scores(answer, len(texts))

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()


def _scores(answer: httpx.Response, count: int) -> NDArray[np.float32]:
    scores = np.full(count, np.nan, np.float32)
    try:
        for row in answer.json():
            scores[range(count)[row["index"]]] = row["score"]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InvalidVectors("the reranker's answer has no score for each text") from error
    return check_scores(scores, count)
