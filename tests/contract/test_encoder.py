"""What every adapter of the Encoder port promises: the hash encoder, the static one, the model in process, and both over HTTP."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import numpy as np
import pytest
from tokenizers import Tokenizer

from spanstream.embedder.admission import Admission
from spanstream.embedder.application import router
from spanstream.embedder.settings import EncoderSettings
from spanstream.encoder.encoder import Encoder, Text, check
from spanstream.encoder.errors import EncoderError, EncoderRejected
from spanstream.encoder.hashing import HashEncoder
from spanstream.encoder.http import HttpEncoder
from spanstream.representations.local import open_local
from spanstream.representations.model import find
from spanstream.representations.static import StaticEncoder, StaticTable
from spanstream.runtime.http import HttpServer


@contextmanager
def over_http(inner: Encoder) -> Iterator[HttpEncoder]:
    server = HttpServer("encoder", "127.0.0.1", 0)
    server.include(router(inner, Admission(32, 4, 64 << 20), EncoderSettings()))
    server.start(lambda error: None)
    client = HttpEncoder(server.url, timeout=60)
    try:
        yield client
    finally:
        client.close()
        server.stop(monotonic() + 5)


def static_encoder() -> StaticEncoder:
    tokenizer = Tokenizer.from_file(str(find("minilm") / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), 64), np.float32)
    return StaticEncoder(StaticTable("random", "none", "", rows, np.eye(64, dtype=np.float32)[0], tokenizer))


@pytest.fixture(scope="module", params=["hash", "static", "local", "http-hash", "http-local"])
def encoder(request: pytest.FixtureRequest) -> Iterator[Encoder]:
    inner: Encoder
    if "hash" in request.param:
        inner = HashEncoder(64)
    elif "static" in request.param:
        inner = static_encoder()
    else:
        inner = open_local("minilm", dtype="float32")
    if "http" in request.param:
        with over_http(inner) as client:
            yield client
    else:
        yield inner
    inner.close()


def asked(text: str, *ranges: tuple[int, int], context: str = "", boundaries: tuple[int, ...] | None = None) -> Text:
    borders = None if boundaries is None else np.array(boundaries, np.int32)
    return Text(text, np.array(ranges, np.int32).reshape(-1, 2), context, borders)


TEXTS = [
    asked("The wing stalls. A cat sleeps on the warm roof.", (0, 16), (17, 47), (17, 22), context="Aero"),
    asked("One sentence only.", (0, 18)),
    asked("", (0, 0)),
    asked("   \n\t ", (0, 3)),
    asked("emoji \U0001f600 e\u0301t\u00e9 \u4f60\u597d", (6, 7), (8, 13), (13, 15)),
    asked("no ranges at all"),
]


def test_one_checked_result_per_text_in_order(encoder: Encoder) -> None:
    results = encoder.encode(TEXTS)
    check(TEXTS, results, encoder.info().dimension)
    for text, result in zip(TEXTS, results, strict=True):
        assert result.whole.dtype == result.ranges.dtype == np.float32
        assert result.tokens.dtype == np.int32
        assert result.tokens.shape == (len(text.ranges),)


def test_a_query_is_encoded_as_any_text(encoder: Encoder) -> None:
    (bulk,), (query,) = encoder.encode(TEXTS[:1]), encoder.encode(TEXTS[:1], query=True)
    np.testing.assert_allclose(bulk.whole, query.whole, atol=1e-5)


def test_no_texts_no_results(encoder: Encoder) -> None:
    assert encoder.encode([]) == []


def test_a_batch_gives_what_single_calls_give(encoder: Encoder) -> None:
    together = encoder.encode(TEXTS)
    for text, result in zip(TEXTS, together, strict=True):
        (alone,) = encoder.encode([text])
        np.testing.assert_allclose(alone.whole, result.whole, atol=1e-5)
        np.testing.assert_allclose(alone.ranges, result.ranges, atol=1e-5)
        np.testing.assert_array_equal(alone.tokens, result.tokens)


def test_a_range_without_tokens_has_the_wholes_vector_and_0_tokens(encoder: Encoder) -> None:
    (result,) = encoder.encode([asked("a word   and more", (6, 9), (3, 3))])
    assert result.tokens.tolist() == [0, 0]
    np.testing.assert_array_equal(result.ranges, np.stack([result.whole] * 2))


def test_a_range_over_everything_has_the_wholes_vector(encoder: Encoder) -> None:
    (result,) = encoder.encode([asked(" all of it ", (0, 11), (1, 10), context="Title")])
    np.testing.assert_array_equal(result.ranges, np.stack([result.whole] * 2))
    assert (result.tokens == 3).all()


def test_ranges_count_code_points(encoder: Encoder) -> None:
    text = "\U0001f600\U0001f600 wing \U0001f680 roof"
    wing, roof = text.index("wing"), text.index("roof")
    (result,) = encoder.encode([asked(text, (wing, wing + 4), (roof, roof + 4))])
    (words,) = encoder.encode([asked("wing x roof", (0, 4), (7, 11))])
    likeness = result.ranges @ words.ranges.T
    assert likeness[0, 0] > likeness[0, 1]
    assert likeness[1, 1] > likeness[1, 0]


def test_equal_words_are_nearer_than_others(encoder: Encoder) -> None:
    query, near, far = encoder.encode(
        [asked("stalling of a wing"), asked("the wing is stalling at low speed"), asked("a cat sleeps on the roof")]
    )
    assert query.whole @ near.whole > query.whole @ far.whole


def test_a_long_text_has_all_its_ranges(encoder: Encoder) -> None:
    sentence = "The quick brown fox jumps over the lazy dog again. "
    starts = range(0, 200 * len(sentence), len(sentence))
    text = asked(sentence * 200, *((at, at + len(sentence)) for at in starts), boundaries=tuple(starts))
    (result,) = encoder.encode([text])
    check([text], [result], encoder.info().dimension)
    assert (result.tokens > 0).all()
    assert (result.ranges @ result.whole > 0.5).all()


def test_very_many_ranges_take_memory_of_the_order_of_their_vectors(encoder: Encoder) -> None:
    count = 30_000
    text = asked("some words " * 40, *((11 * (i % 40), 11 * (i % 40) + 1 + i % 10) for i in range(count)))
    tracemalloc.start()
    try:
        (result,) = encoder.encode([text])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(result.ranges) == count
    # Of what numpy allocates in this process: sums in float64 and the answer, over HTTP on both sides of it.
    assert peak < 9 * result.ranges.nbytes


@pytest.mark.parametrize(
    "text",
    [
        asked("short", (0, 6)),
        asked("short", (3, 2)),
        asked("short", (-1, 2)),
        asked("short", boundaries=(9,)),
        asked("short", boundaries=(3, 1)),
        asked("lone \ud800 surrogate"),
        asked("fine", context="\udfff"),
        Text("short", np.zeros(3, np.int32)),
    ],
)
def test_a_malformed_request_is_rejected(encoder: Encoder, text: Text) -> None:
    with pytest.raises(EncoderRejected):
        encoder.encode([text])


def test_threads_get_their_own_answers(encoder: Encoder) -> None:
    texts = [asked(f"number {i} " * (1 + i % 40), (0, 6)) for i in range(24)]
    expected = encoder.encode(texts)
    answers: dict[int, np.ndarray] = {}

    def ask(i: int) -> None:
        answers[i] = encoder.encode([texts[i]])[0].whole

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for i, result in enumerate(expected):
        np.testing.assert_allclose(answers[i], result.whole, atol=1e-5)


def test_says_what_it_is_and_that_it_is_ready(encoder: Encoder) -> None:
    info = encoder.info()
    assert info.release
    assert info.dimension in (64, 384)
    assert not encoder.unready()


def test_closing_twice_is_closing_once_and_ends_readiness() -> None:
    local = open_local("minilm", dtype="float32")
    with over_http(local) as client:
        client.encode([asked("before")])
        client.close()
        client.close()
        assert client.unready()
        with pytest.raises(EncoderError):
            client.encode([asked("after")])
    local.close()
    local.close()
    assert local.unready()
    with pytest.raises(EncoderError):
        local.encode([asked("after")])
