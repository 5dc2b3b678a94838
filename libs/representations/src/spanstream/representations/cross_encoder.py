"""A cross-encoder (Nogueira and Cho 2019): query and text read as one, so that each word of both sees the other's.

Any Hugging Face model for sequence classification with one output, or with two, of which the second means relevant.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from spanstream.encoder.errors import EncoderRejected, EncoderUnavailable
from spanstream.encoder.reranker import check_scores
from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.model import find, positions, quiet

_BUDGET = 4096  # tokens of a batch, with padding
_LONGEST = 512  # tokens of a pair at most: attention costs the square of them


class CrossEncoder:
    """The Reranker port over a model in this process: as many calls at once as `threads`."""

    def __init__(self, network: Any, tokenizer: Any, *, threads: int) -> None:
        """`network`: of transformers, for sequence classification; `tokenizer`: its own."""
        self._network = network
        self._tokenizer = tokenizer
        self._longest = min(tokenizer.model_max_length, positions(network.config) or _LONGEST, _LONGEST)
        self._room = threading.BoundedSemaphore(threads)
        self._closed = False

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """See the port. A query too long leaves the text no room: both are then cut, the longer one first."""
        if self._closed:
            raise EncoderUnavailable("the reranker is closed")
        if not texts:
            return np.zeros(0, np.float32)
        try:
            read = self._tokenizer([query] * len(texts), list(texts), truncation=True, max_length=self._longest)
        except (TypeError, ValueError) as error:  # a lone surrogate
            raise EncoderRejected("the query or a text cannot be read") from error
        lengths = [len(ids) for ids in read["input_ids"]]
        scores = np.zeros(len(texts), np.float32)
        with self._room:
            for batch in _batches(lengths):
                scores[batch] = self._scored({name: [values[i] for i in batch] for name, values in read.items()})
        return check_scores(scores, len(texts))

    def close(self) -> None:
        """Refuse what comes; idempotent."""
        self._closed = True

    def _scored(self, pairs: dict[str, list[list[int]]]) -> NDArray[np.float32]:
        padded = self._tokenizer.pad(pairs, return_tensors="pt").to(self._network.device)
        with torch.inference_mode():
            logits = self._network(**padded).logits.float().cpu().numpy()
        scores: NDArray[np.float32] = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        return scores


def open_cross_encoder(
    name: str, *, dtype: torch.dtype = torch.float32, device: str = "cpu", threads: int | None = None
) -> CrossEncoder:
    """Load one from a folder or by a Hugging Face name. Raises ModelNotFound or ModelUnsupported."""
    folder = find(name)
    with quiet():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            network, told = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=dtype, trust_remote_code=False, output_loading_info=True
            )
        except Exception as error:
            raise ModelUnsupported(f"the cross-encoder in {folder} cannot be loaded: {error}") from error
    if missing := sorted(told["missing_keys"]):
        raise ModelUnsupported(f"{folder} holds no cross-encoder: its weights lack {missing[0]}")
    if network.config.num_labels not in (1, 2):
        raise ModelUnsupported(
            f"the model in {folder} has {network.config.num_labels} outputs, a cross-encoder one or two"
        )
    network.to(device).eval()
    return CrossEncoder(network, tokenizer, threads=threads or (os.cpu_count() or 1 if device == "cpu" else 1))


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Longest first, each within the budget, at least one."""
    result: list[list[int]] = []
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        count = max(1, _BUDGET // lengths[order[0]])
        result.append(order[:count])
        order = order[count:]
    return result
