"""Ingest as a process: real sockets in, a real broker out."""

import json
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.broker import Broker
from services.common.clock import utc_now
from tests.integration.ingest.conftest import MakeSystem
from tests.support.messages import Subject, a_panel, frame, oru
from tests.support.mllp_client import MllpClient, NoAnswer
from tests.support.processes import free_port, python
from tests.support.registry import event_id
from tests.support.site import TOKEN
from tests.support.system import HOST, System

ANNA = Subject("004242", family="Nemo")
MANY = 500


def a_message(number: int = 1, subject: Subject = ANNA, **values: str) -> str:
    collected_at = utc_now() - timedelta(hours=2, seconds=number)
    return oru(subject, a_panel(**values), collected_at=collected_at, control_id=f"C{number}", order=f"O{number}")


def on(system: System, topic: str) -> list[dict[str, Any]]:
    reader = system.topic(topic)
    try:
        return [record.value for record in reader.to_end()]
    finally:
        reader.close()


def test_raw_message_and_event_are_on_the_topics_when_the_answer_is_read(system: System) -> None:
    with system.laboratory() as laboratory:
        answer = laboratory.send(a_message(FERRITIN="812"))
    (event,), (raw,) = on(system, "clinical-events.v1"), on(system, "raw-messages.v1")

    assert (answer.code, answer.control_id) == ("AA", "C1")
    assert (event["kind"], len(event["results"]), event["raw_ref"]) == ("lab-report", 20, raw["raw_id"])
    assert {"004242", "Nemo"}.isdisjoint(json.dumps(event))
    assert system.ingest.metrics()['ingest_frames_total{outcome="published"}'] == 1


def test_a_repeated_message_is_answered_again_and_is_the_same_event(system: System) -> None:
    message = a_message()
    with system.laboratory() as laboratory:
        answers = [laboratory.send(message).code for _ in range(3)]

    assert answers == ["AA"] * 3
    assert len({event["event_id"] for event in on(system, "clinical-events.v1")}) == 1


def test_bad_input_is_answered_kept_and_counted_and_the_connection_goes_on(system: System) -> None:
    with system.laboratory() as laboratory:
        no_patient = laboratory.send(a_message(1).replace("004242^^^HOSP^MR", ""))
        unknown_unit = laboratory.send(a_message(2).replace("|ug/L|", "|furlong/L|"))
        glued = laboratory.send_bytes(b"\x0b" + a_message(3).encode() + b"\x0b" + a_message(4).encode() + b"\x1c\r")
        good = laboratory.send(a_message(5))
    reasons = sorted(letter["reason"] for letter in on(system, "raw-messages.v1.dead"))

    assert [answer.code for answer in (no_patient, unknown_unit, glued, good)] == ["AE", "AA", "AA", "AA"]
    assert glued.control_id == "C4"
    assert reasons == ["no_patient", "truncated_frame"]
    metrics = system.ingest.metrics()
    outcomes = sum(value for name, value in metrics.items() if name.startswith("ingest_frames_total{"))
    assert outcomes == metrics["ingest_frames_in_total"] == 5


def test_the_registry_and_the_laboratory_speak_of_the_same_patient(system: System) -> None:
    with system.laboratory() as laboratory:
        laboratory.send(a_message())
    with system.registry(TOKEN) as registry:
        first = registry.enrol(ANNA, first_dose_at=utc_now())
        grading = {"term": "Hepatitis", "grade": 2, "graded_at": "2026-03-01"}
        again = [registry.put("004242/adverse-events/ae1", grading) for _ in range(2)]
        wrong = registry.put("004242/adverse-events/ae1", grading | {"grade": 6})
    with system.registry("wrong") as stranger:
        refused = stranger.enrol(ANNA, first_dose_at=None)
    events, (patient,) = on(system, "clinical-events.v1"), on(system, "patients.v1")

    assert event_id(first) in {event["event_id"] for event in events}
    assert event_id(again[0]) == event_id(again[1])
    assert (wrong.status_code, refused.status_code) == (httpx.codes.UNPROCESSABLE_ENTITY, httpx.codes.UNAUTHORIZED)
    assert {event["patient_ref"] for event in events} == {patient["patient_ref"]}
    assert (patient["mrn"], patient["name"]) == ("004242", "Nemo Anna")
    assert "Nemo" not in json.dumps(events)
    report, enrolment = (next(e for e in events if e["kind"] == kind) for kind in ("lab-report", "enrolment"))
    assert report["birth_date_token"] == enrolment["birth_date_token"]
    assert report["sex_token"] == enrolment["sex_token"]


