"""P1 to P4: the encoder beside sentence-transformers and ONNX Runtime, on the same texts and cores, in one process.

The peers get what we get: texts that fit one window, all cores, warm. ONNX Runtime also gets our batches, sorted by length
and hardly padded, so that what is compared is the forward pass.

ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI in the environment hides matrix units: what a processor with VNNI alone would get.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spanstream.encoder.encoder import Text
from spanstream.representations.batching import batches
from spanstream.representations.local import Batch, LocalEncoder, open_local
from spanstream.representations.model import find, load
from tests.bench import corpus, facts
from tests.bench.ratio import percentiles, ratio
from tests.bench.result import Result, Row, row

NONE = np.empty((0, 2), np.int32)
PEER_BATCH = 32
ROW = 20  # questions asked of one encoder before the other's turn
ARRIVING = 32  # texts of one arrival-order batch, and of one call of a stream
BUDGET = 4096  # tokens of a batch of the ONNX peers: 2,048 and 8,192 were not faster
FLOP_PER_TOKEN, FLOP_PER_PAIR = (
    21.2e6,
    6 * 4 * 384,
)  # of MiniLM-L6: weights; and attention, per token and token of its text
BARS = {"float32": 1.3, "int8": 2.0, "bfloat16": 4.0}  # of P1


def measure(*, short: bool) -> Result:
    """A B C ... interleaved, fresh texts each time; torch computes on all cores for the peer, a thread a core for ours."""
    count, repetitions, asked = (12, 2, 3) if short else (400, 15, 200)
    observed: list[Batch] = []
    with _opened("auto", observed.append) as ours, _opened("float32") as full, tempfile.TemporaryDirectory() as folder:
        peer = _SentenceTransformers()
        onnx = _Onnx(Path(folder))
        encoders: dict[str, Callable[[Sequence[str]], NDArray[np.float32]]] = {
            "ours": lambda texts: _encode(ours, texts),
            "ours float32": lambda texts: _encode(full, texts),
            "sentence-transformers": peer.encode,
            "onnx float32": onnx.encode,
            "onnx int8": onnx.encode_int8,
        }
        seconds: dict[str, list[float]] = {name: [] for name in encoders}
        cosines: dict[str, list[float]] = {name: [] for name in encoders}
        tokens = flop = 0.0
        for repetition in range(-1, repetitions):  # -1 warms up
            texts, lengths = _texts(count, 5000 + repetition, peer)
            vectors = {}
            for name, encode in encoders.items():
                begun = time.perf_counter()
                vectors[name] = encode(texts)
                if repetition >= 0:
                    seconds[name].append(time.perf_counter() - begun)
            for name, found in vectors.items():
                cosines[name] += (found * vectors["sentence-transformers"]).sum(axis=1).tolist()
            tokens += float(lengths.sum()) * (repetition >= 0)
            flop += float((lengths * (FLOP_PER_TOKEN + FLOP_PER_PAIR * lengths)).sum()) * (repetition >= 0)
        streamed = _stream(ours, observed, texts * (1 if short else 5))
        questions = corpus.questions(asked)
        single = _single(
            {"ours": lambda text: _encode(ours, [text], query=True), "peer": lambda text: peer.encode([text])},
            questions,
        )
        dtype = ours.info().dtype
    return _result(seconds, cosines, tokens, flop, streamed, _arriving(lengths), single, dtype)


def _result(
    seconds: dict[str, list[float]],
    cosines: dict[str, list[float]],
    tokens: float,
    flop: float,
    streamed: float,
    arriving: float,
    single: dict[str, list[float]],
    dtype: str,
) -> Result:
    peer = seconds["sentence-transformers"]
    to_peer, full_to_peer = ratio(peer, seconds["ours"]), ratio(peer, seconds["ours float32"])
    to_onnx, to_int8 = (
        ratio(seconds["onnx float32"], seconds["ours float32"]),
        ratio(seconds["onnx int8"], seconds["ours"]),
    )
    peaks = {name: _all_cores(name) for name in ("float32", "bfloat16")}
    shares = {"float32": flop / sum(seconds["ours float32"]) / 1e9 / peaks["float32"]}
    if dtype in peaks:
        shares[dtype] = flop / sum(seconds["ours"]) / 1e9 / peaks[dtype]
    bar = BARS[dtype]
    alone = ratio(single["ours"], single["peer"])
    one, other = (statistics.median(single[name]) for name in ("ours", "peer"))
    rows: list[Row] = [
        row(f"P1 ours ({dtype}) ÷ sentence-transformers", _shown(to_peer), f"≥ {bar}", to_peer["interval"][0] >= bar),
        row(
            "P1 ours (float32) ÷ sentence-transformers",
            _shown(full_to_peer),
            "≥ 1.3",
            full_to_peer["interval"][0] >= 1.3,
        ),
        row("P1 tokens/s", f"{tokens / sum(seconds['ours']):.0f}"),
        row("P2 ours (float32) ÷ ONNX Runtime float32", _shown(to_onnx), "≥ 1.1", to_onnx["interval"][0] >= 1.1),
        row(f"P2 ours ({dtype}) ÷ ONNX Runtime int8", _shown(to_int8), "≥ 1.1", to_int8["interval"][0] >= 1.1),
        row("P2 share of GEMM peak, float32", f"{shares['float32']:.2f}", "≥ 0.60", shares["float32"] >= 0.6),
        row("P3 real ÷ padded tokens, streaming", f"{streamed:.3f}", "≥ 0.95", streamed >= 0.95),
        row(f"P3 the same, batches of {ARRIVING} as they arrive", f"{arriving:.3f}"),
        row("P4 one query ÷ sentence-transformers", _shown(alone), "≤ 0.40", alone["interval"][1] <= 0.4),
        row("P4 one query, p50 ms: ours, theirs", f"{1000 * one:.1f}, {1000 * other:.1f}"),
    ]
    if dtype == "bfloat16":
        rows.insert(6, row(f"P2 share of GEMM peak, {dtype}", f"{shares[dtype]:.2f}", "≥ 0.30", shares[dtype] >= 0.3))
    return {
        "rows": rows,
        "guards": {
            f"{name}: cosine to float32 mean ≥ 0.999, min ≥ 0.99": np.mean(found) >= 0.999 and min(found) >= 0.99
            for name, found in cosines.items()
            if name.startswith("ours")
        },
        "figures": {
            "dtype": dtype,
            "to_sentence_transformers": to_peer,
            "float32_to_sentence_transformers": full_to_peer,
            "float32_to_onnx": to_onnx,
            "query_to_sentence_transformers": alone,
            "to_onnx_int8": to_int8,
            "gemm_gflops_all_cores": peaks,
            "share_of_peak": shares,
            "cosine": {name: {"mean": float(np.mean(found)), "min": min(found)} for name, found in cosines.items()},
            "query": {name: percentiles(found) for name, found in single.items()},
        },
    }


def _texts(count: int, seed: int, peer: _SentenceTransformers) -> tuple[list[str], NDArray[np.int64]]:
    """Texts of 3 to 150 words that fit one window, in random order, and their tokens, special ones included."""
    chance = random.Random(seed)
    cut = []
    for record in corpus.documents(count, seed=seed):
        words = record["text"].split()
        cut.append(" ".join(words[: chance.choice((chance.randint(3, 20), chance.randint(20, 150)))]))
    lengths = peer.lengths(cut)
    fitting = [i for i, length in enumerate(lengths) if length <= 250]
    return [cut[i] for i in fitting], np.array([lengths[i] for i in fitting])


@contextmanager
def _opened(dtype: str, observe: Callable[[Batch], None] = lambda batch: None) -> Iterator[LocalEncoder]:
    encoder = open_local(dtype=dtype, observe=observe)
    try:
        yield encoder
    finally:
        encoder.close()


def _encode(encoder: LocalEncoder, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
    with _torch_threads(1):
        return np.stack([each.whole for each in encoder.encode([Text(text, NONE) for text in texts], query=query)])


class _SentenceTransformers:
    """`encode()` in float32 with its defaults, but all cores."""

    def __init__(self) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(find("minilm")), device="cpu")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with _torch_threads(os.cpu_count() or 1):
            return np.asarray(
                self._model.encode(
                    list(texts), batch_size=PEER_BATCH, normalize_embeddings=True, show_progress_bar=False
                )
            )

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._model.tokenizer(list(texts))["input_ids"]]


class _Onnx:
    """The same network in ONNX Runtime, float32 and dynamically quantised, in batches sorted by length, on all cores."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime
        import transformers
        from onnxruntime.quantization import QuantType, quantize_dynamic

        self._reader = load("minilm")
        network = transformers.AutoModel.from_pretrained(find("minilm"), attn_implementation="eager").eval()
        path, small = folder / "model.onnx", folder / "int8.onnx"
        example = {
            "input_ids": torch.ones(2, 16, dtype=torch.int64),
            "attention_mask": torch.ones(2, 16, dtype=torch.int64),
        }
        axes = {name: {0: "rows", 1: "length"} for name in (*example, "states")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that another exporter is the default now: it needs minutes
            torch.onnx.export(
                _States(network), tuple(example.values()), str(path), input_names=list(example), output_names=["states"],
                dynamic_axes=axes, dynamo=False, opset_version=17,
            )  # fmt: skip
        quantize_dynamic(path, small, per_channel=True, weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        self._sessions = [
            onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            for file in (path, small)
        ]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._run(self._sessions[0], texts)

    def encode_int8(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._run(self._sessions[1], texts)

    def _run(self, session: Any, texts: Sequence[str]) -> NDArray[np.float32]:
        model = self._reader
        rows = [np.concatenate([model.before, each.ids, model.after]) for each in model.tokenize(texts)]
        found = np.empty((len(rows), model.dimension), np.float32)
        for batch in batches([len(each) for each in rows], BUDGET):
            longest = max(len(rows[i]) for i in batch)
            ids, mask = np.zeros((2, len(batch), longest), np.int64)
            for at, i in enumerate(batch):
                ids[at, : len(rows[i])], mask[at, : len(rows[i])] = rows[i], 1
            (states,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
            sums = (states * mask[:, :, None]).sum(axis=1)
            found[batch] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return found


class _States(torch.nn.Module):
    """A transformers model that returns its last states alone."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def _stream(encoder: LocalEncoder, observed: list[Batch], texts: Sequence[str]) -> float:
    """Real ÷ padded tokens while several callers send calls of ARRIVING texts."""
    import concurrent.futures

    observed.clear()
    calls = [texts[at : at + ARRIVING] for at in range(0, len(texts), ARRIVING)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda call: _encode(encoder, call), calls))
    return sum(batch.tokens for batch in observed) / sum(batch.padded for batch in observed)


def _arriving(lengths: NDArray[np.int64]) -> float:
    """The same for batches of ARRIVING texts as they come."""
    parts = [lengths[at : at + ARRIVING] for at in range(0, len(lengths), ARRIVING)]
    return float(lengths.sum() / sum(len(part) * part.max() for part in parts))


def _single(encoders: dict[str, Callable[[str], object]], questions: Sequence[str]) -> dict[str, list[float]]:
    """Seconds of each question alone. Some in a row and then the same by the other: threads of the one still spin for a moment
    when it has answered, and the first five of a row, which are not counted, get what is left of that.
    """
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for start in range(0, len(questions), ROW):
        some = questions[start : start + ROW]
        for name, encode in encoders.items():
            for number, question in enumerate([*some[:5], *some]):
                begun = time.perf_counter()
                encode(question)
                if number >= min(5, len(some)):
                    seconds[name].append(time.perf_counter() - begun)
    return seconds


def _all_cores(dtype: str) -> float:
    with _torch_threads(os.cpu_count() or 1):
        return facts.gemm(getattr(torch, dtype))


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shown(figures: dict[str, Any]) -> str:
    return f"{figures['ratio']} {figures['interval']}"
