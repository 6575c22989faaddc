"""The dashboard and the alert rules ask for metrics and labels that a real scrape has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric

from hl_assets.observability.catalogue import METRICS
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.deployment import compose

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "dashboards" / "hl_assets.json"
RULES = REPOSITORY / "deploy" / "prometheus.rules.yml"
NOT_METRICS = {
    "sum", "max", "min", "by", "rate", "time", "absent", "histogram_quantile", "le", "and", "or", "on", "unless",
    "min_over_time", "up",
}  # fmt: skip
OF_PROMETHEUS = {"job", "instance"}


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def panels() -> list[dict[str, Any]]:
    return [panel for panel in document()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every panel and rule."""
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for rule in rules():
        yield rule["alert"], rule["expr"]


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def metrics_in(promql: str) -> set[str]:
    """Names of metrics in an expression: words that are neither functions, labels, durations nor text."""
    bare = re.sub(r'"[^"]*"', "", promql)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", "", bare)
    return {word for word in re.findall(r"[a-zA-Z_]\w*", bare) if word not in NOT_METRICS}


def selectors_in(promql: str) -> Iterator[tuple[str, str, str, str]]:
    """(metric, label, operator, value) of every condition on a label."""
    for metric, inside in re.findall(r"(\w+)\{([^}]*)\}", promql):
        for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', inside):
            yield metric, label, operator, value


def labels_grouped(promql: str) -> set[str]:
    return {name.strip() for names in re.findall(r"\bby \(([^)]*)\)", promql) for name in names.split(",")}


@pytest.fixture(scope="session")
def series(scraped: dict[str, Metric]) -> dict[str, list[dict[str, str]]]:
    """Sample name -> the labels of its series."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in scraped.values():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(dict(sample.labels))
    return found


@pytest.mark.parametrize(("where", "promql"), list(expressions()))
def test_it_asks_for_what_is_there(where: str, promql: str, series: dict[str, list[dict[str, str]]]) -> None:
    names = metrics_in(promql)
    assert names or "up{" in promql
    assert names <= set(series), where
    known = {label for name in names for labels in series[name] for label in labels} | {"le"}
    assert labels_grouped(promql) <= known, where
    for metric, label, operator, value in selectors_in(promql):
        if label in OF_PROMETHEUS:
            continue
        there = {labels[label] for labels in series[metric]}
        if operator in {"=", "!="} and metric != "hl_assets_api_request_seconds_bucket":
            assert value in there, f"{where}: {metric} has no {label}={value}"
        elif operator == "=~":
            assert set(value.split("|")) <= there, where


def test_every_metric_of_the_platform_is_shown() -> None:
    shown = {name for panel in panels() for target in panel["targets"] for name in metrics_in(target["expr"])}
    left_out = {metric.full_name for metric in METRICS} - shown
    assert left_out == {
        "hl_assets_fetch_requests",  # the repeated ones are shown
        "hl_assets_grader_unpriced_calls_total",
        "hl_assets_table_published_timestamp_seconds",
        "hl_assets_tick_slot_timestamp_seconds",  # every stage has it
    }


def test_panels_use_the_variables_and_do_not_overlap() -> None:
    variables = {variable["name"]: variable["type"] for variable in document()["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query"}
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            for name in metrics_in(target["expr"]):
                assert f'{name}{{job=~"$job"' in target["expr"], panel["title"]
    spaces = sorted(
        (p["gridPos"]["y"], p["gridPos"]["x"], p["gridPos"]["w"], p["gridPos"]["h"])
        for p in document()["panels"]
    )
    assert all(x + width <= 24 for _, x, width, _ in spaces)
    for (y, x, width, height), (next_y, next_x, _, _) in pairwise(spaces):
        assert next_y >= y + height or (next_y == y and next_x >= x + width)
    ids = [panel["id"] for panel in document()["panels"]]
    assert len(ids) == len(set(ids))


def test_grafana_and_prometheus_are_given_the_files() -> None:
    grafana = compose.services({}, frozenset({"monitoring"}))["grafana"].definition["volumes"]
    folder = next(
        mount.split(":")[1] for mount in grafana if mount.startswith("./deploy/grafana/dashboards:")
    )
    provider = yaml.safe_load(
        (REPOSITORY / "deploy/grafana/provisioning/dashboards/hl_assets.yml").read_text(encoding="utf-8")
    )
    assert provider["providers"][0]["options"]["path"] == folder
    prometheus = compose.services({}, frozenset({"monitoring"}))["prometheus"].definition["volumes"]
    mounted = {target: source for source, target, *_ in (mount.split(":") for mount in prometheus)}
    config = yaml.safe_load((REPOSITORY / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))
    (file,) = config["rule_files"]
    assert REPOSITORY / Path(mounted[file]) == RULES
    assert config["global"]["scrape_timeout"] == "10s", (
        "observability.refreshing.PATIENCE_SECONDS is below it"
    )


def test_rules_say_what_happened_and_how_bad_it_is() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert len(rule["annotations"]["summary"]) > 20


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_prometheus_itself_reads_the_rules_and_the_dashboards_expressions(tmp_path: Path) -> None:
    asked = [
        {"record": f"dashboard:{number}", "expr": re.sub(r"\$\w+", "5m", promql)}
        for number, (_, promql) in enumerate(expressions())
    ]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]}))
    for file in (RULES, tmp_path / "asked.yml"):
        done = subprocess.run(
            ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "SUCCESS" in done.stdout


def test_a_metric_that_is_not_there_would_be_noticed() -> None:
    assert metrics_in('max(hl_assets_nothing{job=~"$job",x="hl_assets_y"}) > 3 and up') == {
        "hl_assets_nothing"
    }
    assert list(selectors_in('a{b!~"c"}')) == [("a", "b", "!~", "c")]
