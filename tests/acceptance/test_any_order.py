"""Whatever the order of arrival, the alerts that stand at the end are the same; who leaves the trial is released."""

import random
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from services.common.clock import utc_now
from tests.support.hospital import Draw, Hospital, Patient, standing
from tests.support.messages import a_line, a_panel, frame

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ORDERS = 16
SEED = 20261123
STANDS = {"ferritin.rise": 2, "ctcae.alt-increased": 2}


def a_story(patient: Patient) -> list[Callable[[], object]]:
    """Enrolment, baseline, a rise, a grade 3 that is corrected to grade 2, and an older draw; each may come first."""
    number = patient.hospital.number
    liver = Draw(number(), (utc_now() - 6 * HOUR).replace(microsecond=0), number())

    def corrected() -> None:
        lines = (a_line("ALT", "130", status="C"),)
        patient.report(lines, at=liver.collected_at, order=liver.order, resulted_at=utc_now() - HOUR)

    return [
        patient.enrol,
        patient.with_baseline,
        lambda: patient.draw(ago=5 * DAY, FERRITIN="100"),
        lambda: patient.draw(ago=2 * HOUR, FERRITIN="412", ALT="130"),
        lambda: patient.report(
            a_panel(ALT="236", FERRITIN="105"),
            at=liver.collected_at,
            order=liver.order,
            resulted_at=utc_now() - 5 * HOUR,
        ),
        corrected,
    ]


def test_any_order_of_arrival_ends_in_the_same_standing_alerts(hospital: Hospital) -> None:
    chance = random.Random(SEED)
    patients = []
    for _ in range(ORDERS):
        patient = hospital.patient(enrol=False)
        events = a_story(patient)
        chance.shuffle(events)
        for event in events:
            event()
        patients.append(patient)
    deadline = time.monotonic() + 60
    while any(standing(patient.alerts()) != STANDS for patient in patients) and time.monotonic() < deadline:
        hospital.topic("alerts.v1").poll()
    assert [standing(patient.alerts()) for patient in patients] == [STANDS] * ORDERS
    assert all(_without_sentinels(patient) == STANDS for patient in patients)


def _without_sentinels(patient: Patient) -> dict[str, int]:
    """What stands once everything that was sent has certainly been decided."""
    return standing(patient.settle())


def test_a_baseline_that_comes_late_gives_the_rise_something_to_be_compared_with(hospital: Hospital) -> None:
    patient = hospital.patient()
    patient.draw(ago=2 * HOUR, FERRITIN="412")
    patient.with_baseline(FERRITIN="80")
    assert patient.alert("ferritin.rise", "raised")["baseline"]["value"] == "80"


def test_a_correction_of_the_collection_time_moves_the_draw_and_leaves_none_behind(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    wrong = utc_now() - 3 * HOUR
    _, draw = patient.report((a_line("ALT", "236"),), at=wrong)
    patient.alert("ctcae.alt-increased", "raised")
    # The laboratory had the time of another tube: this one was drawn before the treatment began.
    before = patient.first_dose_at - 2 * DAY
    patient.report((a_line("ALT", "236", status="C"),), at=before, order=draw.order, resulted_at=utc_now())
    patient.alert("ctcae.alt-increased", "withdrawn")
    assert standing(patient.settle()) == {}


@pytest.mark.parametrize("status", ["withdrawn", "deceased"])
def test_who_leaves_the_trial_is_released_with_the_reason(hospital: Hospital, status: str) -> None:
    patient = hospital.patient().with_baseline()
    patient.draw(ago=HOUR, FERRITIN="260")
    patient.alert("ferritin.rise", "raised")
    patient.plan("scheduled", kind="every-3-days")
    patient.enrol(status=status)
    assert patient.alert("ferritin.rise", "cleared")["reason"] == status
    patient.plan("stopped", kind="every-3-days")


def test_who_has_completed_the_treatment_is_still_watched(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    patient.enrol(status="completed")
    patient.draw(ago=HOUR, FERRITIN="260")
    patient.alert("ferritin.rise", "raised")


def test_the_same_patient_on_two_connections_at_once_is_one_patient(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    number = patient.hospital.number
    first = patient.message(a_panel(ALT="150"), Draw(number(), utc_now() - 4 * HOUR, number()))
    second = patient.message(a_panel(ALT="260"), Draw(number(), utc_now() - 2 * HOUR, number()))
    with hospital.system.laboratory() as one, hospital.system.laboratory() as two:
        two.write(frame(second))
        one.write(frame(first))
        assert (one.read().code, two.read().code) == ("AA", "AA")
    assert standing(patient.settle()) == {"ctcae.alt-increased": 3}
