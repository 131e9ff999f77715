"""The main job, from outside: a result goes in, people are told, told again, corrected, reminded, released."""

import json
from datetime import timedelta

import pytest

from schemas.topics import PATIENTS, RAW_MESSAGES, TOPICS
from services.common.clock import utc_now
from tests.acceptance.conftest import Opened
from tests.support.browser import links, press
from tests.support.hospital import Hospital, Patient, spoken_number, standing
from tests.support.mailbox import Mail
from tests.support.messages import a_line, a_panel
from tests.support.site import LI, MEYER, NIGHT, OFFICE, WANG

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FERRITIN_ROLES = (LI, WANG, MEYER)
"""Immunology and rheumatology: the roles of ferritin rules (RULES.md 3.2)."""


def a_fast_rise(hospital: Hospital) -> Patient:
    """Ferritin 80 before the first dose, 100 five days ago, 412 an hour ago: level 2, doubled in a week, so P1."""
    patient = hospital.patient().with_baseline(FERRITIN="80")
    patient.draw(ago=5 * DAY, FERRITIN="100")
    patient.draw(ago=HOUR, FERRITIN="412")
    return patient


def recipients(mails: tuple[Mail, ...] | list[Mail]) -> set[str]:
    return {address for mail in mails for address in mail.recipients}


def test_a_ferritin_rise_reaches_everybody_on_duty_for_it_by_mail_and_by_page(hospital: Hospital) -> None:
    patient = a_fast_rise(hospital)
    alert = patient.alert("ferritin.rise", "raised")
    assert (alert["level"], alert["urgency"], alert["value"], alert["baseline"]["value"]) == (2, "P1", "412", "80")
    assert (alert["wording"], alert["reference_high"], alert["late"]) == ("irae-suspected", "150", False)

    for member in FERRITIN_ROLES:
        (mail,) = patient.mail(to=member.mail)
        assert mail.text
        assert mail.html
        assert "412" in mail
        patient.deliveries("sent", recipient=member.name, channel="mail")
        patient.deliveries("sent", recipient=member.name, channel="pager")
        (page,) = (page for page in hospital.mailbox.to(member.page) if spoken_number(alert) in page)
        assert "P1" in page
        assert "5500" in page
        assert spoken_number(alert) in mail


def test_a_page_names_no_patient_and_no_message_names_a_person(hospital: Hospital) -> None:
    patient = a_fast_rise(hospital)
    patient.mail(to=LI.mail)
    patient.deliveries("sent", recipient=LI.name, channel="pager")
    for mail in hospital.mailbox.mails:
        whole = mail.message.as_string() + mail.text + mail.html
        assert patient.subject.mrn not in whole
        assert patient.subject.birth_date not in whole
        assert patient.ref not in mail.subject
    for page in hospital.mailbox.to(LI.page):
        assert patient.ref not in page
        assert "412" not in page
    for service in hospital.system.services:
        said = service.log.read_text("utf-8") + service.get("/metrics").text
        assert patient.subject.mrn not in said, service.name
        assert patient.subject.birth_date.replace("-", "") not in said, service.name


def test_identifiers_stand_on_their_two_topics_and_on_no_other(hospital: Hospital) -> None:
    patient = a_fast_rise(hospital)
    patient.deliveries("sent", recipient=LI.name, channel="pager")
    subject = patient.subject
    identifying = {
        subject.mrn,
        subject.birth_date,
        subject.birth_date.replace("-", ""),
        f"{subject.family}^{subject.given}",
    }
    for topic in TOPICS.values():
        whole = "".join(f"{record.key} {json.dumps(record.value)}" for record in hospital.topic(topic.name).to_end())
        if topic.name == PATIENTS.name:
            assert subject.mrn in whole
        elif topic.name != RAW_MESSAGES.name:
            assert not [words for words in identifying if words in whole], topic.name


