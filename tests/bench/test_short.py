"""The short form of every benchmark: its guards hold and its result can be read. Never its times."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench import growth, servers, serving, suite
from tests.bench.__main__ import table


def test_short_form_of_everything(tmp_path: Path) -> None:
    results = dict(suite.run(suite.NAMES, short=True, say=lambda line: None))

    assert set(results) == set(suite.NAMES)
    broken = {name: guard for name, each in results.items() for guard, held in each["guards"].items() if not held}
    assert not broken
    assert json.loads(json.dumps(results))["pipeline"]["figures"]["to_bare_encoder"]["ratio"] > 0
    marks = results["growth"]["figures"]["marks"]
    assert all(mark["passages"] >= bar for mark, bar in zip(marks, (100, 300), strict=True))
    assert results["freshness"]["figures"]["idle"]["found"]["count"] == 10
    assert results["serving"]["figures"]["sides"].keys() == {serving.DEFAULT, servers.PER_REQUEST.name}
    assert results["serving"]["figures"]["priority"].keys() == {serving.DEFAULT}
    assert all(row["what"] in table(results) for each in results.values() for row in each["rows"])
    growth.plot(results["growth"], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000
