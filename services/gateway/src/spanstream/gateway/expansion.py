"""Query expansion by a writer that is plugged in: texts such as would answer the query stand beside it (HyDE, Gao et al. 2022).

What the corpus itself says of a query is always asked: `feedback`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import check
from spanstream.gateway.asking import Encodes, whole

WRITER_SECONDS = 10.0  # for all that is written for a query, and read again
MAX_TEXTS = 8  # of those written for a query
MAX_CHARACTERS = 4000  # of each of them


class NoWriter(LookupError):
    """This gateway has none."""


# Writes none, one or several passages that might answer a query, right or wrong: only what they are about matters. Any
# thread calls it; whatever it raises leaves the query as it is.
Writer = Callable[[str], Sequence[str]]


def open_writer(path: str) -> Writer:
    """The callable at `package.module:name`. Raises ValueError."""
    module, _, name = path.partition(":")
    try:
        found: Writer = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"GATEWAY_WRITER names no callable as package.module:name: {error}") from error
    if not callable(found):
        raise ValueError(f"GATEWAY_WRITER: {path} cannot be called")
    return found


def expanded(vector: NDArray[np.float32], written: Sequence[str], encoder: Encodes) -> NDArray[np.float32]:
    """The mean [dimension] of the query's vector and those of what was written, of unit length."""
    texts = [whole(text[:MAX_CHARACTERS]) for text in written[:MAX_TEXTS] if text.strip()]
    results = encoder.encode(texts)
    check(texts, results, len(vector))
    mean = np.mean([vector, *(result.whole for result in results)], axis=0)
    unit: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return unit
