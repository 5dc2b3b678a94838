from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from spanstream.standalone.gate import perturbations
from spanstream.standalone.gate.perturbations import PERTURBATIONS, perturbed

TEXT = "which boundary layers were measured on plates at several Mach numbers"


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_text_changes_the_same_way_each_time(name: str) -> None:
    assert perturbed(name, TEXT) == perturbed(name, TEXT) != TEXT


@pytest.mark.parametrize("name", PERTURBATIONS)
@pytest.mark.parametrize("text", ["", "a", "Mach", "\u4f60\u597d", "\u4f60\u597d\u4f60\u597d\u4f60\u597d"])
def test_short_texts_and_such_without_spaces_are_taken(name: str, text: str) -> None:
    assert bool(perturbed(name, text)) == bool(text)


def test_slips_are_in_a_fifth_of_the_words_and_never_in_short_ones() -> None:
    for seed in range(50):
        pairs = list(zip(TEXT.split(), perturbations.typos(TEXT, Random(seed)).split(), strict=True))
        changed = [(old, new) for old, new in pairs if old != new]
        assert len(changed) <= 2  # of eleven; a swap of equal letters is none
        assert all(len(old) >= 4 and abs(len(old) - len(new)) <= 1 for old, new in changed)


def test_words_left_out_leave_the_others_in_their_order() -> None:
    kept = perturbations.dropped(TEXT, Random(0)).split()
    assert len(kept) == 9
    assert kept == [word for word in TEXT.split() if word in kept]


def test_reordered_words_are_the_same_words() -> None:
    assert Counter(perturbations.reordered(TEXT, Random(0)).split()) == Counter(TEXT.split())
