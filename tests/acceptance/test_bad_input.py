"""What hospitals really send: unknown units, missing limits, strangers, damaged frames. Nothing wrong is said."""

import base64
import socket
from datetime import timedelta

import httpx
import pytest

from services.common.clock import utc_now
from tests.support.hospital import Draw, Hospital, Patient, standing
from tests.support.messages import Subject, a_line, a_panel, frame, hl7_time
from tests.support.registry import enrolment
from tests.support.system import HOST

HOUR = timedelta(hours=1)


def a_message(patient: Patient, **values: str) -> str:
    """Return one good message of the patient, not sent."""
    number = patient.hospital.number
    return patient.message(a_panel(**values), Draw(number(), utc_now() - HOUR, number()))


def test_an_unknown_unit_is_kept_and_shown_and_not_judged(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    answer, draw = patient.report((a_line("ALT", "900", unit="bananas"), a_line("CRP")), at=utc_now() - HOUR)
    assert answer.code == "AA"
    (report,) = hospital.topic("clinical-events.v1").wait_for(lambda m: m.get("control_id") == draw.control_id, 30)
    alt = next(result for result in report["results"] if result["analyte"] == "ALT")
    assert alt["unit"] is None
    assert alt["original"] == {"value": "900", "unit": "bananas"}
    assert patient.settle() == []


def test_a_missing_upper_limit_is_not_taken_for_normal_and_not_for_high(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    patient.report((a_line("ALT", "236", limits=""), a_line("FERRITIN", "260", limits="")), at=utc_now() - HOUR)
    assert patient.settle() == []


def test_an_absolute_arm_speaks_even_where_the_limit_is_missing(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    patient.report((a_line("FERRITIN", "800", limits=""),), at=utc_now() - HOUR)
    assert patient.alert("ferritin.rise", "raised")["level"] == 3


def test_a_preliminary_result_may_raise_and_its_deletion_takes_it_back(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    at = utc_now() - 2 * HOUR
    _, draw = patient.report((a_line("ALT", "236", status="P"),), at=at)
    patient.alert("ctcae.alt-increased", "raised")
    patient.report((a_line("ALT", "", status="D"),), at=at, order=draw.order, resulted_at=utc_now())
    patient.alert("ctcae.alt-increased", "withdrawn")


def test_a_stranger_is_answered_and_nothing_is_said_until_the_trial_enrols_them(hospital: Hospital) -> None:
    patient = hospital.patient(enrol=False).with_baseline()
    answer, _ = patient.draw(ago=HOUR, FERRITIN="412")
    assert answer.code == "AA"
    patient.enrol()
    # What came before the enrolment counts: the baseline, and the rise that it now has something to be compared with.
    alert = patient.alert("ferritin.rise", "raised")
    assert alert["baseline"]["value"] == "80"


def test_a_report_with_another_birth_date_alerts_nobody_and_is_set_aside(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    patient.ref  # noqa: B018 - the registry's word must be there first
    right = patient.subject
    patient.subject = Subject(right.mrn, right.family, right.given, "1990-12-31", right.sex)
    answer, _ = patient.draw(ago=HOUR, FERRITIN="900")
    assert answer.code == "AA"
    patient.subject = right
    dead = hospital.topic("clinical-events.v1.dead")
    (letter,) = dead.wait_for(lambda m: m.get("patient_ref") == patient.ref, 30)
    hashes = ("dead_letter_id", "event_id", "raw_ref", "sha256", "received_at")  # any four digits may stand in them
    assert "1990" not in str({name: said for name, said in letter.items() if name not in hashes})
    assert [written for written in ("19901231", "1990-12-31") if written in str(letter)] == []
    assert patient.settle() == []


@pytest.mark.parametrize(
    "token",
    [pytest.param("wrong", id="a token nobody was given"), pytest.param("", id="no token")],
)
def test_a_bad_token_changes_nothing(hospital: Hospital, token: str) -> None:
    subject = Subject(f"M{hospital.number()}")
    with hospital.system.registry(token) as registry:
        answer = registry.enrol(subject, first_dose_at=utc_now())
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    # A known patient's enrolment goes through afterwards, and the refused one is not before it.
    assert hospital.patient().ref
    hospital.topic("patients.v1").to_end()
    assert all(record.value.get("mrn") != subject.mrn for record in hospital.topic("patients.v1").records)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"arm": "placebo"}, id="an arm the trial does not have"),
        pytest.param({"birth_date": "31.12.1960"}, id="a date in another notation"),
        pytest.param({"first_dose_at": "2026-01-04T08:00:00"}, id="an instant without a zone"),
        pytest.param({"status": "unsure"}, id="an unknown status"),
    ],
)
def test_a_registry_call_that_cannot_be_meant_is_refused_with_the_field(
    hospital: Hospital, change: dict[str, object]
) -> None:
    with hospital.system.registry(hospital.token) as registry:
        subject = Subject(f"M{hospital.number()}")
        answer = registry.put(subject.mrn, enrolment(subject, first_dose_at=utc_now()) | change)
    assert answer.status_code in {400, 422}
    assert next(iter(change)) in answer.text


def test_the_same_enrolment_twice_has_one_id(hospital: Hospital) -> None:
    patient = hospital.patient(enrol=False)
    assert patient.enrol() == patient.enrol()


def test_two_messages_glued_into_one_frame_are_refused_and_no_result_gets_a_wrong_patient(hospital: Hospital) -> None:
    one, two = hospital.patient().with_baseline(), hospital.patient().with_baseline()
    glued = a_message(one) + a_message(two, FERRITIN="900", ALT="600")
    with hospital.system.laboratory() as laboratory:
        answer = laboratory.send_bytes(frame(glued))
        assert answer.code == "AE"
        # The feed goes on, on the same connection.
        assert laboratory.send(a_message(one)).code == "AA"
    assert one.settle() == []
    assert two.settle() == []


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"\r\n\x00\r\n", id="blanks between frames"),
        pytest.param(b"hello?", id="text between frames"),
        pytest.param(b"\x0bMSH|^~\\&|LIS|LAB|cut off here", id="a frame that was cut off"),
        pytest.param(b"\x0b\x06\x1c\r", id="a transport acknowledgement"),
        pytest.param(b"\x0bMSH|^~\\&|A|B|C|D|2026||ACK|9|P|2.5\rMSA|AA|9\r\x1c\r", id="an acknowledgement"),
    ],
)
def test_a_good_message_after_noise_is_answered_as_if_alone(hospital: Hospital, noise: bytes) -> None:
    patient = hospital.patient()
    message = a_message(patient)
    control = message.split("|")[9]
    with hospital.system.laboratory() as laboratory:
        laboratory.write(noise)
        answer = laboratory.send(message)
    assert (answer.code, answer.control_id) == ("AA", control)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param("MSH|^~\\&|LIS|LAB|IRAE|TRIAL|{now}||ADT^A04|{id}|P|2.5.1\rEVN|A04\rPID|1||77^^^HOSP^MR\r", "AA",
                     id="a message we do not use"),
        pytest.param("MSH|^~\\&|LIS|LAB|IRAE|TRIAL|{now}||ORU^R01|{id}|P|2.5.1\rOBR|1\rOBX|1|NM|1742-6^ALT^LN||5|U/L\r",
                     "AE", id="results of nobody"),
        pytest.param("MSH|^~\\&|NOBODY|ELSE|IRAE|TRIAL|{now}||ORU^R01|{id}|P|2.5.1\rPID|1||77^^^HOSP^MR\r", "AE",
                     id="a sender nobody agreed with"),
    ],
)  # fmt: skip
def test_each_message_is_answered_by_what_it_is(hospital: Hospital, content: str, code: str) -> None:
    message = content.format(now=hl7_time(utc_now()), id=hospital.number())
    with hospital.system.laboratory() as laboratory:
        assert laboratory.send(message).code == code