def test_an_alt_grade_change_goes_to_the_liver_people(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    patient.draw(ago=HOUR, ALT="236")
    alert = patient.alert("ctcae.alt-increased", "raised")
    assert (alert["grade"], alert["baseline_grade"], alert["urgency"], alert["organ"]) == (3, 0, "P2", "liver")
    patient.mail("236", to=LI.mail)


def test_a_grade_is_escalated_when_it_gets_worse_and_not_said_again_when_it_stays(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    for hours, value in ((9, "150"), (6, "170"), (3, "260"), (1, "255")):
        patient.draw(ago=hours * HOUR, ALT=value)
    patient.alert("ctcae.alt-increased", "escalated", level=3)
    said = [(a["action"], a["level"]) for a in patient.settle() if a["rule_id"] == "ctcae.alt-increased"]
    assert said == [("raised", 2), ("escalated", 3)]


@pytest.mark.slow
def test_nobody_answers_and_the_next_step_is_told_until_somebody_presses_the_button(
    open_hospital: Opened, kafka_bootstrap: str
) -> None:
    hospital = open_hospital(kafka_bootstrap, acknowledge_within="4s")
    patient = a_fast_rise(hospital)
    alert_id = patient.alert("ferritin.rise", "raised")["alert_id"]
    (mail,) = patient.mail(to=LI.mail)
    with hospital.system.web() as browser:
        link = next(link for link in links(mail) if "ack" in link)
        page = browser.get(link)
        assert page.status_code == 200
        assert patient.subject.mrn not in page.text

        # Looking is not answering: the ladder goes on to whoever is on call.
        patient.deliveries("escalated", alert_id=alert_id)
        patient.mail(to=NIGHT.mail)

        assert press(browser, page).status_code == 200
    (answered,) = patient.deliveries("acknowledged", alert_id=alert_id, recipient=LI.name)

    # Another patient's ladder is the clock: when it has climbed, the answered one would have climbed too.
    other = a_fast_rise(hospital)
    other.mail(to=NIGHT.mail, count=2)
    climbed = patient.deliveries("escalated", alert_id=alert_id)
    assert all(step["at"] < answered["at"] for step in climbed)


def test_a_corrected_result_withdraws_the_alert_and_tells_exactly_those_who_had_been_told(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    patient.draw(ago=5 * DAY, FERRITIN="100")
    _, draw = patient.draw(ago=HOUR, FERRITIN="412")
    raised = patient.alert("ferritin.rise", "raised")
    patient.deliveries("sent", seq=raised["seq"], count=2 * len(FERRITIN_ROLES))

    patient.report((a_line("FERRITIN", "90", status="C"),), at=draw.collected_at, order=draw.order)
    withdrawn = patient.alert("ferritin.rise", "withdrawn")
    assert withdrawn["alert_id"] == raised["alert_id"]
    told = _told(patient, raised["seq"])
    patient.deliveries("sent", seq=withdrawn["seq"], count=len(told))
    assert _told(patient, withdrawn["seq"]) == told
    assert {name for name, _ in told} >= {member.name for member in FERRITIN_ROLES}
    assert standing(patient.settle()) == {}


def _told(patient: Patient, seq: int) -> set[tuple[object, object]]:
    """Who was told of one word about the patient, and by which channel."""
    return {(told["recipient"], told["channel"]) for told in patient.deliveries("sent", seq=seq)}


def test_a_recovered_patient_is_released_and_those_who_were_told_hear_it(hospital: Hospital) -> None:
    patient = hospital.patient(first_dose=45 * DAY).with_baseline(FERRITIN="95")
    patient.draw(ago=21 * DAY, FERRITIN="130")
    patient.draw(ago=16 * DAY, FERRITIN="455")
    patient.alert("ferritin.rise", "raised")
    patient.mail(to=LI.mail)
    for days, value in ((12, "240"), (6, "140")):
        patient.draw(ago=days * DAY, FERRITIN=value)
    assert standing(patient.alerts()) == {"ferritin.rise": 2}
    patient.draw(ago=HOUR, FERRITIN="104")
    cleared = patient.alert("ferritin.rise", "cleared")
    assert cleared["reason"] == "recovered"
    patient.plan("stopped", kind="every-3-days")
    assert standing(patient.settle()) == {}
    patient.deliveries("sent", seq=cleared["seq"], recipient=LI.name)


def test_a_retest_that_stays_out_is_reminded_once_and_the_late_rise_itself_pages_nobody(hospital: Hospital) -> None:
    patient = hospital.patient(first_dose=40 * DAY).with_baseline(FERRITIN="62")
    patient.draw(ago=7 * DAY, FERRITIN="231")
    assert patient.alert("ferritin.rise", "raised")["late"] is True
    plan = patient.plan("overdue", kind="every-3-days")
    assert (plan["draw"], plan["minimum_draws"]) == (1, 3)
    (reminder,) = patient.mail(to=OFFICE.mail)
    assert patient.ref not in reminder.subject
    patient.settle()
    assert len([m for m in patient.mails() if OFFICE.mail in m.recipients]) == 1


def test_a_draw_in_time_satisfies_the_plan_and_starts_the_next(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    patient.draw(ago=40 * HOUR, FERRITIN="260")
    first = patient.plan("scheduled", kind="every-3-days")
    assert first["draw"] == 1
    patient.draw(ago=HOUR, FERRITIN="255")
    patient.plan("scheduled", draw=2)


def test_the_same_message_again_is_answered_and_says_nothing(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    collected = utc_now() - HOUR
    answer, draw = patient.report(a_panel(FERRITIN="260", ALT="236"), at=collected)
    assert answer.code == "AA"
    patient.alert("ferritin.rise", "raised")
    repeated = patient.message(a_panel(FERRITIN="260", ALT="236"), draw)
    assert [hospital.system.deliver(repeated).code for _ in range(2)] == ["AA", "AA"]
    # The laboratory's engine was restarted: same results, a control id of its own.
    patient.report(a_panel(FERRITIN="260", ALT="236"), at=collected, order=draw.order)
    said = sorted((a["rule_id"], a["action"]) for a in patient.settle())
    assert said == [("ctcae.alt-increased", "raised"), ("ferritin.rise", "raised")]


def test_a_late_copy_of_the_wrong_value_does_not_undo_its_correction(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    at = utc_now() - 3 * HOUR
    _, draw = patient.report(a_panel(FERRITIN="260"), at=at)
    patient.alert("ferritin.rise", "raised")
    patient.report((a_line("FERRITIN", "82", status="C"),), at=at, order=draw.order, resulted_at=utc_now() - 2 * HOUR)
    patient.alert("ferritin.rise", "withdrawn")
    patient.report((a_line("FERRITIN", "260"),), at=at, order=draw.order, resulted_at=utc_now() - HOUR)
    assert standing(patient.settle()) == {}


def test_outside_immunotherapy_the_word_irae_does_not_appear(hospital: Hospital) -> None:
    patient = hospital.patient(arm="chemotherapy").with_baseline()
    patient.draw(ago=HOUR, ALT="236")
    assert patient.alert("ctcae.alt-increased", "raised")["wording"] == "ae-possible"
    (mail,) = patient.mail(to=LI.mail)
    assert "irae" not in str(mail.message).lower()


def test_a_recorded_adverse_event_starts_the_three_day_cadence(hospital: Hospital) -> None:
    patient = hospital.patient().with_baseline()
    with hospital.system.registry(hospital.token) as registry:
        answer = registry.adverse_event(
            patient.subject, "ae-1", term="colitis", organ="bowel", grade=2, graded_at=utc_now() - HOUR
        )
    assert answer.status_code == 202
    plan = patient.plan("scheduled", kind="every-3-days")
    assert plan["minimum_draws"] == 3
