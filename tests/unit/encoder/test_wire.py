from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.encoder import wire
from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderRejected, InvalidVectors

NUMBERS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6)
STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def texts(draw: st.DrawFn) -> Text:
    ranges = draw(NUMBERS)
    pairs = np.array(ranges[: len(ranges) // 2 * 2], np.int32).reshape(-1, 2)
    boundaries = draw(st.none() | NUMBERS)
    return Text(draw(STRINGS), pairs, draw(STRINGS), None if boundaries is None else np.array(boundaries, np.int32))


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Encoded], int]:
    dimension = draw(st.integers(1, 5))
    counts = draw(st.lists(st.integers(0, 4), max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    results = [
        Encoded(
            rng.normal(size=dimension).astype(np.float32),
            rng.normal(size=(n, dimension)).astype(np.float32),
            rng.integers(0, 2**31, n).astype(np.int32),
        )
        for n in counts
    ]
    return results, dimension


def same(one: Text, other: Text) -> bool:
    borders = (one.boundaries is None) == (other.boundaries is None) and np.array_equal(
        one.boundaries if one.boundaries is not None else [], other.boundaries if other.boundaries is not None else []
    )
    return (
        (one.text, one.context) == (other.text, other.context) and np.array_equal(one.ranges, other.ranges) and borders
    )


@given(st.lists(texts(), max_size=4))
def test_a_request_comes_back_as_it_was(given_texts: list[Text]) -> None:
    read = wire.unpack_request(wire.pack_request(given_texts))
    assert len(read) == len(given_texts)
    assert all(map(same, read, given_texts))


@given(answers())
def test_a_response_comes_back_bit_for_bit(answer: tuple[list[Encoded], int]) -> None:
    results, dimension = answer
    read = wire.unpack_response(wire.pack_response(results, dimension))
    for one, other in zip(read, results, strict=True):
        np.testing.assert_array_equal(one.whole, other.whole)
        np.testing.assert_array_equal(one.ranges, other.ranges)
        np.testing.assert_array_equal(one.tokens, other.tokens)


@given(st.lists(texts(), max_size=3), st.data())
def test_a_request_of_another_length_is_refused(given_texts: list[Text], data: st.DataObject) -> None:
    body = wire.pack_request(given_texts)
    with pytest.raises(EncoderRejected):
        wire.unpack_request(body[: data.draw(st.integers(0, len(body) - 1))])
    with pytest.raises(EncoderRejected):
        wire.unpack_request(body + b"x")


@given(answers(), st.data())
def test_a_response_of_another_length_is_refused(answer: tuple[list[Encoded], int], data: st.DataObject) -> None:
    body = wire.pack_response(*answer)
    with pytest.raises(InvalidVectors):
        wire.unpack_response(body[: data.draw(st.integers(0, len(body) - 1))])
    with pytest.raises(InvalidVectors):
        wire.unpack_response(body + b"x")


@given(st.binary(max_size=80))
def test_noise_raises_nothing_else(noise: bytes) -> None:
    for prefix in (b"", b"SPQ1", b"SPV2"):
        with pytest.raises(EncoderRejected):
            wire.unpack_request(prefix + noise + b"\xff")  # an odd last byte keeps a lucky draw from being valid
        with pytest.raises(InvalidVectors):
            wire.unpack_response(prefix + noise + b"\xff")


def test_bytes_that_are_not_utf8_are_refused() -> None:
    body = wire.pack_request([Text("abc", np.empty((0, 2), np.int32))])
    with pytest.raises(EncoderRejected, match="UTF-8"):
        wire.unpack_request(body[:-1] + b"\xff")


@given(answers(), st.sampled_from([("float16", 1e-3), ("int8", 5e-3)]))
def test_smaller_types_keep_vectors_and_their_lengths_nearly(
    answer: tuple[list[Encoded], int], kind: tuple[wire.VectorType, float]
) -> None:
    results, dimension = answer
    body = wire.pack_response(results, dimension, kind[0])
    for one, other in zip(wire.unpack_response(body), results, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        for got, sent in ((one.whole[None], other.whole[None]), (one.ranges, other.ranges)):
            assert got.dtype == np.float32
            lengths = np.linalg.norm(sent, axis=1)
            np.testing.assert_allclose(np.linalg.norm(got, axis=1), lengths, rtol=1e-3)
            assert (np.linalg.norm(got - sent, axis=1) <= kind[1] * np.sqrt(dimension) * lengths).all()


def test_a_smaller_type_makes_a_smaller_body() -> None:
    result = Encoded(np.full(384, 384**-0.5, np.float32), np.zeros((9, 384), np.float32), np.zeros(9, np.int32))
    whole, half, quarter = (len(wire.pack_response([result], 384, kind)) for kind in ("float32", "float16", "int8"))
    assert whole / half > 1.9
    assert whole / quarter > 3.8


def test_what_float16_holds_arrives_bit_for_bit() -> None:
    vector = np.random.default_rng(1).normal(size=384).astype(np.float16).astype(np.float32)
    sent = Encoded(vector, np.empty((0, 384), np.float32), np.empty(0, np.int32))
    (got,) = wire.unpack_response(wire.pack_response([sent], 384, "float16"))
    np.testing.assert_array_equal(got.whole, vector)


def test_a_zero_vector_stays_zero_as_int8() -> None:
    sent = Encoded(np.zeros(4, np.float32), np.empty((0, 4), np.float32), np.empty(0, np.int32))
    (got,) = wire.unpack_response(wire.pack_response([sent], 4, "int8"))
    np.testing.assert_array_equal(got.whole, sent.whole)


@given(answers(), st.sampled_from(["float16", "int8"]), st.data())
def test_a_response_of_a_smaller_type_and_another_length_is_refused(
    answer: tuple[list[Encoded], int], kind: wire.VectorType, data: st.DataObject
) -> None:
    body = wire.pack_response(*answer, kind)
    with pytest.raises(InvalidVectors):
        wire.unpack_response(body[: data.draw(st.integers(0, len(body) - 1))])
    with pytest.raises(InvalidVectors):
        wire.unpack_response(body + b"x")


def test_a_type_that_does_not_exist_is_refused() -> None:
    body = bytearray(wire.pack_response([], 4))
    body[12] = 7
    with pytest.raises(InvalidVectors, match="unknown type"):
        wire.unpack_response(bytes(body))
