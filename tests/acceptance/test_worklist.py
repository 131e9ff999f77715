"""The worklist from a browser: sign in, see what is open, acknowledge, close an episode; the detector hears of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx

from tests.support.browser import press
from tests.support.hospital import Hospital, Patient, spoken_number, standing
from tests.support.site import LI, OFFICE, PASSWORD

HOUR = timedelta(hours=1)


@contextmanager
def signed_in(
    hospital: Hospital, person: str, password: str = PASSWORD
) -> Iterator[tuple[httpx.Client, httpx.Response]]:
    with hospital.system.web() as browser:
        page = browser.get("/")
        yield browser, press(browser, page, containing="sign-in", person=person, password=password)


def a_liver_patient(hospital: Hospital) -> Patient:
    patient = hospital.patient().with_baseline()
    patient.draw(ago=HOUR, ALT="236")
    patient.mail(to=LI.mail)
    return patient


def test_nobody_sees_the_worklist_without_a_password(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    with hospital.system.web() as browser:
        for path in ("/", f"/patients/{patient.ref}"):
            page = browser.get(path)
            assert "sign-in" in str(page.url)
            assert "236" not in page.text
            assert patient.subject.given not in page.text
    with signed_in(hospital, LI.name, "not-the-password") as (_, answer):
        assert answer.status_code == 401


def test_after_signing_in_the_open_alert_the_patient_and_who_was_told_are_there(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    number = spoken_number(patient.alert("ctcae.alt-increased", "raised"))
    with signed_in(hospital, LI.name) as (browser, worklist):
        assert worklist.status_code == 200
        assert number in worklist.text
        assert patient.ref in worklist.text
        page = browser.get(f"/patients/{patient.ref}").text
        assert "236" in page
        assert f"{patient.subject.family} {patient.subject.given}" in page
        assert LI.name.title() in page


def test_an_acknowledgement_on_the_worklist_is_recorded(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    alert_id = patient.alert("ctcae.alt-increased", "raised")["alert_id"]
    with signed_in(hospital, LI.name) as (browser, worklist):
        assert press(browser, worklist, containing=f"{alert_id}/acknowledge").status_code == 200
    patient.deliveries("acknowledged", alert_id=alert_id, recipient=LI.name)


def test_closing_an_episode_clears_its_alerts_with_the_outcome(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    with signed_in(hospital, LI.name) as (browser, _):
        page = browser.get(f"/patients/{patient.ref}")
        assert press(browser, page, containing="/close", outcome="infection").status_code == 200
    assert patient.alert("ctcae.alt-increased", "cleared")["reason"] == "infection"
    patient.plan("stopped", kind="every-3-days")
    assert standing(patient.alerts()) == {}


def test_the_coordinator_looks_and_does_not_decide(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    with signed_in(hospital, OFFICE.name) as (browser, _):
        page = browser.get(f"/patients/{patient.ref}")
        assert page.status_code == 200
        assert "/close" not in page.text
        forged = browser.post(f"/patients/{patient.ref}/close", data={"outcome": "infection"})
        assert forged.status_code == 403
    assert standing(patient.alerts()) == {"ctcae.alt-increased": 3}


def test_a_form_from_another_site_changes_nothing(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    alert_id = patient.alert("ctcae.alt-increased", "raised")["alert_id"]
    with signed_in(hospital, LI.name) as (browser, _):
        answer = browser.post(
            f"/alerts/{alert_id}/acknowledge",
            data={"patient_ref": patient.ref, "csrf": "guessed"},
            headers={"Origin": "https://elsewhere.example"},
        )
    assert answer.status_code == 403
