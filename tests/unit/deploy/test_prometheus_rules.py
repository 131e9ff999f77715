"""What wakes operations: every metric exists, every alert has its chapter in the runbook."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from services.detector.metrics import Metrics as DetectorMetrics
from services.ingest.metrics import IngestMetrics
from services.notifier.metrics import Metrics as NotifierMetrics

ROOT = Path(__file__).resolve().parents[3]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
SUFFIXES = ("_bucket", "_count", "_sum", "_created")


def headings() -> set[str]:
    text = (ROOT / "docs/runbook.md").read_text("utf-8")
    return {
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("## ")
    }


def known_metrics() -> set[str]:
    registry = CollectorRegistry()
    for metrics in (IngestMetrics, DetectorMetrics, NotifierMetrics):
        metrics(registry)
    return set(names(registry))


def names(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        yield family.name
        yield f"{family.name}_total"
        yield from (f"{family.name}{suffix}" for suffix in SUFFIXES)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_names_a_chapter_of_the_runbook_that_exists(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor in headings()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_only_for_metrics_that_exist(alert: dict[str, Any]) -> None:
    asked = set(re.findall(r"\b(?:ingest|detector|notifier)_[a-z_]+", alert["expr"]))
    assert asked - known_metrics() == set()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_whom_it_wakes(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
