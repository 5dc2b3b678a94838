from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from spanstream.encoder.encoder import Text
from spanstream.representations.calibration import calibrate, in_int8
from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.forward import forward_pass
from spanstream.representations.int8 import Int8Gelu, Int8Linear
from spanstream.representations.local import LocalEncoder, open_local
from spanstream.representations.model import Model
from tests.unit.representations.test_forward import network

_CPU = Path("/proc/cpuinfo")
pytestmark = pytest.mark.skipif(
    not _CPU.is_file() or "vnni" not in _CPU.read_text(), reason="the processor has no VNNI: sums of bytes overflow"
)
NONE = np.empty((0, 2), np.int32)
TEXTS = [
    "wing",
    "How do minor eruptions differ from a large one?",
    "Prices rose by 3.5 % in May; economists had expected 2.",
    "def area(radius): return 3.14159 * radius ** 2",
    "Über den Wolken muss die Freiheit wohl grenzenlos sein.",
    "The committee met twice. Nobody could say afterwards what had been decided, or by whom. " * 8,
]


def linear(inputs: int = 64, outputs: int = 48) -> nn.Linear:
    torch.manual_seed(5)
    return nn.Linear(inputs, outputs).requires_grad_(False)


def of(*channels: int) -> torch.Tensor:
    return torch.tensor(channels, dtype=torch.int64)


def errors(made: Int8Linear, exact: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    """Of each token, relative to the length of what is right."""
    expected = exact(states)
    return (made(states) - expected).norm(dim=-1) / expected.norm(dim=-1)


@pytest.mark.parametrize("width", [64, 50])  # of bytes that can and cannot be read as floats where they lie
def test_each_token_has_a_scale_and_an_offset(width: int) -> None:
    exact = linear(width)
    states = torch.randn(2, 3, width) * torch.tensor([0.01, 1, 100])[:, None] + torch.tensor([1, 0, -50])[:, None]
    assert errors(Int8Linear(exact, of()), exact, states).max() < 0.02


def test_channels_of_large_values_do_not_cost_the_others_their_steps() -> None:
    exact = linear()
    states = torch.randn(1, 5, 64)
    states[..., 7] *= 100
    exact.weight[:, 7] /= 100
    assert errors(Int8Linear(exact, of()), exact, states).max() > 0.05
    assert errors(Int8Linear(exact, of(7)), exact, states).max() < 0.02


def test_rows_of_one_value_are_right_and_what_is_not_a_number_stays_so() -> None:
    exact = linear()
    made = Int8Linear(exact, of(0))
    torch.testing.assert_close(made(torch.zeros(1, 2, 64)), exact(torch.zeros(1, 2, 64)))
    assert made(torch.full((1, 1, 64), torch.nan)).isnan().all()
    exact.weight[3, 5] = torch.nan
    assert Int8Linear(exact, of(0))(torch.zeros(1, 1, 64))[0, 0, 3].isnan()


def test_behind_a_norm_one_scale_does_for_all_tokens_though_channels_differ() -> None:
    exact = linear()
    sizes = torch.linspace(0.1, 20, 64)
    exact.weight /= sizes
    states = torch.randn(2, 40, 64) * sizes
    expected = functional.gelu(exact(states))
    found = Int8Gelu(exact, states[0])(states)
    assert (found - expected).norm() / expected.norm() < 0.02


def test_beyond_the_range_of_the_sample_values_are_cut_off_and_never_turn_round() -> None:
    exact = linear()
    made = Int8Gelu(exact, torch.randn(50, 64))
    far = torch.randn(1, 3, 64).sign()
    furthest = torch.where(far > 0, 255 - made.zero, -made.zero) / made.factors
    torch.testing.assert_close(made(far * 1e9), functional.gelu(exact(furthest)), atol=0.1, rtol=0.02)
    torch.testing.assert_close(made(far * 1e9), made(far * 1e3))


def test_a_sample_that_says_nothing_makes_no_product_that_breaks() -> None:
    exact = linear()
    made = Int8Gelu(exact, torch.zeros(5, 64))
    torch.testing.assert_close(made(torch.zeros(1, 2, 64)), functional.gelu(exact(torch.zeros(1, 2, 64))))


def test_the_vectors_are_kept_whatever_they_are_read_with(minilm: Model) -> None:
    local, small = LocalEncoder(minilm), open_local(dtype="int8", threads=2)
    assert small.info().dtype == "int8"
    assert small.info().release == local.info().release
    try:
        texts = [Text(text, NONE) for text in TEXTS]
        expected = np.stack([each.whole for each in local.encode(texts)])
        found = np.stack([each.whole for each in small.encode(texts)])
        kept = (found * expected).sum(axis=1)
        assert kept.mean() >= 0.999
        assert kept.min() >= 0.998
        alone: dict[int, np.ndarray] = {}

        def ask(i: int) -> None:
            alone[i] = small.encode([texts[i]])[0].whole

        callers = [threading.Thread(target=ask, args=(i,)) for i in range(len(texts))]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        together = np.stack([alone[i] for i in range(len(texts))])
        assert (together * expected).sum(
            axis=1
        ).min() >= 0.998  # short ones perhaps in a wider type, where it is as fast
        np.testing.assert_allclose(together[-1], found[-1], atol=2e-3)
    finally:
        local.close()
        small.close()


def test_a_query_is_read_in_the_wider_type_and_what_is_longer_in_bytes(minilm: Model) -> None:
    small, wide = replace(in_int8(minilm), exact=None), minilm.network
    both = LocalEncoder(replace(small, exact=wide))
    plain, exact = LocalEncoder(small), LocalEncoder(minilm)
    try:
        for text, like in ((TEXTS[1], exact), (TEXTS[5], plain)):
            found, expected = (each.encode([Text(text, NONE)])[0].whole for each in (both, like))
            np.testing.assert_allclose(found, expected, atol=1e-5)
    finally:
        for each in (both, plain, exact):
            each.close()


def test_the_wider_type_reads_queries_where_it_is_about_as_fast(minilm: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for share, taken in ((0.8, True), (0.5, False)):
        speeds = {"int8": 1000.0, "bfloat16": 1000 * share}
        monkeypatch.setattr("spanstream.representations.calibration._speeds", lambda models, shape, s=speeds: s)
        assert (in_int8(minilm).exact is not None) is taken


def test_a_model_that_int8_damages_is_refused(minilm: Model) -> None:
    made = network("bert", vocab_size=40_000).requires_grad_(False)
    for layer in made.encoder.layer:  # a unit that says nothing, and leaves the others no steps
        layer.intermediate.dense.bias[0] = 1e5
        layer.output.dense.weight[:, 0] = 0
    with pytest.raises(ModelUnsupported, match=r"cosine of .* set the dtype to auto"):
        in_int8(replace(minilm, network=forward_pass(made), max_tokens=40))


def test_a_model_that_transformers_computes_stays_in_floats(minilm: Model) -> None:
    model = replace(minilm, network=forward_pass(network("mpnet", vocab_size=40_000)), max_tokens=32)
    with pytest.raises(ModelUnsupported, match="int8 is for BERT"):
        in_int8(model)
    assert "int8" not in calibrate(model)[1].speeds


def test_other_processors_stay_in_floats(minilm: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "SVE256")
    with pytest.raises(ModelUnsupported, match="int8 needs a processor"):
        in_int8(minilm)
