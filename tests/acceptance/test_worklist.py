"""The worklist from a browser: sign in, see what is open, acknowledge, close an episode; the detector hears of it."""

from datetime import timedelta

import httpx

from tests.support.browser import press
from tests.support.hospital import Hospital, Patient, spoken_number, standing
from tests.support.site import LI, OFFICE, PASSWORD

HOUR = timedelta(hours=1)


def signed_in(hospital: Hospital, person: str, password: str = PASSWORD) -> tuple[httpx.Client, httpx.Response]:
    browser = hospital.system.web()
    page = browser.get("/")
    return browser, press(browser, page, containing="sign-in", person=person, password=password)


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
            assert patient.ref not in page.text.replace(f"/patients/{patient.ref}", "")
    browser, answer = signed_in(hospital, LI.name, "not-the-password")
    browser.close()
    assert answer.status_code == 401


def test_after_signing_in_the_open_alert_the_patient_and_who_was_told_are_there(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    number = spoken_number(patient.alert("ctcae.alt-increased", "raised"))
    browser, worklist = signed_in(hospital, LI.name)
    with browser:
        assert worklist.status_code == 200
        assert number in worklist.text
        assert patient.ref in worklist.text
        page = browser.get(f"/patients/{patient.ref}").text
        assert "236" in page
        assert f"{patient.subject.family} {patient.subject.given}" in page
        assert LI.name.title() in page


def test_an_acknowledgement_on_the_worklist_is_recorded(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    browser, worklist = signed_in(hospital, LI.name)
    alert_id = patient.alert("ctcae.alt-increased", "raised")["alert_id"]
    with browser:
        assert press(browser, worklist, containing=f"{alert_id}/acknowledge").status_code == 200
    patient.deliveries("acknowledged", alert_id=alert_id, recipient=LI.name)


def test_closing_an_episode_clears_its_alerts_with_the_outcome(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    browser, _ = signed_in(hospital, LI.name)
    with browser:
        page = browser.get(f"/patients/{patient.ref}")
        assert press(browser, page, containing="/close", outcome="infection").status_code == 200
    assert patient.alert("ctcae.alt-increased", "cleared")["reason"] == "infection"
    patient.plan("stopped", kind="every-3-days")
    assert standing(patient.alerts()) == {}


def test_the_coordinator_looks_and_does_not_decide(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    browser, _ = signed_in(hospital, OFFICE.name)
    with browser:
        page = browser.get(f"/patients/{patient.ref}")
        assert page.status_code == 200
        assert "/close" not in page.text
        forged = browser.post(f"/patients/{patient.ref}/close", data={"outcome": "infection"})
        assert forged.status_code == 403
    assert standing(patient.alerts()) == {"ctcae.alt-increased": 3}


def test_a_form_from_another_site_changes_nothing(hospital: Hospital) -> None:
    patient = a_liver_patient(hospital)
    alert_id = patient.alert("ctcae.alt-increased", "raised")["alert_id"]
    browser, _ = signed_in(hospital, LI.name)
    with browser:
        answer = browser.post(
            f"/alerts/{alert_id}/acknowledge",
            data={"patient_ref": patient.ref, "csrf": "guessed"},
            headers={"Origin": "https://elsewhere.example"},
        )
    assert answer.status_code == 403
