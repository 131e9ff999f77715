"""A real detector process on a real broker: what it must survive, and what it must refuse."""

import random
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text

from schemas.admin import check_topics, connected
from schemas.topics import ALERTS, CLINICAL_EVENTS, RETESTS
from services.common.clock import utc_now
from tests.integration.detector.conftest import OURS, Said, Ward, plain_fold
from tests.support.processes import Process
from tests.support.recording import enrolments, recording, report
from tests.support.topics import TopicReader

pytestmark = pytest.mark.timeout(180)


def until(condition: Callable[[], bool], seconds: float = 60.0, why: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {why()}"
        time.sleep(0.1)


def count(process: Process, prefix: str) -> float:
    with suppress(httpx.TransportError):
        return sum(value for name, value in process.metrics().items() if name.startswith(prefix))
    return 0.0


def said(reader: TopicReader) -> set[Said]:
    reader.to_end()
    return {(record.value["alert_id"], record.value["action"], record.value["level"]) for record in reader.records}


def steps(reader: TopicReader) -> dict[tuple[str, int], set[str]]:
    """Each step of an alert by its id and number, with the bodies under which it was published."""
    found: dict[tuple[str, int], set[str]] = {}
    for record in reader.records:
        value: dict[str, Any] = record.value
        found.setdefault((value["alert_id"], value["seq"]), set()).add(str(sorted(value.items())))
    return found


def test_events_go_in_and_alerts_and_plans_come_out(ward: Ward) -> None:
    events = list(recording(20, 6, utc_now()))
    ward.send(events, (b"PAT1", b"{"), (b"PAT1", events[-1].encode()))
    detector = ward.detector()
    detector.start()
    detector.wait_ready()
    taken = len(events) + 2
    until(lambda: count(detector, "detector_events_taken_total") == taken, why=detector.tail)
    until(lambda: count(detector, "detector_outbox_rows") == 0)
    alerts, plans, dead = (ward.reader(name) for name in (ALERTS.name, RETESTS.name, CLINICAL_EVENTS.dead))
    expected = plain_fold(events, ward.folder)
    assert expected, "the recording says nothing: this test would hold nothing"
    until(lambda: said(alerts) == expected)
    assert {record.value["status"] for record in plans.to_end()} >= {"scheduled"}
    assert sorted(record.value["reason"] for record in dead.to_end()) == ["undecodable", "wrong_key"]
    outcomes = {name: value for name, value in detector.metrics().items() if name.startswith("detector_events_total")}
    assert sum(outcomes.values()) == taken
    assert outcomes['detector_events_total{outcome="dead"}'] == 2
    beats = [value for name, value in detector.metrics().items() if name.startswith("detector_heartbeat_seconds")]
    assert len(beats) == ward.partitions
    assert max(beats) - min(beats) < 30
    assert detector.stop(30) == 0


def test_killed_three_times_amid_500_events_every_effect_is_there_once_by_id(ward: Ward) -> None:
    events = list(recording(50, 10, utc_now(), rising_every=5))
    expected = plain_fold(events, ward.folder)
    detector = ward.detector(DETECTOR_BATCH="7")
    for share in range(3):
        ward.send(events[share * 185 : share * 185 + 185])
        detector.start()
        detector.wait_ready()
        until(lambda: count(detector, "detector_events_taken_total") > 40, why=detector.tail)
        detector.kill()
    detector.start()
    detector.wait_ready()
    alerts = ward.reader(ALERTS.name)
    until(lambda: said(alerts) >= expected, why=detector.tail)
    until(lambda: count(detector, "detector_outbox_rows") == 0 and count(detector, "detector_lag_events") == 0)
    assert said(alerts) == expected
    assert all(len(bodies) == 1 for bodies in steps(alerts).values()), "a repeat differs from what it repeats"
    assert detector.stop(30) == 0


def test_what_became_due_during_an_outage_is_said_once_and_late(ward: Ward) -> None:
    """The retest of an episode is overdue 96 h after its draw; the draw here lies 96 h back, but for seconds."""
    now = utc_now()
    draw = now - timedelta(hours=96) + timedelta(seconds=20)
    [enrolled] = enrolments(1, now - timedelta(days=20), 1)
    rise = report(0, 1, draw, rises=True, dice=random.Random(1))
    usual = report(0, 0, draw - timedelta(days=17), rises=False, dice=random.Random(1))
    ward.send([enrolled, usual, rise])
    detector = ward.detector()
    detector.start()
    detector.wait_ready()
    plans = ward.reader(RETESTS.name)
    until(lambda: any(record.value["status"] == "due" for record in plans.to_end()), why=detector.tail)
    detector.kill()
    while utc_now() < draw + timedelta(hours=96, seconds=2):
        time.sleep(0.2)
    for _ in range(2):
        detector.start()
        detector.wait_ready()
        until(lambda: "overdue" in [record.value["status"] for record in plans.to_end()], why=detector.tail)
        detector.stop()
    overdue = {record.value["seq"] for record in plans.to_end() if record.value["status"] == "overdue"}
    assert len(overdue) == 1


def test_a_full_disk_makes_it_unready_and_loses_nothing(ward: Ward) -> None:
    events = list(recording(20, 8, utc_now(), rising_every=4))
    expected = plain_fold(events, ward.folder)
    ward.send(events[:40])
    detector = ward.detector()
    detector.start()
    detector.wait_ready()
    until(lambda: count(detector, "detector_events_taken_total") == 40)
    everything = resource.prlimit(detector.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(detector.pid, resource.RLIMIT_FSIZE, (1, everything[1]))
    ward.send(events[40:])
    until(lambda: "database" in str(detector.readiness()), why=detector.tail)
    assert detector.is_running
    resource.prlimit(detector.pid, resource.RLIMIT_FSIZE, everything)
    alerts = ward.reader(ALERTS.name)
    until(lambda: said(alerts) == expected, why=detector.tail)
    detector.wait_ready()
    assert detector.stop(30) == 0


def test_a_database_that_goes_away_is_waited_for(postgres_ward: Ward) -> None:
    ward = postgres_ward
    events = list(recording(20, 8, utc_now(), rising_every=4))
    expected = plain_fold(events, ward.folder)
    url = make_url(ward.database_url)
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    detector = ward.detector()
    detector.start()
    detector.wait_ready()
    with admin.connect() as db:
        db.execute(text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false'))
        db.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"), {"n": url.database}
        )
    ward.send(events)
    until(lambda: "database" in str(detector.readiness()), why=detector.tail)
    with admin.connect() as db:
        db.execute(text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true'))
    admin.dispose()
    alerts = ward.reader(ALERTS.name)
    until(lambda: said(alerts) == expected, why=detector.tail)
    assert detector.stop(30) == 0


def test_another_worker_takes_over_from_one_that_was_killed(postgres_ward: Ward) -> None:
    ward = postgres_ward
    events = list(recording(30, 8, utc_now(), rising_every=3))
    expected = plain_fold(events, ward.folder)
    first, second = ward.detector(), ward.detector()
    for detector in (first, second):
        detector.start()
    for detector in (first, second):
        detector.wait_ready()
    half = len(events) // 2
    ward.send(events[:half])
    until(lambda: count(first, "detector_events_taken_total") + count(second, "detector_events_taken_total") >= 60)
    first.kill()
    ward.send(events[half:])
    alerts = ward.reader(ALERTS.name)
    until(lambda: said(alerts) == expected, why=second.tail)
    assert all(len(bodies) == 1 for bodies in steps(alerts).values())
    assert second.stop(30) == 0


def test_a_broker_that_is_away_at_start_is_waited_for(ward: Ward) -> None:
    detector = ward.detector(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    detector.start()
    until(lambda: "waiting for the broker" in str(detector.readiness()), why=detector.tail)
    assert detector.get("/live").status_code == httpx.codes.OK
    assert detector.stop(30) == 0


def test_a_second_process_on_the_same_file_is_refused(ward: Ward) -> None:
    first, second = ward.detector(), ward.detector()
    first.start()
    first.wait_ready()
    second.start()
    until(lambda: not second.is_running)
    assert second.exit_code == 78
    assert "another process" in second.tail()
    assert first.readiness() is None


def test_a_topic_made_anew_is_refused_until_a_person_decides(ward: Ward) -> None:
    detector = ward.detector()
    detector.start()
    detector.wait_ready()
    detector.stop()
    name = ward.settings().topic(CLINICAL_EVENTS.name)
    with connected(ward.settings()) as admin:
        admin.delete_topics([name])
    time.sleep(1)
    until(lambda: made_again(ward))
    detector.start()
    until(lambda: not detector.is_running, why=detector.tail)
    assert detector.exit_code == 78
    assert "made anew" in detector.tail()


def made_again(ward: Ward) -> bool:
    ward.make_topics()
    return check_topics(ward.settings(), OURS) == []


def test_wrong_topics_are_refused_in_a_sentence(ward: Ward) -> None:
    detector = ward.detector(KAFKA_PARTITIONS="5")
    detector.start()
    until(lambda: not detector.is_running, why=detector.tail)
    assert detector.exit_code == 2
    assert "KAFKA_PARTITIONS" in detector.tail()


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        pytest.param({"DETECTOR_DATABASE_URL": "mysql://x"}, "DETECTOR_DATABASE_URL", id="a database we do not know"),
        pytest.param({"DETECTOR_DUE_SECONDS": "soon"}, "DETECTOR_DUE_SECONDS", id="a word for a number"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(ward: Ward, env: dict[str, str], sentence: str) -> None:
    detector = ward.detector(**env)
    detector.start()
    until(lambda: not detector.is_running)
    assert detector.exit_code == 2
    assert sentence in detector.tail()
    assert "Traceback" not in detector.tail()
