"""Each alert fires when it should, in the words that it should, and not otherwise; as Prometheus's own tool finds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.fixtures.prometheus import CONFIG, RULES, tool

TESTS = sorted(Path(__file__).parent.glob("alerts*.yaml"))


def promtool(*arguments: str) -> None:
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", *map(str, sorted(RULES.glob("*.yaml"))))


def test_the_scrape_configuration_is_valid(tmp_path: Path) -> None:
    config = CONFIG.read_text().replace("/etc/prometheus/rules", str(RULES))
    assert str(RULES) in config
    (tmp_path / "prometheus.yml").write_text(config)
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_alerts_fire_as_their_tests_say() -> None:
    promtool("test", "rules", *map(str, TESTS))


def test_every_alert_is_tested_both_ways() -> None:
    cases: list[dict[str, Any]] = [
        case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in test["alert_rule_test"]
    ]
    alerts = {
        rule["alert"]
        for path in RULES.glob("*.yaml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
    for fires in (True, False):
        assert {case["alertname"] for case in cases if bool(case["exp_alerts"]) == fires} == alerts
