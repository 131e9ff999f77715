"""Each level of the ferritin rule just below, at and just above its bounds. ULN 150."""

import pytest

from tests.spec.bedside import a_result, enrolled, ferritins


@pytest.mark.parametrize(
    ("baseline", "value", "standing"),
    [
        pytest.param("80", "159.9", [], id="just below twice the baseline: nothing"),
        pytest.param("80", "160", ["ferritin.rise 1 P3"], id="exactly twice the baseline: watch"),
        pytest.param("75", "150", [], id="twice the baseline but at the ULN: nothing"),
        pytest.param("75", "150.1", ["ferritin.rise 1 P3"], id="twice the baseline and above the ULN: watch"),
        pytest.param("80", "239.9", ["ferritin.rise 1 P3"], id="just below three times: watch"),
        pytest.param("80", "240", ["ferritin.rise 2 P2"], id="exactly three times: suspect"),
        pytest.param("250", "499.9", [], id="just below 500 and twice a high baseline: nothing"),
        pytest.param("250", "500", ["ferritin.rise 3 P2"], id="exactly 500 and twice: strong"),
        pytest.param("474", "711", [], id="one and a half times but not above 712: nothing"),
        pytest.param("474", "712", [], id="exactly 712: nothing"),
        pytest.param("474", "712.1", ["ferritin.rise 3 P2"], id="above 712 and one and a half times: strong"),
        pytest.param("480", "719.9", [], id="above 712 but below one and a half times: nothing"),
        pytest.param("80", ">2000", ["ferritin.rise 3 P2"], id="above the measuring range: strong"),
        pytest.param("<5", "14.9", [], id="a baseline below the measuring range counts as its bound"),
    ],
)
def test_a_rise_is_measured_against_the_own_baseline(baseline: str, value: str, standing: list[str]) -> None:
    assert ferritins(enrolled(), [("2 Jan", baseline), ("19 Jan", value)]).standing() == standing


@pytest.mark.parametrize(
    ("value", "standing"),
    [
        pytest.param("499.9", [], id="below 500: nothing"),
        pytest.param("500", ["ferritin.rise 1 P3"], id="exactly 500: watch"),
        pytest.param("712", ["ferritin.rise 1 P3"], id="exactly 712: watch"),
        pytest.param("712.1", ["ferritin.rise 3 P2"], id="above 712: strong"),
        pytest.param(">500", ["ferritin.rise 1 P3"], id="above 500 in all certainty: watch"),
        pytest.param("<600", [], id="somewhere below 600: unknown, nothing"),
    ],
)
def test_without_a_baseline_only_absolute_values_count(value: str, standing: list[str]) -> None:
    assert ferritins(enrolled(), [("19 Jan", value)]).standing() == standing


@pytest.mark.parametrize(
    ("before", "value", "standing"),
    [
        pytest.param(("14 Jan", "160"), "319.9", ["ferritin.rise 2 P2"], id="just below twice: not lifted"),
        pytest.param(("14 Jan", "160"), "320", ["ferritin.rise 2 P1"], id="exactly twice: one step more urgent"),
        pytest.param(("12 Jan 08:00", "160"), "320", ["ferritin.rise 2 P1"], id="exactly 168 h ago: lifted"),
        pytest.param(("12 Jan 07:59", "160"), "320", ["ferritin.rise 2 P2"], id="a minute more than 168 h: not lifted"),
        pytest.param(("14 Jan", "79"), "160", ["ferritin.rise 1 P2"], id="a lifted watch is P2"),
        pytest.param(("14 Jan", ">100"), "320", ["ferritin.rise 2 P2"], id="above a measuring range is no reference"),
    ],
)
def test_a_fast_rise_lifts_the_urgency_one_step(before: tuple[str, str], value: str, standing: list[str]) -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), before, ("19 Jan", value)])
    assert bedside.standing() == standing


def test_a_lifted_watch_starts_the_three_day_cadence() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("14 Jan", "79"), ("19 Jan", "160")])
    assert bedside.plan() == "every-3-days, due Thu 22 Jan 08:00"


def test_without_a_uln_the_levels_that_need_it_are_unknown_and_do_not_clear() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "160")])
    bedside.results(a_result("FERRITIN", "85", "22 Jan", reference_high=None))
    assert bedside.standing() == ["ferritin.rise 1 P3"]


def test_without_a_uln_level_3_still_speaks() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="80")
    bedside.results(a_result("FERRITIN", "600", "19 Jan", reference_high=None))
    assert bedside.standing() == ["ferritin.rise 3 P2"]


def test_a_repeat_of_the_same_level_says_nothing() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "240"), ("22 Jan", "250"), ("26 Jan", "245")])
    assert bedside.heard() == ["raised ferritin.rise 2 P2"]


def test_a_fall_to_a_lower_level_within_the_episode_says_nothing() -> None:
    bedside = ferritins(enrolled(), [("2 Jan", "80"), ("19 Jan", "600"), ("22 Jan", "245")])
    assert bedside.standing() == ["ferritin.rise 3 P2"]
    assert len(bedside.said) == 1
