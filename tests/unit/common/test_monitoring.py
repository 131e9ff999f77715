"""What operations see from outside: metrics, and health with the reason when something is wrong."""

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from services.common.metrics import MonitoringServer


class Health:
    """What the service would say of itself."""

    fault: str | None = None


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def address(health: Health) -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("probe_events_total", "Events of the test.", registry=registry).inc(3)
    server = MonitoringServer("127.0.0.1", 0, registry, live=lambda: None, ready=lambda: health.fault)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def test_metrics_are_served_in_the_exposition_format(address: str) -> None:
    answer = httpx.get(f"{address}/metrics")
    assert answer.status_code == 200
    assert "probe_events_total 3.0" in answer.text


def test_a_service_that_is_not_ready_says_why(address: str, health: Health) -> None:
    health.fault = "no broker answers"
    answer = httpx.get(f"{address}/ready")
    assert (answer.status_code, answer.text) == (503, "no broker answers\n")
    assert httpx.get(f"{address}/live").status_code == 200


def test_readiness_comes_back(address: str, health: Health) -> None:
    health.fault = "no broker answers"
    assert httpx.get(f"{address}/ready").status_code == 503
    health.fault = None
    assert httpx.get(f"{address}/ready").status_code == 200


def test_another_path_is_not_found(address: str) -> None:
    assert httpx.get(f"{address}/patients").status_code == 404
