"""What this machine is, printed with every result: without it a figure means nothing."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from typing import Any

import torch

from tests.bench.machine import cpu_info, named

PACKAGES = (
    "torch",
    "transformers",
    "kafka-python",
    "qdrant-edge-py",
    "qdrant-client",
    "numpy",
    "sentence-transformers",
)


def machine() -> dict[str, Any]:
    """CPU, flags that matter, cores, memory, versions, commit and a GEMM roofline per dtype."""
    flags = next((line.split(":")[1].split() for line in cpu_info() if line.startswith("flags")), [])
    return {
        **named(),
        "flags": sorted(set(flags) & {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "gemm_gflops": {name: round(gemm(dtype)) for name, dtype in _DTYPES.items()},
    }


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def gemm(dtype: torch.dtype, rows: int = 2048, repeats: int = 30) -> float:
    """Best GFLOP/s of [rows, 384] x [384, 1536], the shape of the model's widest layer."""
    left, right = torch.rand(rows, 384, dtype=dtype), torch.rand(384, 1536, dtype=dtype)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(repeats):
            begun = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - begun)
    return 2 * rows * 384 * 1536 / best / 1e9
