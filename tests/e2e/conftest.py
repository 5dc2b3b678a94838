"""One running product for all tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.otlp import Collector, collecting
from tests.fixtures.product import Product


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Takes the spans of the product."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Product]:
    """Real Kafka, the real index engine, the real model, in one process."""
    folder = tmp_path_factory.mktemp("product")
    with Product.start(folder, "--no-samples", TRACES_URL=collector.url) as running:
        yield running.wait_ready()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of mixed formats, some of which nobody can read."""
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config.txt").write_text("not a document")
    (folder / "house.md").write_text(
        "# The house\n\nThe museum opens at nine in the morning. "
        "The caretaker hides the spare key beneath the blue flowerpot. Lunch is served at noon in the garden.\n"
    )
    (folder / "sub" / "engine.txt").write_text(
        "A diesel engine compresses air until it is hot enough to ignite the fuel. It has no spark plugs.", "utf-8"
    )
    (folder / "page.html").write_text(
        "<html><head><title>Bees</title></head><body><article><h1>Bees</h1><p>Honey bees dance in a figure of eight to "
        "tell their sisters where the flowers are. The angle of the dance gives the direction relative to the sun.</p>"
        "</article></body></html>"
    )
    (folder / "records.jsonl").write_text(
        '{"_id": "moon", "title": "Moon", "text": "Tides follow the moon, which pulls at the sea twice a day.", "year": 1969}\n'
        '{"_id": "bread", "title": "Bread", "text": "Yeast makes the dough rise by giving off carbon dioxide.", "year": 2001}\n'
    )
    (folder / "photo.raw").write_bytes(bytes(range(256)))
    return folder
