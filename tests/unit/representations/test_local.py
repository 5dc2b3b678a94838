from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanstream.encoder.encoder import Encoded, Text
from spanstream.encoder.errors import EncoderUnavailable, InvalidVectors
from spanstream.representations.calibration import calibrate, choice
from spanstream.representations.local import Batch, LocalEncoder
from spanstream.representations.model import Model
from spanstream.representations.rows import plan

NONE = np.empty((0, 2), np.int32)


class Network(torch.nn.Module):
    """With the one weight that says type and device; a test says what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


def asked(text: str, *ranges: tuple[int, int], context: str = "") -> Text:
    return Text(text, np.array(ranges, np.int32).reshape(-1, 2), context)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def states_of(model: Model, text: Text) -> np.ndarray:
    """The states of `[CLS] context text [SEP]` read alone: what the pools are checked against."""
    context, tokens = model.tokenize([text.context])[0], model.tokenize([text.text])[0]
    ids = np.concatenate([model.before, context.ids, tokens.ids, model.after]).astype(np.int32)
    return model.states([ids])[0].numpy()


def test_vectors_are_means_over_the_tokens_of_each_range(minilm: Model, encoder: LocalEncoder) -> None:
    text = asked("The wing stalls. A cat sleeps.", (0, 16), (17, 30), (5, 7), context="Aerodynamics")
    (result,) = encoder.encode([text])
    states = states_of(minilm, text)
    title = len(minilm.tokenize([text.context])[0].ids)
    tokens = states[1 + title : -1]
    assert result.tokens.tolist() == [4, 4, 1]  # "wing" is touched by (5, 7), hence whole
    np.testing.assert_allclose(result.ranges[0], unit(tokens[:4].mean(0)), atol=1e-5)
    np.testing.assert_allclose(result.ranges[1], unit(tokens[4:].mean(0)), atol=1e-5)
    np.testing.assert_allclose(result.ranges[2], unit(tokens[1]), atol=1e-5)
    np.testing.assert_allclose(result.whole, unit(states.mean(0)), atol=1e-5)


def test_the_first_ranges_pool_the_context_too(minilm: Model, encoder: LocalEncoder) -> None:
    alone = asked("The wing stalls. A cat sleeps.", (0, 16), (17, 30), context="Aerodynamics")
    first, second = encoder.encode([replace(alone, context_ranges=1)])[0].ranges
    states = states_of(minilm, alone)
    title = len(minilm.tokenize([alone.context])[0].ids)
    np.testing.assert_allclose(first, unit(states[1 : 1 + title + 4].mean(0)), atol=1e-5)
    np.testing.assert_allclose(second, encoder.encode([alone])[0].ranges[1], atol=1e-5)


def test_the_context_colours_every_vector(encoder: LocalEncoder) -> None:
    plain, titled = encoder.encode([asked("It rose.", (0, 2)), asked("It rose.", (0, 2), context="Heat transfer")])
    assert plain.ranges[0] @ titled.ranges[0] < 0.999
    assert plain.whole @ titled.whole < 0.999


def test_a_long_context_leaves_the_text_its_room(minilm: Model, encoder: LocalEncoder) -> None:
    text = asked("The wing stalls.", (4, 8), context="title " * 2000)
    (result,) = encoder.encode([text])
    assert result.tokens.tolist() == [1]
    (read,) = minilm.read([text], query=False)
    assert all(len(row.ids) <= minilm.max_tokens for row in plan(minilm, text, read).rows)


PIECES = st.sampled_from(
    [
        "wing",
        "\u00e9",
        "e\u0301",
        "\U0001f600",
        "\u4f60\u597d",
        "\u0130stanbul",
        " ",
        "\n",
        "\u00a0",
        "\u200b",
        "-",
        "x" * 120,
        "\ufb01",
        "\u1e9e",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.characters(exclude_categories=["Cs"]), max_size=20))
def test_offsets_are_code_points_in_order_within_the_text(minilm: Model, parts: list[str]) -> None:
    text = "".join(parts)
    (tokens,) = minilm.tokenize([text])
    starts, ends = tokens.offsets[:, 0], tokens.offsets[:, 1]
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(ends) >= 0).all()
    assert (starts < ends).all()
    assert (ends <= len(text)).all()
    for piece in ("wing", "\u4f60"):
        at = text.find(piece)
        if at >= 0 and (at == 0 or text[at - 1] == " "):
            assert at in starts


@pytest.mark.parametrize("word", ["wing", "\u4f60", "caf\u00e9"])
def test_a_word_is_found_behind_any_unicode(minilm: Model, word: str) -> None:
    text = f"\U0001f600 e\u0301\u0301 \u0130 \ufb01 \U0001f468\u200d\U0001f469\u200d\U0001f467 {word} end"
    at = text.index(word)
    (tokens,) = minilm.tokenize([text])
    inside = [text[a:b] for a, b in tokens.offsets.tolist() if a < at + len(word) and b > at]
    assert "".join(inside) == word


def test_a_text_read_in_slabs_has_the_tokens_of_the_whole(minilm: Model) -> None:
    text = "The wing stalls, \u00e9 \U0001f600 you say? " * 8000
    (tokens,) = minilm.tokenize([text])
    whole = minilm.tokenizer.encode(text, add_special_tokens=False)
    assert len(text) > 200_000
    assert tokens.ids.tolist() == whole.ids
    assert tokens.offsets.tolist() == [list(pair) for pair in whole.offsets]


def test_a_sentence_of_a_long_text_is_pooled_from_one_window(minilm: Model) -> None:
    sentence = "The boundary layer on a flat plate grows with the square root of the distance. "
    starts = np.arange(0, 60 * len(sentence), len(sentence), dtype=np.int32)
    ranges = np.stack([starts, starts + len(sentence)], axis=1)
    text = Text(sentence * 60, ranges, "A title", starts)
    (read,) = minilm.read([text], query=False)
    made = plan(minilm, text, read)
    targets = np.concatenate([row.pieces.targets for row in made.rows])
    bounds = np.concatenate([row.pieces.bounds for row in made.rows])
    assert len(made.rows) > 3
    assert all((targets == i).sum() == 1 for i in range(60))
    whole = bounds[targets == 60]
    # all tokens once, and the title once
    assert (whole[:, 1] - whole[:, 0]).sum() == len(read.tokens.ids) + len(read.context)


def test_a_long_text_has_the_mean_over_all_its_tokens(minilm: Model, encoder: LocalEncoder) -> None:
    text = asked("A wing stalls when the angle is large. " * 100, (0, 10), (0, 3900))
    (result,) = encoder.encode([text])
    made = plan(minilm, text, *minilm.read([text], query=False))
    total = np.zeros(384)
    for row in made.rows:
        states = minilm.states([row.ids])[0].numpy()
        for target, (first, last) in zip(row.pieces.targets, row.pieces.bounds, strict=True):
            total += states[first:last].sum(0) if target == 2 else 0
    np.testing.assert_allclose(result.whole, unit(total), atol=1e-5)
    np.testing.assert_array_equal(result.ranges[1], result.whole)


def test_states_that_are_not_finite_are_never_returned() -> None:
    class Broken(Network):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return torch.full((*ids.shape, 4), float("nan"))

    broken = LocalEncoder(_with_network(Broken(), width=4))
    with pytest.raises(InvalidVectors):
        broken.encode([asked("text", (0, 4))])
    broken.close()


def test_a_failure_of_the_model_reaches_its_caller_and_no_other() -> None:
    class Picky(Network):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            if ids.shape[1] > 20:
                raise MemoryError("no room")
            return torch.ones(*ids.shape, 4)

    picky = LocalEncoder(_with_network(Picky(), width=4))
    with pytest.raises(MemoryError):
        picky.encode([asked("word " * 100)])
    assert len(picky.encode([asked("word")])) == 1
    picky.close()


def test_a_query_is_read_while_a_batch_of_documents_takes_its_time() -> None:
    entered, leave = threading.Event(), threading.Event()

    class SlowAtLong(Network):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            if ids.shape[1] > 20:
                entered.set()
                assert leave.wait(60)
            return torch.ones(*ids.shape, 4)

    encoder = LocalEncoder(_with_network(SlowAtLong(), width=4), threads=1)
    with ThreadPoolExecutor() as pool:
        documents = pool.submit(encoder.encode, [asked("word " * 100)])
        try:
            assert entered.wait(60)
            (found,) = pool.submit(encoder.encode, [asked("word")], query=True).result(90)
        finally:
            leave.set()
        assert found.whole.shape == (4,)
        assert len(documents.result(60)) == 1
    encoder.close()


def test_a_query_is_read_by_who_asks_and_those_that_come_meanwhile_together() -> None:
    entered, leave = threading.Event(), threading.Event()
    readers: list[threading.Thread] = []

    class Slow(Network):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            readers.append(threading.current_thread())
            entered.set()
            assert leave.wait(60)
            return torch.ones(*ids.shape, 4)

    seen: list[Batch] = []
    encoder = LocalEncoder(_with_network(Slow(), width=4), threads=1, observe=seen.append)
    asking: list[threading.Thread] = []

    def ask() -> list[Encoded]:
        asking.append(threading.current_thread())
        return encoder.encode([asked("word")], query=True)

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask)]
        assert entered.wait(60)
        answers += [pool.submit(ask) for _ in range(3)]
        try:
            deadline = time.monotonic() + 60
            while encoder._backlog.queries < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            leave.set()
        assert all(len(answer.result(90)) == 1 for answer in answers)
    encoder.close()
    assert readers[0] is asking[0]
    assert readers[1] not in asking
    assert [len(batch.queued) for batch in seen] == [1, 3]


def test_closing_fails_what_waits() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(Network):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            entered.set()
            leave.wait(90)
            return torch.ones(*ids.shape, 4)

    slow = LocalEncoder(_with_network(Slow(), width=4), budget=64)
    outcome: list[BaseException | list[Encoded]] = []

    def ask() -> None:
        try:
            outcome.append(slow.encode([asked("word " * 50) for _ in range(20)]))
        except EncoderUnavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert entered.wait(90)
    closing = threading.Thread(target=slow.close)
    closing.start()
    thread.join(90)  # the caller is told before the batch that runs is done
    assert isinstance(outcome[0], EncoderUnavailable)
    leave.set()
    closing.join(90)
    assert not closing.is_alive()


def test_batches_are_observed(minilm: Model) -> None:
    seen: list[Batch] = []
    local = LocalEncoder(minilm, observe=seen.append)
    local.encode([asked(f"some words {'and more ' * i}") for i in range(50)])
    local.close()  # the thread has ended, so the last batch has been observed
    assert sum(batch.tokens for batch in seen) / sum(batch.padded for batch in seen) > 0.85
    assert all(batch.seconds > 0 and batch.padded <= batch.budget for batch in seen)
    assert sum(len(batch.queued) for batch in seen) == 50
    assert all(queued > 0 for batch in seen for queued in batch.queued)


def test_a_type_that_the_model_cannot_compute_in_is_not_taken() -> None:
    class InFloat32(Network):
        def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            if self.weight.dtype != torch.float32:
                raise RuntimeError("Unsupported dtype")
            return torch.ones(*ids.shape, 4)

    chosen, measured = calibrate(_with_network(InFloat32(), width=4))
    assert (chosen.dtype, set(measured.speeds)) == ("float32", {"float32"})


def test_calibration_takes_what_it_measured_as_the_best(minilm: Model) -> None:
    chosen, measured = calibrate(minilm)
    assert chosen.dtype == measured.dtype == choice(measured.speeds, measured.cosines)
    assert list(measured.speeds)[:2] == ["float32", "bfloat16"]
    assert min(measured.speeds.values()) > 0
    assert measured.cosines["bfloat16"] >= 0.999
    assert minilm.dtype == "float32"
    assert next(minilm.network.parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    ("speeds", "int8_cosine", "expected"),
    [
        ((3.5, 1.0, 7.0), 0.9995, "int8"),  # VNNI alone
        ((3.5, 15.0, 11.0), 0.9995, "bfloat16"),  # matrix units
        ((3.5, 3.0, 7.0), 0.9989, "float32"),
        ((3.5, 5.0, 7.0), float("nan"), "bfloat16"),
        ((3.5, 5.0, 5.1), 0.9995, "bfloat16"),
        ((3.5, 3.6, 3.7), 0.9995, "float32"),
    ],
)
def test_the_fastest_type_that_keeps_the_vectors_is_taken(
    speeds: tuple[float, float, float], int8_cosine: float, expected: str
) -> None:
    named = dict(zip(("float32", "bfloat16", "int8"), speeds, strict=True))
    assert choice(named, {"bfloat16": 0.9999, "int8": int8_cosine}) == expected


def test_a_megabyte_is_read_in_windows(minilm: Model, encoder: LocalEncoder, long: bool) -> None:
    size = 1_000_000 if long else 20_000
    sentence = "The wing stalls \U0001f600 at a large angle. "
    starts = np.arange(0, size, len(sentence), dtype=np.int32)
    text = Text(sentence * len(starts), np.stack([starts, starts + len(sentence)], axis=1), "", starts)
    (result,) = encoder.encode([text])
    assert (result.tokens == result.tokens[0]).all()
    assert np.isfinite(result.ranges).all()


def _with_network(network: torch.nn.Module, width: int) -> Model:
    from dataclasses import replace

    from spanstream.representations.model import load

    return replace(load("minilm"), network=network, width=width, dimension=width)
