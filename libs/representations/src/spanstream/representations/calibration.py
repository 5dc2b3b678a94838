"""float32, bfloat16 or int8: measured at load on this machine, because each is several times faster where the processor
has units for it and slower where it does not. Never decided by the processor's name."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch

from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.int8 import int8_pass
from spanstream.representations.model import Model
from spanstream.representations.prepacked import prepack

_SAMPLE = (
    "A stream of document events becomes a search index of meaning at every granularity.",
    "The boundary layer on a flat plate at zero incidence was measured at several Mach numbers; heat transfer rose.",
    "Who decides which books a library buys, and how are readers asked?",
    "In vitro, the lens of the eye takes up amino acids: 3.5 mmol/l within 40 minutes.",
)
_BATCH = (4, 128)  # rows and tokens: about 0.1 s in float32 on one core, which is as many as a batch gives each of two
_QUERY = (1, 16)
_REPETITIONS = 5
_SECONDS = 0.6  # no further repetition after this, so that a busy machine starts as well
_MIN_COSINE = 0.999
_MIN_GAIN = 1.1  # a smaller gain is noise
_MIN_SHARE = 0.7  # of int8's speed over a query that bfloat16 has to have to read queries in its place


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured of each type: tokens per second and core, and the lowest cosine to float32's vectors of the others'."""

    dtype: str
    speeds: Mapping[str, float]
    cosines: Mapping[str, float]

    def keeps(self, dtype: str) -> bool:
        """Whether the model can be read in this type, and gives the vectors that it gives in float32."""
        return dtype in self.speeds and self.cosines.get(dtype, 1.0) >= _MIN_COSINE


def calibrate(model: Model) -> tuple[Model, Calibration]:
    """The fastest of `model` (float32) and its copies in bfloat16 and int8 that keep the vectors; takes 1.5 s.

    Call it before other threads use torch: it lowers torch's number of threads for a moment.
    """
    copies = [_bfloat16(model)]
    with suppress(ModelUnsupported):
        copies.append(_int8(model))
    cosines = {}
    for other in [*copies]:
        try:
            cosines[other.dtype] = _cosine(model, other)
        except (RuntimeError, TypeError):  # the model has an operation that this type has not, as FNet's transform
            copies.remove(other)
    models = [prepack(model), *copies]
    speeds = _speeds(models, _BATCH)
    chosen = choice(speeds, cosines)
    fastest = next(each for each in models if each.dtype == chosen)
    if chosen == "int8" and "bfloat16" in cosines:
        fastest = _exact_in_queries(fastest, copies[0])
    return fastest, Calibration(chosen, speeds, cosines)


def choice(speeds: Mapping[str, float], cosines: Mapping[str, float]) -> str:
    """The type to take. `speeds`: in order of trust; a later type has to be faster, and to keep the vectors."""
    chosen, *others = speeds
    for dtype in others:
        if cosines[dtype] >= _MIN_COSINE and speeds[dtype] >= _MIN_GAIN * speeds[chosen]:
            chosen = dtype
    return chosen


def in_int8(model: Model) -> Model:
    """`model` (float32) in int8. Raises ModelUnsupported where it cannot be, or would not keep the vectors."""
    other = _int8(model)
    cosine = _cosine(model, other)
    if cosine < _MIN_COSINE:  # some models, and all on processors without VNNI, whose sums of bytes overflow
        raise ModelUnsupported(
            f"in int8 this model's vectors have a cosine of {cosine:.4f} to those in float32 on this processor, needed is "
            f"{_MIN_COSINE}: set the dtype to auto, float32 or bfloat16"
        )
    return _exact_in_queries(other, _bfloat16(model))


def _bfloat16(model: Model) -> Model:
    return prepack(replace(model, network=copy.deepcopy(model.network).to(torch.bfloat16), dtype="bfloat16"))


def _exact_in_queries(small: Model, wide: Model) -> Model:
    """`small` in int8, with the network of `wide` for short calls where that is about as fast.

    Bytes gain little there, since what is done around a product is most of it, and what they cost a query's vector decides
    the order of all its hits (docs/decisions/0010-int8.md).
    """
    speeds = _speeds([small, wide], _QUERY)
    return replace(small, exact=wide.network) if speeds[wide.dtype] >= _MIN_SHARE * speeds[small.dtype] else small


def _int8(model: Model) -> Model:
    if next(model.network.parameters()).device.type != "cpu":
        raise ModelUnsupported("int8 is for the processor; take bfloat16 or float16 on an accelerator")
    sample = [tokens.ids for tokens in model.tokenize(_SAMPLE)]
    ids = np.concatenate([model.before, *sample, model.after])[: model.max_tokens].astype(np.int64)
    return replace(model, network=int8_pass(model.network, torch.from_numpy(ids)[None]), dtype="int8")


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


def _speeds(models: Sequence[Model], shape: tuple[int, int]) -> dict[str, float]:
    """Tokens per second and core of each type over so many rows of so many tokens, interleaved, the best of a few.

    On a processor: one thread, and the time that it computed, not the time that passed. A machine is busy just when
    services start on it, and wall times then chose the slower type.
    """
    model = models[0]
    on_processor = next(model.network.parameters()).device.type == "cpu"
    clock = time.thread_time if on_processor else time.perf_counter
    sample = np.concatenate([tokens.ids for tokens in model.tokenize(_SAMPLE)])
    count, length = shape[0], min(shape[1], model.max_tokens)
    rows = [np.resize(np.concatenate([model.before, sample, sample, sample]), length).astype(np.int32)] * count
    best = {each.dtype: float("inf") for each in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        deadline = time.perf_counter() + _SECONDS
        for _ in range(_REPETITIONS):
            for reader in models:
                start = clock()
                reader.states(rows)[0, 0, 0].item()  # which waits for an accelerator
                best[reader.dtype] = min(best[reader.dtype], clock() - start)
            if time.perf_counter() > deadline:
                break
    finally:
        torch.set_num_threads(threads)
    return {dtype: length * count / seconds for dtype, seconds in best.items()}
