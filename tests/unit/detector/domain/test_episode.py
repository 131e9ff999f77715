"""Scopes and their names: what is legal, and what keeps its name when late facts move it."""

from services.detector.domain.episode import TRANSITIONS, Cause, Scope
from tests.spec.bedside import enrolled, ferritins


def test_the_table_covers_every_scope_and_every_cause() -> None:
    assert set(TRANSITIONS) == set(Scope)
    assert {cause for causes in TRANSITIONS.values() for cause in causes} == set(Cause)


def test_nothing_closes_an_episode_but_recovery_a_person_or_leaving() -> None:
    closing = {cause for cause, target in TRANSITIONS[Scope.EPISODE].items() if target is Scope.NONE}
    assert closing == {Cause.RECOVERED, Cause.CLOSED, Cause.LEFT}


def test_a_late_fact_that_moves_the_opening_keeps_the_names_of_episode_and_plan() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])
    bedside.report("16 Jan", "19 Jan 11:00", FERRITIN="300", ALT="300")
    assert bedside.standing() == ["ctcae.alt-increased 3 P2", "ferritin.rise 2 P2"]
    assert len({alert.episode_id for alert in bedside.said}) == 1
    assert len({plan.plan_id for plan in bedside.plans}) == 1
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"


def test_an_alert_keeps_its_name_when_an_earlier_flag_turns_up() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])
    bedside.report("16 Jan", "19 Jan 11:00", FERRITIN="600")
    assert bedside.heard() == ["raised ferritin.rise 2 P2", "escalated ferritin.rise 3 P2"]
    assert len({alert.alert_id for alert in bedside.said}) == 1


def test_a_cleared_and_a_new_watch_of_one_rule_are_two_alerts() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160"), ("26 Jan", "90"), ("10 Feb", "165")])
    assert bedside.heard() == ["raised ferritin.rise 1 P3", "cleared ferritin.rise 1 P3", "raised ferritin.rise 1 P3"]
    assert len({alert.alert_id for alert in bedside.said}) == 2


def test_what_ended_and_began_again_within_one_batch_is_told_as_two() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160")])
    later = ferritins(enrolled(), [("26 Jan", "90"), ("10 Feb", "170")])
    reports = [event for event in later.facts if event.event_id != "event-1"]
    bedside.facts = [event for event in bedside.facts if event.event_id not in {report.event_id for report in reports}]
    bedside.take(*reports)
    assert bedside.heard()[1:] == ["cleared ferritin.rise 1 P3", "raised ferritin.rise 1 P3"]


def test_every_word_on_a_patient_has_a_rising_number() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160"), ("26 Jan", "90"), ("10 Feb", "800")])
    assert [alert.seq for alert in bedside.said] == list(range(1, len(bedside.said) + 1))
    assert [plan.seq for plan in bedside.plans] == list(range(1, len(bedside.plans) + 1))