def test_what_is_not_hl7_is_shown_the_door_and_the_next_one_is_served(hospital: Hospital) -> None:
    with socket.create_connection((HOST, hospital.system.ports.mllp), timeout=10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stranger.recv(100) == b""
    patient = hospital.patient()
    with hospital.system.laboratory() as laboratory:
        assert laboratory.send(a_message(patient)).code == "AA"


def test_every_frame_that_was_taken_is_kept_as_it_came(hospital: Hospital) -> None:
    patient = hospital.patient()
    message = a_message(patient)
    with hospital.system.laboratory() as laboratory:
        laboratory.send(message)
    kept = hospital.topic("raw-messages.v1").to_end()
    assert any(base64.b64decode(record.value["body"]) == message.encode() for record in kept)


def test_counts_come_out_even(hospital: Hospital) -> None:
    """What came in = the sum of what became of it, in ingest and in the detector."""
    patient = hospital.patient().with_baseline()
    patient.settle()
    ingest = hospital.system.ingest.metrics()
    assert ingest["ingest_frames_in_total"] == _sum(ingest, "ingest_frames_total")
    detector = hospital.system.detector.metrics()
    assert _sum(detector, "detector_events_taken_total") == _sum(detector, "detector_events_total")
    assert standing(patient.alerts())


def _sum(metrics: dict[str, float], name: str) -> float:
    return sum(value for key, value in metrics.items() if key == name or key.startswith(name + "{"))
