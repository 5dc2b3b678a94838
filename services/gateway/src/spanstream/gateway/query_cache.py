"""Vectors of queries that were asked before. Results are not kept: every head that flips may change them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoded, Text, check
from spanstream.gateway.asking import Encodes
from spanstream.runtime.metrics import GATEWAY_CACHE_HITS, GATEWAY_CACHE_MISSES

BYTES = 32 << 20  # about 17,000 queries of 384 numbers
_ENTRY_BYTES = 320  # of a key, its entry in the dictionary and an array's header

_NO_TOKENS = np.zeros(0, np.int32)


class QueryCache:
    """The vectors used last, at most `size` bytes of them; 0: none. Thread-safe.

    A key is a hash of the release, the tenant and the text: a new release never meets old vectors, one tenant cannot tell by the
    time of an answer what another one asked, and no text is kept.
    """

    def __init__(self, size: int = BYTES) -> None:
        self._size = size
        self._held = 0
        self._lock = threading.Lock()
        self._vectors: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def before(self, encoder: Encodes, release: str, tenant: str) -> Encodes:
        """An encoder that is asked only for what is not known; of texts without ranges."""
        return _Remembering(self, encoder, f"{release}\0{tenant}\0".encode()) if self._size else encoder

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        """The vector, which is the latest used now."""
        with self._lock:
            vector = self._vectors.get(key)
            if vector is not None:
                self._vectors.move_to_end(key)
        (GATEWAY_CACHE_MISSES if vector is None else GATEWAY_CACHE_HITS).inc()
        return vector

    def put(self, key: bytes, vector: NDArray[np.float32]) -> None:
        """Remember it, and forget those used longest ago where it takes room."""
        kept = vector.copy()  # an answer's vectors may be parts of a larger block
        kept.flags.writeable = False
        with self._lock:
            if key not in self._vectors:
                self._held += kept.nbytes + _ENTRY_BYTES
            self._vectors[key] = kept
            while self._held > self._size:
                _, oldest = self._vectors.popitem(last=False)
                self._held -= oldest.nbytes + _ENTRY_BYTES

    @property
    def held(self) -> int:
        """Bytes."""
        return self._held


class _Remembering:
    def __init__(self, cache: QueryCache, encoder: Encodes, prefix: bytes) -> None:
        self._cache, self._encoder, self._prefix = cache, encoder, prefix

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        asked = {self._key(text): text for text in texts}
        known = {key: vector for key in asked if (vector := self._cache.get(key)) is not None}
        if missing := {key: text for key, text in asked.items() if key not in known}:
            found = self._encoder.encode(list(missing.values()), query=query)
            check(list(missing.values()), found, found[0].whole.size if found else 0)  # what is wrong is not kept
            for key, each in zip(missing, found, strict=True):
                known[key] = each.whole
                self._cache.put(key, each.whole)
        return [_encoded(known[self._key(text)]) for text in texts]

    def _key(self, text: Text) -> bytes:
        return hashlib.blake2b(self._prefix + text.text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _encoded(vector: NDArray[np.float32]) -> Encoded:
    return Encoded(vector, np.zeros((0, vector.size), np.float32), _NO_TOKENS)