def test_nothing_in_the_log_names_a_patient(system: System) -> None:
    with system.laboratory() as laboratory:
        laboratory.send(a_message())
        laboratory.send(a_message().replace("LIS|LAB", "XX|YY"))
        laboratory.send(a_message(2, FERRITIN="?86420"))
    with system.registry(TOKEN) as registry:
        registry.enrol(ANNA, first_dose_at=None)
        registry.put("004242/adverse-events/ae1", {"term": "Hepatitis", "grade": 6, "graded_at": "Nemo"})
    system.ingest.stop()

    log = system.ingest.log.read_text("utf-8")
    assert {"004242", "Nemo", "1961", "19610423"}.isdisjoint(log.replace('"', " ").split())
    assert "published" in log, "it was not asked for everything"
    assert not [word for word in ("Nemo", "86420", "Hepatitis") if word in log]


def test_of_two_gradings_the_one_that_was_said_again_last_comes_last(system: System) -> None:
    with system.registry(TOKEN) as registry:
        gradings = [{"term": "Hepatitis", "grade": grade, "graded_at": "2026-03-01"} for grade in (2, 3, 2)]
        ids = [event_id(registry.put("004242/adverse-events/ae1", grading)) for grading in gradings]
    events = sorted(on(system, "clinical-events.v1"), key=lambda event: event["received_at"])

    assert [(event["grade"], event["event_id"]) for event in events] == list(zip((2, 3, 2), ids, strict=True))
    assert ids[0] == ids[2] != ids[1]
    assert len({event["received_at"] for event in events}) == 3


@pytest.mark.slow
def test_everything_that_was_answered_before_and_after_a_kill_is_on_the_topic(system: System) -> None:
    messages = {f"C{number}": a_message(number, Subject(f"{number % 40:06d}")) for number in range(MANY)}
    answered: set[str] = set()
    first_hundred = threading.Event()

    def send(share: int) -> None:
        for control_id in list(messages)[share::5]:
            answered.add(system.deliver(messages[control_id]).control_id)
            if len(answered) > 100:
                first_hundred.set()

    senders = [threading.Thread(target=send, args=(share,)) for share in range(5)]
    for sender in senders:
        sender.start()
    assert first_hundred.wait(60)
    system.ingest.kill()
    before = len(answered)
    system.ingest.start()
    for sender in senders:
        sender.join(60)

    events = on(system, "clinical-events.v1")
    assert answered == set(messages)
    assert before < MANY
    assert {event["control_id"] for event in events} == set(messages)
    assert len({event["event_id"] for event in events}) == MANY


@pytest.mark.slow
def test_a_silent_broker_means_no_answer_and_a_close_in_time_and_recovery_by_itself(
    make_system: MakeSystem, own_broker: Broker
) -> None:
    system = make_system(own_broker.bootstrap)
    system.apply_topics()
    system.ingest.start()
    system.ingest.wait_ready()
    with system.laboratory() as laboratory:
        assert laboratory.send(a_message(1)).code == "AA"
        own_broker.freeze()
        try:
            started = utc_now()
            with pytest.raises(NoAnswer, match=r"closed|reset"):
                laboratory.send(a_message(2))
            assert utc_now() - started < timedelta(seconds=4.5)
            with system.registry(TOKEN) as registry:
                unavailable = registry.enrol(ANNA, first_dose_at=None)
            assert unavailable.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert unavailable.headers["Retry-After"]
            assert system.ingest.readiness() is not None
            _keep_trying(system, for_seconds=24)  # longer than what was sent may wait: that producer never recovers
        finally:
            own_broker.thaw()
    assert system.deliver(a_message(3), within=60).code == "AA"
    system.ingest.wait_ready(30)

    metrics = system.ingest.metrics()
    assert metrics["ingest_producers_total"] > 1
    outcomes = sum(value for name, value in metrics.items() if name.startswith("ingest_frames_total{"))
    assert outcomes == metrics["ingest_frames_in_total"]


def _keep_trying(system: System, *, for_seconds: float) -> None:
    end = utc_now() + timedelta(seconds=for_seconds)
    while utc_now() < end:
        with suppress(NoAnswer, OSError), MllpClient(HOST, system.ports.mllp, timeout=8) as laboratory:
            laboratory.send(a_message(2))


