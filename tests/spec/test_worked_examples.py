"""The examples by which the rules were agreed. ULN ferritin 150, ALT 40, creatinine 104; first dose Mon 5 Jan 09:00."""

from tests.spec.bedside import a_result, enrolled, ferritins, shown


def test_a_doubling_above_the_uln_is_a_watch_and_asks_for_one_repeat() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160")])
    assert bedside.standing() == ["ferritin.rise 1 P3"]
    assert bedside.plan() == "single, due Thu 22 Jan 08:00"


def test_a_clear_repeat_ends_the_watch_and_its_plan() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160"), ("21 Jan", "90")])
    assert bedside.standing() == []
    assert bedside.plan() is None
    assert bedside.heard() == ["raised ferritin.rise 1 P3", "cleared ferritin.rise 1 P3"]
    assert bedside.statuses()[-1] == "satisfied"


def test_a_tripling_opens_an_episode_with_the_three_day_cadence() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])
    assert bedside.standing() == ["ferritin.rise 2 P2"]
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"
    plan = bedside.active()
    assert plan is not None
    assert shown(plan.overdue_at) == "Fri 23 Jan 08:00"


def test_a_doubling_within_a_week_lifts_the_urgency_and_the_watch_joins_the_episode() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("14 Jan", "160"), ("19 Jan", "320")])
    assert bedside.standing() == ["ferritin.rise 2 P1"]
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"
    assert bedside.heard() == ["raised ferritin.rise 1 P3", "escalated ferritin.rise 2 P1"]
    assert bedside.said[0].alert_id == bedside.said[1].alert_id


def test_without_a_baseline_only_the_absolute_arm_speaks_and_says_so() -> None:
    bedside = ferritins(enrolled(), [("19 Jan", "800")])
    assert bedside.standing() == ["ferritin.rise 3 P2"]
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"
    assert "no-baseline" in bedside.said[0].notes


def test_a_correction_to_a_harmless_value_withdraws_the_alert_and_stops_the_plan() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160")])
    bedside.corrected("19 Jan", "19 Jan 11:00", FERRITIN="106")
    assert bedside.standing() == []
    assert bedside.plan() is None
    assert bedside.heard() == ["raised ferritin.rise 1 P3", "withdrawn ferritin.rise 1 P3"]
    assert bedside.statuses()[-1] == "stopped"


def test_a_late_duplicate_of_the_old_value_does_not_undo_a_correction() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])
    bedside.results(a_result("FERRITIN", "240", "19 Jan")).results(a_result("FERRITIN", "240", "19 Jan"))
    assert bedside.heard() == ["raised ferritin.rise 2 P2"]
    bedside.corrected("19 Jan", "19 Jan 11:00", FERRITIN="100")
    bedside.report("19 Jan", "19 Jan 12:00", FERRITIN="240")
    assert bedside.standing() == []
    assert bedside.plan() is None


def test_serum_and_plasma_are_not_compared() -> None:
    bedside = enrolled()
    bedside.results(a_result("FERRITIN", "80", "2 Jan", specimen="PLAS"))
    bedside.results(a_result("FERRITIN", "240", "19 Jan", specimen="SER"))
    assert bedside.standing() == []
    assert bedside.plan() is None


def test_alt_at_exactly_five_times_the_uln_is_grade_2_and_opens_an_episode() -> None:
    bedside = enrolled().report("2 Jan", ALT="30").report("19 Jan", ALT="200")
    assert bedside.standing() == ["ctcae.alt-increased 2 P3"]
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"


def test_a_high_baseline_is_judged_by_its_own_multiples_and_p4_starts_nothing() -> None:
    bedside = enrolled().report("2 Jan", ALT="100").report("19 Jan", ALT="260")
    assert bedside.standing() == ["ctcae.alt-increased 1 P4"]
    assert bedside.plan() is None


def test_creatinine_above_one_and_a_half_times_the_baseline_is_grade_2() -> None:
    bedside = enrolled().report("2 Jan", CREATININE="60").report("19 Jan", CREATININE="95")
    assert bedside.standing() == ["ctcae.creatinine-increased 2 P3"]
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"


RECOVERING = [("2 Jan", "80"), ("19 Jan", "240"), ("22 Jan", "140"), ("25 Jan", "140"), ("28 Jan", "140")]


def test_three_draws_and_a_run_of_a_day_recover_the_episode() -> None:
    bedside = ferritins(enrolled(), RECOVERING)
    assert bedside.standing() == []
    assert bedside.plan() is None
    assert bedside.said[-1].action == "cleared"
    assert bedside.said[-1].reason == "recovered"
    assert bedside.statuses()[-1] == "stopped"


def test_a_relapse_within_30_days_reopens_the_same_episode() -> None:
    bedside = ferritins(enrolled(), [*RECOVERING, ("20 Feb", "400")])
    assert bedside.standing() == ["ferritin.rise 2 P2"]
    assert bedside.plan() == "every-3-days, due Mon 23 Feb 08:00"
    assert bedside.said[-1].action == "raised"
    assert bedside.said[-1].episode_id == bedside.said[0].episode_id
    assert bedside.said[-1].alert_id != bedside.said[0].alert_id
    assert bedside.said[-1].collected_at is not None
    assert shown(bedside.said[-1].collected_at) == "Fri 20 Feb 08:00"


def test_what_was_accepted_at_a_closure_is_not_told_again_and_more_is() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240")])
    bedside.closed("20 Jan", "iron")
    bedside.report("23 Jan", FERRITIN="250")
    assert bedside.standing() == []
    bedside.report("26 Jan", FERRITIN="600")
    assert bedside.standing() == ["ferritin.rise 3 P1"]
    assert bedside.plan() == "every-3-days, due Thu 29 Jan 08:00"
    assert bedside.said[-1].episode_id == bedside.said[0].episode_id


def test_a_haemolysed_potassium_raises_and_one_normal_value_does_not_end_it() -> None:
    bedside = enrolled()
    bedside.results(a_result("POTASSIUM", "7.2", "20 Jan", remarks=("haemolysed",)))
    bedside.report("21 Jan", POTASSIUM="4.1")
    assert bedside.standing() == ["ctcae.hyperkalemia 4 P1"]
    assert "haemolysed" in bedside.said[0].notes
    assert bedside.plan() == "every-3-days, due Fri 23 Jan 08:00"
