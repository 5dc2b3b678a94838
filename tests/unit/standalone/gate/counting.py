"""An encoder whose vectors can be worked out by hand, and texts for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spanstream.encoder.encoder import Encoded, EncoderInfo, Text

SENTENCES = ["Bees make honey all summer.", "Whales sing below the ice.", "Glaciers carve deep valleys slowly."]
TEXTS = [" ".join(SENTENCES), "Violins sound warm in old halls. Nobody knows quite why.", "Bakeries open before dawn."]
WORDS = sorted({word.strip(".").lower() for text in TEXTS for word in text.split()})


class Counting:
    """Words of a text, and its first word twice as much: where something stands matters a little."""

    def info(self) -> EncoderInfo:
        return EncoderInfo("counting", len(WORDS) + 1, 512, "float32", "cpu")

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        return [
            Encoded(
                self._vector(each.text),
                np.array([self._vector(each.text[start:end]) for start, end in each.ranges], np.float32),
                np.ones(len(each.ranges), np.int32),
            )
            for each in texts
        ]

    def unready(self) -> list[str]:
        return []

    def close(self) -> None: ...

    def _vector(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        found = np.full(len(WORDS) + 1, 1e-3, np.float32)
        for place, word in enumerate(text.split()):
            cleaned = word.strip(".").lower()
            found[WORDS.index(cleaned) if cleaned in WORDS else -1] += 2 if place == 0 else 1
        return found / np.linalg.norm(found)
