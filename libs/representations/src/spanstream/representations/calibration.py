"""float32 or bfloat16: measured at load on this machine, because bfloat16 is several times faster where the processor
has matrix units for it and slower where it does not. Never decided by the processor's name."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from spanstream.representations.model import Model

_SAMPLE = (
    "A stream of document events becomes a search index of meaning at every granularity.",
    "The boundary layer on a flat plate at zero incidence was measured at several Mach numbers; heat transfer rose.",
    "Who decides which books a library buys, and how are readers asked?",
    "In vitro, the lens of the eye takes up amino acids: 3.5 mmol/l within 40 minutes.",
)
_ROWS = 4  # of 128 tokens: about 0.1 s in float32 on one core, which is as many as a batch gives each of two
_REPETITIONS = 5
_SECONDS = 0.6  # no further repetition after this, so that a busy machine starts as well
_MIN_COSINE = 0.999
_MIN_GAIN = 1.1  # a smaller gain is noise, and float32 is the reference


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured: tokens per second and core in each type, the lowest cosine of bfloat16 vectors to float32's."""

    dtype: str
    float32_tokens_per_second: float
    bfloat16_tokens_per_second: float
    cosine: float

    @property
    def tokens_per_second(self) -> float:
        """Of the chosen type."""
        return self.bfloat16_tokens_per_second if self.dtype == "bfloat16" else self.float32_tokens_per_second


def calibrate(model: Model) -> tuple[Model, Calibration]:
    """The faster of `model` (float32) and its bfloat16 copy, if that keeps the vectors; takes about a second.

    Call it before other threads use torch: it lowers torch's number of threads for a moment.
    """
    half = replace(model, network=copy.deepcopy(model.network).to(torch.bfloat16))
    cosine = _cosine(model, half)
    full_speed, half_speed = _speeds(model, half)
    chosen = "bfloat16" if cosine >= _MIN_COSINE and half_speed >= _MIN_GAIN * full_speed else "float32"
    return half if chosen == "bfloat16" else model, Calibration(chosen, full_speed, half_speed, cosine)


def _cosine(model: Model, other: Model) -> float:
    rows = [
        np.concatenate([model.before, tokens.ids, model.after]).astype(np.int32) for tokens in model.tokenize(_SAMPLE)
    ]
    vectors = []
    for reader in (model, other):
        means = torch.stack([reader.states([row])[0].float().mean(dim=0) for row in rows])
        vectors.append(torch.nn.functional.normalize(means))
    lowest = (vectors[0] * vectors[1]).sum(dim=1).min()
    return float(lowest) if torch.isfinite(lowest) else -1.0


def _speeds(model: Model, other: Model) -> tuple[float, float]:
    """Tokens per second and core of both, interleaved, the best of a few.

    On a processor: one thread, and the time that it computed, not the time that passed. A machine is busy just when
    services start on it, and wall times then chose the slower type.
    """
    on_processor = next(model.network.parameters()).device.type == "cpu"
    clock = time.thread_time if on_processor else time.perf_counter
    sample = np.concatenate([tokens.ids for tokens in model.tokenize(_SAMPLE)])
    length = min(128, model.max_tokens)
    rows = [np.resize(np.concatenate([model.before, sample, sample, sample]), length).astype(np.int32)] * _ROWS
    best = [float("inf")] * 2
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        deadline = time.perf_counter() + _SECONDS
        for _ in range(_REPETITIONS):
            for i, reader in enumerate((model, other)):
                start = clock()
                reader.states(rows)[0, 0, 0].item()  # which waits for an accelerator
                best[i] = min(best[i], clock() - start)
            if time.perf_counter() > deadline:
                break
    finally:
        torch.set_num_threads(threads)
    return length * _ROWS / best[0], length * _ROWS / best[1]
