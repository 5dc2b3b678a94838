"""The short form of every benchmark: its guards hold and its result can be read. Never its times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import growth, servers, serving, spans, suite
from tests.bench.__main__ import table
from tests.bench.result import Result

PRODUCT = ("growth", "pipeline", "freshness", "reingest")


def short_form(*names: str) -> dict[str, Result]:
    results = dict(suite.run(names, short=True, say=lambda line: None))
    assert set(results) == set(names)
    broken = {name: guard for name, each in results.items() for guard, held in each["guards"].items() if not held}
    assert not broken
    assert all(row["what"] in table(results) for each in results.values() for row in each["rows"])
    read: dict[str, Result] = json.loads(json.dumps(results))
    return read


def test_every_benchmark_has_a_short_form() -> None:
    assert {*PRODUCT, "encoder", "spans", *suite.ALONE} == set(suite.NAMES)


def test_short_form_on_the_product(tmp_path: Path) -> None:
    results = short_form(*PRODUCT)
    assert results["pipeline"]["figures"]["to_bare_encoder"]["ratio"] > 0
    marks = results["growth"]["figures"]["marks"]
    assert all(mark["passages"] >= bar for mark, bar in zip(marks, growth.SHORT_MARKS, strict=True))
    assert results["freshness"]["figures"]["idle"]["found"]["count"] == 10
    growth.plot(results["growth"], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_short_form_of_the_encoder() -> None:
    assert short_form("encoder")["encoder"]["figures"]["to_sentence_transformers"]["ratio"] > 0


def test_short_form_of_spans() -> None:
    assert set(short_form("spans")["spans"]["figures"]["ratios"]) == set(spans.FORMS)


def test_short_form_of_serving() -> None:
    figures = short_form("serving")["serving"]["figures"]
    assert figures["sides"].keys() == {serving.DEFAULT, servers.PER_REQUEST.name}
    assert figures["priority"].keys() == {serving.DEFAULT}


def test_short_form_of_migration() -> None:
    figures = short_form("migration")["migration"]["figures"]
    assert figures["to_bare_encoder"]["ratio"] > 0
    assert figures["searches"].keys() == {"without", "beside", "paced"}


@pytest.mark.parametrize("name", [name for name in suite.ALONE if name not in ("serving", "migration")])
def test_short_form_of_searches(name: str) -> None:
    result = short_form(name)[name]
    assert result["figures"]
    assert any(row["value"] for row in result["rows"])
