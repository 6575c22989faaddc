"""`docs/observability.md` says what the code does."""

import json
import re

from prometheus_client import Metric

from hl_assets.observability.catalogue import metrics_table
from hl_assets.observability.collector import OWN
from hl_assets.observability.logs import MAX_EXCEPTION, MAX_MESSAGE
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.observability.test_dashboard import rules

TEXT = (REPOSITORY / "docs" / "observability.md").read_text(encoding="utf-8")


def test_the_metrics_are_the_catalogues() -> None:
    assert metrics_table() in TEXT
    assert all(f"| `{name}` | {meaning} |" in TEXT for name, meaning in OWN.items())


def test_every_metric_of_a_scrape_is_described(scraped: dict[str, Metric]) -> None:
    described = set(re.findall(r"^\| `(hl_assets_\w+)`", TEXT, re.MULTILINE))
    told = {name + ("_total" if family.type == "counter" else "") for name, family in scraped.items()}
    assert told == described


def test_the_example_of_a_line_has_the_fields_of_the_table() -> None:
    (example,) = re.findall(r"```json\n(.*?)\n```", TEXT, re.DOTALL)
    described = set(
        re.findall(
            r"`(\w+)`",
            "".join(re.findall(r"^\| (`timestamp`.*?) \||^\| (`run_id`, `job`.*?) \|", TEXT, re.M)[0]),
        )
    )
    assert described <= set(json.loads(example))


def test_limits_and_rules_are_those_of_the_code() -> None:
    assert f"{MAX_MESSAGE:,}" in TEXT
    assert f"{MAX_EXCEPTION:,}" in TEXT
    names = {rule["alert"] for rule in rules()}
    assert set(re.findall(r"HlAssets\w+", TEXT)) <= names
