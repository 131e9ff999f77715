"""What a named person closes, covers what had been received by then, and no more."""

from tests.spec.bedside import Bedside, enrolled, ferritins


def opened() -> Bedside:
    return ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])


def test_a_closure_clears_with_its_outcome_and_stops_the_plan() -> None:
    bedside = opened().closed("20 Jan", "infection")
    assert bedside.standing() == []
    assert (bedside.said[-1].action, bedside.said[-1].reason) == ("cleared", "infection")
    assert (bedside.plans[-1].status, bedside.plans[-1].reason) == ("stopped", "infection")


def test_a_critical_result_in_transit_at_the_closure_is_told_at_once() -> None:
    bedside = opened().closed("20 Jan 12:00", "infection")
    bedside.report("20 Jan 08:00", "20 Jan 14:00", FERRITIN="2000")
    assert bedside.standing() == ["ferritin.rise 3 P1"]
    assert bedside.plan() == "every-3-days, due Fri 23 Jan 12:00"


def test_a_lower_result_in_transit_at_the_closure_is_not_told() -> None:
    bedside = opened().closed("20 Jan 12:00", "infection")
    bedside.report("20 Jan 08:00", "20 Jan 14:00", FERRITIN="245")
    assert bedside.standing() == []
    assert bedside.plan() is None


def test_a_closure_that_finds_nothing_open_changes_nothing() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80").closed("18 Jan", "infection").report("19 Jan", FERRITIN="240")
    assert bedside.standing() == ["ferritin.rise 2 P2"]


def test_an_accepted_level_falls_with_the_values_so_that_a_relapse_is_told() -> None:
    bedside = opened().closed("20 Jan", "infection")
    ferritins(bedside, [("26 Jan", "100"), ("2 Feb", "245")])
    assert bedside.standing() == ["ferritin.rise 2 P1"]


def test_the_closure_of_a_watch_concerns_its_rule_only() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80", ALT="30").report("19 Jan", FERRITIN="160", ALT="60")
    assert bedside.standing() == ["ctcae.alt-increased 1 P4", "ferritin.rise 1 P3"]
    bedside.closed("20 Jan", "iron", rule="ferritin.rise")
    assert bedside.standing() == ["ctcae.alt-increased 1 P4"]
    assert bedside.plan() is None
    bedside.report("28 Jan", FERRITIN="165")
    assert bedside.standing() == ["ctcae.alt-increased 1 P4"]


def test_a_result_corrected_away_after_its_closure_changes_nothing_more() -> None:
    bedside = opened().closed("20 Jan", "lab-error")
    bedside.corrected("19 Jan", "21 Jan", FERRITIN="80")
    assert [alert.action for alert in bedside.said] == ["raised", "cleared"]


def test_more_than_30_days_after_the_end_a_relapse_is_a_new_episode() -> None:
    bedside = opened().closed("20 Jan", "infection")
    ferritins(bedside, [("26 Jan", "80"), ("20 Feb", "400")])
    first = bedside.said[0].episode_id
    assert bedside.said[-1].episode_id != first


def test_exactly_30_days_after_the_end_it_is_the_same_episode() -> None:
    bedside = opened().closed("20 Jan 08:00", "infection")
    ferritins(bedside, [("26 Jan", "80"), ("19 Feb 08:00", "400")])
    assert bedside.said[-1].episode_id == bedside.said[0].episode_id


def test_a_peak_that_was_seen_and_has_passed_is_not_told_again() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "600"), ("22 Jan", "245")]).closed(
        "23 Jan", "infection"
    )
    assert bedside.standing() == []
    bedside.report("26 Jan", FERRITIN="248")
    assert bedside.standing() == []
    assert bedside.heard() == ["raised ferritin.rise 3 P2", "cleared ferritin.rise 3 P2"]


def test_after_the_closure_more_than_the_last_level_is_told() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "600"), ("22 Jan", "245")]).closed(
        "23 Jan", "infection"
    )
    bedside.report("2 Feb", FERRITIN="600")
    assert bedside.standing() == ["ferritin.rise 3 P2"]
