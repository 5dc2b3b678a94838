"""Queries as people write them: with slips of the keyboard, with fewer words, in another order. Each text always the same way."""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random

_SHARE = 0.2  # of the words
_LEAST = 4  # letters of a word with a slip


def typos(text: str, chance: Random) -> str:
    """One slip in a fifth of the longer words, in one at least: a letter doubled, left out, swapped or another one.

    The kinds of slip of Zhuang and Zuccon (Dealing with Typos for BERT-based Passage Retrieval, 2021).
    """
    words = text.split()
    long = [number for number, word in enumerate(words) if len(word) >= _LEAST]
    for number in chance.sample(long, min(len(long), max(1, round(_SHARE * len(words))))):
        words[number] = _slip(words[number], chance)
    return " ".join(words)


def dropped(text: str, chance: Random) -> str:
    """Without a fifth of its words, of one at least; one stays."""
    words = text.split()
    gone = min(len(words) - 1, max(1, round(_SHARE * len(words)))) if words else 0
    kept = sorted(chance.sample(range(len(words)), len(words) - gone))
    return " ".join(words[number] for number in kept)


def reordered(text: str, chance: Random) -> str:
    """The same words in another order."""
    words = text.split()
    chance.shuffle(words)
    return " ".join(words)


Perturbation = Callable[[str, Random], str]
PERTURBATIONS: dict[str, Perturbation] = {
    "typos": typos,
    "words left out": dropped,
    "words reordered": reordered,
}


def perturbed(name: str, text: str) -> str:
    """The text under one of PERTURBATIONS, the same each time."""
    return PERTURBATIONS[name](text, Random(f"{name}/{text}"))


def _slip(word: str, chance: Random) -> str:
    at = chance.randrange(len(word) - 1)
    before, letter, following, after = word[:at], word[at], word[at + 1], word[at + 2 :]
    other = chance.choice([each for each in string.ascii_lowercase if each != letter])
    changed = chance.choice([letter + letter + following, following, following + letter, other + following])
    return before + changed + after
