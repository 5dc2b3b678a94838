"""What a service must never import is not even loaded by what it does import."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "banned"),
    [
        ("spanstream.gateway.service, spanstream.gateway.__main__, spanstream.gateway.heads", "torch ray kafka"),
        ("spanstream.indexer.service, spanstream.indexer.__main__", "torch ray"),
    ],
)
def test_service_loads_nothing_that_is_not_its_business(modules: str, banned: str) -> None:
    program = f"import sys, {modules}; print(*(name for name in {banned.split()!r} if name in sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.strip() == ""
