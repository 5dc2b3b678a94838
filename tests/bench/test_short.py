"""The short form of every benchmark: its guards hold and its result can be read. Never its times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.bench import growth, servers, serving, suite
from tests.bench.__main__ import table
from tests.bench.result import Result


def test_short_form_of_everything_in_one_product(tmp_path: Path) -> None:
    names = set(suite.NAMES) - {"serving"}
    results = dict(suite.run(names, short=True, say=lambda line: None))

    assert set(results) == names
    assert not _broken(results)
    assert json.loads(json.dumps(results))["pipeline"]["figures"]["to_bare_encoder"]["ratio"] > 0
    marks = results["growth"]["figures"]["marks"]
    assert all(mark["passages"] >= bar for mark, bar in zip(marks, (100, 300), strict=True))
    assert results["freshness"]["figures"]["idle"]["found"]["count"] == 10
    assert all(row["what"] in table(results) for each in results.values() for row in each["rows"])
    growth.plot(results["growth"], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_short_form_of_serving_which_starts_servers_of_its_own() -> None:
    results = dict(suite.run(["serving"], short=True, say=lambda line: None))

    assert not _broken(results)
    figures = json.loads(json.dumps(results))["serving"]["figures"]
    assert set(figures["sides"]) == {serving.DEFAULT, servers.PER_REQUEST.name}
    assert all(side["count"] == side["asked"] > 0 for side in figures["sides"].values())
    assert figures["priority"][serving.DEFAULT]["under_bulk"]["count"] == int(serving.QUERIES_PER_SECOND)
    assert all(row["what"] in table(results) for row in results["serving"]["rows"])


def _broken(results: Mapping[str, Result]) -> list[tuple[str, str]]:
    return [(name, guard) for name, each in results.items() for guard, held in each["guards"].items() if not held]
