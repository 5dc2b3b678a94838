"""Which machine and which commit a figure is of; without torch, which few of those who measure need."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@cache
def named() -> dict[str, Any]:
    """Processor, cores, and the commit as it was when this was first asked; empty where nobody can say."""
    line = next((line for line in cpu_info() if line.startswith("model name")), "")
    return {"cpu": line.partition(":")[2].strip(), "cores": os.cpu_count(), "commit": _commit()}


def cpu_info() -> list[str]:
    """What Linux says of the processors."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _commit() -> str:
    """Ends in -dirty where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
