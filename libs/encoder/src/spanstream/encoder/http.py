"""The encoder over HTTP: binary bodies, bounded requests in flight, every answer checked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial
from itertools import chain, islice
from urllib.parse import unquote

import httpx
import numpy as np

from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded, EncoderInfo, Text, check, refuse_malformed
from spanstream.encoder.errors import EncoderFailed, EncoderRejected, EncoderUnavailable, InvalidVectors

# Characters of a request, about 65,000 tokens: the most that is lost when one fails. The 4 in flight by default share the
# encoder, so one of 4,400 tokens/s still answers them within the default 60 s; a request that cannot be answered in
# time is asked again for ever.
_REQUEST_CHARACTERS = 1 << 18
# Of the vectors of an answer, in float32: half of what the application allows by default. A text with more ranges
# is asked several times, and read as often.
_ANSWER_BYTES = 32 << 20
_BUSY = frozenset({408, 429, 503, 504})  # overloaded or too slow: never said of a request for what is in it
# What the application refuses for want of room is sent again when it said, up to this many seconds in all: less than a
# stop has, so that a worker in the middle of it still stops in time.
_PATIENCE_SECONDS = 5.0
# A request whose replica went away is sent again this often: another replica has it then. A text that ends every replica
# it meets must not end all of them.
_RESENDS = 2
_RESEND_SECONDS = 0.1


class _Lost(EncoderFailed):
    """The process that had the request has gone, perhaps because of it."""


class HttpEncoder:
    """The encoder application at `url`, which may have a path. Large calls go as several requests, at most `in_flight` at
    once over all threads.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        in_flight: int = 4,
        vectors: wire.VectorType = "float32",
        trace: Callable[[], Mapping[str, str]] = dict,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout`: seconds for one answer; `vectors`: what they travel as; `trace`: headers that say what a call belongs to.
        Nothing is sent before the first call.
        """
        limits = httpx.Limits(max_connections=in_flight + 1, max_keepalive_connections=in_flight + 1)
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            timeout=httpx.Timeout(timeout, connect=min(5.0, timeout)),
            limits=limits,
            transport=transport,
        )
        self._vectors = vectors
        self._trace = trace
        self._sleep = sleep
        self._slots = threading.BoundedSemaphore(in_flight)
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="encoder-http")
        self._known: EncoderInfo | None = None

    def info(self) -> EncoderInfo:
        """What the application says it is, asked once."""
        if self._known is None:
            answer = self._persist(self._client.build_request("GET", "/v1/info"), 0.0)
            try:
                told = answer.json()
                known = [each.name for each in fields(EncoderInfo)]  # a newer application may say more
                self._known = EncoderInfo(**{name: told[name] for name in known if name in told})
            except (ValueError, TypeError) as error:
                raise InvalidVectors("the encoder's answer does not say what it is") from error
        return self._known

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """One result per text, in order. Raises EncoderUnavailable, EncoderRejected or InvalidVectors.

        While the application has no room, all but queries wait a few seconds for it.
        """
        refuse_malformed(texts)
        if not texts:
            return []
        dimension = self.info().dimension
        most = max(2, _ANSWER_BYTES // (4 * dimension))
        parts = [list(_parts(text, most)) for text in texts]
        groups = list(_groups(list(chain.from_iterable(parts)), most))
        # A call of one request, such as a query, stays in its thread.
        ask = partial(self._ask, query=query, trace=self._trace())
        try:
            answers = self._pool.map(ask, groups) if len(groups) > 1 else [ask(groups[0])]
            answered = iter([result for answer in answers for result in answer])
        except (RuntimeError, CancelledError) as error:
            if not self._client.is_closed:
                raise
            raise EncoderUnavailable("this client of the encoder is closed") from error
        results = [_joined(list(islice(answered, len(each)))) for each in parts]
        check(texts, results, dimension)
        return results

    def unready(self) -> list[str]:
        """Why the application does not answer now (asked with a short timeout, beside the bound on requests), or not as the
        release that it was at first: the answers of another one are refused.
        """
        try:
            answer = self._client.get("/v1/info", timeout=2.0)
            release = answer.json().get("release") if answer.is_success else None
        except (httpx.HTTPError, RuntimeError, ValueError) as error:  # RuntimeError: this client is closed
            return [f"the encoder at ENCODER_URL does not answer: {type(error).__name__}"]
        if not answer.is_success:
            return [f"the encoder at ENCODER_URL answers {answer.status_code}"]
        if self._known is not None and release != self._known.release:
            return [_another(release, self._known.release)]
        return []

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, texts: Sequence[Text], *, query: bool, trace: Mapping[str, str]) -> list[Encoded]:
        request = self._client.build_request(
            "POST",
            "/v1/encode",
            params={"query": query, "vectors": self._vectors},
            content=wire.pack_request(texts),
            headers={"content-type": wire.MEDIA_TYPE, **trace},
        )
        with self._slots:
            response = self._persist(request, 0.0 if query else _PATIENCE_SECONDS)
        self._refuse_another(response)
        results = wire.unpack_response(response.content)
        if len(results) != len(texts):
            raise InvalidVectors(f"asked for {len(texts)} texts, got {len(results)}")
        return results

    def _refuse_another(self, response: httpx.Response) -> None:
        """Raise EncoderUnavailable if vectors come from another release than `info` said: they must not meet."""
        release, known = response.headers.get(wire.RELEASE), self.info().release
        if release is not None and unquote(release) != known:
            raise EncoderUnavailable(_another(unquote(release), known))

    def _persist(self, request: httpx.Request, patience: float) -> httpx.Response:
        """Send until it is answered; what is refused for want of room only while the waits sum up to `patience` seconds."""
        waited, lost = 0.0, 0
        while True:
            try:
                return self._send(request)
            except _Lost:
                lost += 1
                if lost > _RESENDS:
                    raise
                self._sleep(_RESEND_SECONDS)
            except EncoderUnavailable as error:
                if error.after is None or waited + error.after > patience:
                    raise
                waited += error.after
                self._sleep(error.after)

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            response = self._client.send(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            raise _Lost(f"the encoder breaks off: {type(error).__name__}") from error
        except (httpx.HTTPError, RuntimeError) as error:
            raise EncoderUnavailable(f"the encoder does not answer: {type(error).__name__}") from error
        if response.status_code in _BUSY:
            raise EncoderUnavailable(f"the encoder answers {response.status_code}", _after(response))
        if response.status_code == 502:
            raise _Lost("the encoder answers 502")
        if response.status_code >= 500:
            raise EncoderFailed(f"the encoder answers {response.status_code}")
        if not response.is_success:
            raise EncoderRejected(f"the encoder refuses this request with {response.status_code}")
        return response


def _another(release: object, known: str) -> str:
    return f"the encoder is {release} now, this process works with {known}: restart it"


def _after(response: httpx.Response) -> float | None:
    """Seconds that a refusal asks to wait; none if it does not say (a date is not understood)."""
    seconds = response.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else None


def _parts(text: Text, most: int) -> Iterator[Text]:
    """The text, with so many of its ranges at once that `most` vectors answer it: of each range, and of the whole."""
    if len(text.ranges) < most:
        yield text
        return
    for at in range(0, len(text.ranges), most - 1):
        ranges = text.ranges[at : at + most - 1]
        with_context = min(max(text.context_ranges - at, 0), len(ranges))
        yield replace(text, ranges=ranges, context_ranges=with_context)


def _joined(parts: Sequence[Encoded]) -> Encoded:
    """The answer to a text from those to its `_parts`."""
    if len(parts) == 1:
        return parts[0]
    ranges, tokens = ([getattr(part, name) for part in parts] for name in ("ranges", "tokens"))
    return Encoded(parts[0].whole, np.concatenate(ranges), np.concatenate(tokens))


def _groups(texts: Sequence[Text], most: int) -> Iterator[list[Text]]:
    """Runs of texts of about `_REQUEST_CHARACTERS` that at most `most` vectors answer; a longer text goes alone."""
    group: list[Text] = []
    size = vectors = 0
    for text in texts:
        length, count = len(text.text), len(text.ranges) + 1
        if group and (size + length > _REQUEST_CHARACTERS or vectors + count > most):
            yield group
            group, size, vectors = [], 0, 0
        group.append(text)
        size, vectors = size + length, vectors + count
    if group:
        yield group
