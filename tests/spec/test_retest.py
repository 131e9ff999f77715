"""The cadence: every 3 days, at least 3 draws, until recovery; due, overdue, satisfied, missed; the panel's gaps."""

import pytest

from tests.spec.bedside import Bedside, a_result, at, enrolled, ferritins

OPENED = [("2 Jan", "80"), ("19 Jan", "240")]


def opened() -> Bedside:
    """An episode opened on Mon 19 Jan 08:00; the first draw is due on Thu 22 Jan 08:00, overdue on Fri 23 Jan 08:00."""
    return ferritins(enrolled(), OPENED)


@pytest.mark.parametrize(
    ("until", "status"),
    [
        pytest.param("21 Jan 07:59", "scheduled", id="a minute before the window"),
        pytest.param("21 Jan 08:00", "due", id="the window opens 24 h before"),
        pytest.param("23 Jan 07:59", "due", id="a minute before it is overdue"),
        pytest.param("23 Jan 08:00", "overdue", id="overdue 24 h after"),
        pytest.param("23 Mar 08:00", "overdue", id="still overdue two months later, and no further slot"),
    ],
)
def test_a_slot_is_scheduled_due_and_overdue(until: str, status: str) -> None:
    bedside = opened().wait(until)
    plan = bedside.active()
    assert plan is not None
    assert plan.status == status


def test_each_status_is_told_once_however_often_time_is_asked() -> None:
    bedside = opened()
    for hour in range(200):
        bedside.take(now=at("19 Jan 10:00").replace(minute=0) + (at("19 Jan 11:00") - at("19 Jan 10:00")) * hour)
    assert bedside.statuses() == ["scheduled", "due", "overdue"]


def test_after_an_outage_an_overdue_draw_is_told_once_and_marked_late() -> None:
    bedside = opened()
    bedside.take(now=at("2 Feb"))
    assert bedside.statuses() == ["scheduled", "overdue"]
    assert bedside.plans[-1].late


@pytest.mark.parametrize(
    ("drawn", "closing", "due"),
    [
        pytest.param("22 Jan 08:00", "satisfied", "Mon 26 Jan 08:00", id="on time"),
        pytest.param("20 Jan 08:00", "satisfied", "Fri 23 Jan 08:00", id="early: it counts and restarts the clock"),
        pytest.param("23 Jan 07:59", "satisfied", "Mon 26 Jan 07:59", id="a minute before it is overdue"),
        pytest.param("23 Jan 08:00", "missed", "Mon 26 Jan 08:00", id="when it was overdue: missed, the next begins"),
    ],
)
def test_a_draw_closes_its_slot_and_opens_the_next(drawn: str, closing: str, due: str) -> None:
    bedside = opened().report(drawn, FERRITIN="230")
    assert closing in bedside.statuses()
    assert bedside.plan() == f"every-3-days, due {due}"


@pytest.mark.parametrize(
    ("opening", "due"),
    [
        pytest.param("21 Jan", "Fri 23 Jan 08:00", id="a Saturday moves to Friday"),
        pytest.param("22 Jan", "Mon 26 Jan 08:00", id="a Sunday moves to Monday"),
        pytest.param("23 Jan", "Mon 26 Jan 08:00", id="a Monday stays"),
        pytest.param("20 Jan", "Fri 23 Jan 08:00", id="a Friday stays"),
        pytest.param("21 Jan 00:10", "Fri 23 Jan 00:10", id="Saturday just after midnight, site time"),
        pytest.param("22 Jan 23:50", "Mon 26 Jan 23:50", id="Sunday just before midnight, site time"),
    ],
)
def test_no_draw_is_due_at_a_weekend(opening: str, due: str) -> None:
    assert ferritins(enrolled(), [("2 Jan", "80"), (opening, "240")]).plan() == f"every-3-days, due {due}"


@pytest.mark.parametrize(
    ("result", "counts"),
    [
        pytest.param(a_result("FERRITIN", "230", "22 Jan"), True, id="a final ferritin"),
        pytest.param(a_result("FERRITIN", "230", "22 Jan", status="P"), False, id="a preliminary ferritin"),
        pytest.param(a_result("FERRITIN", "", "22 Jan", status="X"), False, id="a rejected specimen"),
        pytest.param(a_result("FERRITIN", "230", "22 Jan", remarks=("haemolysed",)), False, id="a haemolysed ferritin"),
        pytest.param(a_result("FERRITIN", "230", "22 Jan", remarks=("time-suspect",)), False, id="a time in doubt"),
        pytest.param(a_result("CRP", "3", "22 Jan"), False, id="a panel without ferritin"),
        pytest.param(a_result("FERRITIN", "230", "19 Jan 10:00"), False, id="2 h after the opening: the same draw"),
        pytest.param(a_result("FERRITIN", "230", "19 Jan 10:01"), True, id="a minute later: a draw"),
    ],
)
def test_only_a_usable_ferritin_after_the_opening_is_a_draw(result: object, counts: bool) -> None:
    bedside = opened().results(result)  # type: ignore[arg-type]
    assert ("satisfied" in bedside.statuses()) is counts


