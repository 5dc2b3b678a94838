"""What a run shows of itself: a real Prometheus scrapes it, and every panel and alert finds its series; a trace goes through it
from the request to the index.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from spanstream.client import Document, config
from tests.conftest import ROOT
from tests.fixtures import prometheus
from tests.fixtures.otlp import Collector
from tests.fixtures.product import Product
from tests.fixtures.prometheus import RULES, Prometheus

PANELS = [
    (f"{path.stem}: {panel['title']}", target["expr"])
    for path in sorted((ROOT / "charts/spanstream/dashboards").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel["targets"]
]
RULE_GROUPS: list[dict[str, Any]] = [
    group for path in sorted(RULES.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]
]
ALERTS = [(rule["alert"], rule["expr"]) for group in RULE_GROUPS for rule in group["rules"]]

_GRAFANA = {"$namespace": ".*", "$__rate_interval": "5m"}
# A series as an expression selects it: a name of ours, and perhaps labels.
_SELECTOR = re.compile(r"\b((?:[a-z]+_)+[a-z]+|up(?={))(\{[^}]*\})?(?=[\s\[)]|$)")
_FUNCTIONS = {"histogram_quantile"}


@pytest.fixture(scope="module")
def scraped(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """What it knows of a product that has ingested and answered, twice over, so that there is a rate."""
    with prometheus.running(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{product.admin}") as running:
        with product.client() as client:
            for _ in range(2):
                receipt = client.put(
                    "observed", Document(id="tides", text="The moon pulls the tides. They rise twice a day.")
                )
                client.wait_searchable([receipt])
                assert client.search("what does the moon do").hits
        running.until(lambda: running.query("sum(rate(gateway_searches_total[5m])) > 0"), "searches are not scraped")
        yield running


@pytest.mark.parametrize(("where", "expression"), PANELS + ALERTS)
def test_every_expression_names_series_that_a_run_has(where: str, expression: str, scraped: Prometheus) -> None:
    for variable, value in _GRAFANA.items():
        expression = expression.replace(variable, value)
    selectors = [name + labels for name, labels in _SELECTOR.findall(expression) if name not in _FUNCTIONS]
    assert selectors
    for selector in selectors:
        scraped.until(lambda selector=selector: scraped.query(selector), f"{where}: nothing is named {selector}")
    if (where, expression) not in ALERTS:
        scraped.until(lambda: scraped.query(expression), f"{where} shows nothing")


def test_every_rule_is_evaluated(scraped: Prometheus) -> None:
    def evaluated() -> bool:
        rules = [rule for group in scraped.get("rules")["groups"] for rule in group["rules"]]
        assert all(rule["health"] != "err" for rule in rules), rules
        return {rule["name"] for rule in rules if rule["health"] == "ok"} == dict(ALERTS).keys()

    scraped.until(evaluated, "a rule is not evaluated")


def traced(product: Product, method: str, path: str, body: dict[str, Any]) -> str:
    """Send a request that belongs to a trace of the caller's; the trace's id."""
    saved = config.read(product.folder)
    trace_id = secrets.token_hex(16)
    headers = {"Authorization": f"Bearer {saved['api_key']}", "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    httpx.request(method, saved["url"] + path, json=body, headers=headers, timeout=60).raise_for_status()
    return trace_id


def names(collector: Collector, trace_id: str, *wanted: str) -> list[str]:
    """Of a trace's spans, once those that are wanted have come."""
    deadline = time.monotonic() + 60
    while not set(wanted) <= {span.name for span in collector.spans(trace_id)}:
        assert time.monotonic() < deadline, [span.name for span in collector.spans(trace_id)]
        time.sleep(0.1)
    return [span.name for span in collector.spans(trace_id)]


def test_one_trace_goes_from_the_request_through_kafka_into_the_index(product: Product, collector: Collector) -> None:
    path = "/v1/sources/traced/documents/bees"
    trace_id = traced(product, "PUT", path, {"text": "Honey bees dance to tell where flowers are."})
    names(collector, trace_id, "HTTP PUT", "ingestor step", "embedder step", "indexer step")
    spans = {span.name: span for span in collector.spans(trace_id)}
    begun = [
        spans[name].start_time_unix_nano for name in ("HTTP PUT", "ingestor step", "embedder step", "indexer step")
    ]
    assert begun == sorted(begun)


def test_a_searchs_trace_shows_its_stages(product: Product, collector: Collector) -> None:
    trace_id = traced(product, "POST", "/v1/search", {"query": "where are the flowers"})
    found = names(collector, trace_id, "HTTP POST", "search embed", "search find")
    assert "flowers" not in str(collector.spans(trace_id))
    assert found.count("HTTP POST") == 1
