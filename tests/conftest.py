"""What all tests share: markers equal folder names, `--long` for the long forms, and what a missing neighbour means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.kafka import kafka_url  # noqa: F401 a fixture for every folder

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms of chaos, bench and quality")


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
