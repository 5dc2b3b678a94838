"""The page of what each profile deploys is current: whoever changes a chart sees there what it changes."""

from __future__ import annotations

from tools import inventory
from tools.helm import Chart


def test_the_page_tells_what_the_profiles_deploy(chart: Chart) -> None:
    assert inventory.PAGE.read_text() == inventory.page(chart), "run `make inventory`"