def test_three_samples_in_a_day_are_not_three_retests() -> None:
    values = [("22 Jan 08:00", "140"), ("22 Jan 14:00", "140"), ("22 Jan 20:00", "140"), ("23 Jan 08:00", "140")]
    bedside = ferritins(opened(), values)
    assert bedside.standing() == ["ferritin.rise 2 P2"]
    plan = bedside.active()
    assert plan is not None
    assert (plan.draw, plan.minimum_draws) == (3, 3)


def test_two_ferritins_within_two_hours_are_one_draw() -> None:
    bedside = ferritins(opened(), [("22 Jan 08:00", "140"), ("22 Jan 10:00", "141")])
    assert bedside.plan() == "every-3-days, due Mon 26 Jan 08:00"


def test_an_unrecovered_value_breaks_the_run_and_a_doubtful_one_does_too() -> None:
    bedside = ferritins(opened(), [("22 Jan", "140"), ("26 Jan", "140")])
    bedside.results(a_result("FERRITIN", "400", "28 Jan", status="P"))
    bedside.report("29 Jan", FERRITIN="140")
    assert bedside.standing() != []
    bedside.report("30 Jan 08:00", FERRITIN="140")
    assert bedside.standing() == []


def test_every_organ_that_started_the_episode_must_recover() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80", ALT="30").report("19 Jan", FERRITIN="240", ALT="250")
    ferritins(bedside, [("22 Jan", "140"), ("26 Jan", "140"), ("29 Jan", "140")])
    assert bedside.standing() == ["ctcae.alt-increased 3 P2", "ferritin.rise 2 P2"]
    bedside.report("30 Jan", ALT="110").report("31 Jan", ALT="100")
    assert bedside.standing() == []


def test_the_panel_names_what_is_missing_and_what_is_pending() -> None:
    bedside = opened()
    bedside.results(
        a_result("FERRITIN", "230", "22 Jan"),
        a_result("CRP", "3", "22 Jan"),
        a_result("HEMOGLOBIN", "140", "22 Jan 10:00"),
        a_result("PLATELETS", "", "22 Jan", status="X"),
        a_result("IL6", "", "22 Jan", status="I"),
        a_result("D_DIMER", "0.2", "22 Jan 10:01"),
    )
    plan = bedside.active()
    assert plan is not None
    assert plan.missing == ("PLATELETS",)
    assert plan.pending == ("D_DIMER", "IL1B", "IL6", "LEUKOCYTES", "LYMPHOCYTES", "NEUTROPHILS", "TNFA")


def test_what_was_never_reported_is_missing_after_72_hours() -> None:
    bedside = opened().results(a_result("FERRITIN", "230", "22 Jan"), a_result("IL6", "", "22 Jan", status="I"))
    bedside.wait("25 Jan 08:00")
    plan = bedside.active()
    assert plan is not None
    assert plan.pending == ("IL6",)
    assert "TNFA" in plan.missing


def test_before_the_first_draw_nothing_is_missing() -> None:
    plan = opened().active()
    assert plan is not None
    assert plan.missing == plan.pending == ()


def test_the_single_repeat_is_asked_once_and_missed_when_it_comes_late() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160")]).wait("24 Jan")
    assert bedside.statuses() == ["scheduled", "due", "overdue"]
    bedside.report("25 Jan", FERRITIN="165")
    assert bedside.statuses()[-1] == "missed"
    assert bedside.plan() is None
    assert bedside.standing() == ["ferritin.rise 1 P3"]


def test_an_episode_replaces_the_single_repeat() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160")]).report("20 Jan", ALT="300")
    assert bedside.standing() == ["ctcae.alt-increased 3 P2", "ferritin.rise 1 P3"]
    assert bedside.plan() == "every-3-days, due Fri 23 Jan 08:00"
    assert ("stopped", "replaced") in [(plan.status, plan.reason) for plan in bedside.plans]


def test_a_graded_adverse_event_opens_an_episode_and_must_be_over_too() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80").graded("AE-1", "19 Jan", 2)
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"
    ferritins(bedside, [("22 Jan", "80"), ("26 Jan", "80"), ("29 Jan", "80")])
    assert bedside.plan() is not None
    bedside.graded("AE-1", "30 Jan", 1)
    assert bedside.plan() is None
