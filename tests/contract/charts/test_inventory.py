"""The pages of what each profile deploys, and of what in it is to be replaced, are current: whoever changes a chart sees there what it changes."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.contract.charts.conftest import merged
from tools import inventory
from tools.helm import PROFILES, Chart


def test_the_page_tells_what_the_profiles_deploy(chart: Chart) -> None:
    assert inventory.PAGE.read_text() == inventory.page(chart), "run `make inventory`"


def test_what_is_to_be_replaced_are_values_that_the_profiles_name() -> None:
    """docs/deployment.md, below its table of profiles."""
    values: dict[str, Any] = {}
    for file in ("values.yaml", *PROFILES["gpu"]):
        values = merged(values, yaml.safe_load((ROOT / "charts/spanstream" / file).read_text()))
    text = (ROOT / "docs/deployment.md").read_text()
    (table,) = re.findall(r"^\| key \| there \|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = table.splitlines()[1:]
    found = set()
    for row in rows:
        parent = ""
        for name in re.findall(r"`([\w.]+)`", row.split("|")[1]):
            parent, _, key = (parent + name if name.startswith(".") else name).rpartition(".")
            place = values
            for part in parent.split("."):
                place = place[part]
            assert key in place, f"{parent}.{key}"
            found.add(f"{parent}.{key}")
    assert len(found) > len(rows) > 10
    assert {"global.kafka.bootstrapServers", "global.network.operators", "ingress.host"} <= found
