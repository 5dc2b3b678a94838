"""The encoder over HTTP: binary bodies, bounded requests in flight, every answer checked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded, EncoderInfo, Text, check, refuse_malformed
from spanstream.encoder.errors import EncoderFailed, EncoderRejected, EncoderUnavailable, InvalidVectors

# Characters of a request, about 65,000 tokens: the most that is lost when one fails. The 4 in flight by default share the
# encoder, so one of 4,400 tokens/s still answers them within the default 60 s; a request that cannot be answered in
# time is asked again for ever.
_REQUEST_CHARACTERS = 1 << 18
_BUSY = frozenset({408, 429, 503, 504})  # overloaded or too slow: never said of a request for what is in it


class HttpEncoder:
    """The encoder application at `url`. Large calls go as several requests, at most `in_flight` at once over all threads."""

    def __init__(
        self, url: str, *, timeout: float = 60.0, in_flight: int = 4, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`timeout`: seconds for one answer. Nothing is sent before the first call."""
        limits = httpx.Limits(max_connections=in_flight + 1, max_keepalive_connections=in_flight + 1)
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            timeout=httpx.Timeout(timeout, connect=min(5.0, timeout)),
            limits=limits,
            transport=transport,
        )
        self._slots = threading.BoundedSemaphore(in_flight)
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="encoder-http")
        self._known: EncoderInfo | None = None

    def info(self) -> EncoderInfo:
        """What the application says it is, asked once."""
        if self._known is None:
            answer = self._send(self._client.build_request("GET", "/v1/info"))
            try:
                self._known = EncoderInfo(**answer.json())
            except (ValueError, TypeError) as error:
                raise InvalidVectors("the encoder's answer does not say what it is") from error
        return self._known

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """One result per text, in order. Raises EncoderUnavailable, EncoderRejected or InvalidVectors."""
        refuse_malformed(texts)
        if not texts:
            return []
        dimension = self.info().dimension
        groups = list(_groups(texts))
        # A call of one request, such as a query, stays in its thread.
        answers = self._pool.map(self._ask, groups) if len(groups) > 1 else [self._ask(groups[0])]
        results = [result for answer in answers for result in answer]
        check(texts, results, dimension)
        return results

    def ready(self) -> bool:
        """Whether the application answers now (asked with a short timeout, beside the bound on requests)."""
        try:
            return self._client.get("/v1/info", timeout=2.0).is_success
        except (httpx.HTTPError, RuntimeError):  # RuntimeError: this client is closed
            return False

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _ask(self, texts: Sequence[Text]) -> list[Encoded]:
        headers = {"content-type": wire.MEDIA_TYPE}
        request = self._client.build_request("POST", "/v1/encode", content=wire.pack_request(texts), headers=headers)
        with self._slots:
            results = wire.unpack_response(self._send(request).content)
        if len(results) != len(texts):
            raise InvalidVectors(f"asked for {len(texts)} texts, got {len(results)}")
        return results

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            response = self._client.send(request)
        except (httpx.HTTPError, RuntimeError) as error:
            raise EncoderUnavailable(f"the encoder does not answer: {type(error).__name__}") from error
        if response.status_code in _BUSY:
            raise EncoderUnavailable(f"the encoder answers {response.status_code}")
        if response.status_code >= 500:
            raise EncoderFailed(f"the encoder answers {response.status_code}")
        if not response.is_success:
            raise EncoderRejected(f"the encoder refuses this request with {response.status_code}")
        return response


def _groups(texts: Sequence[Text]) -> Iterator[list[Text]]:
    """Runs of texts of about `_REQUEST_CHARACTERS` together; a longer text goes alone."""
    group: list[Text] = []
    size = 0
    for text in texts:
        length = len(text.text)
        if group and size + length > _REQUEST_CHARACTERS:
            yield group
            group, size = [], 0
        group.append(text)
        size += length
    if group:
        yield group
