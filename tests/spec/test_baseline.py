"""The patient's own baseline: pinned, own, provisional or none. First dose Mon 5 Jan 09:00."""

import pytest

from services.detector.domain.values import Precision
from tests.spec.bedside import Bedside, a_result, enrolled, ferritins


@pytest.mark.parametrize(
    ("drawn", "kind"),
    [
        pytest.param("8 Dec 2025 09:00", "own", id="exactly 28 days before the dose"),
        pytest.param("8 Dec 2025 08:59", "none", id="a minute earlier"),
        pytest.param("5 Jan 09:00", "own", id="at the very minute of the dose"),
        pytest.param("5 Jan 09:01", "provisional", id="a minute after the dose"),
        pytest.param("12 Jan 09:00", "provisional", id="exactly 7 days after the dose"),
        pytest.param("12 Jan 09:01", "none", id="a minute later"),
    ],
)
def test_the_windows_around_the_first_dose_are_exact(drawn: str, kind: str) -> None:
    bedside = ferritins(enrolled(consent="1 Dec 2025"), [(drawn, "80"), ("19 Jan", "800")])
    assert bedside.last_of("ferritin.rise").baseline.kind == kind


def test_the_newest_own_value_before_the_dose_counts() -> None:
    bedside = ferritins(enrolled(), [("22 Dec 2025", "200"), ("4 Jan", "80"), ("19 Jan", "240")])
    assert bedside.standing() == ["ferritin.rise 2 P2"]


def test_a_provisional_baseline_applies_to_later_results_only() -> None:
    bedside = ferritins(enrolled(), [("6 Jan", "600"), ("7 Jan", "80")])
    assert bedside.said[0].baseline.kind == "none"


def test_a_pin_wins_over_the_own_value_and_its_limits_are_those_of_the_result() -> None:
    bedside = (
        enrolled().report("2 Jan", FERRITIN="240").pinned("FERRITIN", "80", "18 Jan").report("19 Jan", FERRITIN="240")
    )
    assert bedside.standing() == ["ferritin.rise 2 P2"]
    assert bedside.said[0].baseline.kind == "pinned"


def test_a_pin_that_comes_later_is_judged_as_if_it_had_been_there() -> None:
    bedside = enrolled().report("2 Jan", FERRITIN="240").report("19 Jan", FERRITIN="240")
    assert bedside.standing() == []
    bedside.pinned("FERRITIN", "80", "20 Jan")
    assert bedside.standing() == ["ferritin.rise 2 P2"]


def test_a_baseline_above_the_measuring_range_is_none_and_older_ones_are_not_taken() -> None:
    bedside = ferritins(enrolled(), [("22 Dec 2025", "80"), ("2 Jan", ">2000"), ("19 Jan", "450")])
    assert bedside.standing() == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"status": "P"}, id="preliminary"),
        pytest.param({"remarks": ("haemolysed",)}, id="haemolysed"),
        pytest.param({"remarks": ("time-suspect",)}, id="collection time in doubt"),
        pytest.param({"unit": None}, id="unit not convertible"),
        pytest.param({"value": None}, id="no number"),
        pytest.param({"assay": "other"}, id="another assay"),
    ],
)
def test_what_is_in_doubt_or_not_comparable_is_no_baseline(changes: dict[str, object]) -> None:
    bedside = enrolled().results(a_result("FERRITIN", "80", "2 Jan", **changes))
    bedside.results(a_result("FERRITIN", "800", "19 Jan", assay="roche"))
    assert bedside.last_of("ferritin.rise").baseline.kind == "none"


def test_a_result_of_the_day_of_the_dose_without_a_time_counts_as_before_it() -> None:
    bedside = enrolled()
    bedside.results(a_result("FERRITIN", "80", "5 Jan 12:00", collected_precision=Precision.DAY))
    bedside.report("19 Jan", FERRITIN="240")
    assert bedside.said[0].baseline.kind == "own"


def test_a_first_dose_known_by_its_date_takes_the_whole_day_as_before_it() -> None:
    bedside = Bedside().enrolled("5 Jan 12:00", by_day=True)
    ferritins(bedside, [("5 Jan 17:00", "80"), ("19 Jan", "240")])
    assert bedside.said[0].baseline.kind == "own"


def test_results_from_before_the_enrolment_serve_as_baseline() -> None:
    bedside = ferritins(Bedside(), [("2 Jan", "80")])
    assert bedside.heard() == []
    bedside.enrolled(received="4 Jan 09:00").report("19 Jan", FERRITIN="240")
    assert bedside.standing() == ["ferritin.rise 2 P2"]


def test_a_high_baseline_shields_from_an_alert_on_mere_abnormality() -> None:
    bedside = enrolled().report("2 Jan", HEMOGLOBIN="95").report("19 Jan", HEMOGLOBIN="85")
    assert bedside.standing() == []
    bedside.report("22 Jan", HEMOGLOBIN="79")
    assert bedside.standing() == ["ctcae.anemia 3 P2"]
