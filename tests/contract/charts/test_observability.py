"""Alerts and dashboards ask only for metrics that exist, with labels that these have; each alert says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.contract.charts.conftest import Render
from tests.contract.charts.pods import MOVING
from tools import dashboards

CHART = ROOT / "charts/spanstream"
RULES: dict[str, Any] = yaml.safe_load((CHART / "rules/spanstream.yaml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]

# Of PromQL, and what Prometheus adds to a metric.
_WORDS = {"sum", "max", "by", "rate", "increase", "and", "histogram_quantile", "le", "label_values"}
_ADDED = {"namespace", "pod", "le", "service", "job"}
# Prometheus's own: whether a target answers.
_UP = re.compile(r"\bup(?={)")


def declared() -> dict[str, tuple[str, set[str]]]:
    """(kind, labels) by metric, as docs/metrics.md has them."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    return {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def expressions() -> Iterator[tuple[str, str]]:
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    for name in dashboards.DASHBOARDS:
        for panel in json.loads((CHART / f"dashboards/{name}.json").read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_expressions_name_declared_metrics_and_their_labels(where: str, expression: str) -> None:
    metrics = declared()
    used = set(re.findall(r"\b([a-z]+(?:_[a-z]+)+)\b(?=[{\[)\s]|$)", expression)) - _WORDS
    labels: set[str] = set()
    for name in used:
        base = re.sub("_(bucket|sum|count)$", "", name)
        assert base in metrics, f"{where}: no metric {name}"
        kind, own = metrics[base]
        assert (name != base) == (kind == "histogram"), f"{where}: {name} is a {kind}"
        labels |= own
        if kind in ("counter", "histogram"):
            assert re.search(rf"(rate|increase)\({name}\b", expression), f"{where}: {name} only grows"
    assert used or _UP.search(expression), expression
    grouped = {label.strip() for part in re.findall(r"by \(([^)]*)\)", expression) for label in part.split(",")}
    selected = set(re.findall(r"[{,](\w+)(?==)", expression))
    assert grouped | selected <= labels | _ADDED, where
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_says_what_is_wrong_and_where_to_read_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    labels = {label for _, own in declared().values() for label in own} | _ADDED
    assert set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"])) <= labels
    page, _, section = alert["annotations"]["runbook_url"].partition("#")
    assert section == alert["alert"].lower()
    text = (ROOT / page).read_text()
    (runbook,) = re.findall(rf"^## {alert['alert']}\n((?:(?!## ).*\n?)+)", text, re.MULTILINE)
    assert all(f"**{part}" in runbook for part in ("Symptom", "Look at", "Do"))


def panels() -> dict[str, list[str]]:
    """Expressions by dashboard and panel."""
    return {
        f"{name}: {panel['title']}": [target["expr"] for target in panel["targets"]]
        for name in dashboards.DASHBOARDS
        for panel in json.loads((CHART / f"dashboards/{name}.json").read_text())["panels"]
    }


def test_what_an_alert_asks_for_is_on_a_dashboard() -> None:
    shown = str(panels())
    for alert in ALERTS:
        names = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b(?=[{\[)])", alert["expr"]))
        names |= set(_UP.findall(alert["expr"]))
        assert names, alert["alert"]
        assert all(re.search(rf"\b{name}\b", shown) for name in names), alert["alert"]


def test_runbooks_send_people_to_panels_that_there_are() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    named = re.findall(r'\*(\w+)\*,\s((?:"[^"]+"(?:,? and )?)+)', text)
    assert named
    for name, titles in named:
        for title in re.findall(r'"([^"]+)"', titles):
            assert f"{name}: {title}" in panels()


def test_every_runbook_has_its_alert() -> None:
    sections = set(re.findall(r"^## (Spanstream\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
    assert sections == {alert["alert"] for alert in ALERTS}


def test_dashboards_are_those_that_the_tool_writes() -> None:
    written = {path.stem: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    assert written == {name: dashboards.text(name) for name in dashboards.DASHBOARDS}, "run `make dashboards`"


def test_the_chart_holds_the_rules_and_dashboards_as_they_are(render: Render) -> None:
    resources = render("production", "monitoring.runbooks=https://pages.example/operations")
    (rule,) = [one for one in resources if one["kind"] == "PrometheusRule"]
    rendered = json.dumps(rule["spec"]["groups"]).replace("https://pages.example/operations", "docs/operations.md")
    assert json.loads(rendered) == RULES["groups"]
    boards = {
        name: text
        for one in resources
        if one["kind"] == "ConfigMap" and "grafana_dashboard" in one["metadata"]["labels"]
        for name, text in one["data"].items()
    }
    assert set(boards) == {f"{name}.json" for name in dashboards.DASHBOARDS}
    for name, text in boards.items():
        assert json.loads(text) == json.loads((CHART / "dashboards" / name).read_text())


def test_every_target_is_of_the_job_that_alerts_name(render: Render) -> None:
    """With a name of its service, on cores and on Ray: else nobody hears that it is gone."""
    for profile, sets, count in (("production", (), 6), ("gpu", (), 6), ("production", MOVING, 8), ("gpu", MOVING, 8)):
        resources = render(profile, *sets)
        targets = [one for one in resources if one["kind"] in ("Service", "PodMonitor")]
        monitors = [one["spec"] for one in resources if one["kind"] in ("ServiceMonitor", "PodMonitor")]
        assert len(monitors) == len(targets) == count
        for one in targets:
            assert one["metadata"]["labels"]["app.kubernetes.io/name"] == "spanstream"
        for spec in monitors:
            assert spec["jobLabel"] == "app.kubernetes.io/name"
            for endpoint in spec.get("podMetricsEndpoints", []):
                (service,) = endpoint["relabelings"]
                component = spec["selector"]["matchLabels"]["app.kubernetes.io/component"]
                assert service == {"targetLabel": "service", "replacement": f"spanstream-{component}"}
    for job in yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())["scrape_configs"]:
        assert job["job_name"] == "spanstream"
        assert all(group["labels"]["service"] for group in job["static_configs"])


def test_autoscaling_asks_for_the_lag_that_a_stage_reports(render: Render) -> None:
    for one in render("production"):
        if one["kind"] == "ScaledObject":
            seconds, *records = one["spec"]["triggers"]
            assert "consumer_lag_seconds" in seconds["metadata"]["query"]
            group = records[0]["metadata"]["consumerGroup"]
            assert f'group="{group}"' in seconds["metadata"]["query"]
            # Of its own pods: another release of the namespace may have a group of this name.
            assert f'pod=~"{one["metadata"]["name"]}-.+"' in seconds["metadata"]["query"]
            topics = yaml.safe_load((ROOT / "proto/topics.yaml").read_text())["topics"]
            assert {each["metadata"]["topic"] for each in records} == {
                topic["name"] for topic in topics if group in topic["consumers"]
            }
