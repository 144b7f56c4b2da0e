"""Alerts and dashboard ask for what the service exposes, and each alert says what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from deploy.dashboard import dashboard
from service.watch.scrape import AGE
from service.watch.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
TARGET = {"job", "instance"}  # labels that a scrape adds
GRAFANA = {"$__rate_interval": "5m", "$scenario": ".*"}

RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
SHOWN = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
EXPRESSIONS = [rule["expr"] for rule in RULES] + SHOWN


def parsed(expression):
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    return promql_parser.parse(expression)


def parts(node):
    """The expression and all expressions in it."""
    yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if inner := getattr(node, name, None):
            yield from parts(inner)
    for argument in getattr(node, "args", ()):
        yield from parts(argument)


def selectors(expression):
    found = parts(parsed(expression))
    return [part for part in found if isinstance(part, promql_parser.VectorSelector)]


def labels_of(name, recorded):
    """Labels of a series; None if nothing has this name."""
    if name in recorded:
        return grouped(recorded[name])
    return exposed().get(name)


def grouped(expression):
    """Labels that a rule's result has: those of its first aggregation."""
    for part in parts(parsed(expression)):
        if isinstance(part, promql_parser.AggregateExpr):
            return set(part.modifier.labels)
    raise AssertionError(f"no aggregation in {expression}")


def exposed():
    """Name → labels of each series of a scrape."""
    series = {AGE: TARGET, "up": TARGET}
    for collector in Telemetry().registry._collector_to_names:
        (metric,) = collector.describe()
        labels = TARGET | set(collector._labelnames)
        if metric.type == "histogram":
            series[f"{metric.name}_bucket"] = labels | {"le"}
            series |= {f"{metric.name}_{part}": labels for part in ("sum", "count")}
        else:
            series[metric.name + ("_total" if metric.type == "counter" else "")] = labels
    return series


RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_query_names_series_and_labels_that_exist(expression):
    found = selectors(expression)
    assert found
    known = set()
    for selector in found:
        labels = labels_of(selector.name, RECORDED)
        assert labels is not None, selector.name
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels, selector.name
        known |= labels
    for part in parts(parsed(expression)):
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier:
            assert set(part.modifier.labels) <= known
        matching = getattr(getattr(part, "modifier", None), "matching", None)
        assert not matching or set(matching.labels) <= known


def test_every_metric_is_on_the_dashboard():
    queries = [*SHOWN, *RECORDED.values()]
    shown = {selector.name for query in queries for selector in selectors(query)}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
    missing = {re.sub("_(bucket|sum|count)$", "", name) for name in exposed()} - families
    assert missing == {"up", "csmf_weights_refreshed_timestamp_seconds"}  # an alert; shown as age


def test_the_dashboard_is_the_one_that_its_table_makes():
    committed = json.loads((ROOT / "deploy" / "grafana" / "csmf.json").read_text())
    assert committed == dashboard(), "python deploy/dashboard.py > deploy/grafana/csmf.json"


def test_no_two_panels_lie_on_each_other():
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    cells = [
        (place["x"] + across, place["y"] + down)
        for place in places
        for across in range(place["w"])
        for down in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_every_alert_is_in_the_run_book_and_says_how_urgent_it_is():
    alerts = {rule["alert"]: rule for rule in RULES if "alert" in rule}
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(Csmf\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert dict(rows) == {name: rule["labels"]["severity"] for name, rule in alerts.items()}
    assert len(rows) == len(alerts)
    for rule in alerts.values():
        assert rule["annotations"]["summary"].endswith(".")


def test_alerts_fire_for_what_they_are_meant_for():
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed; it comes with Prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", "tests/deploy/alerts_test.yml"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
