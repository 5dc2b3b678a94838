"""Distillation from a tiny model; what it is worth with a real one is measured in tests/quality/static.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spanstream.encoder.encoder import Text
from spanstream.representations.distillation import SampleUnsuitable, _map, _weights, distill
from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import Model, load
from spanstream.representations.static import StaticEncoder
from tests.unit.representations.tiny import LINES, WIDTH, build

NONE = np.empty((0, 2), np.int32)
WORDS = sorted({word.strip(".,;:?") for line in LINES for word in line.split()})


class Words(torch.nn.Module):
    """A network that reads no context: states are the rows of a table that few dimensions dominate."""

    def __init__(self, size: int) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        rows = torch.randn(size, WIDTH, generator=chance) * torch.linspace(2, 0.2, WIDTH) + 1
        self.rows = torch.nn.Parameter(rows)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.rows[ids]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Model:
    model = load(str(build(tmp_path_factory.mktemp("teacher") / "bert", "bert", {"pooling_mode_mean_tokens": True})))
    return replace(model, network=Words(model.tokenizer.get_vocab_size()))


def sample(seed: int, count: int) -> list[Text]:
    chance = np.random.default_rng(seed)
    texts = [" ".join(chance.choice(WORDS, size=chance.integers(3, 20))) for _ in range(count)]
    return [Text(text, np.array([[0, len(text) // 2]], np.int32)) for text in texts]


def test_the_table_comes_near_its_teacher_on_texts_it_never_saw(teacher: Model) -> None:
    table = distill(teacher, sample(0, 400))
    unseen = sample(1, 100)
    local, static = LocalEncoder(teacher), StaticEncoder(table)
    wanted = np.array([each.whole for each in local.encode(unseen)])
    found = np.array([each.whole for each in static.encode(unseen)])
    local.close()
    cosines = (wanted * found).sum(axis=1)
    shifted = (np.roll(wanted, 1, axis=0) * found).sum(axis=1)
    assert cosines.mean() > shifted.mean() + 0.1
    assert table.rows.shape == (teacher.tokenizer.get_vocab_size(), WIDTH)
    assert (table.teacher, table.teacher_fingerprint) == (teacher.name, teacher.fingerprint)


def test_the_same_sample_gives_the_same_table(teacher: Model) -> None:
    first, second = (distill(teacher, sample(0, 150), 8) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.rows, second.rows)


def test_fewer_dimensions_keep_most_of_the_inner_products(teacher: Model) -> None:
    full, cut = (distill(teacher, sample(0, 150), dimension) for dimension in (None, 16))
    assert cut.rows.shape[1] == len(cut.empty) == 16
    whole = (full.rows @ full.rows.T).ravel()
    kept = (cut.rows @ cut.rows.T).ravel()
    assert np.corrcoef(whole, kept)[0, 1] > 0.8


def test_progress_is_told_to_the_end(teacher: Model) -> None:
    seen: list[tuple[str, int, int]] = []
    distill(teacher, sample(0, 120), progress=lambda *step: seen.append(step))
    size = teacher.tokenizer.get_vocab_size()
    assert ("vocabulary", size, size) in seen
    assert seen[-1] == ("passages", 120, 120)


def test_frequent_tokens_weigh_less_and_unseen_ones_as_rare_ones(teacher: Model) -> None:
    weights = _weights(teacher, [Text("index index index meaning", NONE)], teacher.tokenizer.get_vocab_size())
    ids = teacher.tokenizer.encode("index meaning library", add_special_tokens=False).ids
    assert weights[ids[0]] < weights[ids[1]] < weights[ids[2]] == 1


def test_the_map_lies_between_the_best_one_and_leaving_vectors_as_they_are() -> None:
    chance = np.random.default_rng(0)
    features = chance.standard_normal((100_000, 5))
    turn = np.linalg.qr(chance.standard_normal((5, 5)))[0]
    np.testing.assert_allclose(_map(features, features @ turn), (turn + np.eye(5)) / 2, atol=0.02)
    np.testing.assert_allclose(_map(features, features @ turn[:, :3]), turn[:, :3] / 2, atol=0.02)


def test_a_small_sample_or_a_large_dimension_is_refused(teacher: Model) -> None:
    with pytest.raises(SampleUnsuitable, match="100 different texts"):
        distill(teacher, sample(0, 99))
    with pytest.raises(SampleUnsuitable, match="here are 1"):
        distill(teacher, sample(0, 1) * 200)
    for dimension in (0, WIDTH + 1):
        with pytest.raises(SampleUnsuitable, match=f"1 to {WIDTH}"):
            distill(teacher, sample(0, 100), dimension)


def test_a_teacher_in_bfloat16_is_read(teacher: Model) -> None:
    half = replace(teacher, network=Words(teacher.tokenizer.get_vocab_size()).to(torch.bfloat16))
    assert np.isfinite(distill(half, sample(0, 100)).rows).all()
