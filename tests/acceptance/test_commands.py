"""How the processes are started, checked and stopped: DESIGN.md section 7, to the letter."""

import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import Opened
from tests.support.hospital import Hospital
from tests.support.processes import REPOSITORY
from tests.support.system import System

SERVICES = ("ingest", "detector", "notifier")
CANNOT_RUN = 2


@pytest.fixture(scope="module")
def system(hospital: Hospital) -> System:
    return hospital.system


@pytest.mark.parametrize("name", SERVICES)
def test_a_check_of_what_is_in_order_ends_with_0(system: System, name: str) -> None:
    done = system.run("-m", f"services.{name}", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def spoiled(open_hospital: Opened, kafka_bootstrap: str) -> System:
    """An installation that was written and not started; its topics do not exist."""
    return open_hospital(kafka_bootstrap, start=False).system


@pytest.mark.parametrize("name", SERVICES)
def test_missing_topics_are_said_with_the_command_that_makes_them(spoiled: System, name: str) -> None:
    done = spoiled.run("-m", f"services.{name}", "--check")
    assert done.returncode == CANNOT_RUN
    assert "schemas.topics --apply" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_the_example_site_is_in_order(spoiled: System, name: str) -> None:
    spoiled.apply_topics()
    spoiled.env["SITE_DIR"] = str(REPOSITORY / "deploy" / "site")
    done = spoiled.run("-m", f"services.{name}", "--check")
    # All that may be missing is the mail server that the example names on this machine.
    assert [line for line in done.stderr.splitlines() if "1025" not in line and "warning" not in line] == []


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        pytest.param("ingest", "sources.toml", "[[source]\n", id="a source that is no TOML"),
        pytest.param("ingest", "sources.toml", '[[source]]\nname = "x"\nautority = "A"\n', id="a misspelt key"),
        pytest.param("notifier", "rota.csv", "who,when\n", id="a rota with other columns"),
        pytest.param("notifier", "channels.toml", '[mail]\nkind = "pigeon"\n', id="an unknown channel"),
        pytest.param("detector", "site.toml", 'zone = "Mars/Olympus"\n', id="a zone that does not exist"),
        pytest.param("detector", "rules/ferritin.toml", "factor = 2\n", id="a rule without its source"),
    ],
)
def test_a_faulty_file_is_a_sentence_with_its_name(spoiled: System, name: str, file: str, content: str) -> None:
    spoiled.apply_topics()
    path = Path(spoiled.env["SITE_DIR"]) / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, "utf-8")
    done = spoiled.run("-m", f"services.{name}", "--check")
    assert done.returncode == CANNOT_RUN, done.stdout + done.stderr
    assert file in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("variable", ["{name}_METRICS_PORT", "KAFKA_PARTITIONS"])
def test_wrong_settings_are_named_by_their_variable(spoiled: System, name: str, variable: str) -> None:
    variable = variable.format(name=name.upper())
    spoiled.env[variable] = "many"
    done = spoiled.run("-m", f"services.{name}", "--check")
    assert done.returncode == CANNOT_RUN
    assert variable in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_does_not_run_on_topics_that_do_not_exist(spoiled: System, name: str) -> None:
    service = getattr(spoiled, name)
    service.start()
    deadline = time.monotonic() + 60
    while service.is_running and service.readiness() is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert service.exit_code == CANNOT_RUN, service.tail()
    assert "schemas.topics --apply" in service.tail()


def test_the_topics_are_made_once_and_then_in_order(spoiled: System) -> None:
    assert spoiled.run("-m", "schemas.topics", "--check").returncode == CANNOT_RUN
    assert "created" in spoiled.run("-m", "schemas.topics", "--apply").stdout
    again = spoiled.run("-m", "schemas.topics", "--apply")
    assert (again.returncode, again.stdout) == (0, "")
    assert spoiled.run("-m", "schemas.topics", "--check").returncode == 0


def test_each_service_answers_live_ready_and_metrics(system: System) -> None:
    for service in system.services:
        assert [service.get(path).status_code for path in ("/live", "/ready", "/metrics")] == [200, 200, 200]
        assert any(name.startswith(f"{service.name}_") for name in service.metrics())


def test_each_service_ends_cleanly_on_sigterm_within_half_a_minute(system: System) -> None:
    for service in system.services:
        started = time.monotonic()
        assert service.stop(timeout=30) == 0, service.tail()
        assert time.monotonic() - started < 30
        service.start()
    for service in system.services:
        service.wait_ready()
