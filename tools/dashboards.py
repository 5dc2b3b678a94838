"""Writes Grafana's dashboards from what each panel asks; with --check says that they are stale.

A panel is a title, a unit of Grafana's, and expressions with what their lines are called. `HERE` limits an expression to
the namespaces that the reader chose; without Kubernetes there is no such label, which matches too.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "charts/spanstream/dashboards"
HERE = 'namespace=~"$namespace"'
NOT_ANSWERED = ',outcome!="answered"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: (expression, legend) for each family of lines."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    meaning: str = ""


def rate(metric: str, by: str, more: str = "") -> str:
    """Per second, over the time between two points of the graph."""
    return f"sum by ({by}) (rate({metric}{{{HERE}{more}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "", more: str = "") -> str:
    """Of a histogram's observations."""
    groups = ", ".join(part for part in ("le", by) if part)
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', groups, more)})"


def percentiles(histogram: str) -> tuple[tuple[str, str], ...]:
    """The three that are looked at."""
    return tuple((quantile(share, histogram), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99))


DASHBOARDS: dict[str, tuple[str, list[Panel]]] = {
    "pipeline": (
        "Spanstream: pipeline",
        [
            Panel(
                "Documents accepted",
                "ops",
                ((rate("ingestor_documents_accepted_total", "operation"), "{{operation}}"),),
            ),
            Panel(
                "Documents applied to the index", "ops", ((rate("indexer_documents_total", "outcome"), "{{outcome}}"),)
            ),
            Panel(
                "Lag, seconds",
                "s",
                ((f"max by (group) (consumer_lag_seconds{{{HERE}}})", "{{group}}"),),
                "How old the oldest record was that each stage read last: what autoscaling aims at.",
            ),
            Panel("Lag, records", "short", ((f"sum by (group) (consumer_lag_records{{{HERE}}})", "{{group}}"),)),
            Panel(
                "Freshness",
                "s",
                percentiles("indexer_freshness_seconds"),
                "From accepted to searchable.",
            ),
            Panel("Records handled", "ops", ((rate("consumer_records_total", "group, topic"), "{{group}} {{topic}}"),)),
            Panel(
                "Dead letters",
                "ops",
                ((rate("consumer_records_failed_total", "group, reason"), "{{group}} {{reason}}"),),
                "Records that can never be processed; the documents' status says why.",
            ),
            Panel(
                "Batches put back, commits of unknown outcome",
                "ops",
                (
                    (rate("consumer_retries_total", "group"), "put back: {{group}}"),
                    (rate("consumer_commits_unknown_total", "group"), "unknown: {{group}}"),
                ),
                "A stage that puts batches back waits for something: the encoder, the store, or the log.",
            ),
            Panel(
                "Processes",
                "short",
                ((f'sum by (service) (up{{job="spanstream",{HERE}}})', "{{service}}"),),
                "That answer Prometheus.",
            ),
            Panel(
                "Not ready, and keys that cannot be read",
                "short",
                (
                    (f"sum by (part) (service_unready{{{HERE}}})", "{{part}}"),
                    (f"sum by (setting) (auth_file_unreadable{{{HERE}}})", "{{setting}}"),
                ),
                "In how many processes; `/readyz` of each says why.",
            ),
            Panel("Handling one poll", "s", ((quantile(0.95, "consumer_step_seconds", "group"), "p95 {{group}}"),)),
            Panel(
                "Refused and unchanged at the API",
                "ops",
                (
                    (rate("ingestor_documents_refused_total", "type"), "refused: {{type}}"),
                    (f"sum(rate(ingestor_documents_unchanged_total{{{HERE}}}[$__rate_interval]))", "unchanged"),
                ),
            ),
        ],
    ),
    "encoder": (
        "Spanstream: encoder",
        [
            Panel("Tokens", "ops", ((rate("encoder_tokens_total", "release"), "{{release}}"),), "Padding not counted."),
            Panel(
                "Share of padding",
                "percentunit",
                (
                    (
                        f"1 - {rate('encoder_tokens_total', 'release')} / {rate('encoder_padded_tokens_total', 'release')}",
                        "{{release}}",
                    ),
                ),
            ),
            Panel("Queue", "s", percentiles("encoder_queue_seconds"), "From a call to its rows' batch."),
            Panel(
                "Batch fill",
                "percentunit",
                ((quantile(0.5, "encoder_batch_fill_ratio", "release"), "p50 {{release}}"),),
            ),
            Panel(
                "Busy",
                "short",
                ((rate("encoder_busy_seconds_total", "release"), "{{release}}"),),
                "Seconds of forward pass a second: as many as replicas means that they never rest.",
            ),
            Panel(
                "Windows remembered",
                "ops",
                (
                    (rate("encoder_cache_hits_total", "release"), "remembered: {{release}}"),
                    (rate("encoder_cache_misses_total", "release"), "read: {{release}}"),
                ),
            ),
            Panel("One call, as the embedder sees it", "s", percentiles("embedder_encode_seconds")),
        ],
    ),
    "tenants": (
        "Spanstream: tenants",
        [
            Panel(
                "Requests",
                "ops",
                ((f"topk(10, {rate('tenant_requests_total', 'slot')})", "slot {{slot}}"),),
                "The ten slots with most. A tenant's slot is the CRC-32 of its name, modulo 32; several may share one.",
            ),
            Panel(
                "Requests refused or failed",
                "ops",
                (
                    (
                        f"topk(10, {rate('tenant_requests_total', 'slot, scope, outcome', NOT_ANSWERED)})",
                        "slot {{slot}} {{scope}} {{outcome}}",
                    ),
                ),
            ),
            Panel(
                "Requests at once",
                "short",
                ((f"topk(10, {rate('tenant_request_seconds_total', 'slot')})", "slot {{slot}}"),),
                "Seconds of requests a second: how many of a slot run at once.",
            ),
            Panel(
                "Bytes received",
                "Bps",
                ((f"topk(10, {rate('tenant_request_bytes_total', 'slot')})", "slot {{slot}}"),),
            ),
            Panel(
                "Documents accepted",
                "ops",
                ((f"topk(10, {rate('tenant_documents_accepted_total', 'slot')})", "slot {{slot}}"),),
            ),
            Panel(
                "Passages written",
                "ops",
                ((f"topk(10, {rate('tenant_passages_written_total', 'slot')})", "slot {{slot}}"),),
                "What the index has to hold, and the model has read.",
            ),
            Panel(
                "Requests over a tenant's limit",
                "ops",
                ((rate("limits_requests_refused_total", "limit"), "{{limit}}"),),
            ),
            Panel(
                "Requests of nobody we know", "ops", ((rate("auth_requests_refused_total", "reason"), "{{reason}}"),)
            ),
        ],
    ),
    "search": (
        "Spanstream: search",
        [
            Panel("Searches", "ops", ((rate("gateway_searches_total", "mode, outcome"), "{{mode}} {{outcome}}"),)),
            Panel(
                "Latency",
                "s",
                tuple(
                    (quantile(share, "gateway_search_seconds", more=',stage="total"'), f"p{share * 100:g}")
                    for share in (0.5, 0.95, 0.99)
                ),
            ),
            Panel(
                "Searches without a hit",
                "percentunit",
                (
                    (
                        f"sum(rate(gateway_searches_empty_total{{{HERE}}}[$__rate_interval])) / "
                        f"sum(rate(gateway_searches_total{{{HERE}}}[$__rate_interval]))",
                        "share",
                    ),
                ),
            ),
            Panel(
                "How near the nearest passage is",
                "short",
                (
                    (
                        f"sum(rate(gateway_best_cosine_sum{{{HERE}}}[$__rate_interval])) / "
                        f"sum(rate(gateway_best_cosine_count{{{HERE}}}[$__rate_interval]))",
                        "cosine",
                    ),
                    (f"max(indexer_drift_ratio{{{HERE}}})", "drift"),
                    (f"max(indexer_hubness_ratio{{{HERE}}})", "hubness"),
                ),
                "Falling, or drift above 0.1: docs/operations.md#spanstreamdrift.",
            ),
            Panel("Latency by stage", "s", ((quantile(0.95, "gateway_search_seconds", "stage"), "p95 {{stage}}"),)),
            Panel(
                "Refused, and not waited for",
                "ops",
                (
                    (f"sum(rate(gateway_searches_refused_total{{{HERE}}}[$__rate_interval]))", "refused"),
                    (rate("gateway_unfinished_total", "step"), "left out: {{step}}"),
                ),
            ),
            Panel(
                "Queries whose vectors were remembered",
                "percentunit",
                (
                    (
                        f"sum(rate(gateway_query_cache_hits_total{{{HERE}}}[$__rate_interval])) / "
                        f"(sum(rate(gateway_query_cache_hits_total{{{HERE}}}[$__rate_interval])) + "
                        f"sum(rate(gateway_query_cache_misses_total{{{HERE}}}[$__rate_interval])))",
                        "share",
                    ),
                ),
            ),
            Panel(
                "Standing queries",
                "short",
                (
                    (f"max(indexer_standing_queries{{{HERE}}})", "queries"),
                    (f"sum(rate(indexer_matches_total{{{HERE}}}[$__rate_interval]))", "matches a second"),
                    (f"sum(ingestor_match_streams{{{HERE}}})", "open streams"),
                ),
            ),
        ],
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    """As Grafana reads it: panels in two columns."""
    title, panels = DASHBOARDS[name]
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "uid": f"spanstream-{name}",
        "title": title,
        "tags": ["spanstream"],
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "schemaVersion": 39,
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                {
                    "name": "namespace",
                    "type": "query",
                    "datasource": source,
                    "query": "label_values(namespace)",
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                    "refresh": 2,
                },
            ]
        },
        "panels": [
            {
                "id": number + 1,
                "title": panel.title,
                "description": panel.meaning,
                "type": "timeseries",
                "datasource": source,
                "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
                "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend, "datasource": source}
                    for index, (expression, legend) in enumerate(panel.lines)
                ],
            }
            for number, panel in enumerate(panels)
        ],
    }


def text(name: str) -> str:
    """The dashboard's file."""
    return json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write, or compare."""
    FOLDER.mkdir(exist_ok=True)
    paths = {name: FOLDER / f"{name}.json" for name in DASHBOARDS}
    if "--check" in sys.argv[1:]:
        return int(any(path.read_text() != text(name) for name, path in paths.items()))
    for name, path in paths.items():
        path.write_text(text(name))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
