"""The charts, rendered once for each set of values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from tests.conftest import absent
from tools.helm import Chart, find

Resources = list[dict[str, Any]]
Render = Callable[..., Resources]


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Needs Helm alone."""
    helm = find()
    if helm is None:
        absent("helm (tools/install_helm.sh builds it)")
    assert helm is not None
    return Chart(helm, tmp_path_factory.mktemp("charts") / "charts")


@pytest.fixture(scope="session")
def render(chart: Chart) -> Render:
    """The resources of a profile; raises Refused. What it returns is shared: only look at it."""
    return cache(chart.render)


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As Helm does it."""
    found = copy.deepcopy(dict(values))
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(found.get(name), Mapping)
        found[name] = merged(found[name], value) if both else value
    return found


def settings(found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """As of --set."""
    for name, value in found.items():
        here = f"{path}.{name.replace('.', chr(92) + '.')}" if path else name
        if isinstance(value, Mapping):
            yield from settings(value, here)
        else:
            yield f"{here}={json.dumps(value) if isinstance(value, bool) else value}"
