"""Late interaction (ColBERT, Khattab and Zaharia 2020): each word of a question looks for its like among a passage's words.

The encoder reads question and passages once more and gives a vector per word, in its context; none of them is stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder, Text, check
from spanstream.store.lexical import query_terms
from spanstream.store.points import Passage

_WORD = re.compile(r"\w+(?:[-'’]\w+)*")


class LateInteraction:
    """A rerank stage. Raises what the encoder raises."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __call__(
        self, texts: Sequence[str], passages: Sequence[Passage], told: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """[texts, passages]: the mean, over the question's words, of the largest cosine with one of the passage's."""
        asked = [_words(text) for text in texts]
        read = [_words(passage.text, passage.title) for passage in passages]
        queries = self._encode(asked, query=True)
        found = self._encode(read, query=False)
        return np.array([[_similarity(query, each) for each in found] for query in queries], np.float32)

    def _encode(self, texts: Sequence[Text], *, query: bool) -> list[NDArray[np.float32]]:
        """[words, dimension] of each text."""
        results = self._encoder.encode(texts, query=query)
        check(texts, results, self._encoder.info().dimension)
        return [result.ranges for result in results]


def _similarity(query: NDArray[np.float32], passage: NDArray[np.float32]) -> float:
    return float((query @ passage.T).max(axis=1).mean()) if len(passage) else 0.0


def _words(text: str, context: str = "") -> Text:
    """The text with its words as ranges, without stop words; all of it where it has no others."""
    bounds = [word.span() for word in _WORD.finditer(text)]
    told = [(start, end) for start, end in bounds if len(query_terms(text[start:end]).indices)]
    return Text(text, np.array(told or [(0, len(text))], np.int32), context)