def test_without_a_broker_it_waits_says_so_takes_no_message_and_stops_when_asked(make_system: MakeSystem) -> None:
    system = make_system(f"{HOST}:{free_port()}")
    system.ingest.start()
    reason = ""
    while "Kafka" not in reason:
        assert system.ingest.is_running, system.ingest.tail()
        reason = system.ingest.readiness() or "ready"
    with pytest.raises(ConnectionRefusedError):
        system.laboratory()
    with system.registry(TOKEN) as registry:
        answer = registry.enrol(ANNA, first_dose_at=None)

    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert system.ingest.stop() == 0


def test_a_stop_answers_what_was_received_and_ends_with_zero(system: System) -> None:
    with system.laboratory() as laboratory, system.laboratory() as idle:
        laboratory.write(b"".join(frame(a_message(number)) for number in range(20)))
        answers = [laboratory.read().control_id for _ in range(20)]
        idle.write(b"\x0bMSH|half")
        assert system.ingest.stop() == 0

    assert answers == [f"C{number}" for number in range(20)]


def test_pythons_hl7_library_in_a_process_of_its_own_gets_its_answers(system: System, tmp_path: Path) -> None:
    path = tmp_path / "message.hl7"
    path.write_text(a_message(), "utf-8", newline="")
    program = (
        "import sys\nfrom hl7.client import MLLPClient\n"
        "text = open(sys.argv[2], newline='').read()\n"
        "with MLLPClient('127.0.0.1', int(sys.argv[1])) as client:\n"
        "    for _ in range(3):\n        print(client.send_message(text).decode().replace('\\r', '/'))\n"
    )
    done = subprocess.run(
        python("-c", program, str(system.ports.mllp), str(path)), capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout.count("MSA|AA|C1/") == 3


def check(system: System, changes: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    system.env |= changes or {}
    return system.run("-m", "services.ingest", "--check")


def test_the_check_passes_on_a_whole_installation_and_makes_nothing(
    make_system: MakeSystem, kafka_bootstrap: str
) -> None:
    system = make_system(kafka_bootstrap)
    system.apply_topics()
    done = check(system)

    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert not Path(system.env["SITE_KEY_FILE"]).exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"KAFKA_PARTITIONS": "5"}, "has 4 partitions", id="wrong topics"),
        pytest.param({"INGEST_MLLP_HOST": "0.0.0.0"}, "in plain text", id="plain text to the world"),
        pytest.param({"SITE_MODE": "production"}, "site.key does not exist", id="production without a key"),
        pytest.param({"SITE_DIR": "/nowhere"}, "sources.toml does not exist", id="no site"),
        pytest.param({"INGEST_MLLP_TLS_PORT": "2576"}, "INGEST_TLS_CERTFILE", id="TLS without a certificate"),
        pytest.param({"INGEST_ANSWER_SECONDS": "9"}, "INGEST_ANSWER_SECONDS", id="a wrong variable"),
    ],
)
def test_the_check_ends_with_two_and_one_sentence_per_fault(
    make_system: MakeSystem, kafka_bootstrap: str, changes: dict[str, str], said: str
) -> None:
    system = make_system(kafka_bootstrap)
    system.apply_topics()
    done = check(system, changes)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_of_an_authority_that_no_source_has_is_a_warning(make_system: MakeSystem, kafka_bootstrap: str) -> None:
    system = make_system(kafka_bootstrap)
    system.apply_topics()
    tokens = Path(system.env["SITE_DIR"]) / "tokens.toml"
    tokens.write_text(tokens.read_text("utf-8").replace('"HOSP"', '"HOSPITAL"'), "utf-8")
    done = check(system)

    assert done.returncode == 0
    assert "warning: a token speaks of patients of HOSPITAL" in done.stderr


def test_a_port_that_is_taken_is_a_sentence(make_system: MakeSystem, kafka_bootstrap: str) -> None:
    system = make_system(kafka_bootstrap)
    system.apply_topics()
    with socket.create_server((HOST, system.ports.ingest_metrics)):
        done = system.run("-m", "services.ingest")

    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_topic_stops_the_start_with_a_sentence(make_system: MakeSystem, kafka_bootstrap: str) -> None:
    system = make_system(kafka_bootstrap)
    done = system.run("-m", "services.ingest")

    assert done.returncode == 2
    assert "does not exist: run `python -m schemas.topics --apply`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_token_is_printed_with_its_stanza(make_system: MakeSystem, kafka_bootstrap: str) -> None:
    system = make_system(kafka_bootstrap)
    given = ("--source", "office", "--authority", "HOSP", "--roles", "coordinator,audit")
    done = system.run("-m", "services.ingest", "token", "new", *given)

    assert done.returncode == 0, done.stderr
    assert 'roles = ["coordinator", "audit"]' in done.stdout
    assert "irae_" in done.stdout
