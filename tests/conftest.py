"""What all tests share: markers equal folder names, `--long` for the long forms, and what a missing neighbour means."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.kafka import kafka_url  # noqa: F401 a fixture for every folder

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"

# A third of what short forms take on a common disk is its flushes; in memory they are real calls that cost nothing.
MEMORY = Path("/dev/shm")
MEMORY_FREE = 4 << 30  # bytes; containers often have 64 MiB


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms of chaos, bench and quality")


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what is put into the background with interrupts ignored, and so would be all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_FREE
    if roomy and not config.getoption("--long"):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = Path(item.path).relative_to(ROOT / "tests").parts[0]
        item.add_marker(folder)


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form was asked for."""
    return bool(request.config.getoption("--long"))


def absent(what: str) -> None:
    """A neighbour that a test needs is not there: skip, but fail in CI, where it must be."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def development_data() -> Path:
    """The folder of development sets beside the project; tests skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip("no development data beside the project")
    return DATA
