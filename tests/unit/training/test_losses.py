"""Each loss against a case worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from spanstream.representations.training.losses import (
    agreement,
    at_prefixes,
    decorrelation,
    distance,
    group_contrast,
    info_nce,
    late_interaction,
    reconstruction,
    suspects,
)

AXES = torch.eye(4)
OWN = torch.arange(4)


def test_info_nce_of_four_axes() -> None:
    assert float(info_nce(AXES, AXES, OWN, 0.5)) == pytest.approx(math.log(math.e**2 + 3) - 2)
    assert float(info_nce(AXES, AXES, OWN.roll(1), 0.5)) == pytest.approx(math.log(math.e**2 + 3))


def test_what_is_left_out_does_not_count() -> None:
    left_out = torch.zeros(4, 4, dtype=torch.bool)
    left_out[:, 0] = True
    left_out[0, 0] = False
    found = float(info_nce(AXES, AXES, OWN, 0.5, left_out))
    wanted = [math.log(math.e**2 + 3) - 2, *[math.log(math.e**2 + 2) - 2] * 3]
    assert found == pytest.approx(sum(wanted) / 4)


def test_group_contrast_compares_a_text_with_its_parts_and_those_of_others() -> None:
    wholes, parts = AXES[:2], torch.stack([AXES[0], AXES[1], AXES[1]])
    owner = torch.tensor([0, 0, 1])
    # The first text: own parts score 1 and 0, the other's 0. The second: own scores 1, the others' 0 and 1.
    first = math.log(math.e + 1) - 1, math.log(1 + 1)
    second = math.log(math.e + 1 + math.e) - 1
    assert float(group_contrast(wholes, parts, owner, 1.0)) == pytest.approx((sum(first) + second) / 3)


def test_distance_is_one_less_the_cosine() -> None:
    assert float(distance(AXES, AXES)) == 0
    assert float(distance(AXES, -AXES)) == 2
    assert float(distance(AXES, AXES.roll(1, dims=0))) == 1


def test_decorrelation_is_nothing_where_components_go_their_own_ways() -> None:
    corners = normalize(torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]), dim=1)
    assert float(decorrelation(corners)) == pytest.approx(0, abs=1e-6)
    line = normalize(torch.tensor([[1.0, 1], [-1, -1], [1, 1], [-1, -1]]), dim=1)
    # Both components are +-1 in units of their spread: the covariance is 4/3, twice, over two components.
    assert float(decorrelation(line)) == pytest.approx(16 / 9)


def test_prefixes_are_normalised_and_averaged() -> None:
    both = torch.tensor([[0.6, 0.8], [0.6, -0.8]])
    # The first component alone is the same for both; of two, the cosines are 1 and 0.36 - 0.64.
    found = at_prefixes(lambda left, right: info_nce(left, right, torch.arange(2), 1.0), both, both, [1, 2])
    whole = math.log(math.e + math.exp(0.36 - 0.64)) - 1
    assert float(found) == pytest.approx((math.log(2) + whole) / 2)


def test_suspects_are_nearer_than_the_own_one() -> None:
    anchors = normalize(torch.tensor([[1.0, 0.0]]), dim=1)
    candidates = normalize(torch.tensor([[0.8, 0.6], [1.0, 0.0], [0.78, 0.62578], [0.0, 1.0]]), dim=1)
    assert suspects(anchors, candidates, torch.tensor([0])).tolist() == [[False, True, False, False]]
    assert suspects(anchors, candidates, torch.tensor([1])).tolist() == [[False] * 4]


@pytest.mark.parametrize("loss", ["info_nce", "group_contrast", "decorrelation"])
def test_gradients_are_those_of_the_formula(loss: str) -> None:
    chance = torch.Generator().manual_seed(0)
    left, right = (torch.randn(4, 3, generator=chance, dtype=torch.float64, requires_grad=True) for _ in range(2))
    calls = {
        "info_nce": lambda a, b: info_nce(a, b, OWN, 0.3),
        "group_contrast": lambda a, b: group_contrast(a[:2], b, torch.tensor([0, 0, 1, 1]), 0.3),
        "decorrelation": lambda a, b: decorrelation(a + b),
    }
    assert torch.autograd.gradcheck(calls[loss], (left, right))


def test_agreement_is_the_divergence_of_preferences() -> None:
    like = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])  # 3 : 1, 1 : 1
    scores = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    wanted = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(agreement(scores, like)) == pytest.approx(wanted / 2)
    assert float(agreement(like, like)) == pytest.approx(0, abs=1e-7)


def test_reconstruction_is_the_surprise_of_real_tokens() -> None:
    logits = torch.log(torch.tensor([[[1.0, 2.0, 1.0], [2.0, 1.0, 1.0]], [[1.0, 1.0, 6.0], [9.0, 9.0, 9.0]]]))
    tokens, real = torch.tensor([[1, 0], [2, 0]]), torch.tensor([[True, True], [True, False]])
    assert float(reconstruction(logits, tokens, real)) == pytest.approx(-(2 * math.log(1 / 2) + math.log(3 / 4)) / 3)


def test_late_interaction_is_the_mean_of_each_words_nearest() -> None:
    words = torch.stack([AXES[0], normalize(AXES[0] + AXES[1], dim=0), AXES[2]])
    found = late_interaction([AXES[:2], AXES[2:3]], words, torch.tensor([0, 0, 2]), 3)
    half = 0.5**0.5
    torch.testing.assert_close(found, torch.tensor([[(1 + half) / 2, -1.0, 0.0], [0.0, -1.0, 1.0]]))
