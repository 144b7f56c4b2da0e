"""deploy/grafana/csmf.json: the dashboard, from the table of its panels below.

    python deploy/dashboard.py > deploy/grafana/csmf.json

Decisions
- A panel is a title, a unit and its queries; Grafana's JSON around them is the same for all.
- Rows go from what callers notice to what explains it.
- A test holds the file to this table, and every query to the metrics that the service exposes.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

WIDTH, HEIGHT, ACROSS = 8, 8, 24
SOURCE = {"type": "prometheus", "uid": "prometheus"}
PER_S, SECONDS, COUNT, SHARE, CORES = "reqps", "s", "short", "percentunit", "short"


class Panel(NamedTuple):
    """A title, a unit, and (query, legend) of each of its series."""

    title: str
    unit: str
    series: list[tuple[str, str]]


def rate(metric: str, by: str = "") -> tuple[str, str]:
    """Increase a second, summed but for these labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", ") if label)
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate({metric}[$__rate_interval]))", legend or metric


def quantile(share: float, metric: str, by: str) -> tuple[str, str]:
    """A quantile of a histogram."""
    buckets = f"sum by ({by}, le) (rate({metric}_bucket[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})", f"{{{{{by}}}}} p{100 * share:g}"


ROWS: dict[str, list[Panel]] = {
    "What callers notice": [
        Panel("Requests", PER_S, [rate("csmf_requests_total", "route, status")]),
        Panel(
            "Time of a request",
            SECONDS,
            [quantile(share, "csmf_request_seconds", "route") for share in (0.5, 0.99)],
        ),
        Panel("Lists by whose weights", PER_S, [rate("csmf_lists_total", "scenario, weights")]),
    ],
    "Load": [
        Panel("Time of each stage (p99)", SECONDS, [quantile(0.99, "csmf_stage_seconds", "stage")]),
        Panel(
            "Requests in flight",
            COUNT,
            [
                ("sum(csmf_in_flight_requests)", "in flight"),
                ("sum(csmf_in_flight_limit)", "limit"),
            ],
        ),
        Panel("Refused for load", PER_S, [rate("csmf_overloaded_total", "reason")]),
        Panel("Search effort", SHARE, [("csmf_search_effort", "{{instance}}")]),
        Panel(
            "Slowest worker",
            SECONDS,
            [
                ("max(csmf_service_seconds)", "an answer without waiting"),
                ("max(csmf_loop_lag_seconds)", "a turn of the event loop"),
            ],
        ),
        Panel("Callers refused", PER_S, [rate("csmf_refused_callers_total", "status")]),
    ],
    "Quality": [
        Panel(
            "Recall of sampled lists",
            SHARE,
            [
                ('csmf:recall:1h{scenario=~"$scenario"}', "{{scenario}}"),
                (
                    'sum(rate(csmf_recall_ratio_sum{effort="reduced"}[$__rate_interval]))'
                    ' / sum(rate(csmf_recall_ratio_count{effort="reduced"}[$__rate_interval]))',
                    "at reduced effort",
                ),
                ("min(csmf_recall_promised_ratio)", "promised"),
            ],
        ),
        Panel(
            "Drift of users (PSI; 0.25 is trouble)",
            COUNT,
            [('csmf:drift_psi:6h{scenario=~"$scenario"}', "{{scenario}} {{signal}}")],
        ),
        Panel(
            "Share of each tenth, by length of the user's vector",
            SHARE,
            [
                (
                    'csmf:drift_share:6h{scenario=~"$scenario",signal="norm"}',
                    "{{scenario}} {{tenth}}",
                )
            ],
        ),
        Panel("Samples", PER_S, [rate("csmf_samples_total", "outcome")]),
        Panel("Cores spent on samples", CORES, [rate("csmf_sample_seconds_total")]),
    ],
    "Features": [
        Panel("Users by origin of features", PER_S, [rate("csmf_features_total", "features")]),
        Panel("Look-ups that failed", PER_S, [rate("csmf_features_failures_total", "reason")]),
        Panel(
            "What could not be read",
            PER_S,
            [
                rate("csmf_features_unreadable_total", "feature"),
                rate("csmf_unknown_categories_total", "feature"),
                rate("csmf_unknown_features_total"),
            ],
        ),
    ],
    "What is served": [
        Panel(
            "Workers by pair",
            COUNT,
            [("sum by (run_id, build_id) (csmf_snapshot_workers) > 0", "{{run_id}}/{{build_id}}")],
        ),
        Panel(
            "Refused, unreadable, unfit",
            COUNT,
            [
                ("max by (reason) (csmf_snapshot_refused) > 0", "pair refused: {{reason}}"),
                ("max(csmf_catalogue_refused)", "changes of the catalogue refused"),
                ("max(csmf_keys_unreadable)", "keys unreadable"),
                ("max(csmf_weights_unfit_scenarios)", "scenarios with unfit weights"),
            ],
        ),
        Panel(
            "Changes of the catalogue",
            COUNT,
            [
                ("min(csmf_catalogue_position)", "position"),
                ("max(csmf_catalogue_delta_items)", "items beside the index"),
            ],
        ),
        Panel(
            "Weights version", COUNT, [("min by (scenario) (csmf_weights_version)", "{{scenario}}")]
        ),
        Panel("Age of the weights", SECONDS, [("max(csmf_weights_age_seconds)", "age")]),
        Panel(
            "Weights put back in an hour",
            COUNT,
            [("sum(increase(csmf_weights_put_back_total[1h]))", "records")],
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """All of it."""
    return {
        "uid": "csmf",
        "title": "CSMF retrieval",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_scenarios()]},
        "panels": _panels(),
    }


def _panels() -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    y = 0
    for row, panels in ROWS.items():
        placed.append({"type": "row", "title": row, "gridPos": _place(0, y, ACROSS, 1)})
        y += 1
        for number, panel in enumerate(panels):
            x, down = WIDTH * number % ACROSS, WIDTH * number // ACROSS
            placed.append(_panel(panel, _place(x, y + HEIGHT * down, WIDTH, HEIGHT)))
        y += HEIGHT * (1 + (len(panels) - 1) * WIDTH // ACROSS)
    return [{"id": number, **panel} for number, panel in enumerate(placed, start=1)]


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(panel.series)
        ],
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _scenarios() -> dict[str, Any]:
    query = "label_values(csmf_weights_version, scenario)"
    return {
        "name": "scenario",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "scenario"},
        "definition": query,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=1))
